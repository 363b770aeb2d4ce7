// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manual pages and completions that are made from the source, and those whose keys are. `make man` writes the former
//! anew (it sets `CT_GOLDEN_UPDATE=1`); without that, a file that is older than its source fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_mangen::Man;
use ct_config::schema::{Kind, schema};
use ctctl::completion::{VARIABLE, command};
use ctctl::exit::Status;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// Text of a manual page: nothing in it is a request of roff.
fn plain(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let line =
        |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") };
    escaped.lines().map(line).collect()
}

/// The page of ctctl, or of one verb.
fn page(command: &clap::Command, verb: Option<&clap::Command>) -> String {
    let name = verb.map_or_else(|| "ctctl".to_owned(), |verb| format!("ctctl-{}", verb.get_name()));
    let bin = name.replacen('-', " ", 1);
    let mut shown = verb
        .unwrap_or(command)
        .clone()
        .name(&*name.clone().leak())
        .bin_name(bin.clone())
        .display_name(name.clone());
    if verb.is_none() {
        shown = shown.disable_help_subcommand(true);
    }
    let examples = shown.get_after_long_help().map(ToString::to_string);
    let version = format!("ct {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(shown)
        .title(name.to_uppercase())
        .section("1")
        .date("2026-11-22")
        .source(version)
        .manual("ct");
    let mut text = b".\\\" SPDX-License-Identifier: MIT OR Apache-2.0\n.\\\" Made by `make man` from ctctl's command line; do not edit.\n".to_vec();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    // The synopsis has the name of the page as the command's own.
    let mut synopsis = Vec::new();
    man.render_synopsis_section(&mut synopsis).unwrap();
    let synopsis = String::from_utf8(synopsis).unwrap().replacen(
        &name.replace('-', "\\-"),
        &plain(&bin).replace('\n', ""),
        1,
    );
    text.extend(synopsis.into_bytes());
    man.render_description_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap();
    if let Some(examples) = examples {
        text.push_str(&sections(&examples));
    }
    if verb.is_none() {
        text.push_str(&tables(command));
    }
    text.push_str(".SH \"SEE ALSO\"\n");
    text.push_str(if verb.is_some() { ".BR ctctl (1),\n" } else { "" });
    text.push_str(".BR ct.toml (5),\n.BR ct\\-pod.toml (5),\n.BR ct\\-generator (8),\n.BR ct\\-helper (8),\n.BR systemctl (1),\n.BR journalctl (1)\n");
    text
}

/// What clap has behind the options: paragraphs with headings such as `Examples:`.
fn sections(text: &str) -> String {
    let mut page = String::new();
    let mut open = false;
    for line in text.lines() {
        let heading =
            line.strip_suffix(':').filter(|heading| !heading.starts_with(' ') && heading.len() < 30);
        if let Some(heading) = heading {
            if open {
                page.push_str(".EE\n");
            }
            page.push_str(&format!(".SH {:?}\n.EX\n", heading.to_uppercase()));
            open = true;
        } else {
            if !open {
                page.push_str(".SH NOTES\n.EX\n");
                open = true;
            }
            page.push_str(&plain(if line.is_empty() { "\n" } else { line }));
        }
    }
    page + if open { ".EE\n" } else { "" }
}

/// What only ctctl(1) has.
fn tables(command: &clap::Command) -> String {
    let mut page = ".SH VERBS\n".to_owned();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!(
            ".TP\n.BR ctctl\\-{} (1)\n{}",
            verb.get_name().replace('-', "\\-"),
            plain(&about)
        ));
    }
    page.push_str(".SH \"EXIT STATUS\"\n");
    for (status, meaning) in Status::TABLE {
        page.push_str(&format!(".TP\n.B {}\n{}", status.code(), plain(meaning)));
    }
    page.push_str(".PP\n.BR ctctl\\-exec \" and \" ctctl\\-run\nend with the command's own status,\n.BR ctctl\\-wait (1)\nwith the container's, or with 128 and the number of the signal that killed it.\n.BR ctctl\\-console (1)\nends with 128 and the number of the signal that ends it.\n.BR ctctl\\-logs (1)\nends as journalctl does.\n");
    page.push_str(
        ".SH FILES\n.TP\n.I /etc/ct/containers/NAME.toml\nThe config of a container, see\n.BR ct.toml (5).\n",
    );
    page.push_str(
        ".SH ENVIRONMENT\n.TP\n.B CT_ROOT\nA folder that stands for\n.IR / ,\nas\n.BR \\-\\-root .\n.TP\n.B CT_DETACH_KEYS\nThe keys that detach from a console, as\n.B \\-\\-detach\\-keys\nof\n.BR ctctl\\-console (1).\n",
    );
    page
}

/// Every file that is made from the command line, by its path below packaging/.
fn documents() -> BTreeMap<String, String> {
    let mut command = command();
    command.build();
    let mut made = BTreeMap::new();
    made.insert("man/ctctl.1".to_owned(), page(&command, None));
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        made.insert(format!("man/ctctl-{}.1", verb.get_name()), page(&command, Some(verb)));
    }
    let shells: [(&dyn EnvCompleter, &str); 3] = [
        (&Bash, "completions/bash/ctctl"),
        (&Zsh, "completions/zsh/_ctctl"),
        (&Fish, "completions/fish/ctctl.fish"),
    ];
    for (shell, path) in shells {
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, "ctctl", "ctctl", "ctctl", &mut script).unwrap();
        made.insert(path.to_owned(), String::from_utf8(script).unwrap());
    }
    made
}

#[test]
fn what_is_made_from_the_command_line_is_not_older() {
    let documents = documents();
    let own = |name: &str| name == "ctctl.1" || name.starts_with("ctctl-");
    let present = fs::read_dir(packaging().join("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stale: Vec<String> = present
        .filter(|name| own(name))
        .map(|name| format!("man/{name}"))
        .filter(|name| !documents.contains_key(name))
        .collect();
    if std::env::var_os("CT_GOLDEN_UPDATE").is_some() {
        stale.iter().for_each(|name| fs::remove_file(packaging().join(name)).unwrap());
        for (name, text) in documents {
            let path = packaging().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    assert!(stale.is_empty(), "of verbs that are gone: {stale:?}; run make man");
    let old = |(name, text): &(&String, &String)| {
        fs::read_to_string(packaging().join(name)).unwrap_or_default() != **text
    };
    let old: Vec<&String> = documents.iter().filter(old).map(|(name, _)| name).collect();
    assert!(old.is_empty(), "older than the command line: {old:?}; run make man");
}

#[test]
fn every_page_is_well_formed() {
    let mut count = 0;
    for entry in fs::read_dir(packaging().join("man")).unwrap() {
        let path = entry.unwrap().path();
        let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&path).output().unwrap();
        let said = String::from_utf8(groff.stderr).unwrap();
        assert!(groff.status.success() && said.is_empty(), "{}: {said}", path.display());
        count += 1;
    }
    assert!(count > 20, "only {count} pages");
}

/// The keys that a page has entries for, by section: what is bold in the line behind `.TP` or `.TQ`.
fn entries(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut section, mut begins) = (String::new(), false);
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix(".SH ") {
            section = heading.trim_matches('"').to_owned();
        }
        if begins && (line.starts_with(".BR ") || line.starts_with(".B ") || line.starts_with(".BI ")) {
            let words = line.split_once(' ').unwrap().1.replace("\\fR", " ").replace("\\fB", " ");
            // Behind the first parenthesis is what the values are.
            let words = words.split(" (").next().unwrap().replace(['"', ','], " ");
            let keys = words.split_whitespace().map(str::to_owned);
            found.entry(section.clone()).or_default().extend(keys);
        }
        begins = matches!(line, ".TP" | ".TQ");
    }
    found
}

/// The keys of one table of a schema; those of a table within it with a dot.
fn keys(kind: Kind, table: &str) -> BTreeSet<String> {
    let schema = schema(kind);
    let mut place = &schema;
    for word in table.split('.').filter(|word| !word.is_empty()) {
        place = &place["properties"][word];
        place = place.get("items").unwrap_or(place);
    }
    place["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn ct_toml_explains_every_key_and_no_other() {
    let page = fs::read_to_string(packaging().join("man/ct.toml.5")).unwrap();
    let found = entries(&page);
    let heads = |key: &str| [format!("\"[{key}]\""), format!("\"[[{key}]]\""), format!("\"[{key}.")];
    let is_table = |key: &String| heads(key).iter().any(|head| page.contains(&format!(".SH {head}")));
    let tables: Vec<String> = keys(Kind::Container, "").into_iter().filter(is_table).collect();
    let top: BTreeSet<String> =
        keys(Kind::Container, "").into_iter().filter(|key| !tables.contains(key)).collect();
    assert_eq!(found["TOP LEVEL"], top);
    assert!(tables.len() > 12, "{tables:?}");
    for table in tables.iter().filter(|table| !matches!(table.as_str(), "systemd" | "limits" | "resources")) {
        let heading = if table == "mount" { "[[mount]]".to_owned() } else { format!("[{table}]") };
        let mut want = keys(Kind::Container, table);
        if table == "security" {
            want.remove("capabilities");
            want.extend(["capabilities.add".to_owned(), "capabilities.drop".to_owned()]);
        }
        assert_eq!(found[&heading], want, "{heading}");
    }
    // These two are listed in running text.
    for table in ["limits", "resources"] {
        let text = page.split(&format!(".SH \"[{table}]\"\n")).nth(1).unwrap().split("\n.SH").next().unwrap();
        let bold =
            text.lines().filter_map(|line| line.strip_prefix(".BR ").or_else(|| line.strip_prefix(".B ")));
        let bold: BTreeSet<String> = bold
            .filter_map(|line| line.split([' ', '"']).next())
            .filter(|word| {
                word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !word.is_empty()
            })
            .map(str::to_owned)
            .collect();
        assert_eq!(bold, keys(Kind::Container, table), "[{table}]");
    }
    for key in ["autostart.parallel", "runtimes.", "[defaults]"] {
        assert!(found["THE HOST'S SETTINGS: /etc/ct/ct.toml"].contains(key), "{key}");
    }
    assert_eq!(keys(Kind::Host, ""), ["autostart", "defaults", "runtimes"].map(str::to_owned).into());
}

#[test]
fn ct_pod_toml_explains_every_key_and_no_other() {
    let page = fs::read_to_string(packaging().join("man/ct-pod.toml.5")).unwrap();
    let found: BTreeSet<String> = entries(&page)["KEYS"]
        .iter()
        .map(|key| key.trim_matches(['[', ']']).split('.').next().unwrap().to_owned())
        .collect();
    assert_eq!(found, keys(Kind::Pod, ""));
}

#[test]
fn bash_completes_verbs_options_and_names() {
    let root = tempfile::tempdir().unwrap();
    let containers = root.path().join("etc/ct/containers");
    fs::create_dir_all(&containers).unwrap();
    for name in ["web", "worker", "db"] {
        fs::write(containers.join(format!("{name}.toml")), "").unwrap();
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_ctctl")).parent().unwrap().to_str().unwrap().to_owned();
    let complete = |words: &[&str]| {
        // As bash does it: the function that `complete -F` names, with the words and the one at the cursor.
        let script = r#"source "$1"; shift
            function=$(complete -p ctctl | grep -o -- '-F [^ ]*' | cut -c4-)
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
            compopt() { :; }
            "$function" ctctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let output = Command::new("bash")
            .args(["--norc", "-c", script, "bash"])
            .arg(packaging().join("completions/bash/ctctl"))
            .args(words)
            .env("CT_ROOT", root.path())
            .env("PATH", format!("{bin}:/usr/bin:/bin"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let words = String::from_utf8(output.stdout).unwrap();
        words.lines().map(|word| word.trim().to_owned()).collect::<BTreeSet<String>>()
    };
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(complete(&["ctctl", "resta"]), set(&["restart"]));
    assert_eq!(complete(&["ctctl", "start", "w"]), set(&["web", "worker"]));
    assert_eq!(complete(&["ctctl", "start", "web", "d"]), set(&["db"]));
    assert_eq!(complete(&["ctctl", "start", "--no-b"]), set(&["--no-block"]));
    assert!(!complete(&["ctctl", "create", "w"]).contains("web"), "a new one has another name");
}
