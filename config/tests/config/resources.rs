// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[resources]`: what each key accepts, against what systemd makes of it.

use crate::fake_root::FakeRoot;
use ct_config::container::Container;
use ct_config::resource_control::TABLE;
use ct_config::settings::Value;
use ct_config::value::{Size, Timespan};

/// A key, what it is set to in TOML, and the value that this makes.
type Accepted = (&'static str, &'static str, Value);

const MEGABYTE: Value = Value::Size(Size::Finite(1 << 20));

fn lines(lines: &[&str]) -> Value {
    Value::Lines(lines.iter().map(ToString::to_string).collect())
}

/// Processors.
fn cpu() -> Vec<Accepted> {
    vec![
        ("cpu_accounting", "true", Value::Bool(true)),
        ("cpu_accounting", "\"off\"", Value::Bool(false)),
        ("cpu_weight", "100", Value::Integer(100)),
        ("cpu_weight", "\"idle\"", Value::Word("idle")),
        ("startup_cpu_weight", "\"10000\"", Value::Integer(10_000)),
        ("cpu_quota", "\"150%\"", Value::Percent(15_000)),
        ("cpu_quota", "\"12.5%\"", Value::Percent(1250)),
        ("cpu_quota_period_sec", "\"10ms\"", Value::Time(Timespan::Finite(10_000))),
        ("cpu_quota_period_sec", "1", Value::Time(Timespan::Finite(1_000_000))),
        ("allowed_cpus", "\"0-3,8\"", lines(&["0-3,8"])),
        ("allowed_cpus", "\"0-3 8\"", lines(&["0-3,8"])),
        ("allowed_cpus", "5", lines(&["5"])),
        ("startup_allowed_cpus", "[\"0\", \"1\"]", lines(&["0,1"])),
        ("allowed_memory_nodes", "0", lines(&["0"])),
        ("startup_allowed_memory_nodes", "\"0-1\"", lines(&["0-1"])),
    ]
}

/// Memory, and what happens when there is too little.
fn memory() -> Vec<Accepted> {
    vec![
        ("memory_accounting", "false", Value::Bool(false)),
        ("memory_min", "0", Value::Size(Size::Finite(0))),
        ("memory_low", "\"10%\"", Value::Percent(1000)),
        ("startup_memory_low", "\"1M\"", MEGABYTE),
        ("memory_high", "\"infinity\"", Value::Size(Size::Infinity)),
        ("startup_memory_high", "\"1M\"", MEGABYTE),
        ("memory_max", "\"1.5G\"", Value::Size(Size::Finite(3 << 29))),
        ("memory_max", "1048576", MEGABYTE),
        ("memory_max", "\"50.25%\"", Value::Percent(5025)),
        ("startup_memory_max", "\"1M\"", MEGABYTE),
        ("memory_swap_max", "0", Value::Size(Size::Finite(0))),
        ("startup_memory_swap_max", "\"1M\"", MEGABYTE),
        ("memory_zswap_max", "\"1M\"", MEGABYTE),
        ("startup_memory_zswap_max", "\"1M\"", MEGABYTE),
        ("memory_zswap_writeback", "true", Value::Bool(true)),
        ("memory_pressure_watch", "\"auto\"", Value::Word("auto")),
        ("memory_pressure_threshold_sec", "\"100ms\"", Value::Time(Timespan::Finite(100_000))),
        ("managed_oom_swap", "\"kill\"", Value::Word("kill")),
        ("managed_oom_memory_pressure", "\"auto\"", Value::Word("auto")),
        ("managed_oom_memory_pressure_limit", "\"60%\"", Value::Percent(6000)),
        ("managed_oom_memory_pressure_duration_sec", "\"20s\"", Value::Time(Timespan::Finite(20_000_000))),
        ("managed_oom_preference", "\"avoid\"", Value::Word("avoid")),
    ]
}

/// Processes and disks.
fn tasks_and_io() -> Vec<Accepted> {
    vec![
        ("tasks_accounting", "true", Value::Bool(true)),
        ("tasks_max", "512", Value::Count(Size::Finite(512))),
        ("tasks_max", "\"10%\"", Value::Percent(1000)),
        ("tasks_max", "\"infinity\"", Value::Count(Size::Infinity)),
        ("io_accounting", "true", Value::Bool(true)),
        ("io_weight", "1", Value::Integer(1)),
        ("startup_io_weight", "1", Value::Integer(1)),
        ("io_device_weight", "\"/dev/sda 100\"", lines(&["/dev/sda 100"])),
        (
            "io_read_bandwidth_max",
            "[\"/dev/sda 5M\", \"/dev/sdb infinity\"]",
            lines(&["/dev/sda 5000000", "/dev/sdb infinity"]),
        ),
        ("io_write_bandwidth_max", "\"/var 1.5M\"", lines(&["/var 1500000"])),
        ("io_read_iops_max", "\"/dev/sda 1K\"", lines(&["/dev/sda 1000"])),
        ("io_write_iops_max", "\"/dev/sda 1\"", lines(&["/dev/sda 1"])),
        ("io_device_latency_target_sec", "\"/dev/sda 10ms\"", lines(&["/dev/sda 10ms"])),
    ]
}

/// Networks.
fn network() -> Vec<Accepted> {
    vec![
        ("ip_accounting", "true", Value::Bool(true)),
        ("ip_address_allow", "\"any\"", lines(&["any"])),
        ("ip_address_allow", "\"10.0.0.0/8 ::1\"", lines(&["10.0.0.0/8", "::1"])),
        ("ip_address_deny", "[\"localhost\", \"fe80::/64\"]", lines(&["localhost", "fe80::/64"])),
        ("ip_ingress_filter_path", "\"/sys/fs/bpf/a\"", lines(&["/sys/fs/bpf/a"])),
        ("ip_egress_filter_path", "\"/sys/fs/bpf/a\"", lines(&["/sys/fs/bpf/a"])),
        ("socket_bind_allow", "\"ipv6:tcp:10000-65535\"", lines(&["ipv6:tcp:10000-65535"])),
        ("socket_bind_allow", "80", lines(&["80"])),
        (
            "socket_bind_deny",
            "[\"any\", \"udp\", \"ipv4\", \"ipv4:8080\"]",
            lines(&["any", "udp", "ipv4", "ipv4:8080"]),
        ),
        ("restrict_network_interfaces", "\"~eth0 eth1\"", lines(&["~eth0 eth1"])),
        ("restrict_network_interfaces", "[\"lo\", \"ve-web\"]", lines(&["lo ve-web"])),
        ("nft_set", "\"cgroup:inet:filter:web\"", lines(&["cgroup:inet:filter:web"])),
    ]
}

/// The rest.
fn others() -> Vec<Accepted> {
    vec![
        ("bpf_program", "\"egress:/sys/fs/bpf/a\"", lines(&["egress:/sys/fs/bpf/a"])),
        ("disable_controllers", "[\"cpu\", \"io\"]", lines(&["cpu", "io"])),
        ("coredump_receive", "true", Value::Bool(true)),
    ]
}

fn accepted() -> Vec<Accepted> {
    [cpu(), memory(), tasks_and_io(), network(), others()].concat()
}

const REFUSED: [(&str, &str); 71] = [
    ("cpu_accounting", "1"),
    ("cpu_accounting", "\"maybe\""),
    ("cpu_accounting", "[]"),
    ("cpu_weight", "0"),
    ("cpu_weight", "10001"),
    ("cpu_weight", "true"),
    ("cpu_weight", "\"-1\""),
    ("io_weight", "\"idle\""),
    ("cpu_quota", "\"0%\""),
    ("cpu_quota", "50"),
    ("cpu_quota", "\"50\""),
    ("cpu_quota", "1.5"),
    ("cpu_quota_period_sec", "0"),
    ("cpu_quota_period_sec", "\"5s\""),
    ("cpu_quota_period_sec", "\"infinity\""),
    ("allowed_cpus", "\"3-1\""),
    ("allowed_cpus", "\"a\""),
    ("allowed_cpus", "9000"),
    ("allowed_cpus", "\"\""),
    ("allowed_cpus", "[]"),
    ("allowed_cpus", "-1"),
    ("memory_max", "\"12Q\""),
    ("memory_max", "\"abc\""),
    ("memory_max", "-5"),
    ("memory_max", "0"),
    ("memory_max", "\"0%\""),
    ("memory_max", "\"101%\""),
    ("memory_max", "\"99999999999999999999\""),
    ("memory_max", "[\"1G\"]"),
    ("memory_max", "\"\""),
    ("memory_max", "{ a = 1 }"),
    ("memory_high", "0"),
    ("memory_swap_max", "\"10%\""),
    ("tasks_max", "0"),
    ("tasks_max", "-5"),
    ("tasks_max", "\"0%\""),
    ("tasks_max", "\"1K\""),
    ("io_device_weight", "\"/dev/sda 0\""),
    ("io_device_weight", "\"/dev/sda\""),
    ("io_device_weight", "\"sda 5\""),
    ("io_device_weight", "\"/dev/../a 5\""),
    ("io_read_bandwidth_max", "\"/dev/sda 0\""),
    ("io_read_bandwidth_max", "\"/dev/sd a 5\""),
    ("io_read_bandwidth_max", "\"/dev/%i 5\""),
    ("io_read_bandwidth_max", "[]"),
    ("ip_address_allow", "\"foo\""),
    ("ip_address_allow", "\"10.0.0.1/33\""),
    ("ip_address_allow", "\"::1/129\""),
    ("ip_address_allow", "\"1.2.3\""),
    ("ip_address_allow", "\"10.0.0.0/\""),
    ("ip_address_allow", "[]"),
    ("ip_address_allow", "true"),
    ("socket_bind_allow", "0"),
    ("socket_bind_allow", "65536"),
    ("socket_bind_allow", "\"20-10\""),
    ("socket_bind_allow", "\"tcp:\""),
    ("socket_bind_allow", "\"tcp:ipv4\""),
    ("socket_bind_allow", "\"\""),
    ("restrict_network_interfaces", "\"eth0 ~eth1\""),
    ("restrict_network_interfaces", "\"a/b\""),
    ("restrict_network_interfaces", "\"0123456789abcdef\""),
    ("nft_set", "\"cgroup:inet:filter\""),
    ("bpf_program", "\"foo:/x\""),
    ("bpf_program", "\"egress:x\""),
    ("disable_controllers", "\"net\""),
    ("managed_oom_swap", "\"foo\""),
    ("managed_oom_memory_pressure_limit", "\"150%\""),
    ("managed_oom_memory_pressure_duration_sec", "\"100ms\""),
    ("managed_oom_preference", "true"),
    ("ip_ingress_filter_path", "\"x\""),
    ("memory_pressure_threshold_sec", "0"),
];

/// A container with one key.
fn container(root: &FakeRoot, key: &str, value: &str) -> Result<Container, Vec<String>> {
    root.only(&format!("root.path = \"/a\"\n[resources]\n{key} = {value}\n"))
}

#[test]
fn each_key_makes_the_directive_and_value_that_it_should() {
    let root = FakeRoot::new("accepted");
    for (key, text, want) in accepted() {
        let container =
            container(&root, key, text).unwrap_or_else(|reasons| panic!("{key} = {text}: {reasons:#?}"));
        let row = TABLE.iter().find(|row| row.key == key).unwrap();
        assert_eq!(container.resources[0].name, row.directive, "{key}");
        assert_eq!(container.resources[0].value, want, "{key} = {text}");
    }
}

#[test]
fn every_key_of_the_table_is_tried() {
    let accepted = accepted();
    for row in &TABLE {
        assert!(accepted.iter().any(|(key, ..)| *key == row.key), "{}", row.key);
    }
}

#[test]
fn what_systemd_would_pass_over_is_refused() {
    let root = FakeRoot::new("refused");
    for (key, text) in REFUSED {
        let reasons = container(&root, key, text).expect_err(&format!("{key} = {text}"));
        assert!(reasons[0].contains(&format!("resources.{key}: ")), "{reasons:#?}");
    }
}

#[test]
fn a_refusal_says_where_and_what_to_write_instead() {
    let root = FakeRoot::new("reasons");
    let reason = |key: &str, text: &str| container(&root, key, text).unwrap_err().join("\n");
    assert_eq!(
        reason("memory_limit", "1"),
        "web.toml:3:1: resources: unknown key `memory_limit` (use `memory_max`)"
    );
    assert_eq!(
        reason("memory_mx", "1"),
        "web.toml:3:1: resources: unknown key `memory_mx` (did you mean `memory_max`?)"
    );
    assert_eq!(
        reason("MemoryMax", "1"),
        "web.toml:3:1: resources: unknown key `MemoryMax` (did you mean `memory_max`?)"
    );
    assert_eq!(
        reason("ip_address_allow", "\"10.0.0.1/33\""),
        "web.toml:3:20: resources.ip_address_allow: \"10.0.0.1/33\" is not a network: the prefix goes up to 32"
    );
}

#[test]
fn resources_come_in_the_order_of_the_table() {
    let root = FakeRoot::new("order");
    let text =
        "root.path = \"/a\"\n[resources]\ntasks_max = 1\nmemory_max = 1\nio_weight = 1\ncpu_weight = 1\n";
    let names: Vec<&str> = root.only(text).unwrap().resources.iter().map(|property| property.name).collect();
    assert_eq!(names, ["CPUWeight", "MemoryMax", "TasksMax", "IOWeight"]);
}
