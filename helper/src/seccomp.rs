// SPDX-License-Identifier: MIT OR Apache-2.0
//! ct's own system-call filter, `linux.seccomp` of config.json (runtime-spec, "Seccomp").
//!
//! It is a list of what is refused: calls that act on the whole host and that no namespace confines, calls whose use
//! in a container has mostly been to attack the kernel, and two terminal ioctls that type into other people's
//! terminals. What a container may do beyond that is a matter of its capabilities: a call that a granted capability is
//! there for is not refused.

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

use crate::bundle::malformed;
use crate::exit::Error;

/// Refused always: with EPERM, as the kernel answers a process without the right.
const NEVER: &[&str] = &[
    // Not namespaced: the kernel's key rings, and tracing of everything.
    "add_key",
    "keyctl",
    "request_key",
    "kcmp",
    "lookup_dcookie",
    // The machine itself. A container has CAP_SYS_BOOT to end itself with reboot(2), not to bring a kernel along.
    "get_kernel_syms",
    "kexec_file_load",
    "kexec_load",
    "swapoff",
    "swapon",
    // Obsolete doors.
    "_sysctl",
    "nfsservctl",
    "uselib",
    "vm86",
    "vm86old",
];

/// Refused unless the container has the capability.
const UNLESS: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (Capability::Perfmon, &["perf_event_open"]),
    (
        Capability::SysModule,
        &["create_module", "delete_module", "finit_module", "init_module", "query_module"],
    ),
    (Capability::SysPacct, &["acct"]),
    (Capability::SysPtrace, &["userfaultfd"]),
    (Capability::SysRawio, &["ioperm", "iopl", "pciconfig_iobase", "pciconfig_read", "pciconfig_write"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::SysTime, &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    (
        Capability::SysAdmin,
        &[
            "bpf",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "pivot_root",
            "quotactl",
            "quotactl_fd",
            "setns",
            "umount",
            "umount2",
        ],
    ),
];

/// Answered with ENOSYS, so that programs take the older way: io_uring passes the filter by, and clone3's flags are in
/// memory where no filter can see a new user namespace.
const NOT_THERE: &[&str] = &["io_uring_enter", "io_uring_register", "io_uring_setup"];

const CLONE_NEWUSER: u64 = 0x1000_0000;
/// Sockets to the hypervisor or its guests: no namespace confines them (vsock(7)).
const AF_VSOCK: u64 = 40;
/// ioctl_tty(2): TIOCSTI and TIOCLINUX.
const TERMINAL_IOCTLS: [u64; 2] = [0x5412, 0x541c];
const LOW_32_BITS: u64 = 0xffff_ffff;

/// The filter for a container with these capabilities.
pub(crate) fn default_filter(capabilities: &[Capability]) -> Result<LinuxSeccomp, Error> {
    let has = |capability: &Capability| capabilities.contains(capability);
    let mut rules = vec![refuse(NEVER)?];
    for (capability, names) in UNLESS {
        if !has(capability) {
            rules.push(refuse(names)?);
        }
    }
    let mut not_there = NOT_THERE.to_vec();
    if !has(&Capability::SysAdmin) {
        not_there.push("clone3");
        for name in ["clone", "unshare"] {
            rules.push(refuse_argument(name, 0, CLONE_NEWUSER, CLONE_NEWUSER)?);
        }
    }
    rules.push(answer(&not_there, libc::ENOSYS)?);
    rules.push(refuse_argument("socket", 0, LOW_32_BITS, AF_VSOCK)?);
    for request in TERMINAL_IOCTLS {
        // The kernel looks at 32 bits of the request only.
        rules.push(refuse_argument("ioctl", 1, LOW_32_BITS, request)?);
    }
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .architectures(architectures())
        .syscalls(rules)
        .build()
        .map_err(malformed)
}

fn refuse(names: &[&str]) -> Result<LinuxSyscall, Error> {
    answer(names, libc::EPERM)
}

fn answer(names: &[&str], errno: i32) -> Result<LinuxSyscall, Error> {
    LinuxSyscallBuilder::default()
        .names(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .action(LinuxSeccompAction::ScmpActErrno)
        .errno_ret(errno.unsigned_abs())
        .build()
        .map_err(malformed)
}

/// Refuses `name` when `argument & mask == value`.
fn refuse_argument(name: &str, argument: usize, mask: u64, value: u64) -> Result<LinuxSyscall, Error> {
    let argument = LinuxSeccompArgBuilder::default()
        .index(argument)
        .value(mask)
        .value_two(value)
        .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
        .build()
        .map_err(malformed)?;
    LinuxSyscallBuilder::default()
        .names(vec![name.to_owned()])
        .action(LinuxSeccompAction::ScmpActErrno)
        .errno_ret(libc::EPERM.unsigned_abs())
        .args(vec![argument])
        .build()
        .map_err(malformed)
}

/// The host's own architecture and those it runs besides; calls of any other are killed by the filter.
fn architectures() -> Vec<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        "aarch64" => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(filter: &LinuxSeccomp, name: &str) -> bool {
        filter.syscalls().iter().flatten().any(|rule| rule.names().iter().any(|known| known == name))
    }

    #[test]
    fn a_capability_opens_what_it_is_there_for() {
        let plain = default_filter(&[]).unwrap();
        assert!(refused(&plain, "mount") && refused(&plain, "clone3"));
        let admin = default_filter(&[Capability::SysAdmin]).unwrap();
        assert!(!refused(&admin, "mount") && !refused(&admin, "clone3"));
        assert!(refused(&default_filter(&[Capability::SysBoot]).unwrap(), "kexec_load"));
    }

    #[test]
    fn no_name_stands_twice_but_for_arguments() {
        let mut names: Vec<&str> =
            NEVER.iter().chain(NOT_THERE).chain(UNLESS.iter().flat_map(|(_, n)| *n)).copied().collect();
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
