// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many who say anything, in pieces, and go at any time; beside one who does as docs/console.md says, and notices nothing of it.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use ct_console::frame::{DATA, DETACH, HELLO, RESIZE, header};
use ct_console::{ClientFrame, Decoder, ServerFrame};
use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;
use crate::console::life::Life;
use crate::console::token;

/// What somebody does who means no good.
#[derive(Debug, Clone)]
enum Deed {
    /// Connects, as the next one.
    Comes,
    /// Says this, as far as there is room for it.
    Says(Vec<u8>),
    /// Sends the end of a pipe beside a byte.
    Passes,
    /// Reads what there is.
    Reads,
    /// Says no more.
    Shuts,
    /// Closes.
    Goes,
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let hello =
        (0..4_u8, any::<(u64, u64)>(), any::<bool>()).prop_map(|(mode, (generation, offset), resumes)| {
            let numbers = [generation.to_le_bytes(), offset.to_le_bytes()];
            let head = [1, 0, mode, u8::from(resumes)];
            [&header(HELLO, 20)[..], &head, numbers.as_flattened()].concat()
        });
    let resize = (0..1100_u16, 0..1100_u16).prop_map(|(rows, columns)| {
        [&header(RESIZE, 4)[..], &rows.to_le_bytes(), &columns.to_le_bytes()].concat()
    });
    let typed = prop::collection::vec(any::<u8>(), 0..70)
        .prop_map(|bytes| [&header(DATA, bytes.len())[..], &bytes].concat());
    let unknown = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..9))
        .prop_map(|(kind, bytes)| [&header(kind, bytes.len())[..], &bytes].concat());
    let long = any::<u8>().prop_map(|kind| [kind, 1, 0, 1, 0].to_vec());
    let garbage = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![4 => hello, 2 => resize, 2 => typed, 1 => unknown, 1 => Just(header(DETACH, 0).to_vec()), 1 => long, 1 => garbage]
}

fn deed() -> impl Strategy<Value = Deed> {
    let says = prop::collection::vec(frames(), 1..6).prop_map(|frames| Deed::Says(frames.concat()));
    // Of one frame the first bytes; the rest may be the next one's.
    let part = (frames(), any::<prop::sample::Index>())
        .prop_map(|(frame, at)| Deed::Says(frame[..at.index(frame.len() + 1)].to_vec()));
    prop_oneof![3 => Just(Deed::Comes), 6 => says, 2 => part, 1 => Just(Deed::Passes), 2 => Just(Deed::Reads), 1 => Just(Deed::Shuts), 2 => Just(Deed::Goes)]
}

/// What the service does all the time, without the service.
struct Scene {
    clients: Clients,
    ring: Ring,
    source: Source,
    epoll: OwnedFd,
    /// What the container prints to, and reads.
    prints: std::io::PipeWriter,
    reads: std::io::PipeReader,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let (output, prints) = std::io::pipe().unwrap();
        let (reads, input) = std::io::pipe().unwrap();
        Self {
            clients: Clients::default(),
            ring: Ring::new(Life::of("0123456789abcdef", 1)).unwrap(),
            source: Source::of(output.into(), Some(input.into())).unwrap(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            prints,
            reads,
            next: token::FIRST_CLIENT,
        }
    }

    fn connect(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.clients.add(self.next, theirs, Ok(Peer { pid: 1, uid: 0 }), &self.epoll).unwrap();
        self.next += 1;
        ours
    }

    /// Until there is nothing more to do.
    fn work(&mut self) {
        for _ in 0..10_000 {
            while let super::super::ring::Filled::Bytes(_) = self.ring.fill(self.source.as_fd()).unwrap() {}
            let heard = self.clients.hear(&self.ring, &self.source);
            let served = self.clients.serve(&self.ring);
            let mut events = Vec::with_capacity(64);
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)).unwrap();
            if events.is_empty() && !heard && !served {
                return;
            }
            for event in events {
                self.clients.wake(event.data.u64(), event.flags);
            }
        }
        panic!("it never rests");
    }
}

/// All there is, which is not waited for.
fn read_all(mut stream: &UnixStream) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part) {
        all.extend(&part[..count]);
    }
    all
}

/// One who does as the document says.
struct Honest {
    stream: UnixStream,
    decoder: Decoder,
    printed: Vec<u8>,
}

impl Honest {
    fn say(&self, frame: &ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        (&self.stream).write_all(&bytes).unwrap();
    }

    fn hear(&mut self) {
        let heard = read_all(&self.stream);
        let mut rest = heard.as_slice();
        while !rest.is_empty() {
            let taken = self.decoder.take(rest);
            rest = &rest[taken..];
            while let Some(frame) = self.decoder.next_frame().unwrap() {
                match ServerFrame::parse(frame).unwrap().unwrap() {
                    ServerFrame::Data(bytes) => self.printed.extend(bytes),
                    ServerFrame::Hello(_) | ServerFrame::Size(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// Passes the end of a pipe on; the other one tells when nobody has it any more.
fn pass_pipe(stream: &UnixStream) -> Option<std::io::PipeReader> {
    let (reader, writer) = std::io::pipe().unwrap();
    let passed = [writer.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    let sent = sendmsg(stream, &[io::IoSlice::new(b"x")], &mut control, SendFlags::NOSIGNAL);
    sent.is_ok().then_some(reader)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_others_do_one_notices_nothing(deeds in prop::collection::vec((deed(), 0_usize..6), 1..80)) {
        let mut scene = Scene::new();
        let stream = scene.connect();
        let mut honest = Honest { stream, decoder: Decoder::new(), printed: Vec::new() };
        honest.say(&ClientFrame::hello(Mode::Write, None));
        let (mut others, mut pipes) = (Vec::<UnixStream>::new(), Vec::new());
        let (mut typed, mut printed) = (Vec::<u8>::new(), Vec::<u8>::new());
        for (number, (deed, who)) in deeds.into_iter().enumerate() {
            let who = who.min(others.len().saturating_sub(1));
            let other = others.get_mut(who);
            match (deed, other) {
                (Deed::Says(bytes), Some(stream)) => drop(stream.write(&bytes)),
                (Deed::Passes, Some(stream)) => pipes.extend(pass_pipe(stream)),
                (Deed::Reads, Some(stream)) => drop(read_all(stream)),
                (Deed::Shuts, Some(stream)) => drop(stream.shutdown(std::net::Shutdown::Write)),
                (Deed::Goes, Some(_)) => drop(others.swap_remove(who)),
                _ => others.push(scene.connect()),
            }
            let word = format!("word {number}\n");
            honest.say(&ClientFrame::Data(word.as_bytes()));
            typed.extend(word.as_bytes());
            // More than the socket of one who does not read takes.
            let lines = format!("printed {number} ").repeat(150) + "\n";
            scene.prints.write_all(lines.as_bytes()).unwrap();
            printed.extend(lines.as_bytes());
            scene.work();
            honest.hear();
        }
        scene.work();
        honest.hear();
        prop_assert!(honest.printed == printed);
        let mut read = vec![0; typed.len()];
        scene.reads.read_exact(&mut read).unwrap();
        prop_assert!(read == typed, "nobody else has typed");
        prop_assert!(scene.clients.kept() < (others.len() + 1) * (Decoder::BOUND + 3 * 64 * 1024));
        // Nothing that was passed on is kept, nor anybody who has gone.
        drop(others);
        scene.work();
        prop_assert_eq!(scene.clients.all.len(), 1);
        for mut pipe in pipes {
            prop_assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn who_reads_again_is_told_what_is_missed_and_has_the_rest() {
    let mut scene = Scene::new();
    let stream = scene.connect();
    let mut hello = Vec::new();
    ClientFrame::hello(Mode::ReadOnly, None).encode(&mut hello);
    (&stream).write_all(&hello).unwrap();
    // Half as much again as is remembered.
    let printed: Vec<u8> = (0..150_000).flat_map(|number| format!("{number:>9}\n").into_bytes()).collect();
    for part in printed.chunks(10_000) {
        scene.prints.write_all(part).unwrap();
        scene.work();
    }
    let (mut decoder, mut offset, mut gaps) = (Decoder::new(), 0, 0);
    loop {
        let heard = read_all(&stream);
        if heard.is_empty() {
            break;
        }
        let mut rest = heard.as_slice();
        while !rest.is_empty() {
            let taken = decoder.take(rest);
            rest = &rest[taken..];
            while let Some(frame) = decoder.next_frame().unwrap() {
                match ServerFrame::parse(frame).unwrap().unwrap() {
                    ServerFrame::Hello(hello) => assert_eq!(hello.offset, 0),
                    ServerFrame::Data(bytes) => {
                        assert!(printed[offset..].starts_with(bytes), "at {offset}");
                        offset += bytes.len();
                    }
                    ServerFrame::Gap { lost, offset: next } => {
                        gaps += 1;
                        offset += usize::try_from(lost).unwrap();
                        assert_eq!(offset as u64, next);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        scene.work();
    }
    assert_eq!((offset, gaps), (printed.len(), 1));
}
