// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key: what it accepts, and the exact words for what it does not. Below `rules/` by theme, as in `src/validate/`.

mod isolation;
mod lifecycle;
mod process;
mod root;
mod runtime;
mod unit;

use std::path::{Path, PathBuf};

use crate::fake_root::{EVERYTHING, FakeRoot, MINIMAL};
use ct_config::container::*;
use ct_config::value::{Limit, RlimitResource, Signal, Size, Timespan};

/// Reasons that a minimal container with `text` in front of it is broken, without the file's name.
fn reasons(root: &FakeRoot, text: &str) -> Vec<String> {
    match root.only(&format!("{text}\n{MINIMAL}")) {
        Ok(container) => panic!("{text:?} was accepted: {container:?}"),
        Err(reasons) => reasons.iter().map(|line| line.trim_start_matches("web.toml:").to_owned()).collect(),
    }
}

/// The container made of a minimal one with `text` behind it.
fn with(root: &FakeRoot, text: &str) -> Container {
    root.only(&format!("{MINIMAL}\n{text}\n")).unwrap_or_else(|reasons| panic!("{text:?}: {reasons:#?}"))
}

/// As [`reasons`] for text behind the minimal container, without line and column.
fn refused(root: &FakeRoot, text: &str) -> Vec<String> {
    match root.only(&format!("{MINIMAL}\n{text}\n")) {
        Ok(container) => panic!("{text:?} was accepted: {container:?}"),
        Err(reasons) => {
            let bare = |line: &String| {
                line.splitn(4, ':').nth(3).map_or(line.clone(), |rest| rest.trim().to_owned())
            };
            reasons.iter().map(bare).collect()
        }
    }
}

#[test]
fn the_least_is_a_container_with_every_default() {
    let root = FakeRoot::new("least");
    let container = root.only(MINIMAL).unwrap();
    assert_eq!(container.name.as_str(), "web");
    assert_eq!(container.description, None);
    assert_eq!(container.runtime.name, "crun");
    assert_eq!(container.runtime.family, RuntimeFamily::Crun);
    assert_eq!(container.runtime.program, Path::new("crun"));
    assert_eq!(container.account, None);
    assert_eq!(container.slice.as_str(), "ct.slice");
    assert_eq!(container.hostname, None);
    assert_eq!(container.root.source, RootSource::Path(PathBuf::from("/srv/web/rootfs")));
    assert_eq!(container.root.writable, Some(Writable::Persistent));
    assert_eq!(container.process.command, Some(vec!["/bin/true".to_owned()]));
    assert_eq!(container.process.cwd, None);
    assert_eq!(container.idmap, None);
    assert!(container.mounts.is_empty() && container.limits.is_empty() && container.resources.is_empty());
    assert_eq!(container.oom, Oom::default());
    assert_eq!(container.depends, Depends::default());
    assert_eq!(container.autostart, Autostart { enabled: false, priority: 1000, delay: Timespan::Finite(0) });
    assert_eq!((container.stop.signal, container.stop.timeout, container.stop.command), (None, None, None));
    assert_eq!(container.ready, Ready { when: ReadyWhen::Started, timeout: Timespan::Finite(90_000_000) });
    assert_eq!(container.restart, Restart::default());
    assert_eq!(container.network, None);
    assert_eq!(container.security, Security::default());
    assert_eq!(container.files, [PathBuf::from("/etc/ct/containers/web.toml")]);
    assert_eq!(container.digest.0.len(), 64);
}

#[test]
fn the_whole_example_of_the_contract_is_read() {
    let root = FakeRoot::new("everything");
    let container = root.only(EVERYTHING).unwrap();
    assert_eq!(container.description.as_deref(), Some("Web front end"));
    assert_eq!(container.account, Some(AccountName::Name("ct-web".to_owned())));
    assert_eq!(container.slice.as_str(), "ct-prod.slice");
    assert_eq!(container.hostname.as_deref(), Some("web"));
    let layers = ["/var/lib/ct/layers/debian-12", "/srv/layers/nginx"].map(PathBuf::from).to_vec();
    assert_eq!(container.root.source, RootSource::Layers(layers));
    let process = &container.process;
    assert_eq!(process.cwd.as_deref(), Some(Path::new("/")));
    assert_eq!(process.env.get("WORKERS").map(String::as_str), Some("4"));
    assert_eq!(process.env_files.len(), 2);
    assert!(!process.env_files[0].optional && process.env_files[1].optional);
    assert_eq!(process.env_files[1].path, Path::new("/etc/default/web-local"));
    assert_eq!(process.user, Some(IdName::Name("www-data".to_owned())));
    assert_eq!(process.group, Some(IdName::Id(33)));
    assert_eq!(process.groups, [IdName::Name("adm".to_owned()), IdName::Id(100)]);
    let range = IdRange { container: 0, host: 200_000, count: 65536 };
    assert_eq!(container.idmap, Some(IdMap::Ranges { uid: vec![range], gid: vec![range] }));
    assert_eq!(container.mounts[0].options, ["ro", "nosuid"]);
    assert_eq!(container.mounts[0].create, Create::Dir);
    assert_eq!(container.mounts[1].source, Path::new("tmpfs"));
    assert_eq!(container.mounts[1].create, Create::AsSource);
    let nofile = Limit { soft: Size::Finite(1024), hard: Size::Finite(65536) };
    assert_eq!(container.limits.get(&RlimitResource::Nofile), Some(&nofile));
    assert_eq!(container.resources.len(), 3);
    assert_eq!(container.oom, Oom { score_adjust: Some(200), policy: Some(OomPolicy::Kill) });
    assert_eq!(container.depends.requires[0].unit.as_str(), "ct@db.service");
    assert_eq!(container.depends.requires[0].place.to_string(), "/etc/ct/containers/web.toml:54:13");
    assert_eq!(container.depends.after[0].unit.as_str(), "network-online.target");
    assert_eq!(container.autostart, Autostart { enabled: true, priority: 10, delay: Timespan::Finite(0) });
    let timeout = Some(Timespan::Finite(30_000_000));
    assert_eq!((container.stop.signal, container.stop.timeout), (Some(Signal(3)), timeout));
    assert_eq!(container.restart.policy, Some(RestartPolicy::OnFailure));
    assert_eq!(container.network, Some(Network::None));
    assert_eq!(container.security.capabilities_add, ["CAP_NET_ADMIN"]);
    assert_eq!(container.security.capabilities_drop, ["CAP_MKNOD"]);
    assert_eq!(container.security.no_new_privileges, Some(true));
    assert_eq!(container.security.seccomp, Some(Seccomp::Default));
    assert_eq!(container.security.devices[0].access, "rw");
    assert_eq!(container.extra_unit[0].name, "StartLimitBurst");
    assert_eq!(container.extra_service[0].values, ["notice"]);
}

#[test]
fn the_top_of_the_file() {
    let root = FakeRoot::new("top");
    let cases = [
        ("slice = \"web\"", "1:9: slice: \"web\" does not end in .slice (did you mean \"web.slice\"?)"),
        (
            "slice = \"-web.slice\"",
            "1:9: slice: \"-web.slice\" is not the name of a slice, see systemd.slice(5)",
        ),
        (
            "slice = \"a--b.slice\"",
            "1:9: slice: \"a--b.slice\" is not the name of a slice, see systemd.slice(5)",
        ),
        ("slice = \"a@.slice\"", "1:9: slice: \"a@.slice\" is not the name of a slice, see systemd.slice(5)"),
        (
            "slice = \"a b.slice\"",
            "1:9: slice: \"a b.slice\" is not a unit name: only letters, digits and \":-_.\\@\" are allowed",
        ),
        ("hostname = \"\"", "1:12: hostname: \"\" is not a host name"),
        ("hostname = \"-a\"", "1:12: hostname: \"-a\" is not a host name"),
        ("hostname = \"a..b\"", "1:12: hostname: \"a..b\" is not a host name"),
        ("hostname = \"ä\"", "1:12: hostname: \"ä\" is not a host name"),
        ("user = \"a:b\"", "1:8: user: \"a:b\" is not the name or number of an account"),
        ("user = \"\"", "1:8: user: \"\" is not the name or number of an account"),
        ("user = 65535", "1:8: user: 65535 is not usable as an id"),
        ("user = 4294967295", "1:8: user: 4294967295 is not usable as an id"),
        ("user = 4294967296", "1:8: user: \"4294967296\" is not an id from 0 to 4294967294"),
        ("user = -1", "1:8: user: \"-1\" is not an id from 0 to 4294967294"),
        ("user = \"0x10\"", "1:8: user: \"0x10\" is not an id from 0 to 4294967294"),
        ("user = 1.5", "1:8: user: must be a string or a whole number, not 1.5"),
        (
            "runtime = \"crum\"",
            "1:11: runtime: \"crum\" is neither crun, runc, youki, runsc, lxc, one of [runtimes] in ct.toml, nor an absolute path (did you mean \"crun\"?)",
        ),
        ("runtime = \"/usr/../x\"", "1:11: runtime: \"/usr/../x\" contains \"..\""),
        ("description = \"a\\nb\"", "1:15: description: has the control character \\u{a}"),
        ("description = 3", "1:15: description: must be a string, not 3"),
        ("description = []", "1:15: description: must be a string, not a list"),
        ("descripton = \"a\"", "1:1: unknown key `descripton` (did you mean `description`?)"),
        ("zzz = 1", "1:1: unknown key `zzz`"),
        ("root.pth = \"a\"", "1:6: root: unknown key `pth` (did you mean `path`?)"),
    ];
    for (text, want) in cases {
        // A table cannot be named twice in one file.
        let got = if text.starts_with("root.") {
            root.only(text).unwrap_err()[0].trim_start_matches("web.toml:").to_owned()
        } else {
            reasons(&root, text).join("\n")
        };
        assert_eq!(got, want, "{text}");
    }
    for (user, want) in [("root", None), ("0", None), ("1000", Some(AccountName::Uid(1000)))] {
        assert_eq!(root.only(&format!("user = \"{user}\"\n{MINIMAL}")).unwrap().account, want);
    }
    let runtime = |text: &str| root.only(&format!("runtime = \"{text}\"\n{MINIMAL}")).unwrap().runtime;
    assert_eq!(runtime("runc").family, RuntimeFamily::Runc);
    assert_eq!(runtime("/opt/crun-1.28").family, RuntimeFamily::Crun);
    assert_eq!(runtime("/opt/bin/youki").family, RuntimeFamily::Youki);
    assert_eq!(runtime("runsc").family, RuntimeFamily::Runsc);
    assert_eq!(runtime("/opt/bin/kata").family, RuntimeFamily::Runc);
    assert_eq!(runtime("/opt//bin/./youki").program, Path::new("/opt/bin/youki"));
    assert_eq!(root.only(&format!("slice = \"-.slice\"\n{MINIMAL}")).unwrap().slice.as_str(), "-.slice");
}

#[test]
fn every_problem_of_a_file_is_reported_in_its_place() {
    let root = FakeRoot::new("several");
    let text = "descripton = 3\nslice = \"x\"\nuser = \"ä\"\n\n[root]\npath = 7\n\n[resources]\nmemory_max = \"12Q\"\n\
                memry_low = 1\n\n[[mount]]\ntarget = \"x\"\n[[mount]]\ntarget = 3\n\n[oom]\nscore_adjust = 1001\n";
    let want = [
        "web.toml:1:1: unknown key `descripton` (did you mean `description`?)",
        "web.toml:2:9: slice: \"x\" does not end in .slice (did you mean \"x.slice\"?)",
        "web.toml:3:8: user: \"ä\" is not the name or number of an account",
        "web.toml:6:8: root.path: must be a string, not 7",
        "web.toml:9:14: resources.memory_max: \"12Q\" is not a size such as 512M, 1.5G, 4096 or infinity",
        "web.toml:10:1: resources: unknown key `memry_low` (did you mean `memory_low`?)",
        "web.toml:12:1: mount.type: is missing, and the source is not an absolute path to bind",
        "web.toml:13:10: mount.target: \"x\" is not an absolute path",
        "web.toml:14:1: mount.target: is missing",
        "web.toml:15:10: mount.target: must be a string, not 3",
        "web.toml:18:16: oom.score_adjust: 1001 is not from -1000 to 1000",
    ];
    assert_eq!(root.only(text).unwrap_err(), want);
}

#[test]
fn after_a_syntax_error_nothing_else_is_said_of_the_file() {
    let root = FakeRoot::new("syntax");
    let text = "slice = \"x\"\n[root]\npath = \"/a\n[resources]\nmemory_max = 512M\ntasks_max = 0\n\nä = 1\n";
    let starts = ["web.toml:3:", "web.toml:5:", "web.toml:8:1: "];
    let begin = |reasons: &[String], starts: &[&str]| {
        assert_eq!(reasons.len(), starts.len(), "{reasons:#?}");
        for (reason, start) in reasons.iter().zip(starts) {
            assert!(reason.starts_with(start), "{reason} should begin with {start}");
        }
    };
    begin(&root.only(text).unwrap_err(), &starts);
    begin(&root.only("[root\npath = \"/a\"\n").unwrap_err(), &["web.toml:1:6: "]);
    // Other files are none the worse for it.
    root.write("/etc/ct/containers/web.toml.d/a.toml", "slice = \"x\"\n[root]\n");
    root.write("/etc/ct/containers/web.toml.d/b.toml", "[root\npath = \"x\"\n");
    begin(
        &root.only(text).unwrap_err(),
        &[&starts[..], &["web.toml.d/a.toml:1:9: slice: ", "web.toml.d/b.toml:1:6: "]].concat(),
    );
}

#[test]
fn tables_are_not_filled_from_lists() {
    let root = FakeRoot::new("lists");
    let cases = [
        ("network = [\"none\"]", "web.toml:1:11: network: must be a table, not a list"),
        ("mount = [[\"/a\", \"/b\"]]", "web.toml:1:10: mount: must be a table, not a list"),
        ("mount = 1", "web.toml:1:9: mount: must be a list, not 1"),
        ("mount = { target = \"/a\" }", "web.toml:1:9: mount: must be a list, not a table"),
        (
            "security = { capabilities = [[\"kill\"]] }",
            "web.toml:1:29: security.capabilities: must be a table, not a list",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(root.only(&format!("{text}\n{MINIMAL}")).unwrap_err(), [want], "{text}");
    }
}

#[test]
fn columns_are_counted_in_characters() {
    let root = FakeRoot::new("columns");
    let text = "root = { path = \"/ä/ö\", writable = \"ü\" }";
    let want = "web.toml:1:36: root.writable: \"ü\" is not one of \"persistent\", \"ephemeral\", \"no\"";
    assert_eq!(root.only(text).unwrap_err(), [want]);
    let crlf = "root.path = \"/a\"\r\n\r\nslice = \"x\"\r\n";
    assert_eq!(root.only(crlf).unwrap_err().len(), 1);
    assert!(root.only(crlf).unwrap_err()[0].starts_with("web.toml:3:9: "));
}
