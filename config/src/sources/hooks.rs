// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hooks that are files: the programs in `STAGE.d/` beside a container's drop-ins, and beside the host's for all
//! containers.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::disk::{Disk, file_problem, is_masked, os_name};
use crate::container::Hooks;
use crate::problem::Problem;

/// The moments of a container's life, as in `[hooks]`.
pub(crate) const STAGES: [&str; 4] = ["pre_start", "post_start", "pre_stop", "post_stop"];

/// What was found for each of [`STAGES`], in the order of their names.
#[derive(Debug, Default, Clone)]
pub(crate) struct HookFiles {
    /// A name without a path hides one of the same name found later.
    found: [BTreeMap<String, Option<PathBuf>>; STAGES.len()],
}

impl HookFiles {
    /// Adds what `STAGE.d/` in each of these directories has; of one name the first counts, and a link to /dev/null
    /// hides the others. As with run-parts(8), what is not executable is no hook.
    pub(super) fn add(&mut self, disk: &Disk, dirs: &[String], problems: &mut Vec<Problem>) {
        for (stage, found) in STAGES.into_iter().zip(&mut self.found) {
            // What is no directory has been reported where the drop-ins were read.
            let there = dirs.iter().filter(|dir| disk.below(Path::new(dir)).is_dir());
            for dir in there.map(|dir| format!("{dir}/{stage}.d")) {
                let entries = match disk.list(&dir) {
                    Ok(Some((_, entries))) => entries,
                    Ok(None) => continue,
                    Err(problem) => {
                        problems.push(problem);
                        continue;
                    }
                };
                for entry in &entries {
                    let (name, path) = (os_name(entry), Path::new(&dir).join(os_name(entry)));
                    let Some(name) = name.to_str() else {
                        problems.push(file_problem(path, "the name is not UTF-8".to_owned()));
                        continue;
                    };
                    if name.starts_with('.') || name.ends_with('~') || found.contains_key(name) {
                        continue;
                    }
                    let on_disk = disk.below(&path);
                    let hook =
                        on_disk.metadata().ok().filter(|file| file.is_file() && file.mode() & 0o111 != 0);
                    // It runs as root: whoever may write to it is root.
                    if let Some(Err(reason)) = hook.as_ref().map(|file| disk.trust(file)) {
                        problems.push(file_problem(path, reason));
                    } else if hook.is_some() || is_masked(&on_disk) {
                        found.insert(name.to_owned(), hook.is_some().then_some(path));
                    }
                }
            }
        }
    }

    /// The same with what all containers have, unless it is hidden here.
    pub(crate) fn over(mut self, all: &Self) -> Self {
        for (own, all) in self.found.iter_mut().zip(&all.found) {
            for (name, path) in all {
                own.entry(name.clone()).or_insert_with(|| path.clone());
            }
        }
        self
    }

    /// Their paths, for the digest of the config.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.found.iter().flat_map(BTreeMap::values).flatten().map(|path| path.as_os_str().as_bytes())
    }

    /// Puts them behind those that the config lists.
    pub(crate) fn append_to(self, hooks: &mut Hooks) {
        let lists = [&mut hooks.pre_start, &mut hooks.post_start, &mut hooks.pre_stop, &mut hooks.post_stop];
        for (list, found) in lists.into_iter().zip(self.found) {
            let programs =
                found.into_values().flatten().filter_map(|path| path.into_os_string().into_string().ok());
            list.extend(programs.map(|program| vec![program]));
        }
    }
}
