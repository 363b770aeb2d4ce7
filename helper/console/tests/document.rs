// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/console.md says what the code does: its example is what both sides write, and its tables have the code's numbers.

use ct_console::frame::{DATA, DETACH, ENDED, GAP, HELLO, NOTE, REFUSED, RESIZE, SIZE};
use ct_console::{
    ClientFrame, End, MAX_PAYLOAD, MAX_SIDE, Mode, PATIENCE_SECONDS, REPLAY, Reason, Resume, ServerFrame,
    ServerHello, Size, VERSION,
};

const DOCUMENT: &str = include_str!("../../../docs/console.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn client(frame: ClientFrame<'_>) -> String {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    format!("> {}", hex(&bytes))
}

fn server(frame: ServerFrame<'_>) -> String {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    format!("< {}", hex(&bytes))
}

#[test]
fn the_example_is_what_both_sides_write() {
    let generation = 0x1122_3344_5566_7788;
    let hello = |offset| {
        ServerFrame::Hello(ServerHello {
            version: VERSION,
            has_terminal: true,
            has_input: true,
            generation,
            offset,
            size: Size::new(25, 80),
        })
    };
    let held = "pid 4711 of uid 0 writes already".to_owned();
    let want = [
        client(ClientFrame::hello(Mode::Write, None)),
        client(ClientFrame::Resize(Size::new(50, 132).unwrap())),
        server(hello(0)),
        server(ServerFrame::Data(b"login: ")),
        server(ServerFrame::Size(Size::new(50, 132).unwrap())),
        client(ClientFrame::Data(b"root\r")),
        server(ServerFrame::Gap { lost: 4096, offset: 4103 }),
        client(ClientFrame::InvalidResize { rows: 0, columns: 80 }),
        server(ServerFrame::Note {
            reason: Reason::InvalidSize,
            text: "no size: 0 rows, 80 columns".to_owned(),
        }),
        client(ClientFrame::Detach),
        server(ServerFrame::Ended(End::Detached)),
        client(ClientFrame::hello(Mode::Shared, Some(Resume { generation, offset: 4103 }))),
        server(hello(4103)),
        server(ServerFrame::Ended(End::Restarted)),
        client(ClientFrame::hello(Mode::Write, None)),
        server(ServerFrame::Refused { reason: Reason::Held, text: held }),
    ];
    let is_example = |line: &&str| line.starts_with("> ") || line.starts_with("< ");
    let found: Vec<&str> =
        DOCUMENT.lines().filter(is_example).map(|line| line.split("  ").next().unwrap_or_default()).collect();
    assert_eq!(found, want, "docs/console.md, \"An example\"");
}

#[test]
fn the_tables_have_the_numbers_of_the_code() {
    let kinds = [
        ("HELLO", HELLO),
        ("DATA", DATA),
        ("RESIZE", RESIZE),
        ("DETACH", DETACH),
        ("REFUSED", REFUSED),
        ("GAP", GAP),
        ("SIZE", SIZE),
        ("NOTE", NOTE),
        ("ENDED", ENDED),
    ];
    for (name, kind) in kinds {
        let row = format!("| `{kind:02x}` | {name} |");
        assert!(DOCUMENT.contains(&row), "no row {row}");
    }
    let numbers = [
        format!("version {VERSION}"),
        format!("{MAX_PAYLOAD} bytes"),
        format!("{} KiB", REPLAY / 1024),
        format!("{PATIENCE_SECONDS} seconds"),
        format!("1 to {MAX_SIDE}"),
    ];
    for number in numbers {
        assert!(DOCUMENT.contains(&number), "{number} is not said");
    }
}
