// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of a container's console that says and hears single frames, see docs/console.md. What connects is a process in
//! the machine, for the service looks at who it is; this side has the other end of it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ct_console::{ClientFrame, Decoder, Mode, Reason, Resume, ServerFrame, ServerHello};

use crate::Machine;
use crate::command::{Running, readable_within};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Connects, and passes on both ways. The end of what is said is passed on, too; its own end is that of both.
const RELAY: &str = r#"
    use IO::Socket::UNIX;
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "connect: $!";
    sub pass { my ($from, $to) = @_; while (sysread($from, my $bytes, 65536)) {
        for (my $at = 0; $at < length $bytes;) { $at += syswrite($to, $bytes, length($bytes) - $at, $at) // exit; } } }
    my $pid = fork // die;
    if (!$pid) { pass(\*STDIN, $socket); shutdown($socket, 1); exit; }
    pass($socket, \*STDOUT);
    kill 9, $pid;
"#;

/// One who has connected.
pub struct ConsoleClient {
    stream: UnixStream,
    decoder: Decoder,
    unread: VecDeque<u8>,
    relay: Running,
}

/// What the service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Bytes of the terminal.
    Data(Vec<u8>),
    /// Any other frame.
    Frame(ServerFrame<'static>),
    /// It has hung up.
    Closed,
}

impl Machine {
    /// Connects to the console of a container, and says nothing yet.
    ///
    /// # Panics
    /// When there are no more descriptors.
    #[must_use]
    pub fn console_client(&self, name: &str) -> ConsoleClient {
        let (stream, theirs) = UnixStream::pair().expect("a pair of sockets");
        let relay = self
            .command(["perl", "-e", RELAY, &format!("/run/ct/{name}/console")])
            .deadline(Duration::from_secs(1000))
            .on_terminal(theirs.into())
            .spawn();
        ConsoleClient { stream, decoder: Decoder::new(), unread: VecDeque::new(), relay }
    }

    /// Attaches to the console of a container, as soon as the place of the writer is free, if that is asked for: the service
    /// hears of the end of the last one a little later.
    ///
    /// # Panics
    /// When it is not let in.
    #[track_caller]
    #[must_use]
    pub fn attach(&self, name: &str, mode: Mode, resume: Option<Resume>) -> (ConsoleClient, ServerHello) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client = self.console_client(name);
            client.say(&ClientFrame::hello(mode, resume));
            match client.hear() {
                Heard::Frame(ServerFrame::Hello(hello)) => return (client, hello),
                Heard::Frame(ServerFrame::Refused { reason: Reason::Held, .. })
                    if Instant::now() < deadline => {}
                other => panic!("not let in: {other:?}"),
            }
        }
    }
}

impl ConsoleClient {
    /// Says something. To one that has hung up nothing is said.
    pub fn say(&mut self, frame: &ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let _ = self.stream.write_all(&bytes);
    }

    /// Says bytes that may be no frames.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Has said all that it will, and goes on hearing.
    pub fn say_no_more(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// The next frame.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn hear(&mut self) -> Heard {
        self.hear_within(PATIENCE).expect("the console should say something")
    }

    /// The next frame, if one comes in time.
    ///
    /// # Panics
    /// When what comes is none.
    #[track_caller]
    pub fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        let deadline = Instant::now() + time;
        loop {
            let (unread, _) = self.unread.as_slices();
            let taken = self.decoder.take(unread);
            self.unread.drain(..taken);
            if let Some(frame) = self.decoder.next_frame().expect("the service speaks the protocol") {
                match ServerFrame::parse(frame).expect("the service speaks the protocol") {
                    Some(ServerFrame::Data(bytes)) => return Some(Heard::Data(bytes.to_vec())),
                    Some(other) => return Some(Heard::Frame(owned(other))),
                    None => continue,
                }
            }
            if taken > 0 {
                continue;
            }
            if !readable_within(&self.stream, deadline.saturating_duration_since(Instant::now())) {
                return None;
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(count @ 1..) => self.unread.extend(bytes.get(..count).unwrap_or_default()),
                _ => return Some(Heard::Closed),
            }
        }
    }

    /// Hears until this has been printed, and gives all that was; other frames are passed over.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn hear_until(&mut self, text: &str) -> String {
        let mut printed = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let mut is_there = text.is_empty();
        while !is_there {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hear_within(left) {
                Some(Heard::Data(bytes)) => {
                    // Where it may end in what has come just now.
                    let begin = printed.len().saturating_sub(text.len());
                    printed.extend(bytes);
                    is_there = printed
                        .get(begin..)
                        .is_some_and(|end| end.windows(text.len()).any(|window| window == text.as_bytes()));
                }
                Some(Heard::Frame(_)) => {}
                end => {
                    panic!("{text:?} is not printed: {end:?} after {:?}", String::from_utf8_lossy(&printed))
                }
            }
        }
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Hears the next frame that is not DATA.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn hear_frame(&mut self) -> Heard {
        loop {
            match self.hear() {
                Heard::Data(_) => {}
                other => return other,
            }
        }
    }

    /// Is killed, and all its descriptors closed.
    pub fn vanish(self) {
        self.relay.kill();
    }
}

/// [`ServerFrame::Data`] aside, they borrow nothing.
fn owned(frame: ServerFrame<'_>) -> ServerFrame<'static> {
    match frame {
        ServerFrame::Data(_) => ServerFrame::Data(&[]),
        ServerFrame::Hello(hello) => ServerFrame::Hello(hello),
        ServerFrame::Refused { reason, text } => ServerFrame::Refused { reason, text },
        ServerFrame::Gap { lost, offset } => ServerFrame::Gap { lost, offset },
        ServerFrame::Size(size) => ServerFrame::Size(size),
        ServerFrame::Note { reason, text } => ServerFrame::Note { reason, text },
        ServerFrame::Ended(end) => ServerFrame::Ended(end),
    }
}
