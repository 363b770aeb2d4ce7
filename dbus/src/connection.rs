// SPDX-License-Identifier: MIT OR Apache-2.0
//! How systemd is reached. Root needs no bus for it: systemd listens on a socket of its own, which goes on working when
//! the bus is down. Another machine is reached as `systemctl -H` does it: by ssh and systemd-stdio-bridge(1).

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use zbus::conn::{AuthMechanism, Builder};
use zbus::{Connection, block_on};

use crate::error::Error;
use crate::manager::ManagerProxy;
use crate::private;

/// Where systemd listens for root.
const PRIVATE_SOCKET: &str = "/run/systemd/private";

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
    /// systemd's own socket. Freezing does not work there, nor what other services of the bus would be asked for.
    Private,
    /// The system bus of another machine.
    Remote,
}

/// systemd, to be talked to.
#[derive(Debug)]
pub struct Systemd {
    pub(crate) connection: Connection,
    pub(crate) manager: ManagerProxy<'static>,
    route: Route,
}

impl Systemd {
    /// Connects. Without a bus this takes root.
    pub fn connect(target: &Target) -> Result<Self, Error> {
        block_on(async {
            let (connection, route) = match target {
                Target::Local => local(Builder::system(), Path::new(PRIVATE_SOCKET)).await?,
                Target::Below(root) => {
                    let bus = root.join("run/dbus/system_bus_socket");
                    let address = format!("unix:path={}", escaped(&bus.to_string_lossy()));
                    let private = root.join(PRIVATE_SOCKET.trim_start_matches('/'));
                    local(Builder::address(address.as_str()), &private).await?
                }
                Target::Remote(host) => (remote(host).await?, Route::Remote),
            };
            let manager = ManagerProxy::builder(&connection)
                .cache_properties(zbus::proxy::CacheProperties::No)
                .build()
                .await
                .map_err(|error| unreachable("the manager's object", error))?;
            Ok(Self { connection, manager, route })
        })
    }

    /// How it was reached.
    pub fn route(&self) -> Route {
        self.route
    }

    /// `Version` of the manager: `257.9-1~deb13u1`.
    pub fn version(&self) -> Result<String, Error> {
        block_on(self.manager.version()).map_err(|error| Error::of_call("ask for the version", None, error))
    }
}

async fn local(bus: zbus::Result<Builder<'_>>, private_socket: &Path) -> Result<(Connection, Route), Error> {
    let bus = match bus {
        Ok(builder) => builder.build().await,
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

async fn remote(host: &str) -> Result<Connection, Error> {
    // A host that looks like an option would be one to ssh.
    if host.is_empty() || host.starts_with('-') || host.contains(|c: char| c.is_control() || c == ' ') {
        return Err(Error::Unreachable { reason: format!("{host:?} is not a host"), source: None });
    }
    let arguments = ["-xT", "--", host, "systemd-stdio-bridge"];
    let mut address = "unixexec:path=ssh".to_owned();
    for (number, argument) in (1..).zip(arguments) {
        address.push_str(&format!(",argv{number}={}", escaped(argument)));
    }
    let built = match Builder::address(address.as_str()) {
        Ok(builder) => builder.auth_mechanism(AuthMechanism::Anonymous).build().await,
        Err(error) => Err(error),
    };
    built.map_err(|error| unreachable(&format!("{host} by ssh"), error))
}

/// A value of a D-Bus address: all but a few characters as `%` and two hexadecimal digits.
fn escaped(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_/.\\*".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn unreachable(what: &str, source: zbus::Error) -> Error {
    Error::Unreachable { reason: format!("no answer from {what}"), source: Some(Box::new(source)) }
}
