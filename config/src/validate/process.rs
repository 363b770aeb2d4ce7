// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[process]`, `[log]` and `[idmap]`.

use std::path::PathBuf;

use super::{Check, parse_id, parse_path};
use crate::container::{EnvFile, IdMap, IdName, IdRange, LogMode, Process, Root, RootSource};
use crate::fragment::{self, IdRanges, List, Scalar, Spanned, Text};
use crate::settings::is_system_init;

impl Check<'_> {
    pub(super) fn process(&mut self, process: fragment::Process, root: Option<&Root>) -> Process {
        let command = process.command.map(|command| self.command(command, "process.command"));
        // Without a command it is /sbin/init, but for a bundle, which has its own.
        let is_bundle = root.is_some_and(|root| matches!(root.source, RootSource::Bundle(_)));
        let is_init = command.as_deref().map_or(!is_bundle, is_system_init);
        Process {
            command,
            cwd: process.cwd.map(|cwd| self.cwd(&cwd)),
            env: process
                .env
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| self.env(name, value))
                .collect(),
            env_files: process
                .env_file
                .iter()
                .flat_map(|files| files.get_ref())
                .map(|file| self.env_file(file))
                .collect(),
            user: process.user.and_then(|user| self.id_name(&user, "process.user", "a user")),
            group: process.group.and_then(|group| self.id_name(&group, "process.group", "a group")),
            groups: process
                .groups
                .unwrap_or_default()
                .iter()
                .filter_map(|group| self.id_name(group, "process.groups", "a group"))
                .collect(),
            terminal: process.terminal.map(Spanned::into_inner),
            stdin_open: process.stdin_open.is_some_and(Spanned::into_inner),
            init: self.init(process.init.as_ref(), is_init),
        }
    }

    /// `[log]`
    pub(super) fn log(&mut self, log: fragment::Log, has_terminal: bool) -> LogMode {
        let Some(mode) = log.mode else { return LogMode::default() };
        if *mode.get_ref() == LogMode::Pipe && has_terminal {
            let hint = Some("leave it out: programs can open /dev/stdout on a terminal, too".to_owned());
            self.hint(&mode, "log.mode", "process.terminal is set, and a terminal is no pipe", hint);
        }
        mode.into_inner()
    }

    /// `is_init` is whether the command is one that must be process 1 itself.
    fn init(&mut self, init: Option<&Spanned<bool>>, is_init: bool) -> bool {
        let Some(init) = init.filter(|init| *init.get_ref()) else { return false };
        if is_init {
            let hint = Some("leave it out, or set process.command to what shall run below it".to_owned());
            self.hint(
                init,
                "process.init",
                "the command is an init system, which must be process 1 itself",
                hint,
            );
        }
        true
    }

    /// An argument vector.
    pub(super) fn command(&mut self, command: List, key: &str) -> Vec<String> {
        match command.get_ref().first() {
            None => self.problem(&command, key, "must not be empty"),
            Some(program) if program.get_ref().is_empty() => {
                self.problem(program, key, "the program must not be empty");
            }
            Some(_) => {}
        }
        command.into_inner().into_iter().map(Spanned::into_inner).collect()
    }

    fn cwd(&mut self, cwd: &Text) -> PathBuf {
        let path = self.path(cwd, "process.cwd");
        // A file descriptor of the runtime as the working directory is a way out of the container.
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            self.problem(cwd, "process.cwd", "must not be below /proc or /dev/fd");
        }
        path
    }

    fn env(&mut self, name: Text, value: Spanned<Scalar>) -> (String, String) {
        if name.get_ref().is_empty() || name.get_ref().contains('=') {
            let reason = format!("{:?} is not the name of a variable", name.get_ref());
            self.problem(&name, "process.env", &reason);
        }
        (name.into_inner(), value.into_inner().0)
    }

    fn env_file(&mut self, file: &Text) -> EnvFile {
        let text = file.get_ref();
        let (path, optional) = text.strip_prefix('-').map_or((text.as_str(), false), |path| (path, true));
        let path = self.parsed(file, "process.env_file", parse_path(path)).unwrap_or_default();
        EnvFile { path, optional }
    }

    fn id_name(&mut self, id: &Spanned<Scalar>, key: &str, what: &str) -> Option<IdName> {
        let text = id.get_ref().0.as_str();
        Some(match self.parsed(id, key, parse_id(text, what))? {
            Some(number) => IdName::Id(number),
            None => IdName::Name(text.to_owned()),
        })
    }

    pub(super) fn idmap(&mut self, idmap: fragment::IdMap) -> Option<IdMap> {
        match (idmap.uid, idmap.gid) {
            (None, None) => None,
            (Some(one), None) => {
                self.problem(&one, "idmap", "has uid but not gid");
                None
            }
            (None, Some(one)) => {
                self.problem(&one, "idmap", "has gid but not uid");
                None
            }
            (Some(uid), Some(gid)) => match (uid.get_ref(), gid.get_ref()) {
                (IdRanges::Auto, IdRanges::Auto) => Some(IdMap::Auto),
                (IdRanges::Ranges(uids), IdRanges::Ranges(gids)) => {
                    let (uid_key, gid_key) = ("idmap.uid", "idmap.gid");
                    Some(IdMap::Ranges {
                        uid: self.ranges(&uid, uids, uid_key),
                        gid: self.ranges(&gid, gids, gid_key),
                    })
                }
                _ => {
                    self.problem(&gid, "idmap", "uid and gid must both be \"auto\" or both be lists");
                    None
                }
            },
        }
    }

    fn ranges(&mut self, list: &Spanned<IdRanges>, ranges: &[Spanned<Vec<i64>>], key: &str) -> Vec<IdRange> {
        // The kernel's own bound on uid_map.
        if ranges.len() > 340 {
            self.problem(list, key, "has more than 340 ranges");
            return Vec::new();
        }
        let mut accepted: Vec<IdRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            let Some(new) = self.parsed(range, key, parse_range(range.get_ref())) else { continue };
            let overlaps = |a: u32, b: u32, other: u32| {
                u64::from(a) < u64::from(b) + u64::from(other)
                    && u64::from(b) < u64::from(a) + u64::from(new.count)
            };
            for old in &accepted {
                if overlaps(new.container, old.container, old.count) {
                    self.problem(range, key, "overlaps with an earlier range inside the container");
                } else if overlaps(new.host, old.host, old.count) {
                    self.problem(range, key, "overlaps with an earlier range on the host");
                }
            }
            accepted.push(new);
        }
        if !accepted.iter().any(|range| range.container == 0) {
            self.problem(list, key, "must map the container's id 0");
        }
        accepted
    }
}

fn parse_range(numbers: &[i64]) -> Result<IdRange, &'static str> {
    let [container, host, count] = numbers else { return Err("must be [container id, host id, count]") };
    let id = |n: i64| u32::try_from(n).ok().ok_or("an id must be a number from 0 to 4294967294");
    let range = IdRange {
        container: id(*container)?,
        host: id(*host)?,
        count: u32::try_from(*count).ok().filter(|n| *n > 0).ok_or("the count must be a number from 1")?,
    };
    // The last id is (uid_t)-1, which is none.
    let fits = |first: u32| u64::from(first) + u64::from(range.count) <= u64::from(u32::MAX);
    if fits(range.container) && fits(range.host) { Ok(range) } else { Err("runs past the id 4294967294") }
}
