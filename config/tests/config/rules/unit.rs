// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of the unit: `[limits]`, `[oom]`, `[depends]`, `[autostart]` and the verbatim directives.

use super::{refused, with};
use crate::fake_root::FakeRoot;
use ct_config::container::*;
use ct_config::value::{RlimitResource, Timespan};

#[test]
fn limits_and_oom() {
    let root = FakeRoot::new("limits");
    let cases = [
        ("[limits]\nnofile = \"abc\"", "limits.nofile: \"abc\" is not a number or infinity"),
        ("[limits]\nnofile = -5", "limits.nofile: \"-5\" is not a number or infinity"),
        (
            "[limits]\nnofile = \"2048:1024\"",
            "limits.nofile: the soft limit 2048 is higher than the hard limit 1024",
        ),
        (
            "[limits]\nnofile = \"infinity:1024\"",
            "limits.nofile: the soft limit infinity is higher than the hard limit 1024",
        ),
        ("[limits]\nnofile = \"1:2:3\"", "limits.nofile: \"2:3\" is not a number or infinity"),
        ("[limits]\nas = \"12Q\"", "limits.as: \"12Q\" is not a size such as 512M, 1.5G, 4096 or infinity"),
        ("[limits]\nnproc = \"64K\"", "limits.nproc: \"64K\" is not a number or infinity"),
        (
            "[limits]\nnice = \"41\"",
            "limits.nice: \"41\" is not a raw limit from 1 to 40, a nice level from -20 to +19 with its sign, or \"infinity\"",
        ),
        ("[limits]\nrtprio = 100", "limits.rtprio: \"100\" is not a real-time priority from 0 to 99"),
        (
            "[limits]\ncpu = \"soon\"",
            "limits.cpu: \"soon\" is not a time span such as 5s, 1min 30s, 250ms or infinity",
        ),
        (
            "[limits]\nas = \"1M:infinity\"",
            "limits.as: 1M is too low to start any container; at least 8M is needed",
        ),
        ("[limits]\nnofile = true", "limits.nofile: must be a string or a whole number, not true"),
        ("[limits]\nnofiles = 1", "limits: unknown key `nofiles` (did you mean `nofile`?)"),
        ("[oom]\nscore_adjust = 1001", "oom.score_adjust: 1001 is not from -1000 to 1000"),
        ("[oom]\nscore_adjust = 99999", "oom.score_adjust: 99999 is not from -1000 to 1000"),
        ("[oom]\nscore_adjust = \"200\"", "oom.score_adjust: must be a whole number, not the string \"200\""),
        ("[oom]\npolicy = \"die\"", "oom.policy: \"die\" is not one of \"kill\", \"stop\", \"continue\""),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    for resource in RlimitResource::ALL {
        let value = match resource {
            RlimitResource::Nice => "\"+5:-5\"",
            RlimitResource::Rtprio => "\"1:2\"",
            _ => "\"8388608:8388609\"",
        };
        let container = with(&root, &format!("[limits]\n{} = {value}", resource.key()));
        assert!(container.limits.contains_key(&resource), "{resource:?}");
    }
    assert_eq!(with(&root, "[oom]\nscore_adjust = -1000").oom.score_adjust, Some(-1000));
}

#[test]
fn dependencies_start_and_stop() {
    let root = FakeRoot::new("depends");
    let cases = [
        ("[depends]\nafter = [\"web\"]", "depends.after: a container cannot depend on itself"),
        (
            "[depends]\nrequires = [\"ct@web.service\"]",
            "depends.requires: a container cannot depend on itself",
        ),
        (
            "[depends]\nwants = [\"a b\"]",
            "depends.wants: \"a b\" is neither a container's name nor the full name of a unit",
        ),
        ("[depends]\nbefore = [\"x@.service\"]", "depends.before: \"x@.service\" is a template, not a unit"),
        ("[depends]\nbefore = \"x\"", "depends.before: must be a list, not the string \"x\""),
        ("[autostart]\npriority = 3000000000", "autostart.priority: is not from -2147483648 to 2147483647"),
        (
            "[autostart]\nenabled = \"yes\"",
            "autostart.enabled: must be true or false, not the string \"yes\"",
        ),
        (
            "[stop]\nsignal = \"SIGFOO\"",
            "stop.signal: \"SIGFOO\" is not a signal such as SIGTERM, SIGRTMIN+3 or 15",
        ),
        ("[stop]\nsignal = 65", "stop.signal: \"65\" is not a signal such as SIGTERM, SIGRTMIN+3 or 15"),
        (
            "[stop]\ntimeout = \"-5s\"",
            "stop.timeout: \"-5s\" is not a time span such as 5s, 1min 30s, 250ms or infinity",
        ),
        (
            "[restart]\npolicy = \"on_failure\"",
            "restart.policy: \"on_failure\" is not one of \"no\", \"always\", \"on-success\", \"on-failure\", \"on-abnormal\", \"on-abort\", \"on-watchdog\" (did you mean \"on-failure\"?)",
        ),
        ("[restart]\ndelay = true", "restart.delay: must be a string or a whole number, not true"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    let depends = with(&root, "[depends]\nwants = [\"a\", \"ct@a.service\", \"b.c\", \"x.mount\"]").depends;
    let units: Vec<&str> = depends.wants.iter().map(|dependency| dependency.unit.as_str()).collect();
    assert_eq!(units, ["ct@a.service", "ct@b.c.service", "x.mount"]);
    assert_eq!(with(&root, "[stop]\ntimeout = 0").stop.timeout, Some(Timespan::Infinity));
    for word in ["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"] {
        with(&root, &format!("[restart]\npolicy = \"{word}\""));
    }
}

#[test]
fn verbatim_directives() {
    let root = FakeRoot::new("verbatim");
    let cases = [
        (
            "[systemd.service]\nType = \"simple\"",
            "systemd.service: `Type` cannot be set here (the unit is of Type=notify)",
        ),
        (
            "[systemd.service]\nExecStart = \"/x\"",
            "systemd.service: `ExecStart` cannot be set here (the helper starts the container; its command is `process.command`)",
        ),
        (
            "[systemd.unit]\nSourcePath = \"/x\"",
            "systemd.unit: `SourcePath` cannot be set here (it is the container's file)",
        ),
        (
            "[systemd.service]\nlog_level = \"x\"",
            "systemd.service: `log_level` is not a directive such as `LogLevelMax`",
        ),
        (
            "[systemd.service]\n\"A=B\" = \"x\"",
            "systemd.service: `A=B` is not a directive such as `LogLevelMax`",
        ),
        (
            "[systemd.service]\nNice = 1.5",
            "systemd.service.Nice: must be a string, a whole number, true, false or a list of strings, not 1.5",
        ),
        ("[systemd.service]\nNice = [1]", "systemd.service.Nice: must be a string, not 1"),
        (
            "[systemd.service]\nEnvironment = \"A=1\\\\\"",
            "systemd.service.Environment: ends in a backslash, which would join the next line",
        ),
        (
            "[systemd.service]\nEnvironment = \"A=1\\\\ \"",
            "systemd.service.Environment: ends in a backslash, which would join the next line",
        ),
        (
            "[systemd.service]\nEnvironment = \"A=1\\nExecStart=/x\"",
            "systemd.service.Environment: has the control character \\u{a}",
        ),
        ("[systemd.install]\nAlias = \"x\"", "systemd: unknown key `install`"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    let text =
        "[systemd.service]\nLogLevelMax = \"%i\"\nProtectHome = true\nNice = 5\nX-Mine = [\"a\", \"b\"]";
    let directive = |name: &str, values: &[&str]| Directive {
        name: name.to_owned(),
        values: values.iter().map(ToString::to_string).collect(),
    };
    let want = [
        directive("LogLevelMax", &["%i"]),
        directive("Nice", &["5"]),
        directive("ProtectHome", &["yes"]),
        directive("X-Mine", &["a", "b"]),
    ];
    assert_eq!(with(&root, text).extra_service, want);
}
