// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-lxc`: LXC for ct-helper(8), on liblxc's own interface.
//!
//! `start` is what lxc-start(1) is, the monitor that stays beside a container, but for its end: lxc-start exits with 0
//! however init ended, and starts it again inside itself when it was a reboot. PID 1 has to see both. liblxc knows, so
//! this program asks it and then ends as init did.
//!
//! `exec` is lxc-attach(1), but leaves the command behind as a child of its caller, with the environment, the directory
//! and the terminal that `process.json` of the OCI runtimes says.
//!
//! It loads liblxc when it runs and cannot be static, as ct's other programs are; whoever has no LXC needs neither.

mod arguments;
mod command;
mod exec;
mod liblxc;
mod locks;
mod sealed;
mod start;
mod terminal;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use arguments::Arguments;

/// Exit status when nothing was started.
const FAILED: i32 = 70;

fn main() {
    let arguments = Arguments::read(std::env::args_os().skip(1));
    let done = sealed::execute_from_memory().and_then(|()| match &arguments {
        Ok(arguments) if arguments.verb == "start" => start::start(arguments),
        Ok(arguments) if arguments.verb == "exec" => exec::exec(arguments),
        Ok(arguments) => Err(format!("no such verb: {}; this program is for ct-helper", arguments.verb)),
        Err(reason) => Err(reason.clone()),
    });
    std::process::exit(done.unwrap_or_else(|reason| {
        let log = arguments.ok().and_then(|arguments| arguments.optional_path("log"));
        complain(&reason, log);
        FAILED
    }));
}

/// Says why nothing was started: in the log, for standard error may be a command's, and behind what the library says.
fn complain(reason: &str, log: Option<PathBuf>) {
    let options =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).clone();
    let written = log.map(|path| options.open(path).and_then(|mut file| writeln!(file, "ct-lxc: {reason}")));
    if !matches!(written, Some(Ok(()))) {
        eprintln!("ct-lxc: {reason}");
    }
}
