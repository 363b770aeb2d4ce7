// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-lxc start`: the monitor of a container. It ends as the container's init has.

use std::ffi::{CStr, CString};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, raise};

use crate::arguments::Arguments;
use crate::command::Process;
use crate::liblxc::{self, Liblxc};
use crate::locks;

/// What init begins as when it has a terminal, which then becomes the command: ct-helper, in the container.
const TAKES_TERMINAL: [&CStr; 2] = [c"/dev/.ct-init", c"take-terminal"];

/// How a process ended, as systemd sees it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited(i32),
    Killed(i32),
}

/// Starts the container and stays until its end.
pub(crate) fn start(arguments: &Arguments) -> Result<i32, String> {
    liblxc::default_sigpipe();
    locks::keep_to(&arguments.path("state")?)?;
    let (name, unstarted) = (arguments.text("name")?, arguments.path("unstarted")?);
    let process = Process::of_config(&arguments.path("config")?)?;
    let library = Liblxc::load()?;
    library.log_to(&arguments.text("log")?, &name)?;
    let mut container = library.container(&name, &arguments.text("path")?)?;
    container.load_config(&arguments.text("lxc-config")?)?;
    if arguments.optional_path("network").is_some() {
        container.set_config(c"lxc.namespace.share.net", &arguments.text("network")?)?;
    }
    // Not in the config: there a value is what stands on one line.
    for variable in process.environment() {
        container.set_config(c"lxc.environment", &variable)?;
    }
    process.set_umask();
    let mut argv = process.argv()?;
    if let Some(terminal) = arguments.optional_path("terminal") {
        let entry = format!("{} dev/console none bind,create=file 0 0", terminal.display());
        let entry = CString::new(entry).map_err(|_nul| "a NUL in --terminal".to_owned())?;
        container.set_config(c"lxc.mount.entry", &entry)?;
        // Init has to take it for itself.
        argv.splice(0..0, TAKES_TERMINAL.map(CStr::to_owned));
    }
    liblxc::outlive_signals();
    let error_num = container.start(&argv).ok_or("LXC did not start the container")?;
    // Whoever waits for the container finds it ended, and shall not take that for a start that failed. Later nobody looks.
    let _ = std::fs::remove_file(&unstarted);
    match end(error_num) {
        End::Exited(status) => Ok(status),
        End::Killed(number) => Ok(die_of(number)),
    }
}

/// `error_num` of liblxc: status or signal in the second byte, and 0x7f in the first for a signal.
fn end(error_num: i32) -> End {
    let (low, high) = (error_num & 0x7f, error_num >> 8 & 0xff);
    match low {
        0 => End::Exited(high),
        0x7f => End::Killed(high & 0x7f),
        // waitpid(2)'s own.
        signal => End::Killed(signal),
    }
}

/// Dies of a signal as init did; or the status of a shell for that, when it is one that does not kill.
fn die_of(number: i32) -> i32 {
    // Init's core is enough.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    liblxc::default_action(number);
    if let Ok(signal) = number.try_into() {
        let mut set = SigSet::empty();
        set.add(signal);
        let _ = set.thread_unblock();
        let _ = raise(signal);
    }
    128 + number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_as_the_library_writes_it() {
        assert_eq!(end(0), End::Exited(0));
        assert_eq!(end(7 << 8), End::Exited(7));
        assert_eq!(end(255 << 8), End::Exited(255));
        assert_eq!(end(9 << 8 | 0x7f), End::Killed(9));
        assert_eq!(end(libc::SIGHUP << 8 | 0x7f), End::Killed(libc::SIGHUP));
        assert_eq!(end(libc::SIGKILL), End::Killed(9));
    }
}
