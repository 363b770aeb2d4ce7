// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one side says is what the other one understands; and whatever else comes is an error or skipped.

use ct_console::frame::Frame;
use ct_console::{
    ClientFrame, Decoder, End, Error, MAX_SIDE, Mode, Reason, Resume, ServerFrame, ServerHello, Size, VERSION,
};
use proptest::prelude::*;

fn client(frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn server(frame: &ServerFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// Takes one frame apart.
fn frame(bytes: &[u8]) -> (u8, Vec<u8>) {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.take(bytes), bytes.len());
    let frame = decoder.next_frame().expect("it is short").expect("it is whole");
    (frame.kind, frame.payload.to_vec())
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::ReadOnly), Just(Mode::Write), Just(Mode::Shared)]
}

fn size() -> impl Strategy<Value = Size> {
    (1..=MAX_SIDE, 1..=MAX_SIDE).prop_map(|(rows, columns)| Size::new(rows, columns).expect("both are sides"))
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Version),
        Just(Reason::NotPermitted),
        Just(Reason::Held),
        Just(Reason::Malformed),
        Just(Reason::TooMany),
        Just(Reason::ReadOnly),
        Just(Reason::InvalidSize),
        (100..u16::MAX).prop_map(Reason::Other),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Stopped),
        Just(End::Restarted),
        Just(End::Slow),
        Just(End::Detached),
        (100..u8::MAX).prop_map(End::Other),
    ]
}

proptest! {
    #[test]
    fn a_client_is_understood(
        mode in mode(),
        resume in prop::option::of((any::<u64>(), any::<u64>())),
        typed in prop::collection::vec(any::<u8>(), 1..300),
        size in size(),
    ) {
        let resume = resume.map(|(generation, offset)| Resume { generation, offset });
        let said = [
            ClientFrame::hello(mode, resume),
            ClientFrame::Data(&typed),
            ClientFrame::Resize(size),
            ClientFrame::Detach,
        ];
        for said in said {
            let (kind, payload) = frame(&client(&said));
            let frame = Frame { kind, payload: &payload };
            prop_assert_eq!(ClientFrame::parse(frame), Ok(Some(said.clone())));
            // What later versions append is ignored, but of DATA, which is all data.
            if !matches!(said, ClientFrame::Data(_)) {
                let longer = [payload.as_slice(), b"later"].concat();
                prop_assert_eq!(ClientFrame::parse(Frame { kind, payload: &longer }), Ok(Some(said)));
            }
        }
    }

    #[test]
    fn a_server_is_understood(
        (has_terminal, has_input) in any::<(bool, bool)>(),
        (generation, offset, lost) in any::<(u64, u64, u64)>(),
        size in size(),
        has_size: bool,
        (reason, text, end) in (reason(), ".{0,100}", end()),
    ) {
        let hello = ServerHello {
            version: VERSION, has_terminal, has_input, generation, offset, size: has_size.then_some(size),
        };
        let said = [
            ServerFrame::Hello(hello),
            ServerFrame::Refused { reason, text: text.clone() },
            ServerFrame::Data(b"printed"),
            ServerFrame::Gap { lost, offset },
            ServerFrame::Size(size),
            ServerFrame::Note { reason, text },
            ServerFrame::Ended(end),
        ];
        for said in said {
            let (kind, payload) = frame(&server(&said));
            prop_assert_eq!(ServerFrame::parse(Frame { kind, payload: &payload }), Ok(Some(said)));
        }
    }

    #[test]
    fn no_payload_is_a_panic(kind: u8, payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let frame = Frame { kind, payload: &payload };
        for error in [ClientFrame::parse(frame).err(), ServerFrame::parse(frame).err()].into_iter().flatten() {
            let is_known = matches!(error, Error::TooShort { .. } | Error::UnknownMode(_));
            prop_assert!(is_known, "{}", error);
        }
    }

    #[test]
    fn a_size_has_two_sides_of_1_to_1000(rows: u16, columns: u16) {
        let is_one = |side| (1..=1000).contains(&side);
        let size = Size::new(rows, columns);
        prop_assert_eq!(size.is_some(), is_one(rows) && is_one(columns));
        let said = size.map_or(ClientFrame::InvalidResize { rows, columns }, ClientFrame::Resize);
        let (kind, payload) = frame(&client(&said));
        prop_assert_eq!(ClientFrame::parse(Frame { kind, payload: &payload }), Ok(Some(said)));
    }
}

#[test]
fn what_is_too_short_is_an_error_and_what_is_unknown_is_not() {
    let said = [
        client(&ClientFrame::hello(Mode::Write, None)),
        client(&ClientFrame::Resize(Size::new(25, 80).unwrap())),
    ];
    for bytes in said {
        let (kind, payload) = frame(&bytes);
        for length in 0..payload.len() {
            let parsed = ClientFrame::parse(Frame { kind, payload: &payload[..length] });
            assert_eq!(parsed, Err(Error::TooShort { kind, length }));
        }
    }
    assert_eq!(ClientFrame::parse(Frame { kind: 0x7f, payload: b"later" }), Ok(None));
    assert_eq!(ServerFrame::parse(Frame { kind: 0x7f, payload: b"later" }), Ok(None));
    // A terminal without a size says nothing about its size.
    assert_eq!(ServerFrame::parse(Frame { kind: 0x13, payload: &[0; 4] }), Ok(None));
}

#[test]
fn another_version_is_read_as_far_as_its_number() {
    let (kind, mut payload) = frame(&client(&ClientFrame::hello(Mode::Write, None)));
    payload[0] = 9;
    payload.truncate(2);
    let parsed = ClientFrame::parse(Frame { kind, payload: &payload });
    assert_eq!(parsed, Ok(Some(ClientFrame::Hello { version: 9, mode: Mode::ReadOnly, resume: None })));
    let ServerFrame::Refused { reason: Reason::Version, text } = ServerFrame::refuse_version(9) else {
        panic!("it is refused");
    };
    assert!(text.contains("version 1 ") && text.contains("version 9"), "{text}");
}

#[test]
fn a_text_is_cut_between_characters() {
    let long = "ü".repeat(2000);
    let (kind, payload) = frame(&server(&ServerFrame::Note { reason: Reason::ReadOnly, text: long }));
    assert_eq!(payload.len(), 2 + 1024);
    let parsed = ServerFrame::parse(Frame { kind, payload: &payload }).unwrap().unwrap();
    assert_eq!(parsed, ServerFrame::Note { reason: Reason::ReadOnly, text: "ü".repeat(512) });
}
