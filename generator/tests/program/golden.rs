// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each folder of `../golden/` is a case: `in/` stands for `/`, `want/` is the unit tree, `want.stderr` the exact messages,
//! `want.status` the exit status. With `CT_GOLDEN_UPDATE=1` the last three are written anew.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::sandbox::{Entry, Sandbox, text, tree};

#[test]
fn every_case_gives_what_it_wants_and_the_same_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().flat_map(|case| run(case)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is wrong with one case.
fn run(case: &Path) -> Vec<String> {
    let sandbox = Sandbox::new();
    sandbox.copy(&case.join("in"));
    let first = sandbox.run();
    let units = sandbox.units();
    let again = sandbox.run();
    let name = case.file_name().unwrap().to_str().unwrap();
    assert_eq!((&again.status, &again.stderr), (&first.status, &first.stderr), "{name} says something else");
    assert_eq!(sandbox.units(), units, "{name} writes something else when run again");
    let status = format!("{}\n", first.status.code().unwrap());
    let stderr = text(&first.stderr);
    if std::env::var_os("CT_GOLDEN_UPDATE").is_some() {
        write(&case.join("want"), &units);
        fs::write(case.join("want.stderr"), &stderr).unwrap();
        fs::write(case.join("want.status"), &status).unwrap();
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let mut compare = |what: &str, want: Option<String>, got: Option<String>| {
        if want != got {
            let show = |text: Option<String>| text.unwrap_or_else(|| "(nothing)\n".to_owned());
            wrong.push(format!("{name}: {what}\n--- want\n{}--- got\n{}", show(want), show(got)));
        }
    };
    compare("status", fs::read_to_string(case.join("want.status")).ok(), Some(status));
    compare("stderr", fs::read_to_string(case.join("want.stderr")).ok(), Some(stderr));
    let want = tree(&case.join("want"));
    let show = |entry: Option<&Entry>| {
        entry.map(|entry| match entry {
            Entry::File(text) => text.clone(),
            other => format!("{other:?}\n"),
        })
    };
    for path in want.keys().chain(units.keys().filter(|path| !want.contains_key(*path))) {
        compare(path, show(want.get(path)), show(units.get(path)));
    }
    wrong
}

fn write(folder: &Path, units: &std::collections::BTreeMap<String, Entry>) {
    let _ = fs::remove_dir_all(folder);
    for (name, entry) in units {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::File(text) => fs::write(path, text).unwrap(),
            Entry::Link(target) => symlink(target, path).unwrap(),
            Entry::EmptyDirectory | Entry::Special => panic!("{name} does not belong into a unit tree"),
        }
    }
}
