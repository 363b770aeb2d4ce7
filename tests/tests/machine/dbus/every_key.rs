// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container with every key that a systemd has a setting for.

use ct_config::resource_control::TABLE;
use ct_dbus::Systemd;

/// Every key there is, and the properties of the unit that it shows in.
///
/// Those of systems newer than 252 are added from the table, below.
const EVERYTHING: &str = r#"
slice = "ct-twin.slice"
[root]
path = "/srv/rootfs"
[process]
command = ["sleep", "1000"]
[limits]
as = "1G:2G"
core = 0
cpu = "1min:2min"
data = "512M"
fsize = "100M"
locks = "10:20"
memlock = "64K"
msgqueue = 8192
nice = "10:20"
nofile = "100:1000"
nproc = 500
rss = "100M"
rtprio = 5
rttime = "1s:2s"
sigpending = 100
stack = "4M:8M"
[resources]
cpu_accounting = false
cpu_weight = 200
startup_cpu_weight = "idle"
cpu_quota = "12.5%"
cpu_quota_period_sec = "50ms"
allowed_cpus = "0-1"
startup_allowed_cpus = "0"
allowed_memory_nodes = "0"
startup_allowed_memory_nodes = "0"
memory_accounting = false
memory_min = "1M"
memory_low = "10%"
memory_high = "200M"
memory_max = "33.33%"
memory_swap_max = "1G"
tasks_accounting = false
tasks_max = 512
io_accounting = true
io_weight = 50
startup_io_weight = 60
io_device_weight = "/dev/null 70"
io_read_bandwidth_max = ["/dev/null 10M", "/dev/zero 1K"]
io_write_bandwidth_max = "/dev/null 20M"
io_read_iops_max = "/dev/null 1000"
io_write_iops_max = "/dev/null 2000"
io_device_latency_target_sec = "/dev/null 25ms"
ip_accounting = true
ip_address_allow = ["10.0.0.0/8", "fd00::/8", "localhost"]
ip_address_deny = "any"
bpf_program = "egress:/sys/fs/bpf/program"
socket_bind_allow = ["ipv4:tcp:8080", "udp", "ipv6:tcp:1000-2000"]
socket_bind_deny = "any"
restrict_network_interfaces = "~eth0"
disable_controllers = ["cpu", "io"]
managed_oom_swap = "kill"
managed_oom_memory_pressure = "kill"
managed_oom_memory_pressure_limit = "60%"
managed_oom_preference = "avoid"
[oom]
score_adjust = 321
policy = "stop"
[stop]
signal = "SIGRTMIN+5"
timeout = "12s"
[restart]
policy = "on-abnormal"
delay = "345ms"
[security]
devices = ["/dev/fuse:rw"]
"#;

/// Settings that only a newer systemd has.
const NEWER: [(&str, &str); 11] = [
    ("startup_memory_low", "'2M'"),
    ("startup_memory_high", "'300M'"),
    ("startup_memory_max", "'40%'"),
    ("startup_memory_swap_max", "'1G'"),
    ("memory_zswap_max", "'2G'"),
    ("startup_memory_zswap_max", "'3G'"),
    ("memory_zswap_writeback", "false"),
    ("memory_pressure_watch", "'on'"),
    ("memory_pressure_threshold_sec", "'150ms'"),
    ("nft_set", "['cgroup:inet:filter:web', 'user:ip6:filter:users']"),
    ("coredump_receive", "true"),
];

/// These name a program that must be there when a unit starts.
pub(crate) const FILTERS: &str =
    "[resources]\nip_ingress_filter_path = '/sys/fs/bpf/in'\nip_egress_filter_path = '/sys/fs/bpf/out'\n";

/// Every key that this systemd has.
pub(crate) fn everything(systemd: &Systemd) -> String {
    let version = systemd.major_version().expect("it has one");
    let mut toml = EVERYTHING.to_owned();
    let duration = ("managed_oom_memory_pressure_duration_sec", "'2s'");
    for (key, value) in NEWER.iter().chain([&duration]) {
        let row = TABLE.iter().find(|row| row.key == *key).expect("a key of the table");
        if row.since <= version {
            toml = toml.replace("[resources]\n", &format!("[resources]\n{key} = {value}\n"));
        }
    }
    for row in TABLE.iter().filter(|row| row.since <= version) {
        let key = format!("\n{} = ", row.key);
        assert!(toml.contains(&key) || FILTERS.contains(&key), "{} is not tried", row.key);
    }
    toml
}
