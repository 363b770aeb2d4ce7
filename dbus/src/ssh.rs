// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to another machine, as `systemctl -H` has it: ssh(1) runs systemd-stdio-bridge(1) there, which hands on what is
//! said to the system bus. Who may do what is that machine's affair.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use zbus::Connection;
use zbus::conn::{AuthMechanism, Builder};

use crate::connection::unreachable;
use crate::error::Error;

/// A running ssh(1). When the connection is closed, its input ends and so does it.
#[derive(Debug)]
pub(crate) struct Ssh {
    child: Child,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // Nothing is on its way any more: every call was answered.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects to the bus of `[USER@]HOST`. What ssh has to say, it says itself on standard error, and it may ask.
pub(crate) async fn connect(host: &str) -> Result<(Ssh, Connection), Error> {
    check(host)?;
    let start = || -> std::io::Result<(UnixStream, Child)> {
        let (ours, its) = UnixStream::pair()?;
        let its: OwnedFd = its.into();
        let child = Command::new("ssh")
            // No X11, no terminal; what follows is never an option.
            .args(["-xT", "--", host, "systemd-stdio-bridge"])
            .stdin(Stdio::from(its.try_clone()?))
            .stdout(Stdio::from(its))
            .spawn()?;
        Ok((ours, child))
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

/// A host that looks like an option would be one to ssh; one with blanks or controls is none.
fn check(host: &str) -> Result<(), Error> {
    let odd = host.starts_with('-') || host.contains(|c: char| c.is_control() || c.is_whitespace());
    if host.is_empty() || odd {
        return Err(Error::Unreachable { reason: format!("{host:?} is not a host"), source: None });
    }
    Ok(())
}

fn failed(host: &str, ssh: &mut Ssh, error: zbus::Error) -> Error {
    // The end of its output is the end of ssh. One that talks nonsense may go on, and is killed.
    if let zbus::Error::InputOutput(_) = &error
        && let Ok(status) = ssh.child.wait()
        && !status.success()
    {
        return Error::Unreachable { reason: format!("ssh {host}: {status}"), source: None };
    }
    unreachable(&format!("{host} by ssh"), error)
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
