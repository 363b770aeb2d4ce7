// SPDX-License-Identifier: MIT OR Apache-2.0
//! How systemd is reached. Root needs no bus for it: systemd listens on a socket of its own, which goes on working when
//! the bus is down. Another machine is reached as `systemctl -H` does it: by ssh and systemd-stdio-bridge(1).

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::FutureExt as _;
use zbus::conn::Builder;
use zbus::{Connection, block_on};

use crate::error::Error;
use crate::manager::ManagerProxy;
use crate::private;
use crate::ssh::{self, Ssh};

/// systemd's name on a bus.
const NAME: &str = "org.freedesktop.systemd1";
/// Where systemd listens for root.
const PRIVATE_SOCKET: &str = "/run/systemd/private";

/// How long a local bus may take to say hello.
const PATIENCE: Duration = Duration::from_secs(25);

/// The machine whose systemd is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Local,
    /// `[USER@]HOST` as ssh(1) takes it.
    Remote(String),
    /// One whose files are below a directory of this one: `/proc/PID/root` of a systemd in namespaces of its own.
    Below(PathBuf),
}

/// How it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The system bus.
    Bus,
    /// systemd's own socket. What other services of the bus would be asked for does not work there.
    Private,
    /// The system bus of another machine.
    Remote,
}

/// systemd, to be talked to.
#[derive(Debug)]
pub struct Systemd {
    pub(crate) connection: Connection,
    pub(crate) manager: ManagerProxy<'static>,
    /// Whom calls are for.
    pub(crate) destination: &'static str,
    /// Whether polkit may ask the user, who is there to answer.
    pub(crate) questions: bool,
    route: Route,
    /// ssh(1), which ends with its input.
    _ssh: Option<Ssh>,
}

impl Systemd {
    /// Connects. Without a bus this takes root.
    pub fn connect(target: &Target) -> Result<Self, Error> {
        block_on(async {
            let mut ssh = None;
            let (connection, route) = match target {
                Target::Local => local(Builder::system(), Path::new(PRIVATE_SOCKET)).await?,
                Target::Below(root) => {
                    let bus = root.join("run/dbus/system_bus_socket");
                    let address = format!("unix:path={}", escaped(&bus.to_string_lossy()));
                    let private = root.join(PRIVATE_SOCKET.trim_start_matches('/'));
                    local(Builder::address(address.as_str()), &private).await?
                }
                Target::Remote(host) => {
                    let (started, connection) = ssh::connect(host).await?;
                    ssh = Some(started);
                    (connection, Route::Remote)
                }
            };
            // On a bus zbus follows the name's owner, also through a daemon-reexec, and hears nobody else.
            let destination = if route == Route::Private { private::NAME } else { NAME };
            let manager = ManagerProxy::builder(&connection)
                .destination(destination)
                .expect("both are names of the bus")
                .cache_properties(zbus::proxy::CacheProperties::No)
                .build()
                .await
                .map_err(|error| unreachable("the manager's object", error))?;
            Ok(Self { connection, manager, destination, questions: false, route, _ssh: ssh })
        })
    }

    /// How it was reached.
    pub fn route(&self) -> Route {
        self.route
    }

    /// Lets polkit ask for a password, through the agent of the user's session, and waits for that. Without it, what
    /// takes a password is not permitted.
    pub fn allow_questions(&mut self) {
        self.questions = true;
    }

    /// Its version's number: 257.
    pub fn major_version(&self) -> Result<u32, Error> {
        let version = self.version()?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().map_err(|error: std::num::ParseIntError| {
            let error = zbus::Error::Failure(format!("{version:?}: {error}"));
            Error::of_call("read the version", None, error)
        })
    }

    /// `Version` of the manager: `257.9-1~deb13u1`.
    pub fn version(&self) -> Result<String, Error> {
        block_on(self.manager.version()).map_err(|error| Error::of_call("ask for the version", None, error))
    }
}

async fn local(bus: zbus::Result<Builder<'_>>, private_socket: &Path) -> Result<(Connection, Route), Error> {
    let bus = match bus {
        // A bus that is being started has its socket already, and nobody who answers.
        Ok(builder) => builder.build().or(too_late()).await,
        Err(error) => Err(error),
    };
    let error = match bus {
        Ok(connection) => return Ok((connection, Route::Bus)),
        Err(error) => error,
    };
    let Ok(stream) = UnixStream::connect(private_socket) else {
        return Err(unreachable("the system bus (and its own socket is root's)", error));
    };
    let socket = private::socket(stream)
        .map_err(|error| unreachable(&private_socket.display().to_string(), error.into()))?;
    match Builder::socket(socket).p2p().build().await {
        Ok(connection) => Ok((connection, Route::Private)),
        Err(error) => Err(unreachable(&private_socket.display().to_string(), error)),
    }
}

async fn too_late() -> zbus::Result<Connection> {
    async_io::Timer::after(PATIENCE).await;
    Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
}

/// A value of a D-Bus address: all but a few characters as `%` and two hexadecimal digits.
fn escaped(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_/.\\*".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

pub(crate) fn unreachable(what: &str, source: zbus::Error) -> Error {
    Error::Unreachable { reason: format!("no answer from {what}"), source: Some(Box::new(source)) }
}
