// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a container could leave behind: a snapshot before, one after, and no difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Machine;
use crate::systemctl::comes_true;

/// Directories that ct and the runtimes write to.
const WATCHED: [&str; 9] = [
    "run/ct",
    "run/ct-console",
    "run/ct-pod",
    "run/ct-run",
    "run/crun",
    "run/runc",
    "var/lib/ct",
    "tmp",
    "dev/shm",
];

/// Between two looks, and how often to look at what does not settle.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const MOST_LOOKS: u32 = 50;

/// Mounts in PID 1's namespace, cgroups, processes, files below ct's directories, named sockets, and descriptors
/// of PID 1 (its descriptor store among them). A thing is a line that says what it is; no line has a number that
/// differs from one start to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    things: BTreeMap<String, usize>,
}

impl Machine {
    /// What is there now. Commands of the test itself do not count.
    ///
    /// # Panics
    /// When `/proc` cannot be read.
    #[must_use]
    pub fn leaks(&self) -> Snapshot {
        match self.settled_leaks() {
            Ok(snapshot) => snapshot,
            Err(error) => panic!("cannot look into {}: {error}", self.name()),
        }
    }

    /// Two looks, a moment apart, that agree: PID 1 closes the connection of a systemctl that has ended a little later.
    fn settled_leaks(&self) -> std::io::Result<Snapshot> {
        let mut last = self.try_leaks()?;
        for _ in 0..MOST_LOOKS {
            std::thread::sleep(BETWEEN_LOOKS);
            let next = self.try_leaks()?;
            if next == last {
                break;
            }
            last = next;
        }
        Ok(last)
    }

    /// Asserts that things become as they were, in a moment: PID 1 and the journal take note of an end a little later.
    ///
    /// # Panics
    /// When they do not in time, with the difference.
    #[track_caller]
    pub fn assert_no_leaks(&self, before: &Snapshot) {
        if !comes_true(|| before.difference(&self.leaks()).is_empty()) {
            before.assert_same(&self.leaks());
        }
    }

    fn try_leaks(&self) -> std::io::Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let process = PathBuf::from(format!("/proc/{}", self.pid()));
        for line in fs::read_to_string(process.join("mountinfo"))?.lines() {
            snapshot.add("mount", &mount_of(line));
        }
        let harness = self.cgroup().join("harness");
        walk(&self.cgroup(), &mut |path, is_dir| {
            if is_dir && !path.starts_with(&harness) {
                snapshot.add("cgroup", &relative(path, &self.cgroup()));
            }
        });
        let root = process.join("root");
        for watched in WATCHED {
            walk(&root.join(watched), &mut |path, _| snapshot.add("file", &relative(path, &root)));
        }
        for line in fs::read_to_string(process.join("net/unix"))?.lines().skip(1) {
            if let Some(name) = line.split_whitespace().nth(7) {
                snapshot.add("socket", name);
            }
        }
        for fd in fs::read_dir(process.join("fd"))?.flatten() {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            // `socket:[1234]`: every start makes another one.
            snapshot.add("fd of PID 1", target.to_string_lossy().split(":[").next().unwrap_or_default());
        }
        self.add_processes(&mut snapshot, &root.join("proc"))?;
        Ok(snapshot)
    }

    fn add_processes(&self, snapshot: &mut Snapshot, proc: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(proc)?.flatten() {
            let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
            // Ended while we look: it is no leak.
            let Ok(cgroups) = fs::read_to_string(entry.path().join("cgroup")) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let cgroup = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
            let cgroup = cgroup.rsplit_once("/machine").map_or(cgroup, |(_, below)| below);
            if !is_process || cgroup.starts_with("/harness") {
                continue;
            }
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
            // `12 (comm) S ...`, with anything at all in comm
            let comm =
                stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(comm, _)| comm);
            snapshot.add("process", &format!("{cgroup}: {comm}: {cmdline}"));
        }
        Ok(())
    }
}

impl Snapshot {
    fn add(&mut self, kind: &str, thing: &str) {
        *self.things.entry(format!("{kind}: {thing}")).or_default() += 1;
    }

    /// Asserts that nothing came and nothing went.
    ///
    /// # Panics
    /// When something did, with one line for each thing.
    #[track_caller]
    pub fn assert_same(&self, later: &Snapshot) {
        let difference = self.difference(later);
        assert!(difference.is_empty(), "should be as before:\n{}", difference.join("\n"));
    }

    /// One line for each thing that came (`+`) or went (`-`). Sockets, descriptors and helpers only come: clients of PID 1
    /// go at any time.
    #[must_use]
    pub fn difference(&self, later: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for thing in
            self.things.keys().chain(later.things.keys().filter(|key| !self.things.contains_key(*key)))
        {
            let [before, after] =
                [self, later].map(|snapshot| snapshot.things.get(thing).copied().unwrap_or(0));
            match before.cmp(&after) {
                std::cmp::Ordering::Less => lines.push(format!("+ {thing} ({before} -> {after})")),
                std::cmp::Ordering::Greater if fleeting(thing) => {}
                std::cmp::Ordering::Greater => lines.push(format!("- {thing} ({before} -> {after})")),
                std::cmp::Ordering::Equal => {}
            }
        }
        lines
    }
}

/// A helper ends a little after the start that it was for.
fn fleeting(thing: &str) -> bool {
    ["socket: ", "fd of PID 1: "].iter().any(|kind| thing.starts_with(kind))
        || thing.contains("/supervisor: ct-helper: ")
}

/// Mount point, file system and source, without the ids. See proc_pid_mountinfo(5).
fn mount_of(line: &str) -> String {
    let (place, kind) = line.split_once(" - ").unwrap_or((line, ""));
    let point = place.split(' ').nth(4).unwrap_or_default();
    let kind = kind.split(' ').take(2).collect::<Vec<_>>().join(" ");
    format!("{point} {kind}")
}

fn relative(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}

/// Everything below a directory, links not followed; nothing where there is no directory.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, bool)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        visit(&entry.path(), is_dir);
        if is_dir {
            walk(&entry.path(), visit);
        }
    }
}
