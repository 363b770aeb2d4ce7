// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.json` and the `process` of config.json (OCI runtime-spec): what is to run inside, and as whom.

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Deserialize;

use crate::liblxc::Credentials;

/// More than any config has, in bytes.
const MAX: u64 = 16 * 1024 * 1024;

/// Exit statuses of a shell for a command that is not there, and one that cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// A process.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    #[serde(default)]
    terminal: bool,
    #[serde(default)]
    console_size: Option<Size>,
    user: User,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    cwd: PathBuf,
    #[serde(default)]
    no_new_privileges: bool,
}

#[derive(Debug, Deserialize)]
struct Size {
    height: u16,
    width: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    uid: u32,
    gid: u32,
    #[serde(default)]
    umask: Option<u32>,
    #[serde(default)]
    additional_gids: Option<Vec<u32>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    process: Process,
}

impl Process {
    /// That of a `process.json`.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        serde_json::from_str(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// That of a config.json.
    pub(crate) fn of_config(path: &Path) -> Result<Self, String> {
        let config: Result<Config, _> = serde_json::from_str(&text(path)?);
        config.map(|config| config.process).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            uid: self.user.uid,
            gid: self.user.gid,
            groups: self.user.additional_gids.clone().unwrap_or_default(),
            no_new_privileges: self.no_new_privileges,
        }
    }

    /// The size of its terminal, 0 by 0 where none is asked for; `None` without a terminal.
    pub(crate) fn terminal(&self) -> Option<(u16, u16)> {
        let size = self.console_size.as_ref();
        self.terminal.then(|| size.map_or((0, 0), |size| (size.height, size.width)))
    }

    /// Its command.
    pub(crate) fn argv(&self) -> Result<Vec<CString>, String> {
        let words = self.args.iter().map(|word| CString::new(word.as_bytes()));
        words.collect::<Result<_, _>>().map_err(|_nul| "a NUL in an argument".to_owned())
    }

    /// Its environment. What has a NUL in it nobody could be given.
    pub(crate) fn environment(&self) -> Vec<CString> {
        self.env.iter().filter_map(|variable| CString::new(variable.as_bytes()).ok()).collect()
    }

    /// LXC knows none, and hands on this process's own.
    pub(crate) fn set_umask(&self) {
        if let Some(umask) = self.user.umask {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
        }
    }

    /// Becomes the command. Comes back with a status to exit with, and the reason on standard error.
    pub(crate) fn execute(&self, argv: &[CString]) -> i32 {
        self.set_umask();
        if let Err(error) = std::env::set_current_dir(&self.cwd) {
            eprintln!("ct-lxc: cannot enter {}: {error}", self.cwd.display());
            return NOT_EXECUTABLE;
        }
        let environment = self.environment();
        let Some(program) = argv.first() else { return NOT_FOUND };
        let error = execute_on_path(program, argv, &environment);
        eprintln!("ct-lxc: cannot execute {}: {}", program.to_string_lossy(), error.desc());
        if error == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE }
    }
}

/// execvpe(3) with the path of the new environment.
fn execute_on_path(program: &CStr, argv: &[CString], environment: &[CString]) -> Errno {
    let execute = |path: &CStr| nix::unistd::execve(path, argv, environment).unwrap_err();
    if program.to_bytes().contains(&b'/') {
        return execute(program);
    }
    let path = environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    let mut refused = Errno::ENOENT;
    for directory in path.unwrap_or_default().split(|byte| *byte == b':').filter(|path| !path.is_empty()) {
        let candidate = [directory, b"/", program.to_bytes()].concat();
        let Ok(candidate) = CString::new(candidate) else { continue };
        match execute(&candidate) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => refused = Errno::EACCES,
            other => return other,
        }
    }
    refused
}

/// The file may be an account's, as this process is then.
fn text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let options = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).clone();
    let mut text = String::new();
    options.open(path).and_then(|file| file.take(MAX).read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_the_specification_has_it() {
        let process: Process = serde_json::from_str(
            r#"{"terminal":true,"consoleSize":{"height":24,"width":80},"user":{"uid":5,"gid":6,
                "additionalGids":[7]},"args":["a"],"env":["A=b"],"cwd":"/","noNewPrivileges":true,
                "capabilities":{"bounding":[]}}"#,
        )
        .unwrap();
        assert_eq!(process.terminal(), Some((24, 80)));
        let want = Credentials { uid: 5, gid: 6, groups: vec![7], no_new_privileges: true };
        assert_eq!(process.credentials(), want);
    }

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        let none = c"no-such-program";
        assert_eq!(
            execute_on_path(none, &[none.to_owned()], &[c"PATH=/nonexistent:/tmp".to_owned()]),
            Errno::ENOENT
        );
        assert_eq!(execute_on_path(none, &[none.to_owned()], &[]), Errno::ENOENT);
    }
}
