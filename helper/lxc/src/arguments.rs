// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: `VERB --KEY=VALUE... -- ARGUMENT...`, written by ct-helper and by nobody else.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The command line, taken apart.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) verb: String,
    options: BTreeMap<String, OsString>,
    /// What stands behind `--`.
    pub(crate) command: Vec<CString>,
}

impl Arguments {
    pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments;
        let verb = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
        let mut options = BTreeMap::new();
        for argument in arguments.by_ref().take_while(|argument| argument != "--") {
            let bytes = argument.as_encoded_bytes();
            let option = bytes.strip_prefix(b"--").and_then(|option| {
                let end = option.iter().position(|byte| *byte == b'=')?;
                Some((option.get(..end)?.to_vec(), option.get(end + 1..)?.to_vec()))
            });
            let (key, value) =
                option.ok_or_else(|| format!("not an option: {}", argument.to_string_lossy()))?;
            options.insert(String::from_utf8_lossy(&key).into_owned(), OsString::from_vec(value));
        }
        let command = arguments.map(|argument| CString::new(argument.into_vec()));
        let command = command.collect::<Result<_, _>>().map_err(|_nul| "a NUL in an argument".to_owned())?;
        Ok(Self { verb, options, command })
    }

    /// An option that must be there, as a path.
    pub(crate) fn path(&self, key: &str) -> Result<PathBuf, String> {
        self.optional_path(key).ok_or_else(|| format!("no --{key}"))
    }

    pub(crate) fn optional_path(&self, key: &str) -> Option<PathBuf> {
        self.options.get(key).map(PathBuf::from)
    }

    /// An option that must be there, for a library of C.
    pub(crate) fn text(&self, key: &str) -> Result<CString, String> {
        let value = self.options.get(key).cloned().ok_or_else(|| format!("no --{key}"))?;
        CString::new(value.into_vec()).map_err(|_nul| format!("a NUL in --{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        Arguments::read(words.iter().map(OsString::from))
    }

    #[test]
    fn what_is_behind_the_dashes_is_the_command_whatever_it_looks_like() {
        let read =
            read(&["start", "--name=web", "--config=/a=b", "--", "/bin/sh", "--name=x", "--"]).unwrap();
        assert_eq!(read.verb, "start");
        assert_eq!(read.text("name").unwrap().to_str(), Ok("web"));
        assert_eq!(read.path("config").unwrap(), PathBuf::from("/a=b"));
        let command: Vec<_> = read.command.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(command, ["/bin/sh", "--name=x", "--"]);
    }

    #[test]
    fn anything_else_before_them_is_refused() {
        assert!(read(&["start", "web"]).unwrap_err().contains("not an option"));
        assert!(read(&["start", "--name"]).unwrap_err().contains("not an option"));
        assert!(read(&["start"]).unwrap().text("name").is_err());
    }
}
