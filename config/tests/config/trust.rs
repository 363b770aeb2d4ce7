// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files are not believed, and what a broken container still tells.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::fake_root::{FakeRoot, MINIMAL, short};

const ETC: &str = "/etc/ct/containers";

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
