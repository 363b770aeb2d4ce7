// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[root]` and `[[mount]]`.

use std::path::{Path, PathBuf};

use super::{refused, with};
use crate::fake_root::FakeRoot;
use ct_config::container::*;

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
