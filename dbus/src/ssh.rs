// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to another machine, as `systemctl -H` has it: ssh(1) runs systemd-stdio-bridge(1) there, which hands on what is
//! said to the system bus. Who may do what is that machine's affair.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::{Pid, Signal, kill_process};
use zbus::Connection;
use zbus::conn::{AuthMechanism, Builder};

use crate::connection::unreachable;
use crate::error::Error;

/// How long ssh may take to clean up.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// What ssh ends with when it was ssh that failed, and not what it ran.
const OF_SSH: i32 = 255;
/// Of what is no answer, so many characters are told.
const MOST_NONSENSE: usize = 200;

/// A running ssh(1). When the connection is closed, its input ends and so does it.
#[derive(Debug)]
pub(crate) struct Ssh {
    child: Child,
}

impl Ssh {
    /// Has it end, and clean up: the socket of a connection that it shares, a terminal on which it asks.
    fn end(&mut self) {
        let pid = Pid::from_child(&self.child);
        let deadline = Instant::now() + PATIENCE;
        // Not waited for yet, so that the number is still its own.
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            let _ = kill_process(pid, Signal::TERM);
            // One that was stopped hears it only now.
            let _ = kill_process(pid, Signal::CONT);
            std::thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // Nothing is on its way any more: every call was answered.
        self.end();
    }
}

/// Connects to the bus of `[USER@]HOST`. What ssh has to say, it says itself on standard error, and it may ask.
pub(crate) async fn connect(host: &str) -> Result<(Ssh, Connection), Error> {
    check(host)?;
    let start = || -> std::io::Result<(UnixStream, Child)> {
        let (ours, its) = UnixStream::pair()?;
        let its: OwnedFd = its.into();
        let mut command = Command::new("ssh");
        // No X11, no terminal; what follows is never an option.
        command.args(["-xT", "--", host, "systemd-stdio-bridge"]);
        command.stdin(Stdio::from(its.try_clone()?)).stdout(Stdio::from(its));
        Ok((ours, unblocked(&mut command)?))
    };
    let (stream, child) = start().map_err(|source| Error::Unreachable {
        reason: "cannot run ssh".to_owned(),
        source: Some(Box::new(source.into())),
    })?;
    let mut ssh = Ssh { child };
    // The bridge is on the bus as the user that ssh is there, and asks nobody who talks to it.
    match Builder::async_io_unix_stream(stream).auth_mechanism(AuthMechanism::Anonymous).build().await {
        Ok(connection) => Ok((ssh, connection)),
        Err(error) => Err(failed(host, &mut ssh, error)),
    }
}

/// Starts it with no signal blocked. Who waits for signals has blocked them, and it would have that from us: Ctrl-C were
/// to end us, and not ssh.
fn unblocked(command: &mut Command) -> std::io::Result<Child> {
    let ours = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = command.spawn();
    ours.thread_set_mask()?;
    child
}

/// A host that looks like an option would be one to ssh; one with blanks or controls is none.
fn check(host: &str) -> Result<(), Error> {
    let odd = host.starts_with('-') || host.contains(|c: char| c.is_control() || c.is_whitespace());
    if host.is_empty() || odd {
        return Err(Error::Unreachable { reason: format!("{host:?} is not a host"), source: None });
    }
    Ok(())
}

fn failed(host: &str, ssh: &mut Ssh, error: zbus::Error) -> Error {
    // The end of its output is the end of ssh. One that talks nonsense may go on, and is ended.
    if let zbus::Error::InputOutput(_) = &error
        && let Ok(status) = ssh.child.wait()
        && !status.success()
    {
        let of_ssh = status.code().is_none_or(|code| code == OF_SSH);
        let what = if of_ssh { "ssh" } else { "systemd-stdio-bridge by ssh" };
        return Error::Unreachable { reason: format!("{what} {host}: {status}"), source: None };
    }
    unreachable(&format!("{host} by ssh"), cut(error))
}

/// What a shell prints where systemd-stdio-bridge should speak may be long.
fn cut(error: zbus::Error) -> zbus::Error {
    match error {
        zbus::Error::Handshake(text) if text.chars().nth(MOST_NONSENSE).is_some() => {
            let start: String = text.chars().take(MOST_NONSENSE).collect();
            zbus::Error::Handshake(format!("{start}..."))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_not_hosts() {
        for host in ["", "-oProxyCommand=x", "-", "a b", "a\nb", "a\tb"] {
            assert!(matches!(check(host), Err(Error::Unreachable { .. })), "{host:?}");
        }
        for host in ["web", "root@web", "ssh://root@web:22", "root@fe80::1%eth0"] {
            assert!(check(host).is_ok(), "{host:?}");
        }
    }
}
