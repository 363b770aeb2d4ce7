// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run with `-d`: a transient service with the settings that the container's own unit has.

use std::os::fd::AsFd as _;

use ct_channel::Channel;
use ct_channel::message::Event;
use ct_config::container::Container;
use ct_config::run::{self, Request, RunName};
use ct_config::settings::HELPER;
use ct_dbus::Systemd;
use ct_dbus::job::JobResult;
use ct_dbus::property::Kind;
use ct_dbus::transient::{self, Runs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::properties;
use crate::error::Error;
use crate::exit::Status;
use crate::journal;
use crate::output::print;
use crate::session::status_of;

/// How many lines of the log a failed start is told with.
const LINES: usize = 10;

/// Starts it, and prints the unit's name.
pub(super) fn run(
    run: &RunName,
    container: &Container,
    request: &Request,
    forget: bool,
    systemd: &Systemd,
) -> Result<Status, Error> {
    let (mut channel, theirs) = Channel::pair().map_err(|e| Error::system("socketpair", e))?;
    let mut settings = properties(&run::service_settings(container, run), Kind::Service, systemd)?;
    settings.push(transient::standard_input(theirs));
    if !forget {
        settings.push(("CollectMode".to_owned(), "inactive".to_owned().into()));
    }
    let unit = run.service();
    let argv = [HELPER, "run", run.container.as_str(), run.id.as_str()];
    let result = std::thread::scope(|threads| {
        // A long request is not sent before the helper reads it; if that never runs, nobody reads, and this fails.
        let sender = channel.try_clone().map_err(|e| Error::system("dup", e))?;
        threads.spawn(move || sender.send(request, &[]));
        let result = systemd.start_transient(&unit, &Runs::Command(&argv), settings, None);
        if !matches!(result, Ok(JobResult::Done)) {
            let _ = rustix::net::shutdown(&channel, rustix::net::Shutdown::Write);
        }
        Ok::<_, Error>(result?)
    })?;
    if result == JobResult::Done {
        print(&format!("{unit}\n"))?;
        return Ok(Status::Done);
    }
    let error = match reason(&mut channel) {
        Some(Event::Failed { why, reason }) => Error::Failed { reason, status: status_of(why) },
        _ => {
            let invocation = systemd.unit(&unit).map(|unit| unit.invocation()).unwrap_or_default();
            journal::sync();
            for line in journal::last_lines(&unit, &invocation, LINES) {
                eprintln!("  {line}");
            }
            Error::failed(format!("start {unit}: {result}"))
        }
    };
    // What there is to know of it is told.
    let _ = systemd.reset_failed(&unit);
    Err(error)
}

/// What the helper has said, if it has: PID 1 still holds its end of the channel, so that there may be no end of it.
fn reason(channel: &mut Channel) -> Option<Event> {
    let fd = channel.as_fd().try_clone_to_owned().ok()?;
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&at_once)).ok()?;
    if ready == 0 {
        return None;
    }
    channel.receive().ok()?.map(|(event, _)| event)
}
