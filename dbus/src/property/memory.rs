// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory a percentage is, where the bus takes only bytes: counted as systemd counts it for a unit file, in whole
//! pages of what is installed, or of what the root of the control groups may have of it.

use std::path::Path;

const ROOT_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// So many hundredths of a percent of this machine's memory, in bytes.
pub(super) fn part(hundredths: u64) -> u64 {
    let system = rustix::system::sysinfo();
    let installed = system.totalram * u64::from(system.mem_unit);
    scaled(installed.min(limit(Path::new(ROOT_LIMIT))), hundredths, rustix::param::page_size() as u64)
}

fn scaled(memory: u64, hundredths: u64, page: u64) -> u64 {
    (memory / page).saturating_mul(hundredths) / super::ALL * page
}

/// In a machine that is itself a container; there is none, or `max`, elsewhere.
fn limit(path: &Path) -> u64 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages() {
        assert_eq!(scaled(1000 * 4096 + 5, 3_333, 4096), 333 * 4096);
        assert_eq!(scaled(1000 * 4096, 10_000, 4096), 1000 * 4096);
    }
}
