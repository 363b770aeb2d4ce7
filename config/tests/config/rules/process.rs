// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[process]` and `[idmap]`.

use super::{refused, with};
use crate::fake_root::FakeRoot;
use ct_config::container::*;

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
