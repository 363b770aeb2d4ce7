// SPDX-License-Identifier: MIT OR Apache-2.0
//! The syntax of unit files, see systemd.syntax(7): the only place that knows how to write a value so that systemd reads
//! back that value and nothing else.
//!
//! Every config was checked before, yet nothing here relies on it: what one line cannot hold (a line break in a
//! description) is never written, and [`UnitFile::finish`] names the setting.

use std::fmt::{self, Display, Write as _};
use std::path::Path;

use ct_config::container::Directive;
use ct_config::name::UnitName;
use ct_config::settings::{HELPER, Property, Value};
use ct_config::value::render_percent;

/// A unit file under construction, in a buffer that is used again for the next one.
#[derive(Debug)]
pub struct UnitFile<'a> {
    text: &'a mut String,
    section: &'static str,
    open: bool,
    unwritable: Option<String>,
}

/// A setting that no line of a unit file can express.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// The name of the setting.
    pub setting: String,
}

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value of {}= cannot be written to a unit file", Printable(&self.setting))
    }
}

/// Paths that systemd splits at white space and unquotes, see [`push_word`]; all other paths are taken as they stand.
const PATH_LISTS: [&str; 1] = ["RequiresMountsFor"];

impl<'a> UnitFile<'a> {
    /// Begins a file; `text` is emptied.
    pub fn new(text: &'a mut String) -> Self {
        text.clear();
        Self { text, section: "", open: false, unwritable: None }
    }

    /// Goes on in the middle of a section that has settings before this point.
    pub fn resume(text: &'a mut String) -> Self {
        Self { text, section: "", open: true, unwritable: None }
    }

    /// How long the text is, to come back to this point by [`Self::resume`].
    pub fn length(&self) -> usize {
        self.text.len()
    }

    /// A comment on a line of its own, whatever `text` holds.
    pub fn comment(&mut self, text: &str) {
        self.text.push_str("# ");
        if split_unprintable(text).is_none() {
            self.text.push_str(text);
        } else {
            let _ = write!(self.text, "{}", Printable(text));
        }
        // Some readers continue a line at a backslash before they look whether it is a comment.
        if self.text.ends_with('\\') {
            self.text.push(' ');
        }
        self.text.push('\n');
    }

    /// What follows belongs to `[name]`. A section without settings is not written.
    pub fn section(&mut self, name: &'static str) {
        (self.section, self.open) = (name, false);
    }

    /// One typed setting.
    pub fn property(&mut self, property: &Property) {
        let name = property.name;
        match &property.value {
            Value::Text(text) => self.text(name, text),
            Value::Path(path) if PATH_LISTS.contains(&name) => self.path_list(name, path),
            Value::Path(path) => self.path(name, path),
            Value::Bool(value) => self.parts(name, &[if *value { "yes" } else { "no" }]),
            Value::Integer(value) => self.plain(name, value),
            Value::Size(value) | Value::Count(value) => self.plain(name, value),
            Value::Percent(value) => self.plain(name, render_percent(*value)),
            Value::Time(value) => self.plain(name, value),
            Value::Limit(value) => self.plain(name, value),
            Value::Signal(value) => self.plain(name, value),
            Value::Word(value) => self.parts(name, &[value]),
            Value::Units(units) => self.units(name, units.iter()),
            Value::Helper(arguments) => {
                self.assign(name);
                self.text.push('-');
                self.arguments(name, [HELPER].into_iter().chain(arguments.iter().map(String::as_str)));
            }
            Value::Lines(lines) => lines.iter().for_each(|line| self.text(name, line)),
            Value::Environment(variables) => variables.iter().for_each(|(key, value)| {
                self.assign(name);
                push_quoted(self.text, &[key, "=", value], false);
                self.text.push('\n');
                self.refuse_if(name, key.contains('\0') || value.contains('\0'));
            }),
        }
    }

    /// A string that systemd takes to the end of the line, expanding specifiers.
    pub fn text(&mut self, name: &str, value: &str) {
        self.assign(name);
        push_escaping_percent(self.text, value);
        self.end_line(name, value);
    }

    /// A path to the end of the line.
    pub fn path(&mut self, name: &str, value: &Path) {
        match value.to_str() {
            Some(text) => self.text(name, text),
            None => self.refuse_if(name, true),
        }
    }

    /// One path for a setting that takes several.
    fn path_list(&mut self, name: &str, value: &Path) {
        let Some(text) = value.to_str() else { return self.refuse_if(name, true) };
        self.assign(name);
        push_word(self.text, text);
        self.text.push('\n');
        // Quotes hide no line break here: systemd unquotes, but does not unescape, these words.
        self.refuse_if(name, text.contains(char::is_control));
    }

    /// Unit names on one line; no line if there are none, since an empty one would reset others.
    pub fn units<'u>(&mut self, name: &str, units: impl IntoIterator<Item = &'u UnitName>) {
        let mut units = units.into_iter();
        let Some(first) = units.next() else { return };
        self.assign(name);
        self.text.push_str(first.as_str());
        for unit in units {
            self.text.push(' ');
            self.text.push_str(unit.as_str());
        }
        self.text.push('\n');
    }

    /// Text made here, of characters that need no escaping.
    pub fn plain(&mut self, name: &str, value: impl Display) {
        self.assign(name);
        let _ = writeln!(self.text, "{value}");
    }

    /// As [`Self::plain`], in parts.
    pub fn parts(&mut self, name: &str, parts: &[&str]) {
        self.assign(name);
        parts.iter().for_each(|part| self.text.push_str(part));
        self.text.push('\n');
    }

    /// A command line that replaces those of the template. Each argument arrives as it is given.
    pub fn command<'c>(&mut self, name: &str, argv: impl IntoIterator<Item = &'c str>) {
        self.parts(name, &[]);
        self.assign(name);
        self.arguments(name, argv);
    }

    /// The arguments of a command line, to its end.
    fn arguments<'c>(&mut self, name: &str, argv: impl IntoIterator<Item = &'c str>) {
        for (position, argument) in argv.into_iter().enumerate() {
            if position > 0 {
                self.text.push(' ');
            }
            if is_plain_word(argument) {
                self.text.push_str(argument);
            } else {
                push_quoted(self.text, &[argument], true);
            }
            self.refuse_if(name, argument.contains('\0'));
        }
        self.text.push('\n');
    }

    /// A directive as its author wrote it, specifiers and all.
    pub fn verbatim(&mut self, directive: &Directive) {
        let name = &directive.name;
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !valid {
            return self.refuse_if(name, true);
        }
        for value in &directive.values {
            self.assign(name);
            self.text.push_str(value);
            self.end_line(name, value);
        }
    }

    /// Ends the file.
    pub fn finish(self) -> Result<(), Unwritable> {
        self.unwritable.map_or(Ok(()), |setting| Err(Unwritable { setting }))
    }

    fn assign(&mut self, name: &str) {
        if !self.open {
            ["\n[", self.section, "]\n"].into_iter().for_each(|part| self.text.push_str(part));
            self.open = true;
        }
        self.text.push_str(name);
        self.text.push('=');
    }

    /// Ends a line whose value was written as it is: it must not reach into the next, nor hide in this one.
    fn end_line(&mut self, name: &str, value: &str) {
        // An odd number of backslashes at the end would join the next line to this one. White space after them is
        // stripped from the value, but only once the line has been found to end here.
        if value.ends_with('\\') {
            self.text.push(' ');
        }
        self.text.push('\n');
        let plain = value.bytes().all(|b| matches!(b, b' '..=b'~'));
        self.refuse_if(name, !plain && value.contains(|c: char| c.is_control() && c != '\t'));
    }

    fn refuse_if(&mut self, name: &str, bad: bool) {
        if bad && self.unwritable.is_none() {
            self.unwritable = Some(name.to_owned());
        }
    }
}

/// Whether `text` reads the same with and without quotes, in every kind of setting.
fn is_plain_word(text: &str) -> bool {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b'=' | b'@' | b',')
    };
    !text.is_empty() && text.bytes().all(plain)
}

/// One word of a list that systemd unquotes: a backslash takes the next character as it is.
fn push_word(out: &mut String, text: &str) {
    if is_plain_word(text) {
        out.push_str(text);
    } else {
        push_quoted(out, &[text], false);
    }
}

/// In double quotes, with the escapes of systemd.syntax(7); for a command line also `$` against variables.
fn push_quoted(out: &mut String, parts: &[&str], command_line: bool) {
    out.push('"');
    for part in parts {
        if is_plain_word(part) {
            out.push_str(part);
        } else {
            part.chars().for_each(|c| push_escaped(out, c, command_line));
        }
    }
    out.push('"');
}

fn push_escaped(out: &mut String, c: char, command_line: bool) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '%' => out.push_str("%%"),
        '$' if command_line => out.push_str("$$"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        // C1 controls are two bytes in UTF-8 and only known as four hexadecimal digits.
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => out.push(c),
    }
}

fn push_escaping_percent(out: &mut String, text: &str) {
    if is_plain_word(text) {
        return out.push_str(text);
    }
    for (position, part) in text.split('%').enumerate() {
        if position > 0 {
            out.push_str("%%");
        }
        out.push_str(part);
    }
}

/// Text for one line of a comment, a log or a terminal: control characters as `\x1b`, `\u{85}`.
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((before, c, after)) = split_unprintable(rest) {
            self.0.write_str(before)?;
            match u32::from(c) {
                byte @ ..0x80 => write!(self.0, "\\x{byte:02x}")?,
                other => write!(self.0, "\\u{{{other:x}}}")?,
            }
            rest = after;
        }
        self.0.write_str(rest)
    }
}

/// What comes before the first character that is not printable, that character, and the rest.
fn split_unprintable(text: &str) -> Option<(&str, char, &str)> {
    // Nearly every text is plain ASCII, and that is quickly seen.
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return None;
    }
    let (before, tail) = text.split_at(text.find(is_unprintable)?);
    let mut chars = tail.chars();
    chars.next().map(|c| (before, c, chars.as_str()))
}

/// Control characters, and those that end a line or turn the direction of text around on a terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_config::value::{Limit, Size};

    fn lines(write: impl FnOnce(&mut UnitFile<'_>)) -> Result<String, Unwritable> {
        let mut text = String::new();
        let mut file = UnitFile::new(&mut text);
        file.section("Service");
        write(&mut file);
        file.finish()?;
        Ok(text.strip_prefix("\n[Service]\n").unwrap_or(&text).to_owned())
    }

    fn property(name: &'static str, value: Value) -> Result<String, Unwritable> {
        lines(|file| file.property(&Property { name, value }))
    }

    #[test]
    fn specifiers_are_doubled_in_text_and_paths() {
        let text = Value::Text("100% of %H".to_owned());
        assert_eq!(property("Description", text).unwrap(), "Description=100%% of %%H\n");
        assert_eq!(property("SourcePath", Value::Path("/a%b c".into())).unwrap(), "SourcePath=/a%%b c\n");
    }

    #[test]
    fn a_line_break_is_never_written() {
        for hostile in ["a\nExecStart=/bin/sh", "a\r", "a\0b", "\u{1b}[2J", "a\u{85}b"] {
            let refused = Unwritable { setting: "Description".to_owned() };
            assert_eq!(property("Description", Value::Text(hostile.to_owned())), Err(refused), "{hostile:?}");
            assert!(property("SourcePath", Value::Path(hostile.into())).is_err(), "{hostile:?}");
            assert!(property("RequiresMountsFor", Value::Path(hostile.into())).is_err(), "{hostile:?}");
            let directive = Directive { name: "LogLevelMax".to_owned(), values: vec![hostile.to_owned()] };
            assert!(lines(|file| file.verbatim(&directive)).is_err(), "{hostile:?}");
        }
        let directive = Directive { name: "A=b\nC".to_owned(), values: vec![String::new()] };
        assert!(lines(|file| file.verbatim(&directive)).is_err());
    }

    #[test]
    fn a_backslash_at_the_end_does_not_continue_the_line() {
        let text = Value::Text("C:\\".to_owned());
        assert_eq!(property("Description", text).unwrap(), "Description=C:\\ \n");
        assert_eq!(lines(|file| file.comment("C:\\")).unwrap(), "# C:\\ \n");
    }

    #[test]
    fn a_comment_stays_one_line() {
        assert_eq!(
            lines(|file| file.comment("a\n[Service]\u{202e}")).unwrap(),
            "# a\\x0a[Service]\\u{202e}\n"
        );
    }

    #[test]
    fn paths_in_lists_are_quoted_when_they_must_be() {
        let mounts = |path: &str| property("RequiresMountsFor", Value::Path(path.into())).unwrap();
        assert_eq!(mounts("/srv/web"), "RequiresMountsFor=/srv/web\n");
        assert_eq!(mounts("/srv/my web"), "RequiresMountsFor=\"/srv/my web\"\n");
        assert_eq!(mounts("/a\"b'c\\d%e$f"), "RequiresMountsFor=\"/a\\\"b'c\\\\d%%e$f\"\n");
    }

    #[test]
    fn arguments_arrive_as_they_are() {
        let argv = ["/bin/x", "plain", "a b", "", "$HOME ${A} %n", "\"'\\", "a\nb\u{1b}", ";"];
        let want = concat!(
            "ExecStart=\nExecStart=/bin/x plain \"a b\" \"\" \"$$HOME $${A} %%n\" \"\\\"'\\\\\" ",
            "\"a\\nb\\u001b\" \";\"\n"
        );
        assert_eq!(lines(|file| file.command("ExecStart", argv)).unwrap(), want);
    }

    #[test]
    fn environment_is_one_quoted_assignment_a_line() {
        let variables = vec![("A".to_owned(), "x y".to_owned()), ("B".to_owned(), "$a%\"\n".to_owned())];
        let want = "Environment=\"A=x y\"\nEnvironment=\"B=$a%%\\\"\\n\"\n";
        assert_eq!(property("Environment", Value::Environment(variables)).unwrap(), want);
    }

    #[test]
    fn values_have_systemds_syntax() {
        let limit = Limit { soft: Size::Finite(1024), hard: Size::Infinity };
        assert_eq!(property("LimitNOFILE", Value::Limit(limit)).unwrap(), "LimitNOFILE=1024:infinity\n");
        assert_eq!(property("CPUQuota", Value::Percent(15_000)).unwrap(), "CPUQuota=150%\n");
        assert_eq!(property("MemoryMax", Value::Percent(1_250)).unwrap(), "MemoryMax=12.5%\n");
        assert_eq!(property("Delegate", Value::Bool(true)).unwrap(), "Delegate=yes\n");
        let units = ["a.service", "b.mount"].map(|name| UnitName::parse(name).unwrap());
        assert_eq!(property("After", Value::Units(units.to_vec())).unwrap(), "After=a.service b.mount\n");
        assert_eq!(property("After", Value::Units(Vec::new())).unwrap(), "");
        let both = Value::Lines(vec!["/dev/sda 5ms".to_owned(), "/dev/sdb 1s".to_owned()]);
        let want = "IODeviceLatencyTargetSec=/dev/sda 5ms\nIODeviceLatencyTargetSec=/dev/sdb 1s\n";
        assert_eq!(property("IODeviceLatencyTargetSec", both).unwrap(), want);
    }
}
