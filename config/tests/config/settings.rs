// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mapping from a container to the settings of its unit.

use crate::fake_root::{EVERYTHING, FakeRoot, MINIMAL};
use ct_config::settings::{Property, Value, unit_settings};
use ct_config::value::{RlimitResource, Signal, Size, Timespan};

/// `NAME=VALUE` as someone would write them, for comparing at a glance.
fn shown(properties: &[Property]) -> Vec<String> {
    properties.iter().map(|property| format!("{}={}", property.name, text(&property.value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Path(path) => path.display().to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Size(size) | Value::Count(size) => size.to_string(),
        Value::Percent(hundredths) => ct_config::value::render_percent(*hundredths),
        Value::Time(span) => span.to_string(),
        Value::Limit(limit) => limit.to_string(),
        Value::Signal(signal) => signal.to_string(),
        Value::Word(word) => (*word).to_owned(),
        Value::Units(units) => units.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Value::Lines(lines) => lines.join("; "),
        Value::Helper(arguments) => arguments.join(" "),
        Value::Environment(list) => {
            list.iter().map(|(name, _)| format!("{name}=...")).collect::<Vec<_>>().join(" ")
        }
    }
}

fn property(root: &FakeRoot, text: &str, name: &str) -> Option<Value> {
    let settings = unit_settings(&root.only(text).unwrap());
    settings.unit.into_iter().chain(settings.service).find(|property| property.name == name).map(|p| p.value)
}

#[test]
fn the_least_container() {
    let root = FakeRoot::new("least");
    let container = root.only(MINIMAL).unwrap();
    let settings = unit_settings(&container);
    let unit = ["SourcePath=/etc/ct/containers/web.toml", "RequiresMountsFor=/srv/web/rootfs"];
    assert_eq!(shown(&settings.unit), unit);
    assert_eq!(
        shown(&settings.service),
        ["Slice=ct.slice", "OOMPolicy=kill", "Environment=CT_CONFIG_DIGEST=..."]
    );
    let digest = Value::Environment(vec![("CT_CONFIG_DIGEST".to_owned(), container.digest.0)]);
    assert_eq!(settings.service.last().map(|property| &property.value), Some(&digest));
    assert!(settings.extra_unit.is_empty() && settings.extra_service.is_empty());
}

#[test]
fn everything() {
    let root = FakeRoot::new("everything");
    let settings = unit_settings(&root.only(EVERYTHING).unwrap());
    let unit = [
        "SourcePath=/etc/ct/containers/web.toml",
        "Description=\"Web front end\"",
        "Requires=ct@db.service",
        "Wants=ct@cache.service",
        "After=ct@db.service ct@cache.service network-online.target",
        "RequiresMountsFor=/var/lib/ct/layers/debian-12",
        "RequiresMountsFor=/srv/layers/nginx",
        "RequiresMountsFor=/srv/data",
    ];
    let service = [
        "Slice=ct-prod.slice",
        "OOMScoreAdjust=200",
        "OOMPolicy=kill",
        "LimitCORE=0",
        "LimitMEMLOCK=infinity",
        "LimitNOFILE=1024:65536",
        "DeviceAllow=/dev/fuse rwm",
        "CPUQuota=150%",
        "MemoryMax=536870912",
        "TasksMax=512",
        "KillSignal=SIGQUIT",
        "SuccessExitStatus=SIGQUIT",
        "TimeoutStopSec=30s",
        "Restart=on-failure",
        "RestartSec=1s",
        "StateDirectory=\"ct/web\"",
        "StateDirectoryMode=0700",
        "Environment=CT_CONFIG_DIGEST=...",
    ];
    assert_eq!(shown(&settings.unit), unit);
    assert_eq!(shown(&settings.service), service);
    assert_eq!(settings.extra_unit.len() + settings.extra_service.len(), 2);
}

#[test]
fn the_signal_that_an_init_expects() {
    let root = FakeRoot::new("signal");
    let signal = |text: &str| property(&root, text, "KillSignal");
    let halt = Some(Value::Signal(Signal::RTMIN_PLUS_3));
    assert_eq!(signal("root.path = \"/a\""), halt, "the default command is an init");
    for program in ["/sbin/init", "/lib/systemd/systemd", "systemd", "/usr/sbin/init"] {
        assert_eq!(
            signal(&format!("root.path = \"/a\"\nprocess.command = [\"{program}\"]")),
            halt,
            "{program}"
        );
    }
    for program in ["/bin/sh", "/bin/systemd-run", "/sbin/tini", "/init/x"] {
        assert_eq!(
            signal(&format!("root.path = \"/a\"\nprocess.command = [\"{program}\"]")),
            None,
            "{program}"
        );
    }
    assert_eq!(signal("root.bundle = \"/a\""), None, "a bundle's own command is not known here");
    assert_eq!(signal("root.path = \"/a\"\nstop.signal = \"INT\""), Some(Value::Signal(Signal(2))));
}

#[test]
fn a_state_directory_for_what_a_layered_container_keeps() {
    let root = FakeRoot::new("state");
    let state = |text: &str| property(&root, text, "StateDirectory");
    assert_eq!(state("root.layers = [\"a\"]"), Some(Value::Text("ct/web".to_owned())));
    assert_eq!(state("root = { layers = [\"a\"], writable = \"ephemeral\" }"), None);
    assert_eq!(state("root = { layers = [\"a\"], writable = \"no\" }"), None);
    assert_eq!(state("root.path = \"/a\""), None);
    assert_eq!(state("root.bundle = \"/a\""), None);
}

#[test]
fn dependencies_and_paths_once_each() {
    let root = FakeRoot::new("depends");
    let text = "root.path = \"/a\"\n[depends]\nrequires = [\"x\"]\nwants = [\"x\"]\nafter = [\"x\", \"y.service\"]\nbefore = [\"z\"]\n\
                [[mount]]\nsource = \"/a\"\ntarget = \"/b\"\n[[mount]]\nsource = \"/d\"\ntarget = \"/c\"\ntype = \"nfs\"\n";
    let settings = unit_settings(&root.only(text).unwrap());
    let want = [
        "Requires=ct@x.service",
        "Wants=ct@x.service",
        "After=ct@x.service y.service",
        "Before=ct@z.service",
        "RequiresMountsFor=/a",
    ];
    assert_eq!(shown(&settings.unit)[1..], want);
}

#[test]
fn limits_policies_and_timeouts() {
    let root = FakeRoot::new("limits");
    for resource in RlimitResource::ALL {
        // Enough for a start where there is a least value; the two have a range of their own.
        let number = match resource {
            RlimitResource::Nice | RlimitResource::Rtprio => 5,
            _ => 64 << 20,
        };
        let text = format!("root.path = \"/a\"\nlimits.{} = {number}", resource.key());
        assert!(
            matches!(property(&root, &text, resource.directive()), Some(Value::Limit(l)) if l.soft == Size::Finite(number))
        );
    }
    for policy in ["kill", "stop", "continue"] {
        let value = property(&root, &format!("root.path = \"/a\"\noom.policy = \"{policy}\""), "OOMPolicy");
        assert!(matches!(value, Some(Value::Word(word)) if word == policy));
    }
    for policy in ["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"] {
        let value = property(&root, &format!("root.path = \"/a\"\nrestart.policy = \"{policy}\""), "Restart");
        assert!(matches!(value, Some(Value::Word(word)) if word == policy));
    }
    let timeout = property(&root, "root.path = \"/a\"\nstop.timeout = \"infinity\"", "TimeoutStopSec");
    assert_eq!(timeout, Some(Value::Time(Timespan::Infinity)));
}

#[test]
fn commands_only_where_something_asks_for_them() {
    let root = FakeRoot::new("commands");
    let text = |more: &str| format!("{MINIMAL}{more}");
    for name in ["ExecStartPost", "ExecStop", "ExecStopPost", "WatchdogSec", "TimeoutStartSec"] {
        assert_eq!(property(&root, MINIMAL, name), None, "{name}");
        let before = text("\n[hooks]\npre_start = [[\"/bin/a\"]]\n");
        assert_eq!(
            property(&root, &before, name),
            None,
            "{name}: hooks before the start are the helper's own"
        );
    }
    let helper = |words: &[&str]| Some(Value::Helper(words.iter().map(|word| (*word).to_owned()).collect()));
    let hooks = text(
        "\n[hooks]\npost_start = [[\"/bin/a\"], [\"/bin/b\"]]\npost_stop = [[\"/bin/a\"]]\ntimeout = 5\n",
    );
    assert_eq!(property(&root, &hooks, "ExecStartPost"), helper(&["hook", "web", "post_start"]));
    assert_eq!(property(&root, &hooks, "TimeoutStartSec"), Some(Value::Time(Timespan::Finite(100_000_000))));
    assert_eq!(property(&root, &hooks, "ExecStopPost"), helper(&["hook", "web", "post_stop"]));
    assert_eq!(property(&root, &hooks, "ExecStop"), None);
    let stop = helper(&["stop", "web"]);
    assert_eq!(property(&root, &text("\n[hooks]\npre_stop = [[\"/bin/a\"]]\n"), "ExecStop"), stop);
    assert_eq!(property(&root, &text("\n[stop]\ncommand = [\"halt\"]\n"), "ExecStop"), stop);
    let bundle = "[root]\nbundle = \"/srv/web\"\n";
    assert_eq!(property(&root, bundle, "ExecStopPost"), helper(&["hook", "web", "post_stop"]));
    let watched = text("\n[ready]\nnotify = true\nwatchdog = \"10s\"\n");
    assert_eq!(property(&root, &watched, "WatchdogSec"), Some(Value::Time(Timespan::Finite(10_000_000))));
    let limited = text("\n[restart]\nstart_limit_burst = 2\nstart_limit_interval = 30\n");
    assert_eq!(property(&root, &limited, "StartLimitBurst"), Some(Value::Integer(2)));
    assert_eq!(
        property(&root, &limited, "StartLimitIntervalSec"),
        Some(Value::Time(Timespan::Finite(30_000_000)))
    );
}
