// SPDX-License-Identifier: MIT OR Apache-2.0
//! systemd.resource-control(5): which settings `[resources]` knows, and what their values may be. systemd ignores a
//! value that it does not like and starts the unit without a limit; so every value is checked here, by its own rules.

mod parse;

use crate::fragment::Setting;
use crate::settings::Value;
use crate::value::{BadValue, Size, Timespan, bad, parse_percent};
pub(crate) use parse::is_plain_path;
use parse::{
    device_line, parse_address, parse_bind_rule, parse_bpf_program, parse_controller, parse_indices,
    parse_interface, parse_interfaces, parse_memory, parse_nft_set, parse_part, parse_tasks, parse_weight,
};

/// One setting.
#[derive(Debug)]
pub struct Row {
    /// The key below `[resources]`.
    pub key: &'static str,
    /// systemd's name.
    pub directive: &'static str,
    /// The systemd that has it first, where that is later than 252; an older one ignores it.
    pub since: u32,
    kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    /// 1 to 10000.
    Weight,
    /// The same, or `idle`.
    CpuWeight,
    /// A percentage above 0, of one CPU.
    Quota,
    /// 1ms to 1s.
    QuotaPeriod,
    /// A time span, not 0.
    Time,
    /// 1s and more.
    PressureDuration,
    /// `0-3,8`
    Indices,
    /// Bytes, infinity, or a part of the installed memory.
    Memory,
    /// As `Memory`, not 0.
    MemoryMax,
    /// Bytes or infinity.
    Swap,
    /// A number, infinity, or a part of what the system allows; not 0.
    Tasks,
    /// At most 100%.
    Percent,
    /// One of these.
    Word(&'static [&'static str]),
    /// A path and a weight.
    DeviceWeight,
    /// A path and a bandwidth or rate, to the base 1000.
    DeviceRate,
    /// A path and a time span.
    DeviceLatency,
    Address,
    BindRule,
    Interfaces,
    NftSet,
    Path,
    BpfProgram,
    Controllers,
}

/// Every setting, in the order in which they are written.
pub const TABLE: [Row; 52] = [
    row("cpu_accounting", "CPUAccounting", Kind::Bool),
    row("cpu_weight", "CPUWeight", Kind::CpuWeight),
    row("startup_cpu_weight", "StartupCPUWeight", Kind::CpuWeight),
    row("cpu_quota", "CPUQuota", Kind::Quota),
    row("cpu_quota_period_sec", "CPUQuotaPeriodSec", Kind::QuotaPeriod),
    row("allowed_cpus", "AllowedCPUs", Kind::Indices),
    row("startup_allowed_cpus", "StartupAllowedCPUs", Kind::Indices),
    row("allowed_memory_nodes", "AllowedMemoryNodes", Kind::Indices),
    row("startup_allowed_memory_nodes", "StartupAllowedMemoryNodes", Kind::Indices),
    row("memory_accounting", "MemoryAccounting", Kind::Bool),
    row("memory_min", "MemoryMin", Kind::Memory),
    row("memory_low", "MemoryLow", Kind::Memory),
    new("startup_memory_low", "StartupMemoryLow", 254, Kind::Memory),
    row("memory_high", "MemoryHigh", Kind::MemoryMax),
    new("startup_memory_high", "StartupMemoryHigh", 254, Kind::MemoryMax),
    row("memory_max", "MemoryMax", Kind::MemoryMax),
    new("startup_memory_max", "StartupMemoryMax", 254, Kind::MemoryMax),
    row("memory_swap_max", "MemorySwapMax", Kind::Swap),
    new("startup_memory_swap_max", "StartupMemorySwapMax", 254, Kind::Swap),
    new("memory_zswap_max", "MemoryZSwapMax", 253, Kind::Swap),
    new("startup_memory_zswap_max", "StartupMemoryZSwapMax", 254, Kind::Swap),
    new("memory_zswap_writeback", "MemoryZSwapWriteback", 256, Kind::Bool),
    new("memory_pressure_watch", "MemoryPressureWatch", 254, Kind::Word(&["auto", "on", "off", "skip"])),
    new("memory_pressure_threshold_sec", "MemoryPressureThresholdSec", 254, Kind::Time),
    row("tasks_accounting", "TasksAccounting", Kind::Bool),
    row("tasks_max", "TasksMax", Kind::Tasks),
    row("io_accounting", "IOAccounting", Kind::Bool),
    row("io_weight", "IOWeight", Kind::Weight),
    row("startup_io_weight", "StartupIOWeight", Kind::Weight),
    row("io_device_weight", "IODeviceWeight", Kind::DeviceWeight),
    row("io_read_bandwidth_max", "IOReadBandwidthMax", Kind::DeviceRate),
    row("io_write_bandwidth_max", "IOWriteBandwidthMax", Kind::DeviceRate),
    row("io_read_iops_max", "IOReadIOPSMax", Kind::DeviceRate),
    row("io_write_iops_max", "IOWriteIOPSMax", Kind::DeviceRate),
    row("io_device_latency_target_sec", "IODeviceLatencyTargetSec", Kind::DeviceLatency),
    row("ip_accounting", "IPAccounting", Kind::Bool),
    row("ip_address_allow", "IPAddressAllow", Kind::Address),
    row("ip_address_deny", "IPAddressDeny", Kind::Address),
    row("ip_ingress_filter_path", "IPIngressFilterPath", Kind::Path),
    row("ip_egress_filter_path", "IPEgressFilterPath", Kind::Path),
    row("socket_bind_allow", "SocketBindAllow", Kind::BindRule),
    row("socket_bind_deny", "SocketBindDeny", Kind::BindRule),
    row("restrict_network_interfaces", "RestrictNetworkInterfaces", Kind::Interfaces),
    new("nft_set", "NFTSet", 255, Kind::NftSet),
    row("bpf_program", "BPFProgram", Kind::BpfProgram),
    row("disable_controllers", "DisableControllers", Kind::Controllers),
    row("managed_oom_swap", "ManagedOOMSwap", Kind::Word(&["auto", "kill"])),
    row("managed_oom_memory_pressure", "ManagedOOMMemoryPressure", Kind::Word(&["auto", "kill"])),
    row("managed_oom_memory_pressure_limit", "ManagedOOMMemoryPressureLimit", Kind::Percent),
    new(
        "managed_oom_memory_pressure_duration_sec",
        "ManagedOOMMemoryPressureDurationSec",
        257,
        Kind::PressureDuration,
    ),
    row("managed_oom_preference", "ManagedOOMPreference", Kind::Word(&["none", "avoid", "omit"])),
    new("coredump_receive", "CoredumpReceive", 255, Kind::Bool),
];

const fn row(key: &'static str, directive: &'static str, kind: Kind) -> Row {
    new(key, directive, 252, kind)
}

const fn new(key: &'static str, directive: &'static str, since: u32, kind: Kind) -> Row {
    Row { key, directive, since, kind }
}

/// What to write instead of settings that exist, or did, but are not for `[resources]`.
pub(crate) fn instead_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "memory_limit" => "use `memory_max`",
        "cpu_shares" => "use `cpu_weight`",
        "startup_cpu_shares" => "use `startup_cpu_weight`",
        "block_io_accounting" => "use `io_accounting`",
        "block_io_weight" => "use `io_weight`",
        "startup_block_io_weight" => "use `startup_io_weight`",
        "block_io_device_weight" => "use `io_device_weight`",
        "block_io_read_bandwidth" => "use `io_read_bandwidth_max`",
        "block_io_write_bandwidth" => "use `io_write_bandwidth_max`",
        "slice" => "use `slice` at the top",
        "device_allow" | "device_policy" => "use `security.devices`",
        "delegate" => "ct delegates the container's part of the unit by itself",
        _ => return None,
    })
}

/// How a value is written, for the schema.
#[cfg(feature = "schema")]
pub(crate) enum Shape {
    Bool,
    Word(&'static [&'static str]),
    Weight,
    /// One value.
    Single,
    /// One or several.
    Lines,
}

#[cfg(feature = "schema")]
impl Row {
    pub(crate) fn shape(&self) -> Shape {
        match self.kind {
            Kind::Bool => Shape::Bool,
            Kind::Word(words) => Shape::Word(words),
            Kind::Weight | Kind::CpuWeight => Shape::Weight,
            _ if self.parse_lines(&Setting::Text(String::new())).is_some() => Shape::Lines,
            _ => Shape::Single,
        }
    }
}

impl Row {
    /// Checks a value; the reason of an error begins with the value.
    pub(crate) fn parse(&self, setting: &Setting) -> Result<Value, BadValue> {
        if let Some(value) = self.parse_lines(setting) {
            return value;
        }
        let text = match setting {
            Setting::Bool(value) => {
                return match self.kind {
                    Kind::Bool => Ok(Value::Bool(*value)),
                    _ => Err(BadValue(format!("must not be {value}"))),
                };
            }
            Setting::List(_) => return Err(BadValue("must be a single value, not a list".to_owned())),
            Setting::Text(text) => text.as_str(),
        };
        match self.kind {
            Kind::Bool => match text {
                "yes" | "on" => Ok(Value::Bool(true)),
                "no" | "off" => Ok(Value::Bool(false)),
                _ => bad(text, "true or false"),
            },
            Kind::Weight => parse_weight(text).map(Value::Integer),
            Kind::CpuWeight if text == "idle" => Ok(Value::Word("idle")),
            Kind::CpuWeight => match parse_weight(text) {
                Ok(weight) => Ok(Value::Integer(weight)),
                Err(_) => bad(text, "a weight from 1 to 10000, or idle"),
            },
            Kind::Quota => match parse_percent(text)? {
                0 => bad(text, "above 0%"),
                quota => Ok(Value::Percent(quota)),
            },
            Kind::QuotaPeriod => match Timespan::parse(text)? {
                period @ Timespan::Finite(1_000..=1_000_000) => Ok(Value::Time(period)),
                _ => bad(text, "a time span from 1ms to 1s"),
            },
            Kind::Time => match Timespan::parse(text)? {
                Timespan::Finite(0) => bad(text, "a time span above 0"),
                span => Ok(Value::Time(span)),
            },
            Kind::PressureDuration => match Timespan::parse(text)? {
                Timespan::Finite(..1_000_000) => bad(text, "a time span of 1s or more"),
                span => Ok(Value::Time(span)),
            },
            Kind::Memory => parse_memory(text),
            Kind::MemoryMax => match parse_memory(text)? {
                Value::Size(Size::Finite(0)) | Value::Percent(0) => bad(text, "above 0"),
                value => Ok(value),
            },
            Kind::Swap => Size::parse(text).map(Value::Size),
            Kind::Tasks => parse_tasks(text),
            Kind::Percent => parse_part(text).map(Value::Percent),
            Kind::Word(words) => match words.iter().find(|word| **word == text) {
                Some(word) => Ok(Value::Word(word)),
                None => bad(text, &format!("one of {}", words.join(", "))),
            },
            // Taken above.
            _ => bad(text, "a value of this setting"),
        }
    }

    /// The settings of which a unit may have several; `None` if this is none of them.
    fn parse_lines(&self, setting: &Setting) -> Option<Result<Value, BadValue>> {
        let parse: fn(&str) -> Result<String, BadValue> = match self.kind {
            Kind::Indices => parse_indices,
            Kind::DeviceWeight => |text| device_line(text, |weight| Ok(parse_weight(weight)?.to_string())),
            Kind::DeviceRate => |text| {
                device_line(text, |rate| match Size::parse_decimal(rate)? {
                    Size::Finite(0) => bad(rate, "above 0"),
                    rate => Ok(rate.to_string()),
                })
            },
            Kind::DeviceLatency => {
                |text| device_line(text, |target| Ok(Timespan::parse(target)?.to_string()))
            }
            Kind::Address => parse_address,
            Kind::BindRule => parse_bind_rule,
            Kind::Interfaces => parse_interface,
            Kind::NftSet => parse_nft_set,
            Kind::Path => {
                |text| if is_plain_path(text) { Ok(text.to_owned()) } else { bad(text, "an absolute path") }
            }
            Kind::BpfProgram => parse_bpf_program,
            Kind::Controllers => parse_controller,
            _ => return None,
        };
        // A pair is one entry although it has a blank in it; the others may also be written as one string.
        let pairs = matches!(self.kind, Kind::DeviceWeight | Kind::DeviceRate | Kind::DeviceLatency);
        let mut lines = Vec::new();
        let mut add = |text: &str| -> Result<(), BadValue> {
            if pairs {
                lines.push(parse(text)?);
            } else {
                for word in text.split_ascii_whitespace() {
                    lines.push(parse(word)?);
                }
            }
            Ok(())
        };
        let added = match setting {
            Setting::Text(text) => add(text),
            Setting::List(list) => list.iter().try_for_each(|text| add(text.get_ref())),
            Setting::Bool(value) => Err(BadValue(format!("must not be {value}"))),
        };
        Some(added.and_then(|()| match self.kind {
            // An empty assignment would reset what the template has, or mean "all".
            _ if lines.is_empty() => Err(BadValue("must not be empty".to_owned())),
            // These are one set, not several settings.
            Kind::Indices => Ok(Value::Lines(vec![lines.join(",")])),
            Kind::Interfaces => parse_interfaces(&lines),
            _ => Ok(Value::Lines(lines)),
        }))
    }
}
