// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files count, in which order, and which are not believed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::fake_root::{FakeRoot, MINIMAL, short};
use ct_config::container::{RootSource, Writable};
use ct_config::host::Parallel;
use ct_config::name::ContainerName;
use ct_config::settings::Value;
use ct_config::value::Size;

const ETC: &str = "/etc/ct/containers";
const RUN: &str = "/run/ct/containers";
const USR: &str = "/usr/lib/ct/containers";

fn described(text: &str) -> String {
    format!("description = \"{text}\"\n{MINIMAL}")
}

fn description(root: &FakeRoot, name: &str) -> String {
    root.load(name).unwrap().description.unwrap_or_default()
}

#[test]
fn nothing_at_all_is_no_problem() {
    let root = FakeRoot::new("nothing");
    assert_eq!(root.names(), (vec![], vec![]));
    assert!(root.host().1.is_empty());
}

#[test]
fn the_first_directory_wins_and_names_are_sorted() {
    let root = FakeRoot::new("first");
    for (dir, names) in [(ETC, &["b"][..]), (RUN, &["b", "a"]), (USR, &["b", "a", "c"])] {
        names.iter().for_each(|name| root.write(&format!("{dir}/{name}.toml"), &described(dir)));
    }
    let (names, problems) = root.names();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(problems.is_empty());
    assert_eq!([description(&root, "a"), description(&root, "b"), description(&root, "c")], [RUN, ETC, USR]);
    let a = ContainerName::parse("a").unwrap();
    assert_eq!(root.tree().main_file(&a), Some(PathBuf::from("/run/ct/containers/a.toml")));
    assert!(root.tree().contains(&a) && !root.tree().contains(&ContainerName::parse("d").unwrap()));
}

#[test]
fn a_link_to_dev_null_masks() {
    let root = FakeRoot::new("mask");
    root.write(&format!("{USR}/a.toml"), MINIMAL);
    root.write(&format!("{USR}/b.toml"), MINIMAL);
    root.write(&format!("{ETC}/c.toml"), MINIMAL);
    root.link(&format!("{ETC}/a.toml"), "/dev/null");
    // By way of another link, as link farms do it.
    root.link("/etc/static/b.toml", "/dev/null");
    root.link(&format!("{RUN}/b.toml"), root.path("/etc/static/b.toml").to_str().unwrap());
    root.link(&format!("{USR}/c.toml"), "/dev/null");
    assert_eq!(root.names(), (vec!["c".to_owned()], vec![]));
}

#[test]
fn links_to_files_are_followed() {
    let root = FakeRoot::new("links");
    root.write("/etc/static/a.toml", &described("linked"));
    root.link(&format!("{ETC}/a.toml"), "../../static/a.toml");
    assert_eq!(description(&root, "a"), "linked");
}

#[test]
fn what_is_no_config_is_passed_over() {
    let root = FakeRoot::new("others");
    for name in [
        "a.toml~",
        ".a.toml",
        ".#a.toml",
        "#a.toml#",
        "README",
        "a.toml.bak",
        "a.TOML",
        "a.toml.swp",
        "a.conf",
    ] {
        root.write(&format!("{ETC}/{name}"), "rubbish");
    }
    root.write(&format!("{ETC}/a.toml.d/x.toml"), "rubbish");
    assert_eq!(root.names(), (vec![], vec![]));
}

#[test]
fn names_that_are_none_are_problems_of_the_directory() {
    let root = FakeRoot::new("names");
    for name in ["a b.toml", "-a.toml", "a..b.toml", "containers.toml", "layers.toml", "ä.toml"] {
        root.write(&format!("{ETC}/{name}"), MINIMAL);
    }
    root.write(&format!("{ETC}/good.toml"), MINIMAL);
    let (names, mut problems) = root.names();
    problems.sort();
    assert_eq!(names, ["good"]);
    let want = [
        "/etc/ct/containers/-a.toml: \"-a\" is not a container name: it must begin with a letter or a digit",
        "/etc/ct/containers/a b.toml: \"a b\" is not a container name: only letters, digits, \"_\", \".\" and \"-\" are allowed",
        "/etc/ct/containers/a..b.toml: \"a..b\" is not a container name: it contains \"..\"",
        "/etc/ct/containers/containers.toml: \"containers\" is not a container name: it is reserved, ct keeps other things in directories of this name",
        "/etc/ct/containers/layers.toml: \"layers\" is not a container name: it is reserved, ct keeps other things in directories of this name",
        "/etc/ct/containers/ä.toml: \"ä\" is not a container name: it must begin with a letter or a digit",
    ];
    assert_eq!(problems, want);
}

#[test]
fn drop_ins_merge_in_the_order_of_their_names() {
    let root = FakeRoot::new("drop-ins");
    root.write(
        &format!("{USR}/web.toml"),
        "slice = \"a.slice\"\nhostname = \"main\"\n[root]\npath = \"/a\"\n[limits]\ncore = 1\nnofile = 64\n",
    );
    root.write(&format!("{USR}/web.toml.d/10-a.toml"), "hostname = \"usr-10\"\n");
    root.write(&format!("{ETC}/web.toml.d/20-b.toml"), "limits.core = 2\n");
    root.write(
        &format!("{RUN}/web.toml.d/30-c.toml"),
        "slice = \"c.slice\"\n[depends]\nafter = [\"x\", \"y\"]\n",
    );
    root.write(&format!("{USR}/web.toml.d/40-d.toml"), "[depends]\nafter = [\"z\"]\n");
    // Of the same name the first directory's counts, and a masked one hides the others.
    root.write(&format!("{USR}/web.toml.d/20-b.toml"), "rubbish");
    root.write(&format!("{USR}/web.toml.d/50-e.toml"), "rubbish");
    root.link(&format!("{ETC}/web.toml.d/50-e.toml"), "/dev/null");
    for name in ["x.conf", ".x.toml", "x.toml~"] {
        root.write(&format!("{USR}/web.toml.d/{name}"), "rubbish");
    }
    let web = root.load("web").unwrap();
    let files = [
        "/usr/lib/ct/containers/web.toml",
        "/usr/lib/ct/containers/web.toml.d/10-a.toml",
        "/etc/ct/containers/web.toml.d/20-b.toml",
        "/run/ct/containers/web.toml.d/30-c.toml",
        "/usr/lib/ct/containers/web.toml.d/40-d.toml",
    ];
    assert_eq!(web.files, files.map(PathBuf::from));
    assert_eq!(web.hostname.as_deref(), Some("usr-10"));
    assert_eq!(web.slice.as_str(), "c.slice");
    let limits: Vec<String> = web.limits.values().map(ToString::to_string).collect();
    assert_eq!(limits, ["2", "64"], "tables merge key by key");
    assert_eq!(web.depends.after.len(), 1, "lists are replaced");
    assert_eq!(web.depends.after[0].place.to_string(), "/usr/lib/ct/containers/web.toml.d/40-d.toml:2:10");
}

#[test]
fn a_drop_in_replaces_the_mount_of_the_same_target() {
    let root = FakeRoot::new("mounts");
    let mounts = "[[mount]]\nsource = \"/1\"\ntarget = \"/a\"\n[[mount]]\nsource = \"/2\"\ntarget = \"/b\"\noptions = [\"ro\"]\n";
    root.write(&format!("{ETC}/web.toml"), &format!("{MINIMAL}{mounts}"));
    root.write(
        &format!("{ETC}/web.toml.d/a.toml"),
        "[[mount]]\nsource = \"/3\"\ntarget = \"/b\"\n[[mount]]\nsource = \"/4\"\ntarget = \"/c\"\n",
    );
    let sources = |root: &FakeRoot| -> Vec<String> {
        root.load("web").unwrap().mounts.iter().map(|mount| mount.source.display().to_string()).collect()
    };
    assert_eq!(sources(&root), ["/1", "/3", "/4"]);
    assert!(root.load("web").unwrap().mounts[1].options.is_empty(), "an entry is replaced as a whole");
    root.write(&format!("{ETC}/web.toml.d/b.toml"), "mount = []");
    assert!(sources(&root).is_empty(), "an empty list clears");
    root.write(&format!("{ETC}/web.toml.d/c.toml"), "[[mount]]\nsource = \"/5\"\ntarget = \"/d\"\n");
    assert_eq!(sources(&root), ["/5"]);
}

#[test]
fn a_later_file_may_choose_another_root() {
    let root = FakeRoot::new("root");
    root.write(&format!("{ETC}/web.toml"), "[root]\npath = \"/a\"\nwritable = \"no\"\n");
    root.write(&format!("{ETC}/web.toml.d/a.toml"), "root.layers = [\"b\"]\n");
    let web = root.load("web").unwrap();
    assert_eq!(web.root.source, RootSource::Layers(vec![PathBuf::from("/var/lib/ct/layers/b")]));
    assert_eq!(web.root.writable, Some(Writable::No), "the other keys stay");
    root.write(&format!("{ETC}/web.toml.d/b.toml"), "root.bundle = \"/c\"\nroot.path = \"/d\"\n");
    let want = "web.toml.d/b.toml:1:15: root.bundle: root.path is set as well, and only one of path, layers and bundle can be";
    assert_eq!(root.reasons("web"), [want]);
}

#[test]
fn problems_of_several_files_are_told_apart() {
    let root = FakeRoot::new("several");
    root.write(&format!("{ETC}/web.toml"), "slice = 1\nfoo = 1\n[root]\npath = \"/a\"\n");
    root.write(&format!("{ETC}/web.toml.d/a.toml"), "\n[limits]\ncore = \"x\"\n");
    root.write(&format!("{ETC}/web.toml.d/b.toml"), "[limits\n");
    let reasons = root.reasons("web");
    let want = [
        "web.toml:1:9: slice: must be a string, not 1",
        "web.toml:2:1: unknown key `foo`",
        "web.toml.d/a.toml:3:8: limits.core: \"x\" is not a size such as 512M, 1.5G, 4096 or infinity",
    ];
    assert_eq!(reasons[..3], want);
    assert!(reasons[3].starts_with("web.toml.d/b.toml:1:8: "), "{}", reasons[3]);
    assert_eq!(reasons.len(), 4);
}

/// Each is a problem of its container alone, and none is waited for.
#[test]
fn files_that_are_not_to_be_believed() {
    let root = FakeRoot::new("unsafe");
    let path = |name: &str| root.path(&format!("{ETC}/{name}.toml"));
    root.write(&format!("{ETC}/good.toml"), MINIMAL);
    nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    root.link(&format!("{ETC}/dangling.toml"), "/nonexistent");
    root.link(&format!("{ETC}/loop.toml"), "loop.toml");
    root.link(&format!("{ETC}/zero.toml"), "/dev/zero");
    root.link(&format!("{ETC}/proc.toml"), "/proc/self/mem");
    fs::create_dir(path("dir")).unwrap();
    let _listener = UnixListener::bind(path("socket")).unwrap();
    File::create(path("sparse")).unwrap().set_len(2 << 30).unwrap();
    for (name, mode) in [("group", 0o664), ("world", 0o646)] {
        root.write(&format!("{ETC}/{name}.toml"), MINIMAL);
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    }
    root.write_bytes(&format!("{ETC}/latin.toml"), b"# a\n# \xe4\n");
    root.write_bytes(&format!("{ETC}/nul.toml"), b"# a\n\n\0");
    root.write_bytes(&format!("{ETC}/bom.toml"), format!("\u{feff}{MINIMAL}").as_bytes());
    root.write_bytes(&format!("{ETC}/full.toml"), &[b'\n'; 1 << 20]);
    root.write_bytes(&format!("{ETC}/over.toml"), &[b'\n'; (1 << 20) + 1]);
    let cases = [
        ("fifo", "not a regular file but a FIFO"),
        ("dangling", "cannot open the file: No such file or directory (os error 2)"),
        ("loop", "cannot open the file: Too many levels of symbolic links (os error 40)"),
        ("zero", "not a regular file but a device"),
        ("dir", "not a regular file but a directory"),
        ("socket", "cannot open the file: No such device or address (os error 6)"),
        ("sparse", "larger than 1 MiB"),
        ("over", "larger than 1 MiB"),
        ("group", "writable by others than its owner (mode 0664); use chmod go-w"),
        ("world", "writable by others than its owner (mode 0646); use chmod go-w"),
        ("latin", "not UTF-8 text, in line 2"),
        ("nul", "not text: a NUL byte in line 3"),
        ("bom", "begins with a byte order mark; save it as UTF-8 without one"),
    ];
    for (name, want) in cases {
        let reasons = root.reasons(name);
        assert_eq!(reasons[0], format!("{name}.toml: {want}"));
        assert_eq!(reasons.len(), 1, "{reasons:#?}");
    }
    assert_eq!(root.reasons("full").len(), 1, "1 MiB is read; it has no root");
    assert_eq!(root.reasons("proc").len(), 1);
    assert!(root.load("good").is_ok());
    assert!(root.names().1.is_empty());
}

#[test]
fn files_of_others_are_not_to_be_believed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIP: only root can give files away");
        return;
    }
    let root = FakeRoot::new("owner");
    root.write(&format!("{ETC}/web.toml"), MINIMAL);
    chown(root.path(&format!("{ETC}/web.toml")), Some(1000), None).unwrap();
    assert_eq!(root.reasons("web"), ["web.toml: owned by uid 1000 and not by root"]);
}

#[test]
fn an_unreadable_drop_in_breaks_its_container() {
    let root = FakeRoot::new("drop-in");
    root.write(&format!("{ETC}/web.toml"), MINIMAL);
    root.link(&format!("{ETC}/web.toml.d/limits.toml"), "/nonexistent");
    let broken = root.load("web").unwrap_err();
    let reasons: Vec<String> = broken.problems.iter().map(short).collect();
    assert_eq!(
        reasons,
        ["web.toml.d/limits.toml: cannot open the file: No such file or directory (os error 2)"]
    );
    assert_eq!(broken.digest, None);
    root.write(&format!("{ETC}/db.toml"), MINIMAL);
    root.write(&format!("{ETC}/db.toml.d"), "");
    assert_eq!(root.reasons("db"), ["db.toml.d: cannot read the directory: Not a directory (os error 20)"]);
}

#[test]
fn what_a_broken_container_still_tells() {
    let root = FakeRoot::new("broken");
    root.write(&format!("{ETC}/web.toml"), "foo = 1\n[root\n[autostart]\nenabled = true\n");
    let broken = root.load("web").unwrap_err();
    assert_eq!(broken.name.as_str(), "web");
    assert_eq!(broken.files, [Path::new("/etc/ct/containers/web.toml")]);
    assert!(broken.autostart);
    assert_eq!(broken.digest.unwrap().0.len(), 64);
    root.write(&format!("{ETC}/web.toml"), "foo = 1\n[autostart]\nenabled = \"yes\"\n");
    assert!(!root.load("web").unwrap_err().autostart);
}

#[test]
fn the_digest_is_that_of_all_files() {
    let root = FakeRoot::new("digest");
    root.write(&format!("{ETC}/web.toml"), MINIMAL);
    let digest = || root.load("web").unwrap().digest.0;
    let first = digest();
    assert_eq!(digest(), first);
    assert!(first.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let mut seen = vec![first.clone()];
    let mut changed = |what: &str| {
        assert!(!seen.contains(&digest()), "{what}");
        seen.push(digest());
    };
    root.write(&format!("{ETC}/web.toml"), &format!("{MINIMAL}#"));
    changed("a comment");
    root.write(&format!("{ETC}/web.toml"), MINIMAL);
    root.write(&format!("{ETC}/web.toml.d/a.toml"), "#");
    changed("a drop-in");
    root.write(&format!("{ETC}/web.toml.d/b.toml"), "");
    changed("an empty drop-in");
    root.write("/etc/ct/ct.toml", "");
    changed("the host's settings");
    root.write("/etc/ct/ct.toml.d/a.toml", "#");
    changed("a drop-in of theirs");
}

#[test]
fn the_settings_of_the_host() {
    let root = FakeRoot::new("host");
    let parallel = |text: &str| {
        root.write("/etc/ct/ct.toml", text);
        let (host, problems) = root.host();
        (host.parallel, problems.iter().map(short).collect::<Vec<_>>())
    };
    assert_eq!(parallel(""), (Parallel::Auto, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = \"auto\""), (Parallel::Auto, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = 0"), (Parallel::Unlimited, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = 8"), (Parallel::AtMost(8), vec![]));
    let want = "ct.toml:2:12: autostart.parallel: \"-1\" is neither a number nor \"auto\"";
    assert_eq!(parallel("[autostart]\nparallel = -1"), (Parallel::Auto, vec![want.to_owned()]));
    root.write("/etc/ct/ct.toml.d/x.toml", "autostart.parallel = 3");
    assert_eq!(parallel("[autostart]\nparallel = 8"), (Parallel::AtMost(3), vec![]));
}

#[test]
fn named_runtimes() {
    let root = FakeRoot::new("runtimes");
    root.write(
        "/etc/ct/ct.toml",
        "[runtimes]\nnew = \"/opt//crun\"\n[runtimes.runc]\npath = \"/opt/runc\"\narguments = [\"--debug\"]\n\
         [runtimes.bad]\npath = \"x\"\n[runtimes.worse]\narguments = []\n[runtimes.\"a b\"]\npath = \"/x\"\n\
         [runtimes.odd]\npath = \"/x\"\nargs = []\n",
    );
    let problems: Vec<String> = root.host().1.iter().map(short).collect();
    let want = [
        "ct.toml:6:1: runtimes.bad: \"x\" is not an absolute path",
        "ct.toml:8:1: runtimes.worse: path is missing",
        "ct.toml:10:11: runtimes: \"a b\" is not a name for a runtime",
        "ct.toml:14:1: runtimes.odd: unknown key `args`",
    ];
    assert_eq!(problems, want);
    let runtime = |name: &str| {
        root.only(&format!("runtime = \"{name}\"\n{MINIMAL}")).map(|container| container.runtime)
    };
    assert_eq!(runtime("new").unwrap().program, Path::new("/opt/crun"));
    assert_eq!(runtime("runc").unwrap().arguments, ["--debug"]);
    assert_eq!(runtime("runc").unwrap().program, Path::new("/opt/runc"));
    assert_eq!(runtime("crun").unwrap().program, Path::new("crun"));
    assert!(
        runtime("bad").unwrap_err()[0]
            .contains("\"bad\" is neither crun, runc, youki, runsc, lxc, one of [runtimes]")
    );
}

#[test]
fn defaults_are_below_every_container() {
    let root = FakeRoot::new("defaults");
    root.write(
        "/etc/ct/ct.toml",
        "[defaults]\nslice = \"all.slice\"\ndescription = \"none\"\nroot.path = \"/srv/default\"\n\
         [defaults.resources]\nmemory_max = \"1K\"\ntasks_max = 5\n[[defaults.mount]]\ntarget = \"/a\"\nsource = \"/1\"\n",
    );
    root.write(
        "/etc/ct/ct.toml.d/a.toml",
        "defaults.resources.tasks_max = 6\n[[defaults.mount]]\ntarget = \"/b\"\nsource = \"/2\"\n",
    );
    let text = "description = \"mine\"\nroot.layers = [\"a\"]\n[resources]\nmemory_max = \"2K\"\n\
                [[mount]]\ntarget = \"/a\"\nsource = \"/3\"\n";
    let web = root.only(text).unwrap();
    assert!(root.host().1.is_empty());
    assert_eq!(web.slice.as_str(), "all.slice");
    assert_eq!(web.description.as_deref(), Some("mine"));
    assert!(matches!(web.root.source, RootSource::Layers(_)));
    let values: Vec<&Value> = web.resources.iter().map(|property| &property.value).collect();
    assert_eq!(values, [&Value::Size(Size::Finite(2048)), &Value::Count(Size::Finite(6))]);
    let sources: Vec<&Path> = web.mounts.iter().map(|mount| mount.source.as_path()).collect();
    assert_eq!(sources, [Path::new("/3"), Path::new("/2")]);
    assert_eq!(web.files, [Path::new("/etc/ct/containers/web.toml")]);
    assert!(root.only("").is_ok(), "the defaults name a root");
}

#[test]
fn bad_defaults_are_told_where_they_stand() {
    let root = FakeRoot::new("bad-defaults");
    root.write(
        "/etc/ct/ct.toml",
        "[defaults]\nslce = 1\nhostname = \"-\"\n[defaults.limits]\nnofile = true\n",
    );
    let problems: Vec<String> = root.host().1.iter().map(short).collect();
    let unknown = "ct.toml:2:1: defaults: unknown key `slce` (did you mean `slice`?)";
    let kind = "ct.toml:5:10: defaults.limits.nofile: must be a string or a whole number, not true";
    assert_eq!(problems, [unknown, kind]);
    let name = "ct.toml:3:12: defaults.hostname: \"-\" is not a host name";
    assert_eq!(root.only(MINIMAL).unwrap_err(), [unknown, name, kind]);
    let mine = root.only(&format!("hostname = \"a\"\nlimits.nofile = 64\n{MINIMAL}")).unwrap_err();
    assert_eq!(mine, [unknown], "what is overridden does no harm");
}

/// The defaults may be what limits every container: without them, none.
#[test]
fn unreadable_settings_of_the_host_break_every_container() {
    let root = FakeRoot::new("fatal");
    let cases = [
        ("[defaults\n", "ct.toml:1:10: "),
        ("[defaults\nhostname = \"-\"\nslce = 1\n", "ct.toml:1:10: "),
        ("[defualts]\nslice = \"a.slice\"\n", "ct.toml:1:2: unknown key `defualts`"),
        ("defaults = 3\n", "ct.toml:1:12: [defaults] must be a table"),
    ];
    for (text, want) in cases {
        root.write("/etc/ct/ct.toml", text);
        let problems: Vec<String> = root.host().1.iter().map(short).collect();
        assert!(problems.len() == 1 && problems[0].starts_with(want), "{problems:#?}");
        assert_eq!(root.only(MINIMAL).unwrap_err(), problems);
    }
    fs::remove_file(root.path("/etc/ct/ct.toml")).unwrap();
    root.link("/etc/ct/ct.toml", "/nonexistent");
    let want = ["ct.toml: cannot open the file: No such file or directory (os error 2)"];
    assert_eq!(root.only(MINIMAL).unwrap_err(), want);
}

#[test]
fn hooks_that_are_files_follow_those_of_the_config() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = FakeRoot::new("hook-files");
    let program = |path: &str| {
        root.write(path, "#!/bin/sh\n");
        std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("/etc/ct/ct.toml.d/pre_start.d/10-all");
    program("/etc/ct/ct.toml.d/pre_start.d/20-hidden");
    program("/etc/ct/containers/web.toml.d/pre_start.d/05-own");
    program("/etc/ct/containers/web.toml.d/pre_start.d/.hidden");
    program("/etc/ct/containers/web.toml.d/pre_start.d/30-backup~");
    root.write("/etc/ct/containers/web.toml.d/pre_start.d/40-readme", "not executable");
    root.link("/etc/ct/containers/web.toml.d/pre_start.d/20-hidden", "/dev/null");
    program("/usr/lib/ct/containers/web.toml.d/pre_start.d/05-own");
    program("/usr/lib/ct/containers/web.toml.d/post_stop.d/vendor");
    root.write(
        "/etc/ct/containers/web.toml",
        &format!("{MINIMAL}[hooks]\npre_start = [[\"/bin/first\", \"x\"]]\n"),
    );
    let hooks = root.load("web").unwrap().hooks;
    let want = [
        vec!["/bin/first", "x"],
        vec!["/etc/ct/containers/web.toml.d/pre_start.d/05-own"],
        vec!["/etc/ct/ct.toml.d/pre_start.d/10-all"],
    ];
    assert_eq!(hooks.pre_start, want);
    assert_eq!(hooks.post_stop, [["/usr/lib/ct/containers/web.toml.d/post_stop.d/vendor"]]);
    assert!(hooks.post_start.is_empty() && hooks.pre_stop.is_empty());

    let before = root.load("web").unwrap().digest;
    program("/etc/ct/containers/web.toml.d/pre_start.d/06-new");
    assert_ne!(root.load("web").unwrap().digest, before, "a new hook is a changed config");

    // It would run as root.
    let path = "/etc/ct/containers/web.toml.d/pre_start.d/06-new";
    std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(0o777)).unwrap();
    let reasons = root.reasons("web").join("\n");
    assert!(
        reasons.contains("06-new: writable by others than its owner (mode 0777); use chmod go-w"),
        "{reasons}"
    );
}

#[test]
fn a_text_stands_for_a_file_that_is_there_or_would_be() {
    let root = FakeRoot::new("as-if");
    root.write(&format!("{ETC}/a.toml"), &described("main"));
    root.write(&format!("{USR}/a.toml.d/50-b.toml"), "description = \"vendor\"\n");
    let name = ContainerName::parse("a").unwrap();
    let as_if = |path: &str, text: &str| {
        ct_config::load_as_if(&root.tree(), &root.host().0, &name, Path::new(path), text.to_owned())
            .map(|container| container.description.unwrap_or_default())
            .map_err(|broken| broken.problems[0].to_string())
    };
    let dir = format!("{ETC}/a.toml.d");
    assert_eq!(as_if(&format!("{dir}/40-a.toml"), "description = \"early\"").unwrap(), "vendor");
    assert_eq!(as_if(&format!("{dir}/60-c.toml"), "description = \"late\"").unwrap(), "late");
    assert_eq!(
        as_if(&format!("{dir}/50-b.toml"), "hostname = \"a\"").unwrap(),
        "main",
        "it hides the vendor's"
    );
    assert_eq!(as_if(&format!("{dir}/a.toml"), "description = \"named alike\"").unwrap(), "named alike");
    assert_eq!(as_if(&format!("{ETC}/a.toml"), MINIMAL).unwrap(), "vendor");
    let wrong = as_if(&format!("{dir}/60-c.toml"), "\ndescripton = 1").unwrap_err();
    assert!(wrong.starts_with(&format!("{dir}/60-c.toml:2:1: unknown key `descripton`")), "{wrong}");
    // What cannot be read does not matter, once it is replaced.
    fs::write(root.path(&format!("{ETC}/a.toml")), b"= \xff").unwrap();
    root.write(&format!("{ETC}/b.toml"), MINIMAL);
    assert_eq!(as_if(&format!("{ETC}/a.toml"), MINIMAL).unwrap(), "vendor");
    assert_eq!(description(&root, "b"), "", "nothing was written");
    // A container that is not there yet.
    let new = ContainerName::parse("new").unwrap();
    let path = PathBuf::from(format!("{ETC}/new.toml"));
    let made = ct_config::load_as_if(&root.tree(), &root.host().0, &new, &path, MINIMAL.to_owned());
    assert_eq!(made.unwrap().files, [path]);
}

#[test]
fn a_file_put_into_a_tree_stands_for_the_one_in_place() {
    let root = FakeRoot::new("put");
    root.write("/etc/ct/containers/web.toml", "[root]\npath = \"/srv/in-place\"\n");
    root.write("/etc/ct/containers/web.toml.d/10.toml", "hostname = \"in-place\"\n");
    root.write("/home/me/web.toml", "[root]\npath = \"/srv/mine\"\n");
    root.write("/home/me/web.toml.d/10.toml", "description = \"mine\"\n");
    chown(root.path("/home/me/web.toml"), Some(1234), None).unwrap();
    let name = ContainerName::parse("web").unwrap();
    let (host, _) = root.host();
    let mut tree = root.tree();
    tree.put(name.clone(), root.path("/home/me/web.toml"));
    let web = ct_config::load(&tree, &host, &name).unwrap();
    assert_eq!(web.root.source, RootSource::Path("/srv/mine".into()));
    assert_eq!((web.description.as_deref(), web.hostname), (Some("mine"), None), "only its own drop-ins");
    assert_eq!(tree.main_file(&name), Some(root.path("/home/me/web.toml")));
}
