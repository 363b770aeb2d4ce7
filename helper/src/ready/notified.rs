// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ready.notify`: the container says READY=1 itself.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::notify_socket::{NotifySocket, PAUSE, Said};
use super::{Wait, Waited, Watch};
use crate::cgroup::UnitCgroup;
use crate::exit::Error;
use crate::notify;

/// Waits for it.
pub(super) fn until_ready(
    socket: &NotifySocket,
    cgroup: &UnitCgroup,
    watch: &Watch<'_>,
    mut deadline: Option<Instant>,
) -> Result<Wait, Error> {
    notify::status("Waiting until the container says that it is ready")?;
    let mut last = String::new();
    loop {
        // What was said before the end counts too: a quick one may have said READY=1 and be done.
        let heard = socket.receive(cgroup);
        if heard.contains(&Said::Ready) {
            return Ok(Wait::Over(Waited::Ready));
        }
        let pause = (!heard.is_empty()).then(|| Instant::now() + Duration::from_millis(PAUSE.into()));
        for said in heard {
            match said {
                Said::Status(text) if text != last => {
                    notify::status(&text)?;
                    last = text;
                }
                Said::Extend(span) => {
                    notify::extend_timeout(span)?;
                    let later = Instant::now().checked_add(span);
                    deadline = deadline.and_then(|deadline| later.map(|later| later.max(deadline)));
                }
                // These are of one that is ready.
                Said::Ready | Said::Reloading | Said::Stopping | Said::Watchdog | Said::Status(_) => {}
            }
        }
        if watch.is_over()? {
            return Ok(Wait::Over(Waited::Ended));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let status =
                if last.is_empty() { String::new() } else { format!(", its last status was: {last}") };
            return Ok(Wait::TimedOut(format!("the container has not said READY=1{status}")));
        }
        match pause {
            Some(pause) => watch.sleep(&[], Some(deadline.map_or(pause, |deadline| deadline.min(pause))))?,
            None => watch.sleep(&[socket.as_fd()], deadline)?,
        }
    }
}
