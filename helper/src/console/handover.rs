// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a container's terminal gets from the helper that starts it to the service: one message with all descriptors, and an
//! answer when PID 1 keeps them.
//!
//! A service that is killed meanwhile is asked again. It may have taken them already: the generation tells.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ct_channel::Channel;
use ct_config::container::{Container, LogMode};
use ct_config::name::ContainerName;
use serde::{Deserialize, Serialize};

use super::life::{Life, Role};
use super::unit;
use crate::exit::Error;
use crate::instance::container_directory;
use crate::reaper::Init;
use crate::sys;

/// How long the service may be away.
const PATIENCE: Duration = Duration::from_secs(15);
/// When it is started, which it should have been.
const OVERDUE: Duration = Duration::from_millis(500);
/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a message may take once its sender is connected.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offer {
    /// Of which life they are.
    pub(super) life: Life,
    /// What the descriptors are, in their order.
    pub(super) roles: Vec<Role>,
}

/// What the service answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// PID 1 keeps them.
    Taken,
    /// It cannot be done.
    Refused(String),
}

/// The service's RuntimeDirectory=.
pub(super) fn directory(name: &str) -> PathBuf {
    Path::new("/run/ct-console").join(name)
}

fn socket(name: &str) -> PathBuf {
    directory(name).join("handover")
}

/// Where the service listens for helpers. The directory is root's alone.
pub(super) fn listen(name: &str) -> Result<UnixListener, Error> {
    let path = socket(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::system(format!("remove {}", path.display()), error))
        }
        _ => listen_at(&path),
    }
}

/// Reads what a helper offers.
pub(super) fn receive(stream: UnixStream) -> io::Result<(Channel, Offer, Vec<OwnedFd>)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(MESSAGE_TIMEOUT))?;
    stream.set_write_timeout(Some(MESSAGE_TIMEOUT))?;
    let mut channel = Channel::from(OwnedFd::from(stream));
    match channel.receive::<Offer>()? {
        Some((offer, descriptors)) => Ok((channel, offer, descriptors)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Hands the terminal of a container over, or the other ends of its pipes, with the socket that clients connect to, which is made here. To be called
/// before anybody is told that the container is ready.
pub(crate) fn hand_over(
    container: &Container,
    init: &Init,
    files: Vec<(Role, OwnedFd)>,
) -> Result<(), Error> {
    let name = &container.name;
    let invocation = std::env::var("INVOCATION_ID").unwrap_or_default();
    let listener = listen_for_clients(name)?;
    let pidfd = sys::pidfd_open(init.pid).map_err(|e| Error::system("pidfd_open", e))?;
    let is_logged = container.log != LogMode::None;
    let roles = [Role::Listener, Role::Init].into_iter().chain(files.iter().map(|(role, _)| *role));
    let offer = Offer { life: Life { is_logged, ..Life::of(&invocation, init.pid) }, roles: roles.collect() };
    let own = [listener.as_fd(), pidfd.as_fd()];
    let descriptors: Vec<_> = own.into_iter().chain(files.iter().map(|(_, file)| file.as_fd())).collect();
    let (overdue, deadline) = (Instant::now() + OVERDUE, Instant::now() + PATIENCE);
    let mut was_started = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let reason = match offer_once(name, &offer, &descriptors, left) {
            Ok(Answer::Taken) => return Ok(()),
            Ok(Answer::Refused(reason)) => reason,
            Err(error) if Instant::now() < deadline && is_absence(&error) => {
                std::thread::sleep(PAUSE);
                // It may have thought just before this start that there would be none.
                if Instant::now() > overdue && !std::mem::replace(&mut was_started, true) {
                    let _ = unit::start_service(name.console_unit().as_str());
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                format!("no answer within {} seconds", PATIENCE.as_secs())
            }
            Err(error) => error.to_string(),
        };
        return Err(Error::NoConsole { unit: name.console_unit(), reason });
    }
}

/// The service is not there, or no longer: it may be again.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof, WouldBlock,
    };
    let absent = [BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof, WouldBlock];
    absent.contains(&error.kind())
}

/// Waits so long for the answer: a service may stand still.
fn offer_once(
    name: &ContainerName,
    offer: &Offer,
    descriptors: &[BorrowedFd<'_>],
    patience: Duration,
) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket(name.as_str()))?;
    let patience = Some(patience.max(PAUSE));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let mut channel = Channel::from(OwnedFd::from(stream));
    channel.send(offer, descriptors)?;
    match channel.receive::<Answer>()? {
        Some((answer, _)) => Ok(answer),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// /run/ct/NAME/console. The directory is root's, so that nobody can have put a link there or take the socket away.
fn listen_for_clients(name: &ContainerName) -> Result<UnixListener, Error> {
    listen_at(&container_directory(name).join("console"))
}

/// A socket that root alone can connect to.
fn listen_at(path: &Path) -> Result<UnixListener, Error> {
    let failed = |e: io::Error| Error::system(format!("listen at {}", path.display()), e);
    let listener = UnixListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
