// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check`, `render` and `schema` on folders that stand for `/`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const GOOD: &str = "[root]\npath = \"/srv/web\"\n";

fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// Exit code, stdout, stderr.
fn ctctl(root: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ctctl"))
        .args(arguments)
        .current_dir(root)
        .env("CT_ROOT", root)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_configs_of_a_machine_are_checked() {
    let root = root(&[
        ("etc/ct/containers/web.toml", "[root]\npath = \"/srv/web\"\n[depends]\nrequires = [\"dbx\"]\n"),
        ("etc/ct/containers/db.toml", GOOD),
        ("etc/ct/containers/a.toml", "[root]\npath = \"/a\"\n[depends]\nrequires = [\"b\"]\n"),
        ("etc/ct/containers/b.toml", "[root]\npath = \"/b\"\n[depends]\nrequires = [\"a\"]\n"),
        ("etc/ct/containers/layers.toml", GOOD),
        ("etc/ct/containers/bad.toml", "\ndescripton = \"\\u001b[2J\"\n"),
        ("etc/ct/pods/shop.toml", "share = [\"pid\"]\n"),
        ("etc/ct/ct.toml", "[autostart]\nparallel = \"many\"\n"),
    ]);
    let (code, stdout, stderr) = ctctl(root.path(), &["check"]);
    let want = [
        "/etc/ct/containers/layers.toml: \"layers\" is not a container name: it is reserved, ct keeps other things in directories of this name",
        "/etc/ct/ct.toml:2:12: autostart.parallel: \"many\" is neither a number nor \"auto\"",
        "/etc/ct/pods/shop.toml:1:10: share: \"pid\" is not one of \"net\", \"ipc\", \"uts\"",
        "/etc/ct/containers/a.toml:4:13: depends.requires: a -> b -> a is a cycle of requires, none of them can start",
        "/etc/ct/containers/b.toml:4:13: depends.requires: a -> b -> a is a cycle of requires, none of them can start",
        "/etc/ct/containers/bad.toml:2:1: unknown key `descripton` (did you mean `description`?)",
        "/etc/ct/containers/bad.toml:2:14: descripton: has the control character \\u{1b}",
        "/etc/ct/containers/web.toml:4:13: warning: depends.requires: there is no container `dbx` (did you mean `db`?)",
    ];
    assert!(!stdout.contains('\u{1b}'), "{stdout}");
    for line in want {
        assert!(stdout.lines().any(|said| said == line), "{line}\nis missing in\n{stdout}");
    }
    assert_eq!((code, stdout.lines().count()), (1, want.len()), "{stdout}");
    assert_eq!(stderr, "ctctl: 6 configs checked, 7 errors\n");
    assert_eq!(root.path().read_dir().unwrap().count(), 1, "nothing is written");

    let (_, stdout, _) = ctctl(root.path(), &["check", "--json"]);
    let json: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    let cycle = json.iter().find(|problem| problem["file"] == "/etc/ct/containers/a.toml").unwrap();
    assert_eq!(
        (&cycle["severity"], &cycle["line"], &cycle["column"]),
        (&"error".into(), &4.into(), &13.into())
    );
    assert_eq!(cycle["key"], "depends.requires");
    let unknown = json.last().unwrap();
    assert_eq!((&unknown["severity"], &unknown["hint"]), (&"warning".into(), &"did you mean `db`?".into()));
}

#[test]
fn nothing_wrong_is_exit_code_0() {
    let root = root(&[("etc/ct/containers/web.toml", GOOD)]);
    assert_eq!(
        ctctl(root.path(), &["check"]),
        (0, String::new(), "ctctl: 1 config checked, 0 errors\n".into())
    );
    assert_eq!(ctctl(root.path(), &["check", "--json"]), (0, "[]\n".into(), String::new()));
    // A warning is no error.
    fs::write(root.path().join("etc/ct/containers/web.toml"), format!("{GOOD}[depends]\nwants = [\"no\"]\n"))
        .unwrap();
    assert_eq!(ctctl(root.path(), &["check"]).0, 0);
    assert_eq!(ctctl(&root.path().join("etc"), &["check"]).1, "", "no configs are no problem");
}

#[test]
fn a_file_is_checked_wherever_it_lies_as_if_it_was_in_place() {
    let root = root(&[
        ("etc/ct/containers/db.toml", GOOD),
        ("etc/ct/containers/broken.toml", "x = 1\n"),
        ("etc/ct/containers/web.toml", "y = 1\n"),
        ("mine/web.toml", "[root]\npath = \"/srv/web\"\n[depends]\nrequires = [\"db\"]\nafter = [\"dc\"]\n"),
        ("mine/web.toml.d/10.toml", "hostnam = \"x\"\n"),
        ("mine/pods/shop.toml", "[resources]\nmemory_max = \"12Q\"\n"),
    ]);
    // Of the machine's own files only what concerns this one is said.
    let (code, stdout, stderr) = ctctl(root.path(), &["check", "mine/web.toml"]);
    assert_eq!(stdout, "mine/web.toml.d/10.toml:1:1: unknown key `hostnam` (did you mean `hostname`?)\n");
    assert_eq!((code, stderr.as_str()), (1, "ctctl: 1 config checked, 1 error\n"));
    fs::write(root.path().join("mine/web.toml.d/10.toml"), "hostname = \"x\"\n").unwrap();
    let (code, stdout, _) = ctctl(root.path(), &["check", "mine"]);
    let warning =
        "mine/web.toml:5:10: warning: depends.after: there is no container `dc` (did you mean `db`?)\n";
    assert_eq!((code, stdout.as_str()), (0, warning));
    let (code, stdout, _) = ctctl(root.path(), &["check", "mine/pods/shop.toml"]);
    assert!(stdout.starts_with("mine/pods/shop.toml:2:14: resources.memory_max: \"12Q\" is not"), "{stdout}");
    assert_eq!(code, 1);
    // In place: with all its drop-ins.
    fs::create_dir_all(root.path().join("run/ct/containers/db.toml.d")).unwrap();
    fs::write(root.path().join("run/ct/containers/db.toml.d/1.toml"), "z = 1").unwrap();
    let (code, stdout, _) = ctctl(root.path(), &["check", "etc/ct/containers/db.toml"]);
    assert_eq!((code, stdout.as_str()), (1, "/run/ct/containers/db.toml.d/1.toml:1:1: unknown key `z`\n"));
}

#[test]
fn what_cannot_be_meant_is_said() {
    let root = root(&[("a/web.toml", GOOD), ("b/web.toml", GOOD), ("a/x.d/y", ""), ("c/-x.toml", GOOD)]);
    for (arguments, code, want) in [
        (
            &["check", "a/web.toml", "b/web.toml"][..],
            2,
            "b/web.toml: another file of this name is given as well",
        ),
        (&["check", "a/x.d"], 2, "there is no *.toml in a/x.d"),
        (&["check", "a/no.toml"], 1, "cannot read a/no.toml: No such file"),
        (&["check", "c"], 1, ""),
        (&["check", "-H", "there"], 2, "check does not work with --host"),
        (&["render", "no"], 4, "there is no container \"no\""),
        (&["render", "c/-x.toml"], 1, "is not a container name"),
        (&["render", "--pod", "no"], 1, "there is no pod"),
    ] {
        let (got, _, stderr) = ctctl(root.path(), arguments);
        assert!(got == code && stderr.contains(want), "{arguments:?}: {got} {stderr}");
    }
}

#[test]
fn render_shows_what_the_generator_writes() {
    let root = root(&[
        (
            "etc/ct/containers/web.toml",
            &format!("{GOOD}[autostart]\nenabled = true\n[limits]\nnofile = 512\n"),
        ),
        ("etc/ct/containers/worker.toml", "x = 1\n"),
        ("etc/ct/pods/shop.toml", "[resources]\nmemory_max = \"1G\"\n"),
        ("mine/new.toml", GOOD),
    ]);
    let out = tempfile::tempdir().unwrap();
    ct_generator::generate(root.path(), out.path(), None);
    let generated = |unit: &str| fs::read_to_string(out.path().join(unit).join("50-ct.conf")).unwrap();
    let (code, stdout, stderr) = ctctl(root.path(), &["render", "we"]);
    let want = format!(
        "# /run/systemd/generator/ct@web.service.d/50-ct.conf\n{}\n# /run/systemd/generator/ct.target.wants/ct@web.service -> /usr/lib/systemd/system/ct@.service\n",
        generated("ct@web.service.d")
    );
    assert_eq!((code, stdout, stderr), (0, want, String::new()));
    let (code, stdout, stderr) = ctctl(root.path(), &["render", "worker"]);
    assert!(
        stdout.contains(&generated("ct@worker.service.d")) && stdout.contains("ct-helper broken worker"),
        "{stdout}"
    );
    assert!(stderr.contains("worker.toml:1:1: unknown key `x`"), "{stderr}");
    assert_eq!(code, 1);
    let (code, stdout, _) = ctctl(root.path(), &["render", "--pod", "shop"]);
    assert!(
        stdout.contains(&generated("ct-shop.slice.d"))
            && stdout.contains(&generated("ct-pod@shop.service.d"))
    );
    assert_eq!(code, 0);
    let (code, stdout, _) = ctctl(root.path(), &["render", "--json", "mine/new.toml"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let text = json["files"]["/run/systemd/generator/ct@new.service.d/50-ct.conf"].as_str().unwrap();
    assert!(text.contains("Generated by ct-generator from mine/new.toml"), "{text}");
    assert_eq!((code, &json["links"]), (0, &serde_json::json!({})));
}

#[test]
fn schemas_are_json() {
    let root = root(&[]);
    for (arguments, key) in [
        (&["schema"][..], "process"),
        (&["schema", "--pod"], "share"),
        (&["schema", "--settings"], "defaults"),
    ] {
        let (code, stdout, _) = ctctl(root.path(), arguments);
        let json: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, json["$schema"].as_str()), (0, Some("http://json-schema.org/draft-07/schema#")));
        assert!(json["properties"][key].is_object(), "{arguments:?}");
    }
}
