// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of several words, which the bus wants taken apart. The words were checked when the config was read.

use std::net::IpAddr;

use ct_config::value::{Size, Timespan};
use zbus::zvariant::Value;

use super::{BusProperty, bytes, in_microseconds, microseconds};

const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;

pub(super) fn render(name: &str, lines: &[String]) -> Vec<BusProperty> {
    let words = || lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned);
    let value: Value<'static> = match name {
        "DeviceAllow" => pairs(lines, ' ', |access| access.to_owned()).into(),
        "BPFProgram" => lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(kind, path)| (kind.to_owned(), path.to_owned()))
            .collect::<Vec<_>>()
            .into(),
        "IODeviceWeight" => pairs(lines, ' ', |weight| weight.parse::<u64>().unwrap_or_default()).into(),
        "IODeviceLatencyTargetSec" => {
            pairs(lines, ' ', |span| Timespan::parse(span).map(microseconds).unwrap_or_default()).into()
        }
        name if name.starts_with("IO") => {
            pairs(lines, ' ', |rate| Size::parse_decimal(rate).map(bytes).unwrap_or_default()).into()
        }
        name if name.ends_with("CPUs") || name.ends_with("MemoryNodes") => {
            lines.first().map(|line| bit_set(line)).unwrap_or_default().into()
        }
        "IPAddressAllow" | "IPAddressDeny" => {
            words().flat_map(|word| addresses(&word)).collect::<Vec<_>>().into()
        }
        "SocketBindAllow" | "SocketBindDeny" => {
            words().map(|word| bind_rule(&word)).collect::<Vec<_>>().into()
        }
        "RestrictNetworkInterfaces" => {
            let all: Vec<String> = words().collect();
            let is_allow_list = all.first().is_none_or(|first| !first.starts_with('~'));
            let names = all.iter().map(|word| word.trim_start_matches('~').to_owned());
            (is_allow_list, names.collect::<Vec<String>>()).into()
        }
        // Exit statuses, and signals, which have a value of their own.
        "SuccessExitStatus" => {
            (words().filter_map(|word| word.parse().ok()).collect::<Vec<i32>>(), Vec::<i32>::new()).into()
        }
        "NFTSet" => words().filter_map(|word| nft_set(&word)).collect::<Vec<_>>().into(),
        _ => words().collect::<Vec<String>>().into(),
    };
    vec![(in_microseconds(name), value)]
}

/// `PATH VALUE`
fn pairs<T>(lines: &[String], separator: char, parse: impl Fn(&str) -> T) -> Vec<(String, T)> {
    let split = |line: &String| {
        let (path, value) = line.split_once(separator)?;
        Some((path.to_owned(), parse(value.trim())))
    };
    lines.iter().filter_map(split).collect()
}

/// `0-3,8` as bytes, the lowest number first.
fn bit_set(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) else { continue };
        for number in first..=last {
            if bytes.len() <= number / 8 {
                bytes.resize(number / 8 + 1, 0);
            }
            if let Some(byte) = bytes.get_mut(number / 8) {
                *byte |= 1 << (number % 8);
            }
        }
    }
    bytes
}

/// Family, address, length of the prefix. A name is what systemd.resource-control(5) says it stands for.
fn addresses(word: &str) -> Vec<(i32, Vec<u8>, u32)> {
    let named: &[&str] = match word {
        "any" => &["0.0.0.0/0", "::/0"],
        "localhost" => &["127.0.0.0/8", "::1/128"],
        "link-local" => &["169.254.0.0/16", "fe80::/64"],
        "multicast" => &["224.0.0.0/4", "ff00::/8"],
        _ => return address(word).into_iter().collect(),
    };
    named.iter().filter_map(|network| address(network)).collect()
}

fn address(text: &str) -> Option<(i32, Vec<u8>, u32)> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, prefix)| (a, prefix.parse().ok()));
    Some(match address.parse().ok()? {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec(), prefix.unwrap_or(32)),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec(), prefix.unwrap_or(128)),
    })
}

/// Family, protocol, number of ports, first port; 0 for any.
fn bind_rule(word: &str) -> (i32, i32, u16, u16) {
    let (mut family, mut protocol, mut count, mut first) = (0, 0, 0, 0);
    for part in word.split(':') {
        match part {
            "any" => {}
            "ipv4" => family = AF_INET,
            "ipv6" => family = AF_INET6,
            "tcp" => protocol = IPPROTO_TCP,
            "udp" => protocol = IPPROTO_UDP,
            ports => {
                let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
                if let (Ok(low), Ok(high)) = (low.parse::<u16>(), high.parse::<u16>()) {
                    (first, count) = (low, high - low + 1);
                }
            }
        }
    }
    (family, protocol, count, first)
}

/// Source, family of the netlink protocol, table, set.
fn nft_set(word: &str) -> Option<(i32, i32, String, String)> {
    let mut parts = word.split(':');
    // As systemd counts; the first three are for systemd.network(5).
    let source = match parts.next()? {
        "cgroup" => 3,
        "user" => 4,
        _ => 5,
    };
    // nfproto of linux/netfilter.h
    let family = match parts.next()? {
        "inet" => 1,
        "ip" => 2,
        "arp" => 3,
        "netdev" => 5,
        "bridge" => 7,
        _ => 10,
    };
    Some((source, family, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_numbers_are_bits() {
        assert_eq!(bit_set("0-3,8"), [0b1111, 1]);
        assert_eq!(bit_set("9"), [0, 2]);
    }

    #[test]
    fn rules_and_networks_are_taken_apart() {
        assert_eq!(bind_rule("any"), (0, 0, 0, 0));
        assert_eq!(bind_rule("ipv6:tcp:10000-65535"), (AF_INET6, IPPROTO_TCP, 55_536, 10_000));
        assert_eq!(bind_rule("8080"), (0, 0, 1, 8080));
        assert_eq!(addresses("10.0.0.0/8"), [(AF_INET, vec![10, 0, 0, 0], 8)]);
        assert_eq!(addresses("localhost").len(), 2);
        let set = (3, 1, "filter".to_owned(), "web".to_owned());
        assert_eq!(nft_set("cgroup:inet:filter:web"), Some(set));
    }
}
