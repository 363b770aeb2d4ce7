// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection to the console of a container: what is typed goes in, what is printed comes out, until they detach, a
//! signal comes, or the connection ends.

use std::time::{Duration, Instant};

use ct_console::{ClientFrame, End, MAX_SIDE, Mode, Resume, ServerFrame, ServerHello, Size};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::keyboard::Typed;
use super::link::Link;
use super::seat::Seat;
use crate::error::Error;
use crate::pty;

/// How long the next key of those that detach may take.
const NEXT_KEY: Duration = Duration::from_secs(1);
/// How long the service may take to answer: it may be about to be started anew.
const ANSWER: Duration = Duration::from_secs(1);
/// How long what was typed before the end may take to be passed on.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Asked for by keys.
    Detached,
    /// Asked for by a signal.
    Interrupted(Signal),
    /// Said by the service.
    Ended(End),
    /// The service was stopped or killed.
    Lost,
    /// Nobody reads what we write, or sits at the terminal.
    Gone,
}

/// Stays on this connection until it is over.
pub(super) fn attach(seat: &mut Seat, link: Link) -> Result<Outcome, Error> {
    // With nothing to type any more, the place of the one who writes is not ours to take.
    let mode = if seat.keyboard.is_done() { Mode::ReadOnly } else { seat.mode };
    let alarm = Some((Instant::now() + ANSWER, Alarm::Answer));
    let mut attachment = Attachment { seat, link, hello: None, alarm, is_input_over: false, outcome: None };
    attachment.link.push(&ClientFrame::hello(mode, attachment.seat.seen));
    loop {
        attachment.step()?;
        if let Some(outcome) = attachment.outcome.take() {
            return outcome;
        }
    }
}

/// One connection.
struct Attachment<'s> {
    seat: &'s mut Seat,
    link: Link,
    hello: Option<ServerHello>,
    /// When something is to be done although nothing happens.
    alarm: Option<(Instant, Alarm)>,
    is_input_over: bool,
    outcome: Option<Result<Outcome, Error>>,
}

/// What did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Answer,
    NextKey,
    Farewell,
}

impl Attachment<'_> {
    /// Waits for whatever comes next, and does it.
    fn step(&mut self) -> Result<(), Error> {
        if self.alarm.is_some_and(|(at, _)| at <= Instant::now()) {
            return self.alarmed();
        }
        let is_leaving = matches!(self.alarm, Some((_, Alarm::Farewell)));
        let takes_keys = !is_leaving && self.seat.keyboard.wants_more();
        let takes_frames = !self.seat.screen.is_busy();
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        let signals = PollFd::new(&self.seat.signals, PollFlags::IN);
        let mut of_link = PollFlags::empty();
        of_link.set(PollFlags::IN, takes_frames);
        of_link.set(PollFlags::OUT, self.link.is_full());
        // What nothing is wanted of is left out: it would wake us all the same when it is hung up.
        let mut fds = [
            signals.clone(),
            PollFd::new(&self.seat.screen, PollFlags::IN),
            if of_link.is_empty() { signals.clone() } else { PollFd::new(&self.link, of_link) },
            if takes_keys { PollFd::new(&stdin, PollFlags::IN) } else { signals },
            // Tells that nobody reads it any more: there may never be anything more to write.
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        let left = self.alarm.map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let waited = poll(&mut fds, left.as_ref());
        let [has_signal, is_written, link, typed, output] = fds.map(|fd| fd.revents());
        match waited {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(Error::system("poll", error)),
        }
        if !has_signal.is_empty() {
            self.take_signals()?;
        }
        if !is_written.is_empty() {
            self.seat.screen.note();
        }
        if self.seat.screen.is_gone() || !output.is_empty() {
            self.outcome = Some(Ok(Outcome::Gone));
        }
        if takes_keys && !typed.is_empty() {
            self.read_keys();
        }
        if takes_frames && link.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.receive()?;
        }
        self.pass_keys_on();
        self.link.flush();
        Ok(())
    }

    fn alarmed(&mut self) -> Result<(), Error> {
        match self.alarm.take() {
            Some((_, Alarm::Answer)) => {
                // Then Ctrl-C is for us.
                self.seat.leave_terminal();
                self.seat.say("its console does not answer; waiting for it (Ctrl-C ends)");
                self.seat.is_announced = false;
            }
            Some((_, Alarm::NextKey)) => self.seat.keyboard.give_up_keys(),
            Some((_, Alarm::Farewell)) => self.outcome = Some(Ok(Outcome::Detached)),
            None => {}
        }
        self.pass_keys_on();
        self.link.flush();
        Ok(())
    }

    fn take_signals(&mut self) -> Result<(), Error> {
        while let Some(signal) = self.seat.signals.next() {
            let end = match signal {
                Signal::SIGWINCH => None,
                Signal::SIGTSTP => self.seat.suspend()?,
                // Whoever stopped us, a shell, has the terminal as it wants it.
                Signal::SIGCONT if self.seat.is_raw() => self.seat.enter_terminal()?,
                Signal::SIGCONT => continue,
                ending => Some(ending),
            };
            if let Some(signal) = end {
                self.outcome = Some(Ok(Outcome::Interrupted(signal)));
                break;
            }
            self.resize();
        }
        Ok(())
    }

    fn read_keys(&mut self) {
        match self.seat.keyboard.read() {
            Typed::Detach => self.detach(),
            Typed::End if self.seat.keyboard.is_terminal() => self.outcome = Some(Ok(Outcome::Gone)),
            Typed::End | Typed::Keys => {
                let is_within = self.seat.keyboard.is_within_keys();
                if is_within && self.hello.is_some() {
                    self.alarm = Some((Instant::now() + NEXT_KEY, Alarm::NextKey));
                } else if self.alarm.is_some_and(|(_, alarm)| alarm == Alarm::NextKey) {
                    self.alarm = None;
                }
            }
        }
    }

    /// What was typed before is passed on first; nobody waits long for that.
    fn detach(&mut self) {
        if self.hello.is_none() {
            self.outcome = Some(Ok(Outcome::Detached));
            return;
        }
        self.alarm = Some((Instant::now() + FAREWELL, Alarm::Farewell));
        self.push_keys();
        self.link.push(&ClientFrame::Detach);
    }

    /// One read after the other, so that what waits here stays bounded.
    fn pass_keys_on(&mut self) {
        if !self.link.is_full() {
            self.push_keys();
        }
    }

    fn push_keys(&mut self) {
        let Some(hello) = &self.hello else { return };
        let typed = self.seat.keyboard.take();
        if hello.has_input && self.seat.mode != Mode::ReadOnly && !typed.is_empty() {
            self.link.push(&ClientFrame::Data(&typed));
        }
        if self.seat.keyboard.is_done()
            && !self.link.is_full()
            && !std::mem::replace(&mut self.is_input_over, true)
        {
            self.link.end_input();
        }
    }

    fn resize(&mut self) {
        let can_resize =
            self.hello.is_some_and(|hello| hello.has_terminal) && self.seat.mode != Mode::ReadOnly;
        // A terminal whose size nobody knows says 0.
        let size = pty::size().filter(|size| size.rows > 0 && size.columns > 0);
        if let Some(size) = size.filter(|_| can_resize)
            && let Some(size) = Size::new(size.rows.min(MAX_SIDE), size.columns.min(MAX_SIDE))
        {
            self.link.push(&ClientFrame::Resize(size));
        }
    }

    fn receive(&mut self) -> Result<(), Error> {
        let mut frames = Vec::new();
        let is_open = self.link.receive(|frame| frames.push(Said::of(frame)))?;
        let mut printed = Vec::new();
        for said in frames {
            // One write for all that came at once.
            if let Said::Data(mut bytes) = said {
                printed.append(&mut bytes);
                continue;
            }
            self.seat.print(std::mem::take(&mut printed));
            self.hear(said)?;
            if self.outcome.is_some() {
                break;
            }
        }
        self.seat.print(printed);
        if !is_open && self.outcome.is_none() {
            let is_leaving = matches!(self.alarm, Some((_, Alarm::Farewell)));
            self.outcome = Some(Ok(if is_leaving { Outcome::Detached } else { Outcome::Lost }));
        }
        Ok(())
    }

    fn hear(&mut self, said: Said) -> Result<(), Error> {
        match said {
            Said::Hello(hello) => self.begin(hello)?,
            Said::Gap { lost, offset } => {
                self.seat.mark(lost);
                if let Some(seen) = &mut self.seat.seen {
                    seen.offset = offset;
                }
            }
            Said::Note(text) => self.seat.say(&text),
            Said::Refused(text) => {
                let reason = format!("{}: {text}", self.seat.name);
                self.outcome = Some(Err(Error::failed(reason)));
            }
            Said::Ended(End::Detached) => self.outcome = Some(Ok(Outcome::Detached)),
            // Whoever was leaving does not wait for the next one.
            Said::Ended(_) if matches!(self.alarm, Some((_, Alarm::Farewell))) => {
                self.outcome = Some(Ok(Outcome::Detached));
            }
            Said::Ended(end) => self.outcome = Some(Ok(Outcome::Ended(end))),
            Said::Data(_) | Said::Nothing => {}
        }
        Ok(())
    }

    fn begin(&mut self, hello: ServerHello) -> Result<(), Error> {
        let is_another = self.seat.seen.is_some_and(|seen| seen.generation != hello.generation);
        if is_another && self.seat.once {
            // It has ended while there was no connection.
            self.outcome = Some(Ok(Outcome::Ended(End::Restarted)));
            return Ok(());
        }
        self.alarm = None;
        self.hello = Some(hello);
        if hello.has_terminal
            && !self.seat.is_raw()
            && let Some(signal) = self.seat.enter_terminal()?
        {
            self.outcome = Some(Ok(Outcome::Interrupted(signal)));
            return Ok(());
        }
        self.seat.announce(hello.has_terminal);
        if !hello.has_input && self.seat.mode != Mode::ReadOnly {
            self.seat.say("there is nothing to type into (try: process.stdin_open = true)");
        }
        // Of another start, everything before its first byte that is still there.
        let expected = match self.seat.seen {
            Some(seen) if seen.generation == hello.generation => seen.offset,
            Some(_) => 0,
            None => hello.offset,
        };
        if hello.offset > expected {
            self.seat.mark(hello.offset - expected);
        }
        self.seat.seen = Some(Resume { generation: hello.generation, offset: hello.offset });
        self.resize();
        Ok(())
    }
}

/// A frame, no longer borrowed.
enum Said {
    Hello(ServerHello),
    Data(Vec<u8>),
    Gap {
        lost: u64,
        offset: u64,
    },
    Note(String),
    Refused(String),
    Ended(End),
    /// Nothing that we do anything about: our screen stays as large as it is.
    Nothing,
}

impl Said {
    fn of(frame: ServerFrame<'_>) -> Self {
        match frame {
            ServerFrame::Hello(hello) => Self::Hello(hello),
            ServerFrame::Data(bytes) => Self::Data(bytes.to_vec()),
            ServerFrame::Gap { lost, offset } => Self::Gap { lost, offset },
            ServerFrame::Note { text, .. } => Self::Note(text),
            ServerFrame::Refused { text, .. } => Self::Refused(text),
            ServerFrame::Ended(end) => Self::Ended(end),
            ServerFrame::Size(_) => Self::Nothing,
        }
    }
}
