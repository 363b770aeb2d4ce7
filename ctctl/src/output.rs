// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written: tables, JSON, and text that is safe for a terminal. Names, status texts and logs come from
//! containers: a control byte in them would be an order to the terminal of the one who reads.

use std::borrow::Cow;
use std::io::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::error::Error;

/// `text` with everything that a terminal may obey, or that turns the reading order around, as `\xNN` or `\u{NNNN}`:
/// C0 and C1 controls, DEL, bidirectional marks. One line stays one line.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            c if is_unsafe(c) => match u32::from(c) {
                code @ ..=0xff => escaped.push_str(&format!("\\x{code:02x}")),
                code => escaped.push_str(&format!("\\u{{{code:x}}}")),
            },
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// As [`safe`], of bytes that need not be UTF-8.
pub fn safe_bytes(bytes: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("{}{invalid}", safe(chunk.valid()))
    };
    bytes.utf8_chunks().map(chunk).collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes to stdout. A reader that has gone away (`ctctl list | head`) is no error.
pub fn print(text: &str) -> Result<(), Error> {
    print_while_read(text).map(drop)
}

/// As [`print()`], for what is written again and again: false when the reader has gone away.
pub fn print_while_read(text: &str) -> Result<bool, Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::system("cannot write to stdout", error)),
        Ok(()) => Ok(true),
    }
}

/// Writes one JSON value, in lines that a person can read.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::system("write JSON", error))?;
    text.push('\n');
    print(&text)
}

/// Writes a table: columns as wide as their longest cell, two spaces between them, `-` for an empty cell, so that
/// `awk '{print $3}'` works. `right` are the columns with numbers.
pub fn print_table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> Result<(), Error> {
    print(&render_table(header, rows, right))
}

/// As [`print_table`], as text.
pub fn render_table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        let cell = |cell: &String| if cell.is_empty() { "-".to_owned() } else { safe(cell).into_owned() };
        table.add_row(row.iter().map(cell));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(safe("plain – ü"), "plain – ü");
        assert_eq!(safe("a\x1b[2Jb\r\u{9b}c\u{7f}"), "a\\x1b[2Jb\\x0d\\x9bc\\x7f");
        assert_eq!(safe("two\nlines\u{202e}x"), "two\\nlines\\u{202e}x");
        assert_eq!(safe_bytes(b"\xff\x00ok\xc3"), "\\xff\\x00ok\\xc3");
    }

    #[test]
    fn a_table_has_stable_columns() {
        let rows = vec![
            vec!["web".to_owned(), "running".to_owned(), "7".to_owned()],
            vec!["a\x1bb".to_owned(), String::new(), "1234".to_owned()],
        ];
        let want = "NAME    STATE     PID\nweb     running     7\na\\x1bb  -        1234\n";
        assert_eq!(render_table(&["NAME", "STATE", "PID"], &rows, &[2]), want);
        assert_eq!(render_table(&["NAME"], &[], &[]), "NAME\n");
    }

    /// What a terminal obeys, or what turns the reading order around.
    fn is_order(c: char) -> bool {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffd}')
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_an_order(text in ".*", bytes: Vec<u8>, chars: Vec<char>) {
            let chars: String = chars.into_iter().collect();
            for text in [&text, &chars] {
                let shown = safe(text);
                assert!(!shown.contains(|c| is_order(c) && c != '\u{fffd}' || c == '\n'), "{text:?}: {shown:?}");
                let table = render_table(&["NAME", "COMMAND"], &[vec![text.clone(), text.clone()], vec![String::new(), text.clone()]], &[0]);
                assert!(!table.contains(|c| is_order(c) && c != '\u{fffd}'), "{text:?}: {table:?}");
                assert_eq!(table.lines().count(), 3, "{table:?}");
                let story = Error::failed(text.clone()).story();
                assert!(!story.contains(|c| is_order(c) && c != '\u{fffd}'), "{text:?}: {story:?}");
            }
            let shown = safe_bytes(&bytes);
            assert!(!shown.contains(|c| is_order(c) || c == '\n'), "{bytes:?}: {shown:?}");
        }
    }
}
