// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line and the environment that systemd gives a generator, see systemd.generator(7).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What `--help` prints, and bad usage on stderr.
pub const USAGE: &str = "\
Usage: ct-generator [--root DIR] NORMAL [EARLY LATE]

Writes a drop-in of ct@NAME.service into NORMAL for each container config in
/etc/ct/containers/, /run/ct/containers/ and /usr/lib/ct/containers/, and a link
for each that boot starts. EARLY and LATE are never written to.

      --root DIR  take DIR for / when reading; as CT_ROOT in the environment
      --help      print this text
      --version   print the version

See ct-generator(8).
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
    /// Nothing: in an initrd, and for a user's own manager, there are no containers of ours.
    NotForUs,
    /// Generate.
    Generate {
        /// The folder that stands for `/`.
        root: PathBuf,
        /// Where to write.
        normal: PathBuf,
        /// Run by systemd itself: messages go to the kernel's log.
        by_systemd: bool,
        /// Online processors to assume, from `CT_CPUS`; for tests.
        cpus: Option<usize>,
    },
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub struct BadUsage(String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Arguments {
    /// Reads the arguments, without the program's own name, and the environment.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, BadUsage> {
        let mut arguments = arguments.into_iter();
        let mut root = None;
        let mut directories: Vec<OsString> = Vec::new();
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            match bytes {
                b"--help" | b"-h" => return Ok(Self::Help),
                b"--version" => return Ok(Self::Version),
                b"--root" => {
                    root = Some(arguments.next().ok_or(BadUsage("--root needs a directory".to_owned()))?)
                }
                b"--" => directories.extend(arguments.by_ref()),
                _ if bytes.starts_with(b"--root=") => {
                    root = bytes.strip_prefix(b"--root=").map(|rest| OsStr::from_bytes(rest).to_owned());
                }
                _ if bytes.starts_with(b"-") => return Err(BadUsage(format!("unknown option {argument:?}"))),
                _ => directories.push(argument),
            }
        }
        let normal = match directories.len() {
            1 | 3 => directories.into_iter().next().unwrap_or_default(),
            0 => return Err(BadUsage("the output directory is missing".to_owned())),
            count => return Err(BadUsage(format!("expected one output directory or three, not {count}"))),
        };
        if root.as_ref().is_some_and(|root| root.is_empty()) || normal.is_empty() {
            return Err(BadUsage("a directory must not be empty".to_owned()));
        }
        let is = |name: &str, value: &str| environment(name).is_some_and(|set| set == value);
        if is("SYSTEMD_IN_INITRD", "1") || is("SYSTEMD_SCOPE", "user") {
            return Ok(Self::NotForUs);
        }
        let root = root.or_else(|| environment("CT_ROOT").filter(|root| !root.is_empty()));
        let by_systemd = root.is_none() && environment("SYSTEMD_SCOPE").is_some();
        let cpus = environment("CT_CPUS").and_then(|text| text.to_str()?.parse().ok());
        let root = root.unwrap_or_else(|| "/".into()).into();
        Ok(Self::Generate { root, normal: normal.into(), by_systemd, cpus })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Arguments, BadUsage> {
        let find =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Arguments::parse(arguments.iter().map(OsString::from), find)
    }

    fn generate(root: &str, normal: &str, by_systemd: bool) -> Result<Arguments, BadUsage> {
        Ok(Arguments::Generate { root: root.into(), normal: normal.into(), by_systemd, cpus: None })
    }

    #[test]
    fn one_directory_or_three() {
        assert_eq!(parse(&["n"], &[]), generate("/", "n", false));
        assert_eq!(parse(&["n", "e", "l"], &[]), generate("/", "n", false));
        for bad in [&[][..], &["n", "e"], &["n", "e", "l", "x"], &[""], &["-x", "n"], &["n", "--root"]] {
            assert!(parse(bad, &[]).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&["--", "-n"], &[]), generate("/", "-n", false));
    }

    #[test]
    fn the_option_wins_over_the_environment() {
        assert_eq!(parse(&["n"], &[("CT_ROOT", "/r")]), generate("/r", "n", false));
        assert_eq!(parse(&["n"], &[("CT_ROOT", "")]), generate("/", "n", false));
        assert_eq!(parse(&["--root", "/o", "n"], &[("CT_ROOT", "/r")]), generate("/o", "n", false));
        assert_eq!(parse(&["n", "--root=/o"], &[]), generate("/o", "n", false));
        assert!(parse(&["--root=", "n"], &[]).is_err());
    }

    #[test]
    fn systemd_is_known_by_its_environment() {
        assert_eq!(parse(&["n", "e", "l"], &[("SYSTEMD_SCOPE", "system")]), generate("/", "n", true));
        let on_a_fake_root = [("SYSTEMD_SCOPE", "system"), ("CT_ROOT", "/r")];
        assert_eq!(parse(&["n", "e", "l"], &on_a_fake_root), generate("/r", "n", false));
        assert_eq!(parse(&["n"], &[("SYSTEMD_SCOPE", "user")]), Ok(Arguments::NotForUs));
        assert_eq!(parse(&["n"], &[("SYSTEMD_IN_INITRD", "1")]), Ok(Arguments::NotForUs));
        assert_eq!(parse(&["n"], &[("SYSTEMD_IN_INITRD", "0")]), generate("/", "n", false));
        assert!(parse(&[], &[("SYSTEMD_IN_INITRD", "1")]).is_err(), "bad usage is bad everywhere");
    }
}
