// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper console NAME`, the service: one thread, one loop, nothing in it that waits for anybody while the container runs.
//! When it starts again, the rest of its last life is logged beside the next. At the end of the last life journald has two
//! seconds for its last words, and its clients have half of one.
//!
//! It can be killed at any moment. All that a container needs is kept by PID 1 ([`super::store`]), and the next one goes on
//! with it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::ending::Ending;
use super::handover::{self, Answer, Offer};
use super::life::Role;
use super::peer::Peer;
use super::pulse::Pulse;
use super::session::{Parts, Session};
use super::store;
use super::token::{self, data};
use super::unit::{self, UnitWatch};
use crate::exit::{Error, Step};
use crate::journal::Journal;
use crate::message::Message;
use crate::notify;
use crate::sys::Signals;

/// How many events are taken, and connections accepted, at once.
const EVENTS: usize = 64;
/// How long nobody is let in when there are no descriptors left.
const PAUSE: Duration = Duration::from_secs(1);
/// Of how many users it is told that they were refused.
const MOST_TOLD: usize = 16;

/// See the file's head.
struct Service<'a> {
    name: &'a str,
    journal: Journal,
    epoll: OwnedFd,
    handover: UnixListener,
    session: Option<Session>,
    /// What is left of the life before.
    ending: Option<Ending>,
    /// What the next client is told apart by.
    next_client: u64,
    /// Users that were refused, each told of once.
    told: BTreeSet<u32>,
    /// Until when nobody is let in.
    paused_until: Option<Instant>,
    /// While no container has its terminal: whether one will.
    unit: Option<UnitWatch>,
    pulse: Pulse,
}

/// How the service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The container has stopped.
    Done,
    /// It has not: another service is to go on.
    ForAnother,
}

/// Serves until PID 1 says that it is enough.
pub(crate) fn serve(name: &str, journal: Journal) -> Result<Leave, Error> {
    is_the_unit(name)?;
    let failed = |what: &'static str| move |e: io::Error| Error::system(what, e);
    let signals = Signals::catch(&[libc::SIGTERM, libc::SIGINT]).map_err(failed("signalfd"))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| Error::system("epoll_create1", e))?;
    let mut service = Service {
        name,
        journal,
        handover: handover::listen(name)?,
        session: None,
        ending: None,
        next_client: token::FIRST_CLIENT,
        told: BTreeSet::new(),
        paused_until: None,
        unit: Some(UnitWatch::of(name)),
        pulse: Pulse::new(),
        epoll,
    };
    service.watch(&signals).map_err(failed("epoll_ctl"))?;
    service.take_up()?;
    notify::ready()?;
    loop {
        if service.is_done() {
            return service.finish().map(|()| Leave::Done);
        }
        service.pulse.beat();
        let is_busy = service.work().map_err(failed("serve the terminal"))?;
        let mut events = Vec::with_capacity(EVENTS);
        service.wait(&mut events, is_busy).map_err(failed("epoll_wait"))?;
        for event in events {
            match event.data.u64() {
                token::SIGNALS if signals.next().is_some() => {
                    if let Some(leave) = service.leave()? {
                        return Ok(leave);
                    }
                }
                token::HANDOVER => service.take_over()?,
                token::CLIENTS => service.accept().map_err(failed("accept a client"))?,
                number => service.wake(number, event.flags).map_err(failed("serve the terminal"))?,
            }
        }
    }
}

/// Whether PID 1 runs this process as `ct-console@NAME.service`, told by the directory that it made for it.
fn is_the_unit(name: &str) -> Result<(), Error> {
    match std::env::var("RUNTIME_DIRECTORY") {
        Ok(directory) if handover::directory(name) == std::path::Path::new(&directory) => Ok(()),
        _ => Err(Error::Usage(format!(
            "`ct-helper console` is what ct-console@{name}.service runs; set process.terminal = true in {name}.toml"
        ))),
    }
}

impl Service<'_> {
    fn watch(&self, signals: &Signals) -> io::Result<()> {
        epoll::add(&self.epoll, signals, data(token::SIGNALS), epoll::EventFlags::IN)?;
        Ok(epoll::add(&self.epoll, &self.handover, data(token::HANDOVER), epoll::EventFlags::IN)?)
    }

    /// Goes on with what PID 1 has kept.
    fn take_up(&mut self) -> Result<(), Error> {
        let mut kept = store::take()?;
        let ending = Ending::reopen(self.name, &mut kept);
        let was_there = !kept.is_empty();
        let session =
            Session::reopen(self.name, kept).map_err(|e| Error::system("take up what PID 1 has kept", e))?;
        match session {
            Some((session, is_new)) => {
                if is_new {
                    let line =
                        "what the container has printed before is lost: another version kept it otherwise";
                    self.journal.warning(Step::Console, Message::ConsoleLinesLost, line);
                }
                self.begin(session)?;
            }
            // The helper that was handing it over has it still, and does it again.
            None if was_there => store::forget()?,
            None => {}
        }
        let generation = self.session.as_ref().map(|session| session.life().generation);
        match ending {
            Ok(Some(ending)) if Some(ending.generation()) != generation => {
                self.ending = Some(ending);
                return Ok(());
            }
            // None, or not all of it, or the session's own: that was not over yet for PID 1, and has everything.
            Ok(_) => {}
            Err(error) => self.tell_lost(&error),
        }
        store::forget_last()
    }

    fn tell_lost(&self, error: &io::Error) {
        let line =
            format!("the rest of what the container printed before its restart is not logged: {error}");
        self.journal.warning(Step::Console, Message::ConsoleLinesLost, &line);
    }

    fn begin(&mut self, mut session: Session) -> Result<(), Error> {
        session.watch(&self.epoll).map_err(|e| Error::system("epoll_ctl", e))?;
        self.unit = None;
        self.session = Some(session);
        Ok(())
    }

    fn wake(&mut self, number: u64, flags: epoll::EventFlags) -> io::Result<()> {
        if let Some(ending) = &mut self.ending {
            ending.wake(number, flags);
        }
        match &mut self.session {
            Some(session) if number == token::INIT => {
                self.unit = Some(UnitWatch::of(self.name));
                session.see_the_end(&self.epoll)
            }
            Some(session) => {
                session.wake(number, flags);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn work(&mut self) -> io::Result<bool> {
        if self.paused_until.is_some_and(|until| until <= Instant::now()) {
            self.paused_until = None;
            if let Some(session) = &self.session {
                session.watch_listener(&self.epoll, epoll::EventFlags::IN)?;
            }
            self.accept()?;
        }
        let mut is_busy = false;
        if let Some(ending) = &mut self.ending {
            // What is wrong with the last life is not this one's.
            let worked = ending.work(&self.epoll);
            let is_over = worked.is_err() || ending.is_over();
            match worked {
                Ok(is_more) => is_busy |= is_more,
                Err(error) => self.tell_lost(&error),
            }
            if is_over {
                self.ending = None;
                store::forget_last().map_err(io::Error::other)?;
            }
        }
        if let Some(session) = &mut self.session {
            is_busy |= session.work(&self.epoll)?;
        }
        Ok(is_busy)
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, is_busy: bool) -> io::Result<()> {
        let deadline = self.session.as_ref().and_then(Session::deadline);
        let look = self.unit.as_ref().map(UnitWatch::deadline);
        let rest = self.ending.as_ref().and_then(Ending::deadline);
        let deadlines = [deadline, rest, self.paused_until, look, self.pulse.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        let left = match deadline {
            _ if is_busy => Some(Duration::ZERO),
            Some(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            None => None,
        };
        // Rounded up: rather late than twice.
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_millis()) * 1_000_000 + if left.is_zero() { 0 } else { 999_000 },
        });
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets those in who wait.
    fn accept(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        for _ in 0..EVENTS {
            let stream = match session.listener().accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                // No descriptors. The listener would tell of the one who waits without pause.
                Err(_) => {
                    self.paused_until = Some(Instant::now() + PAUSE);
                    return session.watch_listener(&self.epoll, epoll::EventFlags::empty());
                }
            };
            let Ok(peer) = Peer::of(&stream) else { continue };
            if let Err(Peer { pid, uid }) = peer
                && self.told.len() < MOST_TOLD
                && self.told.insert(uid)
            {
                let line = format!("refused process {pid} of user {uid}: only root of this host may attach");
                self.journal.warning(Step::Console, Message::ConsolePeerRefused, &line);
            }
            let number = self.next_client;
            self.next_client += 1;
            let _ = session.clients.add(number, stream, peer, &self.epoll);
        }
        Ok(())
    }

    /// A helper has connected.
    fn take_over(&mut self) -> Result<(), Error> {
        let Ok((stream, _)) = self.handover.accept() else { return Ok(()) };
        let Ok(Ok(_root)) = Peer::of(&stream) else { return Ok(()) };
        // It was killed, or is none.
        let Ok((channel, offer, descriptors)) = handover::receive(stream) else { return Ok(()) };
        let answer = match self.take(offer, descriptors) {
            Ok(()) => Answer::Taken,
            Err(error) => Answer::Refused(error.to_string()),
        };
        // If nobody listens any more, the container's unit has failed.
        let _ = channel.send(&answer, &[]);
        Ok(())
    }

    fn take(&mut self, offer: Offer, descriptors: Vec<OwnedFd>) -> Result<(), Error> {
        let generation = offer.life.generation;
        if self.session.as_ref().is_some_and(|session| session.life().generation == generation) {
            return Ok(());
        }
        self.end_session()?;
        let (mut listener, mut init, mut terminal, mut input) = (None, None, None, None);
        for (role, descriptor) in offer.roles.iter().zip(descriptors) {
            match role {
                Role::Listener => listener = Some(descriptor),
                Role::Init => init = Some(descriptor),
                Role::Terminal | Role::Output => terminal = Some(descriptor),
                Role::Input => input = Some(descriptor),
                Role::Unknown => {}
            }
        }
        let (Some(listener), Some(init), Some(terminal)) = (listener, init, terminal) else {
            let needed =
                "a listener, an init and a terminal are needed, from a ct-helper of another version?";
            return Err(Error::Usage(needed.to_owned()));
        };
        let parts = Parts { listener, init, terminal, input };
        let session = Session::new(self.name, offer.life, parts)
            .map_err(|e| Error::system("take the terminal over", e))?;
        if let Err(error) = store::keep(session.descriptors()) {
            store::forget()?;
            return Err(error);
        }
        self.begin(session)
    }

    /// The next life begins: what is left of the last one is worked off beside it.
    fn end_session(&mut self) -> Result<(), Error> {
        let Some(mut last) = self.session.take() else { return Ok(()) };
        // If the next one is not taken over, there may be none.
        self.unit = Some(UnitWatch::of(self.name));
        if let Some(before) = self.ending.take() {
            if let Err(error) = before.give_up().and_then(|lines| last.lose(lines)) {
                self.tell_lost(&error);
            }
            store::forget_last()?;
        }
        let rest = last.into_rest(&self.epoll).and_then(|rest| Ending::of(self.name, rest));
        match rest.and_then(|mut ending| ending.work(&self.epoll).map(|_is_busy| ending)) {
            Ok(ending) if ending.is_over() => {}
            Ok(ending) => {
                // Without room for it at PID 1 it is lost if this process is killed now; the start shall not fail for that.
                let _ = store::keep(ending.descriptors());
                self.ending = Some(ending);
            }
            Err(error) => self.tell_lost(&error),
        }
        store::forget()
    }

    /// Whether there will be no container with a terminal any more.
    fn is_done(&mut self) -> bool {
        let invocation = self.session.as_ref().map(|session| session.life().invocation.as_str());
        self.unit.as_mut().is_some_and(|unit| unit.is_done(invocation))
    }

    /// There will be no other life.
    fn finish(&mut self) -> Result<(), Error> {
        let mut untold = self.ending.take().map_or(Ok(0), Ending::finish);
        if let Some(mut session) = self.session.take() {
            if let Err(error) = untold.and_then(|lines| session.lose(lines)) {
                self.tell_lost(&error);
            }
            untold = Ok(session.finish()?);
        }
        match untold {
            Ok(0) => {}
            Ok(lines) => {
                let line = format!(
                    "lines that the container printed last are not logged: {lines}, journald did not take them"
                );
                self.journal.warning(Step::Console, Message::ConsoleLinesLost, &line);
            }
            Err(error) => self.tell_lost(&error),
        }
        Ok(())
    }

    /// PID 1, or somebody, wants this process to end. That must not be the end of a container whose terminal it has: when the
    /// service is to be stopped, that is stopped before, and till then it is served.
    fn leave(&mut self) -> Result<Option<Leave>, Error> {
        let Some(session) = self.session.as_mut().filter(|session| !session.is_over()) else {
            return self.finish().map(|()| Some(Leave::Done));
        };
        if !unit::is_to_stop(self.name) {
            session.clients.hang_up();
            // It may have forgotten them: all are gone after a reload with a wrong FileDescriptorStoreMax=.
            let rest = self.ending.as_ref().map_or_else(Vec::new, Ending::descriptors);
            store::keep(session.descriptors().into_iter().chain(rest))?;
            return Ok(Some(Leave::ForAnother));
        }
        self.pulse.wait_for_stop();
        unit::stop_container(self.name).map_err(|e| Error::system("execute systemctl", e))?;
        // Its end is seen by itself; were it not, what PID 1 says of the unit would tell.
        self.unit = Some(UnitWatch::of(self.name));
        Ok(None)
    }
}
