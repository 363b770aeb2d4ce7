// SPDX-License-Identifier: MIT OR Apache-2.0
//! What config.json says when neither a bundle nor the TOML says anything.

use oci_spec::runtime::{LinuxBuilder, LinuxNamespace, ProcessBuilder, Spec, SpecBuilder, UserBuilder};

use super::malformed;
use crate::exit::Error;

/// runtime-spec's "Masked Paths" and "Readonly Paths": what of /proc and /sys is not namespaced.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// ct's own defaults, before the TOML is applied.
pub(super) fn defaults() -> Result<Spec, Error> {
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(UserBuilder::default().uid(0_u32).gid(0_u32).build().map_err(malformed)?)
        .args(vec!["/sbin/init".to_owned()])
        .env(Vec::<String>::new())
        .cwd("/")
        .no_new_privileges(true)
        .build()
        .map_err(malformed)?;
    let linux = LinuxBuilder::default()
        .namespaces(Vec::<LinuxNamespace>::new())
        .masked_paths(MASKED.map(str::to_owned))
        .readonly_paths(READONLY.map(str::to_owned))
        .build()
        .map_err(malformed)?;
    // 1.0.2: what the oldest supported runtimes accept.
    SpecBuilder::default().version("1.0.2").process(process).linux(linux).build().map_err(malformed)
}
