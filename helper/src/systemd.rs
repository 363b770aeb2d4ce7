// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which systemd runs as PID 1. It ignores what it does not know yet, with a line in its own log at most; a limit that
//! is none should be told where the container's own lines are.

use ct_config::resource_control::{Row, TABLE};
use ct_config::settings::Property;

/// A setting that came after the systemd that runs.
#[derive(Debug)]
pub(crate) struct TooNew {
    pub(crate) row: &'static Row,
    /// The version that runs.
    pub(crate) running: u32,
}

/// The settings that PID 1 is too old for. It is asked for its version only if one of them might be.
pub(crate) fn too_new(resources: &[Property]) -> Vec<TooNew> {
    let rows = resources.iter().filter_map(|set| TABLE.iter().find(|row| row.directive == set.name));
    let recent: Vec<&'static Row> = rows.filter(|row| row.since > OLDEST).collect();
    let running = if recent.is_empty() { None } else { running() };
    let Some(running) = running else { return Vec::new() };
    recent.into_iter().filter(|row| row.since > running).map(|row| TooNew { row, running }).collect()
}

/// What every systemd that ct runs with has.
const OLDEST: u32 = 252;

/// The version of PID 1, by the library that it has loaded: what is installed may be another already. `None` where
/// systemd is built without that library.
fn running() -> Option<u32> {
    version(&std::fs::read_to_string("/proc/1/maps").ok()?)
}

/// `.../libsystemd-shared-252.so`, or with more of a version behind the number.
fn version(maps: &str) -> Option<u32> {
    let (_, rest) = maps.split_once("/libsystemd-shared-")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_the_library() {
        let maps =
            |name: &str| format!("7f00 r-xp 00000000 00:1 1 /usr/lib/systemd/{name}\n7f01 rw-p [heap]\n");
        for (name, number) in [
            ("libsystemd-shared-252.so", Some(252)),
            ("libsystemd-shared-257.9-1.fc42.so", Some(257)),
            ("libsystemd-shared-256~rc1.so (deleted)", Some(256)),
            ("libsystemd-shared-.so", None),
            ("libsystemd.so.0", None),
        ] {
            assert_eq!(version(&maps(name)), number, "{name}");
        }
    }
}
