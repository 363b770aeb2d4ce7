// SPDX-License-Identifier: MIT OR Apache-2.0
//! `import`. Each folder of `golden/import/` is a case: `in/` has the files, `arguments` the command line, `want.report` is
//! what is said and `want/` the configs. With `CT_GOLDEN_UPDATE=1` the last two are written anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::sources::Tree;
use ctctl::import::{Format, Outcome, Settings, Source, translate};
use proptest::prelude::*;

/// Exit code, stdout, stderr.
fn ctctl(root: &Path, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ctctl"))
        .arg("import")
        .args(arguments)
        .current_dir(folder)
        .env("CT_ROOT", root)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_case_gives_what_it_wants() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 12, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().flat_map(|case| run(case)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is wrong with one case.
fn run(case: &Path) -> Vec<String> {
    let folder = case.join("in");
    let given = fs::read_to_string(case.join("arguments")).unwrap();
    let given: Vec<&str> = given.split_whitespace().collect();
    let (root, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (code, _, _) = ctctl(root.path(), &folder, &[&["--dry-run"], given.as_slice()].concat());
    let output = out.path().to_str().unwrap();
    let (_, stdout, stderr) =
        ctctl(root.path(), &folder, &[&["--partial", "--output", output], given.as_slice()].concat());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is written below the root");
    let said = format!("{stdout}{stderr}exit code without --partial: {code}\n")
        .replace(folder.to_str().unwrap(), "/in")
        .replace(output, "/out");
    let configs = files(out.path());
    let configs: BTreeMap<String, String> = configs
        .into_iter()
        .map(|(name, text)| (name, text.replace(folder.to_str().unwrap(), "/in")))
        .collect();
    if std::env::var_os("CT_GOLDEN_UPDATE").is_some() {
        fs::write(case.join("want.report"), &said).unwrap();
        let _ = fs::remove_dir_all(case.join("want"));
        for (name, text) in &configs {
            fs::create_dir_all(case.join("want")).unwrap();
            fs::write(case.join("want").join(name), text).unwrap();
        }
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let mut compare = |what: &str, want: String, got: String| {
        if want != got {
            wrong.push(format!("{}: {what}\n--- want\n{want}--- got\n{got}", case.display()));
        }
    };
    compare("report", fs::read_to_string(case.join("want.report")).unwrap_or_default(), said);
    let want = files(&case.join("want"));
    for name in want.keys().chain(configs.keys().filter(|name| !want.contains_key(*name))) {
        let text = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_default();
        compare(name, text(&want), text(&configs));
    }
    wrong
}

#[test]
fn nothing_is_written_unless_all_is_well() {
    let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("a.container", "[Container]\nRootfs=/srv/a\nExec=/bin/a\n");
    file("b.container", "[Container]\nRootfs=/srv/b\nExec=/bin/b\nSecret=x\n");
    file("c.container", "[Container]\nRootfs=/srv/c\nExec=/bin/c\nMemory=many\n");
    let configs = || files(&root.path().join("etc/ct/containers")).into_keys().collect::<Vec<_>>();
    let import = |arguments: &[&str]| ctctl(root.path(), folder.path(), arguments);
    assert_eq!((import(&["a.container", "b.container"]).0, configs()), (1, vec![]));
    // Not even with --partial: the parser does not take it.
    let (code, _, stderr) = import(&["--partial", "a.container", "c.container"]);
    assert!(stderr.contains("resources.memory_max: \"MANY\" is not a size"), "{stderr}");
    assert_eq!((code, configs()), (1, vec![]));
    assert_eq!((import(&["--dry-run", "a.container"]).0, configs()), (0, vec![]));
    assert_eq!(
        (import(&["--partial", "a.container", "b.container"]).0, configs()),
        (0, vec!["a.toml".into(), "b.toml".into()])
    );
    let (code, _, stderr) = import(&["a.container"]);
    assert!(code == 1 && stderr.contains("use --force"), "{stderr}");
    assert_eq!(import(&["--force", "a.container"]).0, 0);
    assert_eq!(import(&["--name", "x", "a.container", "b.container"]).0, 2);
    assert_eq!(import(&["no.container"]).0, 1);
    file("what", "hello\n");
    assert_eq!(import(&["what"]).0, 2);
    let (code, stdout, _) = import(&["--json", "--dry-run", "b.container"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &json[0]["name"], &json[0]["lines"][2]["outcome"]),
        (1, &"b".into(), &"refused".into())
    );
}

/// Keys that have rules, and some that have none.
const KEYS: [&str; 30] = [
    "Image",
    "Rootfs",
    "Exec",
    "Entrypoint",
    "Environment",
    "User",
    "Volume",
    "Mount",
    "Tmpfs",
    "Network",
    "Ulimit",
    "UIDMap",
    "PodmanArgs",
    "HealthCmd",
    "Notify",
    "ReadOnly",
    "NoSuch",
    "After",
    "Restart",
    "WantedBy",
    "lxc.rootfs.path",
    "lxc.idmap",
    "lxc.mount.entry",
    "lxc.cap.drop",
    "lxc.cap.keep",
    "lxc.cgroup2.memory.max",
    "lxc.cgroup2.cpu.max",
    "lxc.net.0.type",
    "lxc.environment",
    "lxc.no.such",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~]{0,30}",
        r#"[a-z/:=,%$"'\\\[\]#{} 0-9\u{1b}\u{202e}]{0,30}"#,
        "/[a-z]{1,5}(:/[a-z]{1,5}(:ro)?)?",
        "[ugb] 0 [0-9]{1,6} [0-9]{1,6}",
    ]
}

proptest! {
    #[test]
    fn no_line_is_lost_and_nothing_breaks_out(
        lines in proptest::collection::vec((0..KEYS.len(), value()), 0..12),
        format in prop_oneof![Just(Format::Quadlet), Just(Format::Lxc), Just(Format::Spoc)],
    ) {
        let text = match format {
            Format::Quadlet => {
                let section = |key: &str| match key { "After" => "Unit", "Restart" => "Service", "WantedBy" => "Install", _ => "Container" };
                lines.iter().map(|(key, value)| format!("[{}]\n{}={value}\n", section(KEYS[*key]), KEYS[*key])).collect()
            }
            Format::Lxc => lines.iter().map(|(key, value)| format!("{} = {value}\n", KEYS[*key])).collect::<String>(),
            Format::Spoc => {
                let keys = ["layers", "cmd", "env", "mounts", "uid", "ready", "other"];
                let pair = |(key, value): &(usize, String)| {
                    let value = serde_json::Value::from(value.as_str());
                    match key % 3 {
                        0 => format!("{:?}: {value}", keys[key % 7]),
                        1 => format!("{:?}: [{value}, 1]", keys[key % 7]),
                        _ => format!("{:?}: {{{value}: {value}}}", keys[key % 7]),
                    }
                };
                format!("{{{}}}", lines.iter().map(pair).collect::<Vec<_>>().join(",\n"))
            }
        };
        let source = Source { name: "a".to_owned(), path: "/x/a".into(), shown: "a".to_owned(), text, drop_ins: Vec::new() };
        let settings = Settings::default();
        // A backslash at the end joins lines, and then there are fewer.
        let joined = format == Format::Quadlet && lines.iter().any(|(_, value)| value.trim_end().ends_with('\\'));
        if let Ok(drafts) = translate(format, &source, &settings) {
            for (_, draft) in drafts {
                prop_assert!(joined || draft.outcomes().count() == lines.len());
                let report = draft.report();
                prop_assert!(report.len() >= draft.outcomes().count());
                for ((line, outcome), said) in draft.outcomes().zip(&report) {
                    let head = format!("{}:{}: {outcome}: {}=", line.file, line.number, line.key);
                    prop_assert!(said.starts_with(&head), "{said}\n{head}");
                    prop_assert!(!said.chars().any(char::is_control));
                    // Carried over is only what is a key now.
                    prop_assert!(outcome != Outcome::Carried || said.contains(" -> "), "{said}");
                }
                let toml = draft.toml("A test.");
                let table: toml_edit::DocumentMut = toml.parse().unwrap();
                // What is not a key of ct is no key at all, whatever a value has in it.
                let name = ContainerName::parse("a").unwrap();
                let nowhere = Path::new("/nonexistent");
                let loaded = ct_config::load_as_if(&Tree::scan(nowhere), &Host::load(nowhere).0, &name, Path::new("/a.toml"), toml.clone());
                if let Err(broken) = loaded {
                    let unknown = broken.problems.iter().find(|problem| problem.reason.starts_with("unknown key") && problem.key.as_deref() != Some("resources"));
                    prop_assert!(unknown.is_none(), "{unknown:?}\n{toml}");
                }
                prop_assert!(table.iter().all(|(key, _)| key != "ExecStart"));
            }
        }
    }
}
