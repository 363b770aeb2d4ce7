// SPDX-License-Identifier: MIT OR Apache-2.0
//! `logs`: journalctl(1) for one container.
//!
//! It escapes less than a terminal needs: `--output=cat` and `--all` pass a container's bytes on as they are, and no mode
//! stops marks that turn the reading order around. So on a terminal its output goes through us, and elsewhere we become
//! journalctl.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use crate::output::safe_bytes;
use crate::pty::is_stdout_a_terminal;

/// A line that is longer is passed on in pieces.
const MAX_LINE: usize = 64 * 1024;

/// Show what a container, and systemd of it, has logged
///
/// What follows the name goes to journalctl(1) as it is. On a terminal whatever could be an order to it is shown instead
/// of sent.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: that of journalctl, or 128 and the number of the signal that killed it; 1 when it cannot be executed, 4 when there \
is no such container.

Examples:
  ctctl logs -f web
  ctctl logs web --since today --grep error -o json")]
pub struct LogsArguments {
    /// Go on with what is logged from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<String>,
    /// Only what was logged since its last start
    #[arg(long)]
    this_run: bool,
    /// The name of a container, or a beginning that is unique
    name: String,
    /// Options of journalctl(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

/// `ctctl logs`; but for what goes wrong before, it ends as journalctl does.
pub fn logs(arguments: &LogsArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("logs")?;
    let mut command = Command::new("journalctl");
    command.args(query(arguments, context)?);
    if arguments.follow {
        command.arg("--follow");
    }
    if let Some(lines) = &arguments.lines {
        command.arg(format!("--lines={lines}"));
    }
    command.args(&arguments.options);
    if !is_stdout_a_terminal() {
        return Err(Error::system("cannot execute journalctl", command.exec()));
    }
    let failed = |error| Error::system("cannot execute journalctl", error);
    let mut child = command.arg("--no-pager").stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(log) = child.stdout.take() {
        pass_on(log, std::io::stdout().lock())?;
    }
    let status = child.wait().map_err(failed)?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).map_or(Status::Failed, Status::Of))
}

/// Which lines are meant.
fn query(arguments: &LogsArguments, context: &Context) -> Result<Vec<String>, Error> {
    let name = resolve(&arguments.name, context)?;
    let unit = name.unit().to_string();
    if !arguments.this_run {
        return Ok(vec![format!("--unit={unit}")]);
    }
    let invocation = context.systemd()?.unit(&unit)?.invocation();
    if invocation.is_empty() {
        return Err(Error::failed(format!("{name} was not started since boot")));
    }
    // What its processes say, and what systemd says of them.
    Ok(vec![
        format!("_SYSTEMD_INVOCATION_ID={invocation}"),
        "+".to_owned(),
        format!("INVOCATION_ID={invocation}"),
    ])
}

/// Line by line, safe for a terminal. A reader that has gone away is the end.
fn pass_on(mut log: impl Read, mut terminal: impl Write) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(MAX_LINE);
    let mut chunk = [0; 8192];
    loop {
        let count = match log.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| Error::system("cannot read from journalctl", error))?,
        };
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if count == 0 => bytes.len(),
            Some(end) => end + 1,
            None if bytes.len() > MAX_LINE => bytes.len(),
            None => 0,
        };
        let text = safe_text(bytes.get(..whole).unwrap_or_default());
        bytes.drain(..whole);
        match terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Error::system("cannot write to stdout", error)),
            Ok(()) if count == 0 => return Ok(()),
            Ok(()) => {}
        }
    }
}

/// Ends of lines and tabs stay what they are.
fn safe_text(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.split(|byte| *byte == b'\t').map(safe_bytes).collect::<Vec<_>>().join("\t");
    bytes.split(|byte| *byte == b'\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_tabs_stay_and_orders_are_shown() {
        let mut shown = Vec::new();
        pass_on(b"one\ttwo\n\x1b[2J\xff\r\nlast".as_slice(), &mut shown).unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "one\ttwo\n\\x1b[2J\\xff\\x0d\nlast");
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut shown = Vec::new();
        pass_on(std::io::repeat(b'x').take(1 << 20), &mut shown).unwrap();
        assert_eq!(shown.len(), 1 << 20);
    }

    proptest::proptest! {
        #[test]
        fn no_log_is_an_order(log: Vec<u8>) {
            let mut shown = Vec::new();
            pass_on(log.as_slice(), &mut shown).unwrap();
            let shown = String::from_utf8(shown).unwrap();
            assert!(!shown.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{log:?}: {shown:?}");
        }
    }
}
