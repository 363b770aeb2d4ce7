// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a config, said the way an editor and an operator can use it.

use std::fmt;
use std::path::PathBuf;

/// One thing wrong in one place: `FILE:LINE:COLUMN: KEY: REASON (HINT)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in, as it is named on the host (below the fake root, without it).
    pub file: PathBuf,
    /// Line and column, both from 1, the column in characters; `None` when the file itself is the problem.
    pub position: Option<(u32, u32)>,
    /// The dotted key, `process.command`; `None` when no key can be named.
    pub key: Option<String>,
    /// What is wrong, in small letters, without a full stop.
    pub reason: String,
    /// What to do about it: "did you mean ...?".
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.reason)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
