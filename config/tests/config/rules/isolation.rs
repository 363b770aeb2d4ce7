// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[network]` and `[security]`.

use std::path::PathBuf;

use super::{refused, with};
use crate::fake_root::FakeRoot;
use ct_config::container::*;

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
