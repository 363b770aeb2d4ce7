// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper's own log lines: the journal's native protocol with fields, stderr where journald is not there.
//!
//! The helper exits right after it has said why it failed. journald looks up the sender's cgroup when it *reads* the
//! line, and a process that is gone has none, so that the line would not be found under `journalctl -u ct@NAME`.
//! `OBJECT_SYSTEMD_UNIT=`, sent by root, is matched by `-u` too and does not depend on who is still alive.
//!
//! `systemctl status` leaves out what is older than the unit's `InactiveExitTimestamp=`, and PID 1 takes that after the
//! fork, perhaps when the helper has failed already. So the first line waits until PID 1 answers, which it does not before.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Once;

use ct_config::run::RunName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use tracing_subscriber::layer::SubscriberExt;

use crate::exit::{Failure, Step};
use crate::message::Message;
use crate::notify;

/// As in systemd-journald.service(8).
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long journald may take to make room for a line, in milliseconds: one that stands still must not hold up the caller.
const PATIENCE: u16 = 1_000;

/// Before the first line, see the file's head.
static CAUGHT_UP: Once = Once::new();

/// Where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Journal {
    /// journald's socket.
    Native,
    /// Whatever PID 1 connected to file descriptor 2.
    Stderr,
    /// The terminal of whoever called ctctl, and in its name.
    Caller,
}

impl Journal {
    /// Connects for the container `name` (as it was given, perhaps not a valid one).
    pub(crate) fn connect(name: &str) -> Self {
        Self::connect_unit([("CT_NAME", name)], &format!("ct@{}.service", shown(name)))
    }

    /// The same for a detached run.
    pub(crate) fn connect_run(run: &RunName) -> Self {
        let fields = [("CT_NAME", run.container.as_str()), ("CT_RUN", run.id.as_str())];
        Self::connect_unit(fields, &run.service())
    }

    /// The same for the pod `name`.
    pub(crate) fn connect_pod(name: &str) -> Self {
        Self::connect_unit([("CT_POD", name)], &format!("ct-pod@{}.service", shown(name)))
    }

    /// The same for the console of the container `name`.
    pub(crate) fn connect_console(name: &str) -> Self {
        // While it waited for PID 1, the container would wait for it.
        CAUGHT_UP.call_once(|| {});
        Self::connect_unit([("CT_NAME", name)], &format!("ct-console@{}.service", shown(name)))
    }

    fn connect_unit<const N: usize>(fields: [(&str, &str); N], unit: &str) -> Self {
        // By hand, the answer belongs on the terminal.
        let Ok(invocation) = std::env::var("INVOCATION_ID") else { return Self::Stderr };
        // The layer waits as long as it takes, also here.
        if !takes_lines().unwrap_or(false) {
            return Self::Stderr;
        }
        let Ok(layer) = tracing_journald::layer() else { return Self::Stderr };
        let fields = fields.map(|(field, value)| (field, shown(value)));
        let layer = layer
            .with_field_prefix(None)
            .with_syslog_identifier("ct-helper".to_owned())
            .with_custom_fields(fields.into_iter().chain([
                ("OBJECT_SYSTEMD_UNIT", unit.to_owned()),
                // As the cgroup, journald would look it up when it reads the line.
                ("CT_INVOCATION", shown(&invocation)),
            ]));
        match tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)) {
            Ok(()) => Self::Native,
            Err(_already_set) => Self::Stderr,
        }
    }

    /// Where a line arrives now. In a mount namespace from which there is no way back the socket's path may lead nowhere,
    /// and the layer sends there without looking; and for a journald that stands still it waits. Standard error is open
    /// already, and keeps a line until it is read.
    fn reachable(self) -> Self {
        if self == Self::Native {
            // Where nobody answers, the line is logged all the same.
            CAUGHT_UP.call_once(|| drop(notify::barrier(|| {})));
        }
        if self == Self::Native && !takes_lines().unwrap_or(false) { Self::Stderr } else { self }
    }

    /// One line an operator can act on, for each line of the failure. Returns the status to exit with.
    pub(crate) fn failure(self, failure: &Failure) -> i32 {
        for line in failure.to_string().lines() {
            match self.reachable() {
                Self::Native => {
                    tracing::error!(
                        MESSAGE_ID = failure.error.message().id(),
                        CT_STEP = failure.step.as_str(),
                        CT_STATUS = failure.error.code(),
                        "{line}"
                    );
                }
                other => other.on_stderr(line),
            }
        }
        failure.error.code()
    }

    /// A failure that nothing ends for. Returns the status that it would have been.
    pub(crate) fn survived(self, failure: &Failure) -> i32 {
        self.warning(failure.step, failure.error.message(), &format!("{failure}, ignoring"));
        failure.error.code()
    }

    /// A survived oddity.
    pub(crate) fn warning(self, step: Step, message: Message, line: &str) {
        match self.reachable() {
            Self::Native => tracing::warn!(MESSAGE_ID = message.id(), CT_STEP = step.as_str(), "{line}"),
            other => other.on_stderr(line),
        }
    }

    /// Nothing can be done about a stderr that does not take the line.
    fn on_stderr(self, line: &str) {
        let who = if self == Self::Caller { "ctctl" } else { "ct-helper" };
        let _ = writeln!(std::io::stderr(), "{who}: {line}");
    }
}

/// Whether journald is there, and its queue has room.
fn takes_lines() -> io::Result<bool> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET)?;
    loop {
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], PATIENCE) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// A name as it was given, in one line and bounded.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(64).collect()
}
