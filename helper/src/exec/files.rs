// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runtime reads and leaves for one command: a directory in /run/ct/NAME/, gone with it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;

use crate::account::Account;
use crate::console::Console;
use crate::exit::Error;
use crate::instance::Instance;
use crate::runtime::family::Family;
use crate::runtime::said::read_untrusted;

/// The directory. It is the account's, and so is all that is in there.
#[derive(Debug)]
pub(crate) struct ExecFiles {
    directory: PathBuf,
    /// Where the runtime sends the master of the command's terminal.
    console: Option<Console>,
}

impl ExecFiles {
    /// Makes it, and the process in the runtime's words. All is made while the directory is root's: nobody can have
    /// prepared it.
    pub(crate) fn make(instance: &Instance, account: &Account, process: &Process) -> Result<Self, Error> {
        let directory = instance.directory().join(format!("exec-{}", std::process::id()));
        let shown = directory.display();
        let failed = |what: &str, e: std::io::Error| Error::system(format!("{what} {shown}"), e);
        // Of one that was killed, and had this number.
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|e| failed("mkdir", e))?;
        let mut files = Self { directory: directory.clone(), console: None };
        let json = serde_json::to_vec(process).map_err(|e| failed("render", e.into()))?;
        let options = OpenOptions::new().write(true).create_new(true).mode(0o400).clone();
        let mut file = options.open(files.process()).map_err(|e| failed("write to", e))?;
        file.write_all(&json).map_err(|e| failed("write to", e))?;
        if process.terminal() == Some(true) {
            files.console = Some(Console::listen(&directory, account)?);
        }
        if !account.is_root() {
            for path in [&files.process(), &directory] {
                lchown(path, Some(account.uid), Some(account.gid)).map_err(|e| failed("chown in", e))?;
            }
        }
        Ok(files)
    }

    /// The process, `process.json` of `exec --process`.
    pub(crate) fn process(&self) -> PathBuf {
        self.directory.join("process.json")
    }

    /// Where the runtime leaves the number of the command's process.
    pub(crate) fn pid(&self) -> PathBuf {
        self.directory.join("pid")
    }

    /// Where it says what went wrong.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// `--console-socket`
    pub(crate) fn console_socket(&self) -> Option<&Path> {
        self.console.as_ref().map(Console::path)
    }

    /// What the runtime says in its log.
    pub(crate) fn complaint(&self, family: &dyn Family) -> Option<String> {
        read_untrusted(&self.log()).ok().and_then(|text| family.complaint(&text))
    }

    /// Where the runtime sends the master of the command's terminal.
    pub(crate) fn console(&self) -> Option<&Console> {
        self.console.as_ref()
    }
}

impl Drop for ExecFiles {
    fn drop(&mut self) {
        // With the container, if not now. Links in it are removed and not followed.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
