// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values with units, against what systemd makes of them. Each refused text is one that systemd 252 refuses as well,
//! unless it stands under "stricter".

use ct_config::name::{ContainerName, UnitName};
use ct_config::suggest;
use ct_config::value::{Limit, RlimitResource, Signal, Size, Timespan, parse_percent, render_percent};

#[test]
fn sizes() {
    let good = [
        ("0", 0),
        ("4096", 4096),
        ("1K", 1024),
        ("512M", 512 << 20),
        ("1.5G", 3 << 29),
        ("1.G", 1 << 30),
        ("1 G", 1 << 30),
        (" 1G", 1 << 30),
        ("1G 512M", (1 << 30) + (512 << 20)),
        ("1G512M", (1 << 30) + (512 << 20)),
        ("2T", 2 << 40),
        ("1P", 1 << 50),
        ("15E", 15 << 60),
        ("1B", 1),
        ("1K 1", 1025),
        ("0.5K", 512),
    ];
    for (text, bytes) in good {
        assert_eq!(Size::parse(text), Ok(Size::Finite(bytes)), "{text}");
    }
    assert_eq!(Size::parse("infinity"), Ok(Size::Infinity));
    let refused = [
        "",
        " ",
        "abc",
        "12Q",
        "-5",
        "-1K",
        "0x10",
        "1KB",
        "1GB",
        "1k",
        "K",
        "16E",
        "18446744073709551615",
        "18446744073709551616",
        "512M 1G",
        "1 1",
        "1,5G",
        "Infinity",
        "inf",
        "1e9",
        "٣",
        // Stricter.
        "+5",
        "1G ",
    ];
    for text in refused {
        assert!(Size::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(Size::parse_decimal("5M"), Ok(Size::Finite(5_000_000)));
    assert_eq!(Size::Finite(7).to_string(), "7");
    assert_eq!(Size::Infinity.to_string(), "infinity");
    assert!(Size::Finite(u64::MAX) < Size::Infinity);
}

#[test]
fn time_spans() {
    let good = [
        ("0", 0),
        ("5", 5_000_000),
        ("5s", 5_000_000),
        ("5 s", 5_000_000),
        ("1min 30s", 90_000_000),
        ("1min30s", 90_000_000),
        ("30s 1min", 90_000_000),
        ("250ms", 250_000),
        ("1.5h", 5_400_000_000),
        ("17us", 17),
        ("17µs", 17),
        ("2d", 172_800_000_000),
        ("1w", 604_800_000_000),
        ("1M", 2_629_800_000_000),
        ("1y", 31_557_600_000_000),
        ("0.1234567s", 123_456),
    ];
    for (text, micros) in good {
        assert_eq!(Timespan::parse(text), Ok(Timespan::Finite(micros)), "{text}");
    }
    assert_eq!(Timespan::parse("infinity"), Ok(Timespan::Infinity));
    let refused = [
        "",
        " ",
        "s",
        "abc",
        "-5s",
        "1.s",
        "1x",
        "600000y",
        "2562047788015215h",
        "18446744073709551616us",
        "5s 5x",
        // Stricter: what these mean is not plain to everyone.
        "1 30s",
        "30s 1",
        ".5s",
        "+5s",
    ];
    for text in refused {
        assert!(Timespan::parse(text).is_err(), "{text:?}");
    }
    let shown = [(0, "0s"), (90_000_000, "90s"), (1_500_000, "1500ms"), (1, "1us"), (1_000_001, "1000001us")];
    for (micros, text) in shown {
        assert_eq!(Timespan::Finite(micros).to_string(), text);
        assert_eq!(Timespan::parse(text), Ok(Timespan::Finite(micros)), "{text} reads back");
    }
    assert_eq!(Timespan::Infinity.to_string(), "infinity");
}

#[test]
fn percentages() {
    for (text, hundredths) in
        [("0%", 0), ("50%", 5000), ("150%", 15000), ("12.5%", 1250), ("12.34%", 1234), ("0.05%", 5)]
    {
        assert_eq!(parse_percent(text), Ok(hundredths), "{text}");
        assert_eq!(render_percent(hundredths), text);
    }
    for text in ["", "%", "50", "-5%", "1.234%", "1.%", ".5%", "1,5%", "99999999%", "5 %", "0x5%"] {
        assert!(parse_percent(text).is_err(), "{text:?}");
    }
}

#[test]
fn limits() {
    use RlimitResource as R;
    let good = [
        (R::Nofile, "1024", "1024"),
        (R::Nofile, "1024:65536", "1024:65536"),
        (R::Nofile, "64K", "65536"),
        (R::Nofile, "infinity", "infinity"),
        (R::Nofile, "5:infinity", "5:infinity"),
        (R::As, "1.5G", "1610612736"),
        (R::Cpu, "1min:2min", "60:120"),
        (R::Cpu, "0.5", "1"),
        (R::Cpu, "100ms", "1"),
        (R::Rttime, "5", "5"),
        (R::Rttime, "5ms", "5000"),
        (R::Nice, "30", "30"),
        (R::Nice, "+5", "15"),
        (R::Nice, "-20", "40"),
        (R::Nice, "+19", "1"),
        (R::Nice, "5:infinity", "5:40"),
        (R::Rtprio, "99", "99"),
        (R::Core, "0", "0"),
        (R::As, "8M", "8388608"),
        (R::Cpu, "1:2", "1:2"),
        (R::Data, "1M", "1048576"),
        (R::Fsize, "0", "0"),
        (R::Nofile, "4", "4"),
        (R::Stack, "128K", "131072"),
    ];
    for (resource, text, shown) in good {
        assert_eq!(
            Limit::parse(resource, text).map(|limit| limit.to_string()),
            Ok(shown.to_owned()),
            "{resource:?} {text}"
        );
    }
    let refused = [
        (R::Nofile, "abc"),
        (R::Nofile, ""),
        (R::Nofile, "5:4"),
        (R::Nofile, "5:"),
        (R::Nofile, ":5"),
        (R::Nproc, "010"),
        (R::Nofile, "-1"),
        (R::Nofile, "18446744073709551615"),
        (R::Nproc, "1.5"),
        (R::Nice, "+20"),
        (R::Nice, "-21"),
        (R::Nice, "41"),
        (R::Cpu, "5x"),
        (R::As, "12Q"),
        (R::Locks, "infinit"),
        (R::As, "8388607"),
        (R::Cpu, "0"),
        (R::Data, "1048575:infinity"),
        (R::Nofile, "3"),
        (R::Stack, "127K"),
    ];
    for (resource, text) in refused {
        assert!(Limit::parse(resource, text).is_err(), "{resource:?} {text:?}");
    }
    assert!(R::ALL.is_sorted(), "a BTreeMap has them in this order");
    assert_eq!(R::ALL.map(R::directive)[9], "LimitNOFILE");
}

#[test]
fn signals() {
    let good = [
        ("SIGTERM", 15, "SIGTERM"),
        ("TERM", 15, "SIGTERM"),
        ("15", 15, "SIGTERM"),
        ("SIGRTMIN", 34, "SIGRTMIN"),
        ("SIGRTMIN+3", 37, "SIGRTMIN+3"),
        ("RTMIN+0", 34, "SIGRTMIN"),
        ("RTMAX", 64, "SIGRTMIN+30"),
        ("SIGRTMAX-1", 63, "SIGRTMIN+29"),
        ("RTMAX-30", 34, "SIGRTMIN"),
        ("64", 64, "SIGRTMIN+30"),
        ("1", 1, "SIGHUP"),
    ];
    for (text, number, shown) in good {
        assert_eq!(Signal::parse(text), Ok(Signal(number)), "{text}");
        assert_eq!(Signal(number).to_string(), shown);
    }
    let refused = [
        "",
        "SIG",
        "sigterm",
        "SIGSIGTERM",
        "SIG9",
        "SIGPOLL",
        "0",
        "-1",
        "65",
        "SIGRTMIN+31",
        "RTMIN-1",
        "RTMAX+1",
        "SIGRTMIN+",
        "SIGRTMIN+-1",
        "015",
        // Stricter: the C library's own.
        "32",
        "33",
    ];
    for text in refused {
        assert!(Signal::parse(text).is_err(), "{text:?}");
    }
    for number in (1..=31).chain(34..=64) {
        assert_eq!(Signal::parse(&Signal(number).to_string()), Ok(Signal(number)));
    }
}

#[test]
fn names_of_one_and_two_bytes() {
    let plain = |b: u8| b.is_ascii_alphanumeric();
    let inner = |b: u8| plain(b) || matches!(b, b'_' | b'.' | b'-');
    for first in 0..=255_u8 {
        if let Ok(text) = std::str::from_utf8(&[first]) {
            assert_eq!(ContainerName::parse(text).is_ok(), plain(first), "{text:?}");
        }
        for second in 0..=255_u8 {
            if let Ok(text) = std::str::from_utf8(&[first, second]) {
                assert_eq!(ContainerName::parse(text).is_ok(), plain(first) && inner(second), "{text:?}");
            }
        }
    }
    let long = "a".repeat(64);
    assert!(ContainerName::parse(&long[1..]).is_ok());
    for text in ["", "a..b", "layers", &long, "a/b", "a b", "ä", "a\n", "-a", ".a", "_a"] {
        assert!(ContainerName::parse(text).is_err(), "{text:?}");
    }
    let unit = ContainerName::parse("a.b-c_1").unwrap().unit();
    assert_eq!(unit.as_str(), "ct@a.b-c_1.service");
    assert_eq!(unit.container().unwrap().as_str(), "a.b-c_1");
    for text in
        ["", "a", ".service", "@.service", "a.foo", "a b.service", "a/b.service", "ä.service", "a\n.service"]
    {
        assert!(UnitName::parse(text).is_err(), "{text:?}");
    }
    assert!(UnitName::parse(&format!("{}.service", "a".repeat(248))).is_err());
}

#[test]
fn suggestions_are_near_or_not_made() {
    let words = ["description", "runtime", "user", "slice", "root", "process"];
    let near = |word: &str| suggest(word, words.into_iter());
    assert_eq!(near("descripton"), Some("description"));
    assert_eq!(near("usr"), Some("user"));
    assert_eq!(near("proccess"), Some("process"));
    assert_eq!(near("Slice"), Some("slice"));
    assert_eq!(near("rootfs"), Some("root"));
    assert_eq!(near("x"), None);
    assert_eq!(near(""), None);
    assert_eq!(near("network"), None);
}
