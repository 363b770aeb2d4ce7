// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is each key of `[resources]` what systemd shows, and what the kernel was told? See systemd.resource-control(5).

use std::collections::BTreeMap;

use ct_config::resource_control::TABLE;
use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, container};

/// A key with its value, and what `systemctl show` of systemd 257 says of it, to which the sets of a startup are bit masks.
const RESOURCES: [(&str, &str, &str); 52] = [
    ("cpu_accounting", "true", "CPUAccounting=yes"),
    ("cpu_weight", "250", "CPUWeight=250"),
    ("startup_cpu_weight", "350", "StartupCPUWeight=350"),
    ("cpu_quota", "'150%'", "CPUQuotaPerSecUSec=1.500000s"),
    ("cpu_quota_period_sec", "'50ms'", "CPUQuotaPeriodUSec=50ms"),
    ("allowed_cpus", "'1'", "AllowedCPUs=1"),
    ("startup_allowed_cpus", "'0-1'", "StartupAllowedCPUs=0300000000000000"),
    ("allowed_memory_nodes", "'0'", "AllowedMemoryNodes=0"),
    ("startup_allowed_memory_nodes", "'0'", "StartupAllowedMemoryNodes=0100000000000000"),
    ("memory_accounting", "true", "MemoryAccounting=yes"),
    ("memory_min", "'1M'", "MemoryMin=1048576"),
    ("memory_low", "'2M'", "MemoryLow=2097152"),
    ("startup_memory_low", "'3M'", "StartupMemoryLow=3145728"),
    ("memory_high", "'300M'", "MemoryHigh=314572800"),
    ("startup_memory_high", "'310M'", "StartupMemoryHigh=325058560"),
    ("memory_max", "'400M'", "MemoryMax=419430400"),
    ("startup_memory_max", "'410M'", "StartupMemoryMax=429916160"),
    ("memory_swap_max", "'10M'", "MemorySwapMax=10485760"),
    ("startup_memory_swap_max", "'11M'", "StartupMemorySwapMax=11534336"),
    ("memory_zswap_max", "'5M'", "MemoryZSwapMax=5242880"),
    ("startup_memory_zswap_max", "'6M'", "StartupMemoryZSwapMax=6291456"),
    ("memory_zswap_writeback", "false", "MemoryZSwapWriteback=no"),
    ("memory_pressure_watch", "'on'", "MemoryPressureWatch=yes"),
    ("memory_pressure_threshold_sec", "'300ms'", "MemoryPressureThresholdUSec=300ms"),
    ("tasks_accounting", "true", "TasksAccounting=yes"),
    ("tasks_max", "123", "TasksMax=123"),
    ("io_accounting", "true", "IOAccounting=yes"),
    ("io_weight", "300", "IOWeight=300"),
    ("startup_io_weight", "400", "StartupIOWeight=400"),
    ("io_device_weight", "'/dev/nvme0n1 500'", "IODeviceWeight=/dev/nvme0n1 500"),
    ("io_read_bandwidth_max", "'/dev/nvme0n1 10M'", "IOReadBandwidthMax=/dev/nvme0n1 10000000"),
    ("io_write_bandwidth_max", "'/dev/nvme0n1 20M'", "IOWriteBandwidthMax=/dev/nvme0n1 20000000"),
    ("io_read_iops_max", "'/dev/nvme0n1 1000'", "IOReadIOPSMax=/dev/nvme0n1 1000"),
    ("io_write_iops_max", "'/dev/nvme0n1 2000'", "IOWriteIOPSMax=/dev/nvme0n1 2000"),
    ("io_device_latency_target_sec", "'/dev/nvme0n1 25ms'", "IODeviceLatencyTargetUSec=/dev/nvme0n1 25ms"),
    ("ip_accounting", "true", "IPAccounting=yes"),
    ("ip_address_allow", "'127.0.0.0/8'", "IPAddressAllow=127.0.0.0/8"),
    ("ip_address_deny", "'10.0.0.0/8'", "IPAddressDeny=10.0.0.0/8"),
    ("ip_ingress_filter_path", "'/sys/fs/bpf/in'", "IPIngressFilterPath=/sys/fs/bpf/in"),
    ("ip_egress_filter_path", "'/sys/fs/bpf/out'", "IPEgressFilterPath=/sys/fs/bpf/out"),
    ("socket_bind_allow", "'tcp:8080'", "SocketBindAllow=tcp8080"),
    ("socket_bind_deny", "'any'", "SocketBindDeny=any"),
    ("restrict_network_interfaces", "'lo'", "RestrictNetworkInterfaces=lo"),
    ("nft_set", "'cgroup:inet:filter:containers'", NFT_SET),
    ("bpf_program", "'egress:/sys/fs/bpf/program'", "BPFProgram=egress:/sys/fs/bpf/program"),
    ("disable_controllers", "'io'", "DisableControllers=io"),
    ("managed_oom_swap", "'kill'", "ManagedOOMSwap=kill"),
    ("managed_oom_memory_pressure", "'kill'", "ManagedOOMMemoryPressure=kill"),
    ("managed_oom_memory_pressure_limit", "'50%'", "ManagedOOMMemoryPressureLimit=2147483648"),
    ("managed_oom_memory_pressure_duration_sec", "'2s'", "ManagedOOMMemoryPressureDurationUSec=2s"),
    ("managed_oom_preference", "'avoid'", "ManagedOOMPreference=avoid"),
    ("coredump_receive", "true", "CoredumpReceive=yes"),
];

/// systemctl does not show these, but the kernel has no such set, and systemd says so.
const NFT_SET: &str = "Failed to add NFT set entry: family inet, table filter, set containers";

/// Keys that are tried by what systemd shows of a unit that is not started: those that name a BPF program, which must be
/// there then, and one that would take others out of force.
const SHOWN_ONLY: [&str; 4] =
    ["ip_ingress_filter_path", "ip_egress_filter_path", "bpf_program", "disable_controllers"];

/// A file of the unit's cgroup, and what is in it. Those of `startup_…` count during boot only.
const FILES: [(&str, &str); 13] = [
    ("cpu.weight", "250"),
    ("cpu.max", "75000 50000"),
    ("cpuset.cpus", "1"),
    ("cpuset.mems", "0"),
    ("memory.min", "1048576"),
    ("memory.low", "2097152"),
    ("memory.high", "314572800"),
    ("memory.max", "419430400"),
    ("memory.swap.max", "10485760"),
    ("memory.oom.group", "1"),
    ("pids.max", "123"),
    ("io.weight", "default 300 259:0 500"),
    ("io.max", "259:0 rbps=10000000 wbps=20000000 riops=1000 wiops=2000"),
];

on_the_virtual_machine! {
    fn every_key_is_in_force(machine: &VirtualMachine) {
        let all: Vec<&str> = TABLE.iter().map(|row| row.key).collect();
        assert_eq!(RESOURCES.map(|(key, ..)| key).to_vec(), all, "each key of the table should be tried here");
        let table = |shown_only: bool| -> String {
            let rows = RESOURCES.iter().filter(|(key, ..)| SHOWN_ONLY.contains(key) == shown_only);
            "[resources]\n".to_owned() + &rows.map(|(key, value, _)| format!("{key} = {value}\n")).collect::<String>()
        };
        container(machine, "all", "", SLEEPS, &table(false));
        container(machine, "shown", "", SLEEPS, &table(true));
        machine.daemon_reload();
        // The kernel takes no weight for a device without.
        machine.shell("echo '259:0 enable=1' >/sys/fs/cgroup/io.cost.qos").succeeds();
        machine.start("ct@all");

        let show = |unit| machine.run(["systemctl", "show", unit]).succeeds().stdout;
        let shown = [show("ct@all"), show("ct@shown")];
        let [all, not_started] = [0, 1].map(|unit| shown[unit].lines().collect::<Vec<_>>());
        let names = FILES.map(|(file, _)| file).join(" ");
        let files = machine.shell(&format!("cd /sys/fs/cgroup/ct.slice/ct@all.service; grep . {names}")).stdout;
        let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (file, line) in files.lines().filter_map(|line| line.split_once(':')) {
            seen.entry(file).or_default().push(line);
        }
        let mut wrong = Vec::new();
        for (key, _, property) in RESOURCES {
            let shown = if SHOWN_ONLY.contains(&key) { &not_started } else { &all };
            if property == NFT_SET {
                let journal = machine.journalctl(&["--output", "cat", "_PID=1"]);
                assert!(journal.contains(NFT_SET), "{journal}");
            } else if !shown.contains(&property) {
                let name = property.split_inclusive('=').next().unwrap_or_default();
                let instead = shown.iter().find(|line| line.starts_with(name));
                wrong.push(format!("{key}: {property}, is {instead:?}"));
            }
        }
        for (file, text) in FILES {
            let seen = seen.get(file).map(|lines| lines.join(" ")).unwrap_or_default();
            if seen != text {
                wrong.push(format!("{file}: {text}, is {seen}"));
            }
        }
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), machine.journal("ct@all"));
    }
}
