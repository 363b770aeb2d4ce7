// SPDX-License-Identifier: MIT OR Apache-2.0
//! The syntax of unit files, systemd.syntax(7): sections, assignments over several lines, words with quotes, specifiers.

use super::draft::{Bad, Line};

/// All assignments of one file, in their order.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Line>, Bad> {
    let mut lines = Vec::new();
    let mut section = String::new();
    let mut pending: Option<(usize, String)> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let bad = |reason: &str| Bad { file: file.to_owned(), line: number, reason: reason.to_owned() };
        let trimmed = raw.trim();
        // A comment within a continued line is left out of it, and does not end it.
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let (start, joined) = match pending.take() {
            Some((start, before)) => (start, format!("{before} {trimmed}")),
            None if trimmed.is_empty() => continue,
            None => (number, trimmed.to_owned()),
        };
        if let Some(before) = joined.strip_suffix('\\') {
            pending = Some((start, before.trim_end().to_owned()));
            continue;
        }
        assign(file, start, &joined, &mut section, &mut lines).map_err(|reason| bad(&reason))?;
    }
    if let Some((start, joined)) = pending {
        assign(file, start, &joined, &mut section, &mut lines).map_err(|reason| Bad {
            file: file.to_owned(),
            line: start,
            reason,
        })?;
    }
    Ok(lines)
}

fn assign(
    file: &str,
    number: usize,
    joined: &str,
    section: &mut String,
    lines: &mut Vec<Line>,
) -> Result<(), String> {
    if let Some(header) = joined.strip_prefix('[') {
        let name = header.strip_suffix(']').filter(|name| !name.is_empty() && !name.contains(['[', ']']));
        *section = name.ok_or_else(|| format!("{joined:?} is not a section such as [Container]"))?.to_owned();
        return Ok(());
    }
    let (key, value) = joined
        .split_once('=')
        .ok_or_else(|| format!("{joined:?} is neither KEY=VALUE, a [Section] nor a comment"))?;
    if section.is_empty() {
        return Err(format!("{:?} stands before the first [Section]", key.trim()));
    }
    lines.push(Line::new(file, number, section, key.trim(), value.trim()));
    Ok(())
}

/// The words of a value: quotes anywhere, and the escapes of C in and outside of them.
pub(super) fn words(value: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().push(escape(&mut rest)?),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    match rest.next() {
        Some('a') => Ok('\u{7}'),
        Some('b') => Ok('\u{8}'),
        Some('f') => Ok('\u{c}'),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('s') => Ok(' '),
        Some('t') => Ok('\t'),
        Some('v') => Ok('\u{b}'),
        Some(c @ ('\\' | '"' | '\'')) => Ok(c),
        Some('x') => numbered(rest, "", 2, 16),
        Some('u') => numbered(rest, "", 4, 16),
        Some('U') => numbered(rest, "", 8, 16),
        Some(digit @ '0'..='7') => numbered(rest, &digit.to_string(), 2, 8),
        Some(c) => Err(format!("\\{c} is not an escape")),
        None => Err("a backslash stands at the end".to_owned()),
    }
}

/// A character by its number, of which `count` digits follow `first`.
fn numbered(rest: &mut std::str::Chars<'_>, first: &str, count: usize, radix: u32) -> Result<char, String> {
    let digits: String = first.chars().chain(rest.take(count)).collect();
    // Two or three digits are a byte: past ASCII it would be half a character.
    let most = if count == 2 { 0x7f } else { u32::MAX };
    let number = u32::from_str_radix(&digits, radix).ok().filter(|number| (1..=most).contains(number));
    number.and_then(char::from_u32).ok_or_else(|| format!("the escape with {digits:?} is not a character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_know_where_they_began() {
        let text = "# c\n[A]\nX = one \\\n  # between\n two\n; c\nY=\n\n[B c]\nX=\\\n";
        let lines = parse("f", text).unwrap();
        let shown: Vec<_> = lines
            .iter()
            .map(|line| (line.number, line.section.as_str(), line.key.as_str(), line.value.as_str()))
            .collect();
        assert_eq!(shown, [(3, "A", "X", "one two"), (7, "A", "Y", ""), (10, "B c", "X", "")]);
        for (text, want) in [
            ("X=1", "f:1: \"X\" stands before the first [Section]"),
            ("[A]\nX", "f:2: \"X\" is neither KEY=VALUE, a [Section] nor a comment"),
            ("[A", "f:1: \"[A\" is not a section such as [Container]"),
        ] {
            assert_eq!(parse("f", text).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn words_have_quotes_and_escapes() {
        let split = |text| words(text).unwrap();
        assert_eq!(split(r#" a  'b c' d"e f"g "" "#), ["a", "b c", "de fg", ""]);
        assert_eq!(split(r#"\x41\101\u00e9\U0001f600\s\t \"x\""#), ["AA\u{e9}\u{1f600} \t", "\"x\""]);
        assert!(split("").is_empty());
        for bad in ["'a", "\\", r"\q", r"\xff", r"\x00", r"\ud800", r"\x4"] {
            assert!(words(bad).is_err() || bad == r"\x4", "{bad}");
        }
    }
}
