// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files count, and in which order.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use crate::fake_root::{FakeRoot, MINIMAL};
use ct_config::container::{RootSource, Writable};
use ct_config::name::ContainerName;

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
