// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key: what it accepts, and the exact words for what it does not.

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
fn what_a_runtime_cannot_do_is_refused() {
    let root = FakeRoot::new("runtime-cannot");
    let command = "root = { path = \"/a\" }\nprocess.command = [\"sleep\", \"9\"]\n";
    let cases = [
        ("runsc", "", vec![]),
        ("runsc", "user = \"web\"", vec!["user"]),
        ("runsc", "user = \"root\"", vec![]),
        ("runsc", "[stop]\nsignal = \"SIGUSR1\"", vec![]),
        ("runsc", "[stop]\nsignal = 37", vec!["stop.signal"]),
        ("runsc", "[[mount]]\ntarget = \"/t\"\ntype = \"tmpfs\"", vec![]),
        (
            "runsc",
            "[security]\ndevices = [\"/dev/fuse\"]\n[ready]\nnotify = true",
            vec!["ready.notify", "security.devices"],
        ),
        ("youki", "user = \"web\"", vec!["user"]),
        ("youki", "[security]\ndevices = [\"/dev/fuse\"]", vec![]),
        ("runc", "user = \"web\"", vec![]),
    ];
    for (runtime, more, keys) in cases {
        let problems =
            root.only(&format!("runtime = \"{runtime}\"\n{command}{more}\n")).err().unwrap_or_default();
        let mut found: Vec<&str> = problems.iter().filter_map(|line| line.split(": ").nth(1)).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{runtime} {more}: {problems:?}");
        assert!(problems.iter().all(|line| line.contains(&format!("{runtime} cannot: "))), "{problems:?}");
    }
}

#[test]
fn what_is_to_come_is_refused_and_not_just_accepted() {
    let root = FakeRoot::new("not-yet");
    let cases = [
        ("[network]\nmode = \"container:db\"", "network.mode: \"container:db\" is not supported yet"),
        ("[network]\nmode = \"bridge:ct0\"", "network.mode: \"bridge:ct0\" is not supported yet"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
}

#[test]
fn lxc_is_a_runtime_and_takes_no_bundle() {
    let root = FakeRoot::new("lxc");
    let runtime = root.only(&format!("runtime = \"lxc\"\n{MINIMAL}")).unwrap().runtime;
    assert_eq!((runtime.name.as_str(), runtime.family), ("lxc", RuntimeFamily::Lxc));
    assert_eq!(runtime.program, Path::new("/usr/libexec/ct/ct-lxc"));
    let said = root.only("runtime = \"lxc\"\n[root]\nbundle = \"/srv/web\"\n").unwrap_err();
    assert!(
        said.iter().any(|line| line.contains("root.bundle: lxc cannot: it is no OCI runtime")),
        "{said:?}"
    );
}

#[test]
fn ready_stop_restart_and_hooks() {
    let root = FakeRoot::new("lifecycle");
    let all = "[ready]\ncommand = [\"pg_isready\"]\ninterval = \"1s\"\ncommand_timeout = 5\ntimeout = 0\n\
               [stop]\ncommand = [\"sh\", \"-c\", \"a\\nb\"]\n\
               [restart]\nstart_limit_burst = 3\nstart_limit_interval = \"1min\"\n\
               [hooks]\npre_start = [[\"/bin/a\", \"b\"], [\"/bin/c\"]]\ntimeout = \"2s\"\n[autostart]\ndelay = \"5s\"";
    let container = with(&root, all);
    let when = ReadyWhen::Command {
        command: vec!["pg_isready".to_owned()],
        interval: Timespan::Finite(1_000_000),
        timeout: Timespan::Finite(5_000_000),
    };
    assert_eq!(container.ready, Ready { when, timeout: Timespan::Infinity });
    assert_eq!(container.stop.command.unwrap(), ["sh", "-c", "a\nb"]);
    assert_eq!(container.stop.command_timeout, Timespan::Finite(10_000_000));
    assert_eq!(container.restart.start_limit_burst, Some(3));
    assert_eq!(container.restart.start_limit_interval, Some(Timespan::Finite(60_000_000)));
    assert_eq!(container.hooks.pre_start, [vec!["/bin/a", "b"], vec!["/bin/c"]]);
    assert_eq!(container.hooks.timeout, Timespan::Finite(2_000_000));
    assert_eq!(container.autostart.delay, Timespan::Finite(5_000_000));
    let notified = with(&root, "[ready]\nnotify = true\nwatchdog = \"10s\"");
    let watchdog = Some(Timespan::Finite(10_000_000));
    assert_eq!(notified.ready.when, ReadyWhen::Notified { watchdog });
    with(
        &root,
        "[ready]\nnotify = false\ncommand = []\n[stop]\ncommand = []\n[hooks]\npre_start = []\n[autostart]\ndelay = 0",
    );

    let cases = [
        (
            "[ready]\ntimeout = \"soon\"",
            "ready.timeout: \"soon\" is not a time span such as 5s, 1min 30s, 250ms or infinity",
        ),
        (
            "[ready]\nnotify = true\ncommand = [\"a\"]",
            "ready.notify: ready.command is set as well, and only one of the two can say when it is ready",
        ),
        (
            "[ready]\nwatchdog = 5",
            "ready.watchdog: has no effect without ready.notify (set ready.notify = true)",
        ),
        ("[ready]\ninterval = 0", "ready.interval: must not be 0"),
        ("[ready]\ninterval = \"infinity\"", "ready.interval: must not be infinity"),
        ("[ready]\ncommand = [\"\"]", "ready.command: the program must not be empty"),
        ("[stop]\ncommand = [\"\"]", "stop.command: the program must not be empty"),
        ("[hooks]\npost_stop = [\"/bin/a\"]", "hooks.post_stop: must be a list, not the string \"/bin/a\""),
        ("[hooks]\npre_start = [[]]", "hooks.pre_start: must not be empty"),
        ("[hooks]\npre_stop = [[\"a\"]]", "hooks.pre_stop: \"a\" is not an absolute path"),
        ("[hooks]\ntimeout = 0", "hooks.timeout: must not be 0"),
        ("[restart]\nstart_limit_burst = -1", "restart.start_limit_burst: -1 is not from 0 to 4294967295"),
        ("[autostart]\ndelay = \"infinity\"", "autostart.delay: must not be infinity"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    let unmapped = root.only("root = { path = \"/a\", idmap = true }").unwrap_err();
    let want = "web.toml:1:31: root.idmap: the container has no user namespace to map ids for \
                (set [idmap], or `user` to an account with subordinate ids)";
    assert_eq!(unmapped, [want]);
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
fn the_root_file_system() {
    let root = FakeRoot::new("root");
    let cases = [
        ("", "web.toml: root: no root file system (set one of path, layers and bundle in [root])"),
        ("[root]", "web.toml: root: no root file system (set one of path, layers and bundle in [root])"),
        ("root = 3", "web.toml:1:8: root: must be a table, not 3"),
        ("root.path = \"srv\"", "web.toml:1:13: root.path: \"srv\" is not an absolute path"),
        ("root.path = \"\"", "web.toml:1:13: root.path: \"\" is not an absolute path"),
        ("root.path = \"/srv/../etc\"", "web.toml:1:13: root.path: \"/srv/../etc\" contains \"..\""),
        ("root.bundle = \"x\"", "web.toml:1:15: root.bundle: \"x\" is not an absolute path"),
        ("root.layers = []", "web.toml:1:15: root.layers: must not be empty"),
        (
            "root.layers = [\"../x\"]",
            "web.toml:1:16: root.layers: \"../x\" is neither an absolute path nor the name of a layer",
        ),
        ("root.layers = [\"a\", \"a\"]", "web.toml:1:21: root.layers: \"a\" is listed twice"),
        ("root.layers = [\"a\", 3]", "web.toml:1:21: root.layers: must be a string, not 3"),
        (
            "root = { path = \"/a\", writable = \"yes\" }",
            "web.toml:1:34: root.writable: \"yes\" is not one of \"persistent\", \"ephemeral\", \"no\"",
        ),
        (
            "root = { path = \"/a\", writable = \"ephemerl\" }",
            "web.toml:1:34: root.writable: \"ephemerl\" is not one of \"persistent\", \"ephemeral\", \"no\" (did you mean \"ephemeral\"?)",
        ),
        ("root = { path = \"/a\", writable = false }", "web.toml:1:34: root.writable: must be a string"),
        (
            "root = { path = \"/a\", idmap = \"x\" }",
            "web.toml:1:31: root.idmap: must be true or false, not the string \"x\"",
        ),
        (
            "root = { path = \"/a\", bundle = \"/b\" }",
            "web.toml:1:32: root.bundle: root.path is set as well, and only one of path, layers and bundle can be",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(root.only(text).unwrap_err(), [want], "{text}");
    }
    let bundle = root.only("root.bundle = \"/srv//web/\"").unwrap();
    let source = RootSource::Bundle(PathBuf::from("/srv/web"));
    assert_eq!(bundle.root, Root { source, writable: None, idmap: false, lxcfs: Lxcfs::No });
}

#[test]
fn a_layer_may_be_named_after_its_digest() {
    let root = FakeRoot::new("a_layer_may_be_named_after_its_digest");
    let name = format!("sha512-{}", "0".repeat(128));
    let container = root.only(&format!("root.layers = [\"{name}\"]")).unwrap();
    assert_eq!(
        container.root.source,
        RootSource::Layers(vec![PathBuf::from("/var/lib/ct/layers").join(&name)])
    );
    for bad in ["0".repeat(256), "a/b".to_owned(), "a..b".to_owned(), ".a".to_owned(), String::new()] {
        let refused = root.only(&format!("root.layers = [\"{bad}\"]")).unwrap_err();
        assert!(refused[0].contains("nor the name of a layer"), "{bad}: {refused:?}");
    }
}

#[test]
fn scripts_have_lines() {
    let root = FakeRoot::new("scripts");
    let text = "root.path = \"/a\"\n[process]\ncommand = [\"sh\", \"-c\", \"\"\"\nif x; then\n\ty\nfi\n\"\"\"]\n\
                env = { A = \"x\\ny\\t\" }\n";
    let process = root.only(text).unwrap().process;
    assert_eq!(process.command.unwrap(), ["sh", "-c", "if x; then\n\ty\nfi\n"]);
    assert_eq!(process.env["A"], "x\ny\t");
}

#[test]
fn the_process() {
    let root = FakeRoot::new("process");
    let cases = [
        ("command = []", "process.command: must not be empty"),
        ("command = [\"\"]", "process.command: the program must not be empty"),
        ("command = \"/bin/true\"", "process.command: must be a list, not the string \"/bin/true\""),
        ("command = [\"sh\", \"a\\u001b[0m\"]", "process.command: has the control character \\u{1b}"),
        ("cwd = \"srv\"", "process.cwd: \"srv\" is not an absolute path"),
        ("cwd = \"/proc/self/fd/7\"", "process.cwd: must not be below /proc or /dev/fd"),
        ("cwd = \"/proc\"", "process.cwd: must not be below /proc or /dev/fd"),
        ("cwd = \"//./proc/self/fd/7\"", "process.cwd: must not be below /proc or /dev/fd"),
        ("cwd = \"/dev/fd/7\"", "process.cwd: must not be below /proc or /dev/fd"),
        ("env = { \"A=B\" = \"x\" }", "process.env: \"A=B\" is not the name of a variable"),
        ("env = { \"\" = \"x\" }", "process.env: \"\" is not the name of a variable"),
        ("env = { A = \"x\\ry\" }", "process.env.A: has the control character \\u{d}"),
        ("env = { \"A\\n\" = \"\" }", "process.env.A\\n: the key has a control character"),
        ("command = [\"a\", \"b\\u0000\"]", "process.command: has the control character \\u{0}"),
        ("cwd = \"/a\\n\"", "process.cwd: has the control character \\u{a}"),
        ("env = { A = true }", "process.env.A: must be a string or a whole number, not true"),
        ("env = { \"A\\u0000\" = \"\" }", "process.env.A\\u{0}: the key has a control character"),
        ("env_file = [\"x\"]", "process.env_file: \"x\" is not an absolute path"),
        ("env_file = \"/x\"", "process.env_file: must be a list, not the string \"/x\""),
        ("user = \"a b\"", "process.user: \"a b\" is not the name or number of a user"),
        ("group = 65535", "process.group: 65535 is not usable as an id"),
        ("groups = [4294967295]", "process.groups: 4294967295 is not usable as an id"),
        ("terminal = 1", "process.terminal: must be true or false, not 1"),
        ("comand = []", "process: unknown key `comand` (did you mean `command`?)"),
    ];
    for (text, want) in cases {
        let all = root.only(&format!("root.path = \"/a\"\n[process]\n{text}")).unwrap_err();
        let bare: Vec<&str> = all.iter().map(|line| line.splitn(4, ':').nth(3).unwrap().trim()).collect();
        assert_eq!(bare, [want], "{text}");
    }
}

#[test]
fn id_maps() {
    let root = FakeRoot::new("idmap");
    let good = "[[0, 200000, 65536]]";
    let cases = [
        ("[]", "idmap.uid: must map the container's id 0"),
        ("[[1, 200000, 1]]", "idmap.uid: must map the container's id 0"),
        ("[[0, 200000]]", "idmap.uid: must be [container id, host id, count]"),
        ("[[0, 200000, 0]]", "idmap.uid: the count must be a number from 1"),
        ("[[0, -1, 1]]", "idmap.uid: an id must be a number from 0 to 4294967294"),
        ("[[0, 4294967295, 1]]", "idmap.uid: runs past the id 4294967294"),
        (
            "[[0, 200000, 65536], [65535, 400000, 1]]",
            "idmap.uid: overlaps with an earlier range inside the container",
        ),
        ("[[0, 200000, 65536], [65536, 200001, 1]]", "idmap.uid: overlaps with an earlier range on the host"),
        (
            "\"automatic\"",
            "idmap.uid: must be \"auto\" or a list of [container id, host id, count], not the string \"automatic\"",
        ),
        ("\"auto\"", "idmap: uid and gid must both be \"auto\" or both be lists"),
    ];
    for (uid, want) in cases {
        let got = refused(&root, &format!("[idmap]\nuid = {uid}\ngid = {good}"));
        assert!(got.iter().any(|line| line == want), "{uid}: {got:#?}");
    }
    assert_eq!(refused(&root, &format!("[idmap]\nuid = {good}")), ["idmap: has uid but not gid"]);
    assert_eq!(with(&root, "[idmap]\nuid = \"auto\"\ngid = \"auto\"").idmap, Some(IdMap::Auto));
    with(&root, "[idmap]\nuid = [[0, 1, 4294967294]]\ngid = [[0, 1000, 1], [1, 200000, 65535]]");
}

#[test]
fn mounts() {
    let root = FakeRoot::new("mounts");
    let cases = [
        ("source = \"/a\"", "mount.target: is missing"),
        ("target = \"/a\"", "mount.type: is missing, and the source is not an absolute path to bind"),
        (
            "target = \"/a\"\nsource = \"data\"",
            "mount.type: is missing, and the source is not an absolute path to bind",
        ),
        ("target = \"/a\"\ntype = \"bind\"", "mount.source: is missing"),
        ("target = \"/a\"\ntype = \"bind\"\nsource = \"b\"", "mount.source: \"b\" is not an absolute path"),
        ("target = \"/a\"\ntype = \"ext4\"", "mount.source: is missing"),
        ("target = \"/a\"\ntype = \"ext4\"\nsource = \"\"", "mount.source: must not be empty"),
        (
            "target = \"/a\"\ntype = \"a b\"\nsource = \"x\"",
            "mount.type: \"a b\" is not the name of a file system",
        ),
        ("target = \"/\"\nsource = \"/x\"", "mount.target: must not be \"/\", which [root] is for"),
        ("target = \"/.\"\nsource = \"/x\"", "mount.target: must not be \"/\", which [root] is for"),
        ("target = \"a\"\nsource = \"/x\"", "mount.target: \"a\" is not an absolute path"),
        ("target = \"/a/../b\"\nsource = \"/x\"", "mount.target: \"/a/../b\" contains \"..\""),
        ("target = \"/proc/sys\"\nsource = \"/x\"", "mount.target: must not be below /proc"),
        (
            "target = \"/a\"\nsource = \"/x\"\noptions = [\"ro,nosuid\"]",
            "mount.options: \"ro,nosuid\" is more than one option, make it several strings",
        ),
        ("target = \"/a\"\nsource = \"/x\"\noptions = [\"\"]", "mount.options: an option must not be empty"),
        ("target = \"/a\"\nsource = \"/x\"\ncreate = true", "mount.create: must be a string"),
        (
            "target = \"/a\"\nsource = \"/x\"\ncreate = \"yes\"",
            "mount.create: \"yes\" is not one of \"dir\", \"file\", \"no\"",
        ),
        ("target = \"/a\"\nsource = \"/x\"\nfoo = 1", "mount: unknown key `foo`"),
        (
            "target = \"/a\"\nsource = \"/x\"\n[[mount]]\ntarget = \"/a/\"\nsource = \"/y\"",
            "mount.target: /a is mounted twice",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, &format!("[[mount]]\n{text}")), [want], "{text}");
    }
    let sysfs = with(&root, "[[mount]]\ntarget = \"/sys\"\ntype = \"sysfs\"").mounts;
    assert_eq!((sysfs[0].kind.as_str(), sysfs[0].source.as_path()), ("sysfs", Path::new("sysfs")));
    let bind = with(&root, "[[mount]]\ntarget = \"/a\"\nsource = \"/b//c/\"").mounts;
    assert_eq!((bind[0].kind.as_str(), bind[0].source.as_path()), ("bind", Path::new("/b/c")));
}

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
fn network_and_security() {
    let root = FakeRoot::new("security");
    let cases = [
        (
            "[network]\nmode = \"nope\"",
            "network.mode: \"nope\" is not one of \"none\", \"host\", \"ns:/path\"",
        ),
        ("[network]\nmode = \"ns:x\"", "network.mode: \"x\" is not an absolute path"),
        (
            "[security]\ncapabilities = { add = [\"net_admn\"] }",
            "security.capabilities.add: \"net_admn\" is not a capability (did you mean \"CAP_NET_ADMIN\"?)",
        ),
        (
            "[security]\ncapabilities = { add = [\"kill\"], drop = [\"CAP_KILL\"] }",
            "security.capabilities.drop: \"CAP_KILL\" is added as well",
        ),
        ("[security]\ncapabilities = []", "security.capabilities: must be a table, not a list"),
        ("[security]\nno_new_privileges = 1", "security.no_new_privileges: must be true or false, not 1"),
        (
            "[security]\nseccomp = \"off\"",
            "security.seccomp: \"off\" is not one of \"default\", \"unconfined\", \"/path.json\"",
        ),
        ("[security]\nseccomp = \"/a/../b.json\"", "security.seccomp: \"/a/../b.json\" contains \"..\""),
        (
            "[security]\ndevices = [\"/dev/../etc/shadow\"]",
            "security.devices: \"/dev/../etc/shadow\" contains \"..\"",
        ),
        ("[security]\ndevices = [\"/etc/shadow\"]", "security.devices: \"/etc/shadow\" is not below /dev"),
        (
            "[security]\ndevices = [\"/dev/a b\"]",
            "security.devices: \"/dev/a b\" has characters that no device node has",
        ),
        (
            "[security]\ndevices = [\"/dev/%i\"]",
            "security.devices: \"/dev/%i\" has characters that no device node has",
        ),
        ("[security]\ndevices = [\"/dev\"]", "security.devices: \"/dev\" is not below /dev"),
        ("[security]\ndevices = [\"/dev/fuse:/tmp/x\"]", "security.devices: \"/tmp/x\" is not below /dev"),
        (
            "[security]\ndevices = [\"/dev/fuse:x\"]",
            "security.devices: \"/dev/fuse:x\" is not a device such as /dev/fuse, /dev/fuse:rw or /dev/sda:/dev/disk:r",
        ),
        (
            "[security]\ndevices = [\"/dev/fuse:rr\"]",
            "security.devices: \"/dev/fuse:rr\" is not a device such as /dev/fuse, /dev/fuse:rw or /dev/sda:/dev/disk:r",
        ),
        (
            "[security]\ndevices = [\"/dev/fuse:\"]",
            "security.devices: \"/dev/fuse:\" is not a device such as /dev/fuse, /dev/fuse:rw or /dev/sda:/dev/disk:r",
        ),
        (
            "[security]\ndevices = [\"/dev/a:/dev/b:r:w\"]",
            "security.devices: \"/dev/a:/dev/b:r:w\" is not a device such as /dev/fuse, /dev/fuse:rw or /dev/sda:/dev/disk:r",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    let network = |text: &str| with(&root, &format!("[network]\nmode = \"{text}\"")).network;
    assert_eq!(network("host"), Some(Network::Host));
    assert_eq!(network("ns:/run/netns/x"), Some(Network::Namespace(PathBuf::from("/run/netns/x"))));
    let text = "[security]\ncapabilities = { add = [\"CAP_CHOWN\", \"kill\", \"Chown\"], drop = [\"all\"] }\n\
                seccomp = \"/etc/x.json\"\ndevices = [\"/dev/a:/dev/b:mr\", \"/dev/c\"]";
    let security = with(&root, text).security;
    assert_eq!(security.capabilities_add, ["CAP_CHOWN", "CAP_KILL"]);
    assert_eq!(security.capabilities_drop, ["ALL"]);
    assert_eq!(security.seccomp, Some(Seccomp::File(PathBuf::from("/etc/x.json"))));
    let device = |source: &str, target: &str, access: &str| Device {
        source: PathBuf::from(source),
        target: PathBuf::from(target),
        access: access.to_owned(),
    };
    assert_eq!(security.devices, [device("/dev/a", "/dev/b", "rm"), device("/dev/c", "/dev/c", "rwm")]);
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

#[test]
fn a_small_init_is_not_put_in_front_of_an_init_system() {
    let root = FakeRoot::new("init");
    for command in ["", "command = [\"/usr/lib/systemd/systemd\"]\n"] {
        let text = format!("[root]\npath = \"/srv\"\n[process]\ninit = true\n{command}");
        root.write("/etc/ct/containers/web.toml", &text);
        let reasons = root.reasons("web").join("\n");
        assert!(reasons.contains("process.init: the command is an init system"), "{command}: {reasons}");
    }
    let bundle = "[root]\nbundle = \"/srv\"\n[process]\ninit = true\n";
    root.write("/etc/ct/containers/web.toml", bundle);
    assert!(root.load("web").is_ok(), "its command is in a file that is not read here");
}
