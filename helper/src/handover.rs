// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handover: the container's init becomes PID 1's child, then the unit's main process. Whatever happens in
//! between, the unit ends up with init's own exit status.

use crate::exit::{Error, Step};
use crate::journal::Journal;
use crate::message::Message;
use crate::notify;
use crate::reaper::{self, End, Init, Reaper};

/// How a shell says that SIGTERM ended what it ran: in ct@.service no failure, either.
const SAYS_SIGTERM: i32 = 128 + libc::SIGTERM;

/// Hands init over. `Some(end)` when it has ended before PID 1 took it: the helper must then end the same way, for it
/// is still the main process.
pub(crate) fn hand_over(reaper: Reaper, init: &Init, journal: Journal) -> Result<Option<End>, Error> {
    match reaper.release(init)? {
        // A container that is done already has been started all the same; one that failed at once has not.
        // The signals are those of an orderly end in systemd.service(5), power-off and reboot from inside among them.
        Some(
            end @ (End::Exited(0 | SAYS_SIGTERM) | End::Killed(libc::SIGHUP | libc::SIGINT | libc::SIGTERM)),
        ) => {
            notify::ready_and_finished()?;
            return Ok(Some(end));
        }
        Some(end) => {
            // PID 1 reports a status, but not whose: the helper's own look the same.
            let line = format!("the container's init {end} before the handover");
            journal.warning(Step::HandOver, Message::InitEnded, &line);
            return Ok(Some(end));
        }
        None => {}
    }
    to_pid_1(init)
}

/// As [`hand_over`] for a run: what has ended was started, however it ended.
pub(crate) fn hand_over_run(reaper: Reaper, init: &Init) -> Result<Option<End>, Error> {
    match reaper.release(init)? {
        Some(end) => notify::ready_and_finished().map(|()| Some(end)),
        None => to_pid_1(init),
    }
}

fn to_pid_1(init: &Init) -> Result<Option<End>, Error> {
    notify::ready_with_main_process(init.pid)?;
    notify::barrier(|| reaper::pass_signals_on(init))?;
    // If init ended before PID 1 looked, MAINPID= was refused and our status counts: it must be init's. If it ended
    // afterwards, ours is ignored and PID 1 gets to see init's own as soon as we are gone.
    reaper::end_of_traced(init)
}

/// The end of a start whose init ended while it was waited for: the helper ends as it did, and has not said READY=1.
pub(crate) fn give_up(reaper: Reaper, init: &Init, journal: Journal) -> Result<Option<End>, Error> {
    let end = reaper.release(init)?;
    let how = end.map_or_else(|| "ended".to_owned(), |end| end.to_string());
    let line = format!("the container's init {how} before it was ready");
    journal.warning(Step::Ready, Message::InitEnded, &line);
    Ok(end)
}
