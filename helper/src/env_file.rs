// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.env_file`: the syntax of `EnvironmentFile=` (systemd.exec(5)), but a line that is no assignment is an
//! error with its number, where systemd passes over it.

use std::collections::BTreeMap;
use std::path::Path;

use ct_config::container::EnvFile;

use crate::confined;
use crate::exit::{Error, Named};

/// Reads the files in order; later assignments win.
pub(crate) fn read_all(files: &[EnvFile]) -> Result<BTreeMap<String, String>, Error> {
    let mut environment = BTreeMap::new();
    for file in files {
        let opened = match confined::host_path(&file.path) {
            Err(e) if file.optional && e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(|e| Error::open(Named::EnvFile, &file.path, e))?,
        };
        let bytes =
            confined::read_regular(&opened).map_err(|e| Error::open(Named::EnvFile, &file.path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|_not_utf8| Error::ConfigText(format!("{}: is not UTF-8 text", file.path.display())))?;
        environment.extend(parse(&text, &file.path)?);
    }
    Ok(environment)
}

/// Parses the assignments of one file.
fn parse(text: &str, path: &Path) -> Result<Vec<(String, String)>, Error> {
    let bad = |line: usize, why: &str| Error::ConfigText(format!("{}:{line}: {why}", path.display()));
    let mut assignments = Vec::new();
    let mut characters = text.chars().peekable();
    let mut line = 1;
    loop {
        while characters.next_if(|c| c.is_whitespace()).inspect(|c| line += usize::from(*c == '\n')).is_some()
        {
        }
        let Some(first) = characters.peek() else { return Ok(assignments) };
        if matches!(first, '#' | ';') {
            while characters.next_if(|c| *c != '\n').is_some() {}
            continue;
        }
        let begun = line;
        let mut key = String::new();
        while let Some(c) = characters.next_if(|c| *c != '=' && *c != '\n') {
            key.push(c);
        }
        if characters.next() != Some('=') {
            return Err(bad(begun, "not an assignment KEY=VALUE"));
        }
        let key = key.trim();
        let valid = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid || key.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Err(bad(begun, "not a name of an environment variable"));
        }
        let value = parse_value(&mut characters, &mut line).map_err(|why| bad(begun, why))?;
        if value.contains('\0') {
            return Err(bad(begun, "the value has a NUL byte"));
        }
        assignments.push((key.to_owned(), value));
    }
}

/// The value up to the end of its line: quoted parts as they are, unquoted white space trimmed at both ends.
fn parse_value(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    line: &mut usize,
) -> Result<String, &'static str> {
    let mut value = String::new();
    // Unquoted white space counts only when something follows it.
    let mut keep = 0;
    while let Some(c) = characters.next() {
        match c {
            '\n' => {
                *line += 1;
                break;
            }
            '\\' => match characters.next() {
                Some('\n') => *line += 1,
                Some(escaped) => {
                    value.push(escaped);
                    keep = value.len();
                }
                None => return Err("the file ends after a backslash"),
            },
            quote @ ('"' | '\'') => {
                loop {
                    match characters.next() {
                        None => return Err("a quote is not closed"),
                        Some(c) if c == quote => break,
                        Some('\\') if quote == '"' => match characters.next() {
                            Some('\n') => *line += 1,
                            Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                            Some(other) => value.extend(['\\', other]),
                            None => return Err("a quote is not closed"),
                        },
                        Some(c) => {
                            *line += usize::from(c == '\n');
                            value.push(c);
                        }
                    }
                }
                keep = value.len();
            }
            c if c.is_whitespace() => {
                if !value.is_empty() {
                    value.push(c);
                }
            }
            c => {
                value.push(c);
                keep = value.len();
            }
        }
    }
    value.truncate(keep);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(text, Path::new("/e")).map_err(|error| error.to_string())
    }

    #[test]
    fn assignments_as_systemd_reads_them() {
        let text = "# comment\n; comment\n\nA=1\n B = two words \nC=\"q\\\"x \"' y'\nD=one\\\n two\nE=\nF=a=b#c\nG='l1\nl2'\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "q\"x  y"),
            ("D", "one two"),
            ("E", ""),
            ("F", "a=b#c"),
            ("G", "l1\nl2"),
        ];
        let parsed = parsed(text).unwrap();
        let parsed: Vec<(&str, &str)> = parsed.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn what_is_no_assignment_is_said_with_its_line() {
        assert_eq!(parsed("A=1\n\nexport\n"), Err("/e:3: not an assignment KEY=VALUE".into()));
        assert_eq!(parsed("A=1\n1B=2"), Err("/e:2: not a name of an environment variable".into()));
        assert_eq!(parsed("A='x\n"), Err("/e:1: a quote is not closed".into()));
        assert_eq!(parsed("A=1"), Ok(vec![("A".into(), "1".into())]), "no final newline");
    }
}
