// SPDX-License-Identifier: MIT OR Apache-2.0
//! `top`: the table of `stats`, live and sorted, on the other screen of the terminal; see systemd-cgtop(1).

use std::cmp::Ordering;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ct_config::name::ContainerName;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::amount;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::parse_time;
use crate::names::resolve_all;
use crate::output::print;
use crate::pty::{self, RawTerminal, is_stdout_a_terminal, wait_for_foreground};
use crate::signals::Signals;
use crate::stats::table;
use crate::usage::{Sample, Usage};

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; clears the rest of a line; clears what is below.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Show a live table of what containers use
///
/// Keys: c, m, t, n sort by cpu, memory, tasks or name; q or Ctrl-C ends it. Where there is no terminal the table is written
/// once. The columns are those of stats.
#[derive(Debug, Args)]
pub struct TopArguments {
    /// Names of containers, or beginnings that are unique; all that run, if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Cpu)]
    sort: Order,
    /// How long between two looks
    #[arg(short, long, value_name = "TIME", value_parser = parse_time, default_value = "1s")]
    interval: Duration,
}

/// What the table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Cpu,
    Memory,
    Tasks,
    Name,
}

/// What a key, a signal or the clock asks for.
enum Event {
    Quit,
    Sort(Order),
    Draw,
    Look,
}

/// `ctctl top`
pub fn top(arguments: &TopArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("top")?;
    if !is_stdout_a_terminal() {
        return once(arguments, context);
    }
    // Before the threads of the connection, which would otherwise be killed by them, and we with them.
    let others = [Signal::SIGWINCH, Signal::SIGCONT];
    let signals =
        Signals::catch([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().chain(others))?;
    let names = resolve_all(&arguments.names, context)?;
    let mut before = Sample::take(&names, context)?;
    let mut usage = before.since(&before);
    let mut order = arguments.sort;
    if wait_for_foreground(&signals).is_some() {
        return Ok(Status::Done);
    }
    let screen = Screen::enter()?;
    let mut next = Instant::now() + arguments.interval;
    loop {
        sort(&mut usage, order);
        screen.draw(&usage, order)?;
        match wait(&signals, screen.has_keys(), next)? {
            Event::Quit => return Ok(Status::Done),
            Event::Sort(by) => order = by,
            Event::Draw => {}
            Event::Look => {
                (usage, before) = look(&names, &before, context)?;
                next = Instant::now() + arguments.interval;
            }
        }
    }
}

fn look(names: &[ContainerName], before: &Sample, context: &Context) -> Result<(Vec<Usage>, Sample), Error> {
    let now = Sample::take(names, context)?;
    Ok((now.since(before), now))
}

/// Without a terminal.
fn once(arguments: &TopArguments, context: &Context) -> Result<Status, Error> {
    let names = resolve_all(&arguments.names, context)?;
    let before = Sample::take(&names, context)?;
    sleep(arguments.interval);
    let (mut usage, _) = look(&names, &before, context)?;
    sort(&mut usage, arguments.sort);
    print(&table(&usage))?;
    Ok(Status::Done)
}

/// The most first, the unknown last, and of the same the first by name.
fn sort(usage: &mut [Usage], order: Order) {
    usage.sort_by(|a, b| {
        let (a_first, b_first) = match order {
            Order::Cpu => (a.cpu_percent, b.cpu_percent),
            Order::Memory => (a.memory.map(as_float), b.memory.map(as_float)),
            Order::Tasks => (a.tasks.map(as_float), b.tasks.map(as_float)),
            Order::Name => (None, None),
        };
        b_first.partial_cmp(&a_first).unwrap_or(Ordering::Equal).then_with(|| a.name.cmp(&b.name))
    });
}

#[expect(clippy::cast_precision_loss, reason = "only to be compared")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// The terminal, as long as this lives.
struct Screen {
    keys: Option<RawTerminal>,
}

impl Screen {
    fn enter() -> Result<Self, Error> {
        let screen = Self { keys: RawTerminal::enter()? };
        print(ENTER)?;
        Ok(screen)
    }

    fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// As many rows, and as much of each, as there is room for.
    fn draw(&self, usage: &[Usage], order: Order) -> Result<(), Error> {
        let size = pty::size().filter(|size| size.rows > 0 && size.columns > 0);
        let (rows, columns) =
            size.map_or((24, 80), |size| (usize::from(size.rows), usize::from(size.columns)));
        let text = [summary(usage, order), table(usage)].concat();
        let mut frame = HOME.to_owned();
        for (number, line) in text.lines().take(rows).enumerate() {
            frame.push_str(if number == 0 { "" } else { "\r\n" });
            frame.extend(line.chars().take(columns));
            frame.push_str(CLEAR_LINE);
        }
        frame.push_str(CLEAR_BELOW);
        print(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
    }
}

fn summary(usage: &[Usage], order: Order) -> String {
    let sum = |of: fn(&Usage) -> Option<u64>| usage.iter().filter_map(of).reduce(u64::saturating_add);
    let cpu: f64 = usage.iter().filter_map(|usage| usage.cpu_percent).sum();
    let memory = sum(|usage| usage.memory).map_or_else(|| "-".to_owned(), amount::bytes);
    let tasks = sum(|usage| usage.tasks).map_or_else(|| "-".to_owned(), |tasks| tasks.to_string());
    let by = match order {
        Order::Cpu => "cpu",
        Order::Memory => "memory",
        Order::Tasks => "tasks",
        Order::Name => "name",
    };
    let count = usage.len();
    format!(
        "{count} containers, cpu {cpu:.1}%, memory {memory}, tasks {tasks}; by {by} (c m t n, q quits)\n\n"
    )
}

/// Until there is something to do.
fn wait(signals: &Signals, keys: bool, next: Instant) -> Result<Event, Error> {
    let stdin = std::io::stdin();
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        fds.extend(keys.then(|| PollFd::new(&stdin, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(Event::Look),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::system("poll", error)),
        }
        let has_key = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        match signals.next() {
            Some(Signal::SIGWINCH | Signal::SIGCONT) => return Ok(Event::Draw),
            Some(_) => return Ok(Event::Quit),
            None => {}
        }
        if has_key && let Some(event) = key(&stdin)? {
            return Ok(event);
        }
    }
}

fn key(stdin: &std::io::Stdin) -> Result<Option<Event>, Error> {
    let mut byte = [0; 1];
    let count = rustix::io::read(stdin, &mut byte).map_err(|error| Error::system("read a key", error))?;
    Ok(match (count, byte) {
        // A terminal that is gone.
        (0, _) => Some(Event::Quit),
        // Ctrl-C and Ctrl-D are keys like others in raw mode.
        (_, [b'q' | 3 | 4]) => Some(Event::Quit),
        (_, [b'c']) => Some(Event::Sort(Order::Cpu)),
        (_, [b'm']) => Some(Event::Sort(Order::Memory)),
        (_, [b't']) => Some(Event::Sort(Order::Tasks)),
        (_, [b'n']) => Some(Event::Sort(Order::Name)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(name: &str, cpu_percent: Option<f64>, memory: Option<u64>) -> Usage {
        Usage {
            name: name.to_owned(),
            cpu_percent,
            cpu: None,
            memory,
            memory_limit: None,
            memory_percent: None,
            tasks: None,
            tasks_limit: None,
            read: None,
            written: None,
        }
    }

    #[test]
    fn the_most_comes_first_and_the_unknown_last() {
        let mut all =
            [usage("a", None, Some(5)), usage("b", Some(1.0), None), usage("c", Some(2.0), Some(9))];
        let mut names = |order| {
            sort(&mut all, order);
            all.iter().map(|usage| usage.name.clone()).collect::<String>()
        };
        assert_eq!(names(Order::Cpu), "cba");
        assert_eq!(names(Order::Memory), "cab");
        assert_eq!(names(Order::Tasks), "abc");
        assert_eq!(names(Order::Name), "abc");
    }

    #[test]
    fn what_no_container_tells_is_no_zero() {
        let text = summary(&[usage("a", Some(12.5), None)], Order::Cpu);
        assert_eq!(text, "1 containers, cpu 12.5%, memory -, tasks -; by cpu (c m t n, q quits)\n\n");
    }
}
