// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages. A [`Request`] is the first; then [`Order`]s go to the helper and [`Event`]s come from it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is to be run, and where. Without a terminal, standard input, output and error come with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The container, as PID 1 has it.
    pub unit: Unit,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Absolute paths of files in the syntax of `EnvironmentFile=`, later ones win.
    pub env_files: Vec<PathBuf>,
    /// These win over the files.
    pub env: Vec<(String, String)>,
    /// `USER[:GROUP]`, names of the container's own or numbers; the container's own user if not said.
    pub user: Option<String>,
    /// The directory inside; the container's own if not said.
    pub cwd: Option<PathBuf>,
    /// A terminal of this size.
    pub terminal: Option<Size>,
}

/// What PID 1 and the kernel say of `ct@NAME.service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `ControlGroup`
    pub control_group: String,
    /// `MainPID`: the container's init.
    pub main_pid: i32,
    /// The oom score adjustment that its init has.
    pub oom_score_adjust: i32,
    /// What limits its processes: name as in `RLIMIT_NOFILE`, soft and hard limit as setrlimit(2) takes them.
    pub limits: Vec<(String, u64, u64)>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in ioctl_tty(2)")]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// What the helper is to do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Send the command this signal.
    Signal(i32),
}

/// What the helper tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The master of the command's terminal comes with this.
    Terminal,
    /// It runs, in this control group of its own: a directory of the host.
    Started(PathBuf),
    /// It has exited with this status.
    Exited(i32),
    /// This signal has killed it.
    Killed(i32),
    /// It never ran.
    Failed {
        /// Which of them, and why.
        why: Why,
        /// In one line.
        reason: String,
    },
}

/// Why a command did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// ct, the runtime or the container did not let it.
    NotStarted,
    /// There is such a file, but it cannot be executed.
    NotExecutable,
    /// There is no such file.
    NotFound,
}
