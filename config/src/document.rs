// SPDX-License-Identifier: MIT OR Apache-2.0
//! The merged TOML of one container. Every file has its own range of offsets in one number space, as compilers do it
//! for their sources, so that a value that came from anywhere still knows its file, line and column.

mod depth;
mod explain;
mod merge;

use std::cmp::Ordering;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::pod::Place;
use crate::problem::Problem;
use crate::sources::{MAX_DROP_INS, MAX_FILE, SourceFile};
use depth::too_deep;
use explain::explain;
pub(crate) use merge::{merge_container, merge_host, merge_table};

/// Offsets of one file: `0..=MAX_FILE`, the end of the text included.
const STRIDE: usize = MAX_FILE + 1;
/// Where the host's files begin: after the main file and all drop-ins a container may have.
const HOST: usize = MAX_DROP_INS + 1;
/// Where reporting ends; each value of a wrong type costs a copy of the document.
pub(crate) const MAX_PROBLEMS: usize = 50;
const TOO_MANY: &str = "too many problems, the others are left out";
/// Longer lists of mounts are refused.
pub(crate) const MAX_MOUNTS: usize = 1000;
/// The keys of `[root]` of which there is one.
pub(crate) const ROOT_SOURCES: [&str; 3] = ["path", "layers", "bundle"];

/// A place in one of the files.
pub(crate) type Span = Range<usize>;

/// From offsets back to files and lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceMap<'t> {
    /// The container's files, the main one first.
    pub(crate) files: &'t [SourceFile],
    /// The host's.
    pub(crate) host: &'t [SourceFile],
    /// The table of the host's files that is meant: `defaults`, or none when it is all of them.
    pub(crate) host_table: &'static str,
}

impl<'t> SourceMap<'t> {
    /// The offset at which a container's file begins.
    pub(crate) fn base(index: usize) -> usize {
        index * STRIDE
    }

    /// The offset at which a file of the host begins.
    pub(crate) fn host_base(index: usize) -> usize {
        (HOST + index) * STRIDE
    }

    fn file(&self, offset: usize) -> Option<&'t SourceFile> {
        let index = offset / STRIDE;
        if index < HOST { self.files.get(index) } else { self.host.get(index - HOST) }
    }

    /// Line and column of an offset, both from 1, the column in characters.
    fn position(&self, offset: usize) -> Option<(u32, u32)> {
        let before = self.file(offset)?.text.as_bytes().get(..offset % STRIDE)?;
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        // What continues a character is not counted.
        let column = before.get(line_start..)?.iter().filter(|b| **b & 0xc0 != 0x80).count() + 1;
        Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
    }

    /// Whether a place is in one of the host's files.
    pub(crate) fn is_of_host(&self, span: &Span) -> bool {
        span.start / STRIDE >= HOST
    }

    /// Where something stands.
    pub(crate) fn place(&self, span: &Span) -> Place {
        let file = self.file(span.start).map(|file| file.path.clone()).unwrap_or_default();
        Place { file, position: self.position(span.start) }
    }

    /// Takes down a problem, unless there are enough: in what is no config at all every line may be one, and each costs
    /// a look through the file for its position.
    pub(crate) fn report(
        &self,
        problems: &mut Vec<Problem>,
        span: &Span,
        key: &str,
        reason: &str,
        hint: Option<String>,
    ) {
        match problems.len().cmp(&MAX_PROBLEMS) {
            Ordering::Less => problems.push(self.problem(span, key, reason, hint)),
            Ordering::Equal => self.too_many(problems),
            Ordering::Greater => {}
        }
    }

    /// The last word on what has no end.
    fn too_many(&self, problems: &mut Vec<Problem>) {
        let file = self.files.first().or(self.host.first()).map(|file| file.path.clone()).unwrap_or_default();
        problems.push(Problem { file, position: None, key: None, reason: TOO_MANY.to_owned(), hint: None });
    }

    /// How often a document may be copied to find its next wrong value: as often as there may be problems, unless it is
    /// so large that a boot would wait for it.
    fn attempts(&self) -> usize {
        let size: usize = self.files.iter().chain(self.host).map(|file| file.text.len()).sum();
        ((8 << 20) / size.max(1)).clamp(5, MAX_PROBLEMS)
    }

    /// A problem at a place. `key` may be empty; what is said is made safe to print.
    fn problem(&self, span: &Span, key: &str, reason: &str, hint: Option<String>) -> Problem {
        let table = if self.is_of_host(span) { self.host_table } else { "" };
        let key = match (table, key) {
            ("", "") => None,
            (table, "") => Some(table.to_owned()),
            ("", key) => Some(key.to_owned()),
            (table, key) => Some(format!("{table}.{key}")),
        };
        Problem {
            file: self.file(span.start).map(|file| file.path.clone()).unwrap_or_default(),
            position: self.position(span.start),
            key: key.map(|key| printable(&key)),
            reason: printable(reason),
            hint: hint.map(|hint| printable(&hint)),
        }
    }

    /// Puts problems in the order in which one would look at them: main file, drop-ins, host, each from its top.
    pub(crate) fn sort(&self, problems: &mut [Problem]) {
        let rank =
            |problem: &Problem| self.files.iter().chain(self.host).position(|f| f.path == problem.file);
        problems.sort_by_cached_key(|problem| (problem.reason == TOO_MANY, rank(problem), problem.position));
    }
}

/// Control characters as escapes: keys and values come from files and end up on terminals.
fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Parses one file, whose offsets begin at `base`. After syntax errors, which are reported, it is what could be read.
pub(crate) fn parse<'t>(
    file: &'t SourceFile,
    base: usize,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> DeTable<'t> {
    if let Some(offset) = too_deep(&file.text) {
        let span = base + offset..base + offset;
        map.report(problems, &span, "", "tables and lists are nested too deeply", None);
        return DeTable::new();
    }
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let mut reported = 0..0;
    for error in errors {
        if problems.len() > MAX_PROBLEMS {
            break;
        }
        let span = error.span().unwrap_or(0..0);
        // The second error of a line is nearly always the echo of the first.
        if !reported.is_empty() && reported.contains(&span.start) {
            continue;
        }
        reported = line_of(&file.text, span.start);
        map.report(problems, &(span.start + base..span.end + base), "", error.message().trim(), None);
    }
    if base == 0 { table.into_inner() } else { shift_table(table.into_inner(), base) }
}

/// The line around an offset, with its end.
fn line_of(text: &str, offset: usize) -> Span {
    let (before, after) = text.as_bytes().split_at_checked(offset).unwrap_or((text.as_bytes(), &[]));
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let end = after.iter().position(|b| *b == b'\n').map_or(text.len(), |at| offset + at);
    start..end + 1
}

fn shift_table(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    let shift = |span: Span| span.start + base..span.end + base;
    table
        .into_iter()
        .map(|(key, value)| {
            let (key_span, value_span) = (shift(key.span()), shift(value.span()));
            let value = shift_value(value.into_inner(), base);
            (Spanned::new(key_span, key.into_inner()), Spanned::new(value_span, value))
        })
        .collect()
}

fn shift_value(value: DeValue<'_>, base: usize) -> DeValue<'_> {
    match value {
        DeValue::Table(table) => DeValue::Table(shift_table(table, base)),
        DeValue::Array(mut array) => {
            for item in array.iter_mut() {
                let span = item.span();
                let inner = std::mem::replace(item.get_mut(), DeValue::Boolean(false));
                *item = Spanned::new(span.start + base..span.end + base, shift_value(inner, base));
            }
            DeValue::Array(array)
        }
        other => other,
    }
}

/// Reads `table` into `T`, all of whose fields are optional. What does not fit is reported and left out. `rebuild` makes
/// the same table again, which is needed only when something does not fit.
pub(crate) fn deserialize<'t, T: DeserializeOwned + Default>(
    table: DeTable<'t>,
    rebuild: impl FnOnce() -> DeTable<'t>,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> T {
    let attempt = |table| T::deserialize(toml::Deserializer::from(Spanned::new(0..0, table)));
    let mut error = match attempt(table) {
        Ok(value) => return value,
        Err(error) => error,
    };
    let mut table = rebuild();
    for _ in 0..map.attempts() {
        let span = error.span().unwrap_or(0..0);
        let mut path = Vec::new();
        let removed = remove_at(&mut table, &span, &mut path);
        path.reverse();
        explain(&error, &span, &path, map, problems);
        if !removed {
            return T::default();
        }
        error = match attempt(table.clone()) {
            Ok(value) => return value,
            Err(error) => error,
        };
    }
    map.too_many(problems);
    T::default()
}

/// Removes the innermost entry that holds `span`; `path` gets its keys, the innermost first.
fn remove_at(table: &mut DeTable<'_>, span: &Span, path: &mut Vec<String>) -> bool {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let inner = match value.get_mut() {
            DeValue::Table(table) => remove_at(table, span, path),
            DeValue::Array(items) => items.iter_mut().any(|item| match item.get_mut() {
                DeValue::Table(table) => remove_at(table, span, path),
                _ => false,
            }),
            _ => false,
        };
        if inner {
            path.push(key.get_ref().to_string());
            return true;
        }
        if holds(&key.span(), span) || holds(&value.span(), span) || value_holds(value.get_ref(), span) {
            found = Some(key.get_ref().to_string());
            break;
        }
    }
    let Some(key) = found else { return false };
    table.remove(key.as_str());
    path.push(key);
    true
}

/// The elements of `[[mount]]` have places outside that of the list, which is the first header.
fn value_holds(value: &DeValue<'_>, span: &Span) -> bool {
    value.as_array().is_some_and(|items| items.iter().any(|item| holds(&item.span(), span)))
}

fn holds(outer: &Span, inner: &Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Reports every control character in any key or string: unit files, journals and terminals each have their own
/// idea of what one means. What only the container gets to see may have lines and tabs.
pub(crate) fn check_text(table: &DeTable<'_>, map: &SourceMap<'_>, problems: &mut Vec<Problem>) {
    let mut path = Vec::new();
    table.iter().for_each(|(key, value)| check_entry(key, value, &mut path, map, problems));
}

fn check_entry<'v>(
    key: &'v Spanned<DeString<'_>>,
    value: &'v Spanned<DeValue<'_>>,
    path: &mut Vec<&'v str>,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) {
    path.push(key.get_ref());
    if find_control(key.get_ref(), false).is_some() {
        map.report(problems, &key.span(), &path.join("."), "the key has a control character", None);
    }
    check_value(value, path, map, problems);
    path.pop();
}

fn check_value<'v>(
    value: &'v Spanned<DeValue<'_>>,
    path: &mut Vec<&'v str>,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) {
    match value.get_ref() {
        DeValue::String(text) => {
            let refused =
                |c: &char| c.is_control() && !(matches!(c, '\n' | '\t') && is_for_the_container(path));
            if let Some(c) = text.chars().find(refused) {
                let reason = format!("has the control character {}", c.escape_unicode());
                map.report(problems, &value.span(), &path.join("."), &reason, None);
            }
        }
        DeValue::Array(items) => items.iter().for_each(|item| check_value(item, path, map, problems)),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| check_entry(key, value, path, map, problems));
        }
        _ => {}
    }
}

/// The first control character, perhaps besides the two that a text has.
fn find_control(text: &str, lines_and_tabs: bool) -> Option<char> {
    // Nearly every text is plain ASCII, and that is quickly seen.
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return None;
    }
    text.chars().find(|c| c.is_control() && !(lines_and_tabs && matches!(c, '\n' | '\t')))
}

/// Arguments and the environment: no line of a unit file is made of them. A script for `sh -c` has several lines.
fn is_for_the_container(path: &[&str]) -> bool {
    matches!(path, ["process" | "ready" | "stop", "command"] | ["process", "env", _] | ["hooks", _])
}
