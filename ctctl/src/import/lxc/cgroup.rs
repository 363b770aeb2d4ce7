// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lxc.cgroup2.*` and `lxc.cgroup.*`: files of the kernel, as settings of systemd.

use toml_edit::Value;

use super::super::draft::Draft;

/// Files of cgroup v2, those of v1 that mean nearly the same, and the key of `[resources]`.
const FILES: [(&str, &str); 16] = [
    ("memory.min", "memory_min"),
    ("memory.low", "memory_low"),
    ("memory.high", "memory_high"),
    ("memory.max", "memory_max"),
    ("memory.swap.max", "memory_swap_max"),
    ("memory.zswap.max", "memory_zswap_max"),
    ("memory.limit_in_bytes", "memory_max"),
    ("memory.soft_limit_in_bytes", "memory_low"),
    ("pids.max", "tasks_max"),
    ("cpu.weight", "cpu_weight"),
    ("cpuset.cpus", "allowed_cpus"),
    ("cpuset.mems", "allowed_memory_nodes"),
    ("io.weight", "io_weight"),
    ("blkio.weight", "io_weight"),
    ("cpu.max", "cpu_quota"),
    ("cpu.shares", "cpu_weight"),
];

/// Devices by their numbers, and where they are.
const DEVICES: [(&str, &str); 4] = [
    ("10:229", "/dev/fuse"),
    ("10:200", "/dev/net/tun"),
    ("10:232", "/dev/kvm"),
    ("10:237", "/dev/loop-control"),
];
/// Those that every container has.
const USUAL: [&str; 9] = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*"];

pub(super) fn cgroup(draft: &mut Draft, at: usize, key: &str, value: &str) {
    let Some((file, old)) = key
        .strip_prefix("lxc.cgroup2.")
        .map(|file| (file, false))
        .or_else(|| key.strip_prefix("lxc.cgroup.").map(|file| (file, true)))
    else {
        return;
    };
    if matches!(file, "devices.allow" | "devices.deny") {
        return device(draft, at, file == "devices.allow", value);
    }
    let Some((_, setting)) = FILES.iter().find(|(known, _)| *known == file) else {
        if !matches!(file, "dir" | "relative") && !file.starts_with("dir.") {
            draft.refuse(
                at,
                format!("there is no setting of systemd for {file}; see systemd.resource-control(5)"),
            );
        }
        return;
    };
    let value = match file {
        "cpu.max" => quota(value),
        "cpu.shares" => {
            value.parse::<u64>().ok().map(|shares| (shares * 100 / 1024).clamp(1, 10_000).to_string())
        }
        "io.weight" => Some(value.strip_prefix("default ").unwrap_or(value).trim().to_owned()),
        _ if matches!(value, "max" | "-1") => Some("infinity".to_owned()),
        // LXC and the kernel take small letters, too.
        _ if file.starts_with("memory.") => Some(value.to_ascii_uppercase()),
        _ => Some(value.to_owned()),
    };
    let Some(value) = value else { return draft.refuse(at, "not a value that the kernel takes") };
    if file == "cpu.max" && value.is_empty() {
        return draft.change(at, "no bound is what there is anyway");
    }
    let number = value.parse::<i64>().ok().filter(|_| !file.starts_with("cpuset"));
    draft.set(at, &["resources", setting], number.map_or_else(|| Value::from(value), Value::from));
    if old {
        draft.change(at, "of cgroup v1: systemd has it for v2");
    }
}

/// `50000 100000`: so many microseconds in each period. Empty for no bound.
fn quota(value: &str) -> Option<String> {
    let mut words = value.split_whitespace();
    let quota = words.next()?;
    let period: u64 =
        words.next().map_or(Some(100_000), |period| period.parse().ok()).filter(|period| *period > 0)?;
    if quota == "max" {
        return Some(String::new());
    }
    let hundredths = quota.parse::<u64>().ok()?.checked_mul(10_000)? / period;
    Some(match (hundredths / 100, hundredths % 100) {
        (0, 0) => "0.01%".to_owned(),
        (whole, 0) => format!("{whole}%"),
        (whole, part) => format!("{whole}.{part:02}%"),
    })
}

/// `c 10:229 rwm`
fn device(draft: &mut Draft, at: usize, allow: bool, value: &str) {
    let words: Vec<&str> = value.split_whitespace().collect();
    match (allow, words.as_slice()) {
        (false, ["a", ..]) => draft.change(at, "in ct all are refused that are not named"),
        (false, _) => draft.change(at, "refused anyway: only devices that are named are given"),
        (true, ["a", ..]) => draft.refuse(at, "not all devices can be given: name each in security.devices"),
        (true, ["c", number, _]) if USUAL.contains(number) => draft.change(at, "every container has it"),
        // mknod(2) alone: what is made cannot be opened.
        (true, ["c" | "b", "*:*", "m"]) => {
            draft.change(at, "nodes can be made where the container has CAP_MKNOD")
        }
        (true, [kind @ ("c" | "b"), number, access]) => {
            match DEVICES.iter().find(|(known, _)| (*kind, *known) == ("c", number)) {
                Some((_, path)) => draft.add(at, &["security", "devices"], format!("{path}:{access}")),
                None => draft
                    .refuse(at, format!("give the node of {kind} {number} by its path in security.devices")),
            }
        }
        _ => draft.refuse(at, "not of the form c MAJOR:MINOR rwm"),
    }
}
