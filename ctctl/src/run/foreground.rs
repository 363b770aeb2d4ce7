// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that is waited for: the helper is our child in a scope, and the command's streams and signals pass through us.

use std::fs;

use ct_config::container::Container;
use ct_config::run::{self, Request, RunName};
use ct_dbus::Systemd;
use ct_dbus::job::JobResult;
use ct_dbus::property::Kind;
use ct_dbus::unit::Whom;
use nix::sys::signal::Signal;

use super::properties;
use crate::error::Error;
use crate::exit::Status;
use crate::session::Session;
use crate::signals::{PASSED_ON, Signals};

/// What is to be run.
pub(super) struct Asked<'a> {
    pub(super) run: &'a RunName,
    pub(super) request: &'a Request,
    pub(super) interactive: bool,
}

/// Takes the signals that are for the command.
pub(super) fn catch_signals() -> Result<Signals, Error> {
    Signals::catch(PASSED_ON.into_iter().chain([Signal::SIGWINCH, Signal::SIGCONT]))
}

/// Runs it to its end.
pub(super) fn run(
    asked: &Asked<'_>,
    container: &Container,
    signals: Signals,
    systemd: &Systemd,
) -> Result<Status, Error> {
    let Asked { run, request, interactive } = *asked;
    let session = Session::start(&["run", run.container.as_str(), run.id.as_str()], signals)?;
    let has_terminal = request.foreground.as_ref().is_some_and(|foreground| foreground.terminal.is_some());
    let scope = run.scope();
    let ended = enter(&scope, container, &session, systemd)
        .and_then(|()| session.run(request, has_terminal, interactive));
    if ended.is_err() {
        // A helper that was killed may have left what only it would have ended.
        let _ = systemd.kill(&scope, Whom::All, Signal::SIGKILL as i32);
    }
    // Nor has it taken its mark away.
    let _ = fs::remove_file(run.directory());
    ended
}

/// Has PID 1 put the helper into the scope.
fn enter(scope: &str, container: &Container, session: &Session, systemd: &Systemd) -> Result<(), Error> {
    let settings = properties(&run::scope_settings(container), Kind::Scope, systemd)?;
    match session.enter(systemd, scope, settings)? {
        JobResult::Done => Ok(()),
        result => Err(Error::failed(format!("start {scope}: {result}"))),
    }
}
