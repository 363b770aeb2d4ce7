// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of single settings, in systemd's syntax.

use std::net::IpAddr;

use crate::settings::Value;
use crate::value::{BadValue, Size, bad, parse_number, parse_percent};

pub(super) fn parse_weight(text: &str) -> Result<i64, BadValue> {
    match parse_number(text).and_then(|n| i64::try_from(n).ok()) {
        Some(weight @ 1..=10_000) => Ok(weight),
        _ => bad(text, "a weight from 1 to 10000"),
    }
}

/// At most 100%.
pub(super) fn parse_part(text: &str) -> Result<u64, BadValue> {
    match parse_percent(text)? {
        part @ ..=10_000 => Ok(part),
        _ => bad(text, "a percentage up to 100%"),
    }
}

pub(super) fn parse_memory(text: &str) -> Result<Value, BadValue> {
    if text.ends_with('%') {
        parse_part(text).map(Value::Percent)
    } else {
        Size::parse(text).map(Value::Size)
    }
}

pub(super) fn parse_tasks(text: &str) -> Result<Value, BadValue> {
    const WHAT: &str = "a number above 0, a percentage up to 100%, or infinity";
    let value = if text.ends_with('%') {
        parse_part(text).map(Value::Percent)
    } else {
        Size::parse_count(text).map(Value::Count)
    };
    match value {
        Ok(Value::Count(Size::Finite(0)) | Value::Percent(0)) | Err(_) => bad(text, WHAT),
        value => value,
    }
}

/// Numbers and ranges of CPUs or memory nodes.
pub(super) fn parse_indices(text: &str) -> Result<String, BadValue> {
    const WHAT: &str = "a list of numbers and ranges such as 0-3,8";
    // systemd counts to here.
    let index = |text| parse_number(text).filter(|n| *n < 8192);
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (index(first), index(last)) {
            (Some(first), Some(last)) if first <= last => {}
            _ => return bad(text, WHAT),
        }
    }
    Ok(text.to_owned())
}

/// `PATH VALUE`
pub(super) fn device_line(
    text: &str,
    parse: impl Fn(&str) -> Result<String, BadValue>,
) -> Result<String, BadValue> {
    let mut words = text.split_ascii_whitespace();
    let (Some(path), Some(value), None) = (words.next(), words.next(), words.next()) else {
        return bad(text, "a path and a value, such as \"/dev/sda 10M\"");
    };
    if !is_plain_path(path) {
        return bad(path, "an absolute path");
    }
    Ok(format!("{path} {}", parse(value)?))
}

/// An absolute path that means the same to systemd unquoted: no specifiers, quotes or escapes.
pub(crate) fn is_plain_path(text: &str) -> bool {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.' | b'+' | b'@' | b',' | b'=')
    };
    text.starts_with('/')
        && text.bytes().all(|b| plain(b) || b == b':')
        && !text.split('/').any(|part| part == "..")
}

/// An address, a network, or a name for some of them.
pub(super) fn parse_address(text: &str) -> Result<String, BadValue> {
    if matches!(text, "any" | "localhost" | "link-local" | "multicast") {
        return Ok(text.to_owned());
    }
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => {
            return bad(
                text,
                "an IP address, a network such as 10.0.0.0/8, or any, localhost, link-local, multicast",
            );
        }
    };
    match prefix.map(parse_number) {
        None => Ok(text.to_owned()),
        Some(Some(prefix)) if prefix <= longest => Ok(text.to_owned()),
        Some(_) => bad(text, &format!("a network: the prefix goes up to {longest}")),
    }
}

/// `[ipv4:|ipv6:][tcp:|udp:][PORT[-PORT]]` or `any`
pub(super) fn parse_bind_rule(text: &str) -> Result<String, BadValue> {
    const WHAT: &str = "a rule such as any, tcp, 8080, ipv6:tcp:10000-65535";
    if text == "any" {
        return Ok(text.to_owned());
    }
    let mut parts = text.split(':').peekable();
    parts.next_if(|part| matches!(*part, "ipv4" | "ipv6"));
    parts.next_if(|part| matches!(*part, "tcp" | "udp"));
    if let Some(ports) = parts.next() {
        let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text| parse_number(text).filter(|n| (1..=65535).contains(n));
        if !matches!((port(low), port(high)), (Some(low), Some(high)) if low <= high) {
            return bad(text, WHAT);
        }
    }
    if parts.next().is_some() { bad(text, WHAT) } else { Ok(text.to_owned()) }
}

/// A network interface, with `~` before it when all but those are meant.
pub(super) fn parse_interface(text: &str) -> Result<String, BadValue> {
    let name = text.strip_prefix('~').unwrap_or(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@');
    let valid = (1..=15).contains(&name.len())
        && name.bytes().all(plain)
        && !matches!(name, "." | "..")
        && !name.bytes().all(|b| b.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { bad(text, "the name of a network interface") }
}

pub(super) fn parse_interfaces(words: &[String]) -> Result<Value, BadValue> {
    // In one assignment "~" stands before the first and means all of them.
    if words.iter().skip(1).any(|word| word.starts_with('~')) {
        return Err(BadValue("\"~\" goes before the first interface and is for all of them".to_owned()));
    }
    Ok(Value::Lines(vec![words.join(" ")]))
}

/// `SOURCE:FAMILY:TABLE:SET`
pub(super) fn parse_nft_set(text: &str) -> Result<String, BadValue> {
    let name = |text: &str| {
        text.len() <= 31
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'.'))
    };
    let mut parts = text.split(':');
    let valid = parts.next().is_some_and(|source| matches!(source, "cgroup" | "user" | "group"))
        && parts
            .next()
            .is_some_and(|family| matches!(family, "arp" | "bridge" | "inet" | "ip" | "ip6" | "netdev"))
        && parts.next().is_some_and(name)
        && parts.next().is_some_and(name)
        && parts.next().is_none();
    if valid { Ok(text.to_owned()) } else { bad(text, "an nftables set such as cgroup:inet:filter:web") }
}

/// `TYPE:PATH`
pub(super) fn parse_bpf_program(text: &str) -> Result<String, BadValue> {
    const TYPES: [&str; 18] = [
        "egress",
        "ingress",
        "sock_create",
        "sock_ops",
        "device",
        "bind4",
        "bind6",
        "connect4",
        "connect6",
        "post_bind4",
        "post_bind6",
        "sendmsg4",
        "sendmsg6",
        "sysctl",
        "recvmsg4",
        "recvmsg6",
        "getsockopt",
        "setsockopt",
    ];
    match text.split_once(':') {
        Some((kind, path)) if TYPES.contains(&kind) && is_plain_path(path) => Ok(text.to_owned()),
        _ => bad(text, "a type of BPF program and a path, such as egress:/sys/fs/bpf/web"),
    }
}

pub(super) fn parse_controller(text: &str) -> Result<String, BadValue> {
    const CONTROLLERS: [&str; 10] = [
        "cpu",
        "cpuset",
        "io",
        "memory",
        "pids",
        "bpf-firewall",
        "bpf-devices",
        "bpf-foreign",
        "bpf-socket-bind",
        "bpf-restrict-network-interfaces",
    ];
    if CONTROLLERS.contains(&text) {
        Ok(text.to_owned())
    } else {
        bad(text, "a controller such as cpu, io, memory")
    }
}
