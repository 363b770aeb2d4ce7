// SPDX-License-Identifier: MIT OR Apache-2.0
//! What LXC says of ids and capabilities in several lines, which make one key of ct.

use toml_edit::{Array, Value};

use super::super::draft::{Draft, Line};
use super::{number, unquoted};

/// `u 0 100000 65536`, one line for each range; `b` is both.
pub(super) fn idmaps(draft: &mut Draft) {
    let (mut uid, mut gid) = (Array::new(), Array::new());
    let mut last = [None, None];
    for (at, line) in draft.lines().iter().enumerate() {
        if !matches!(line.key.as_str(), "lxc.idmap" | "lxc.id_map") || line.value.is_empty() {
            continue;
        }
        let words: Vec<&str> = unquoted(&line.value).split_whitespace().collect();
        let numbers: Vec<i64> = words.iter().skip(1).filter_map(|word| number(word)).collect();
        let (Some(kind @ (&"u" | &"g" | &"b")), 3, 4) = (words.first(), numbers.len(), words.len()) else {
            draft.refuse(at, "not of the form u|g|b CONTAINER HOST COUNT");
            continue;
        };
        let range: Array = numbers.into_iter().collect();
        if *kind != "g" {
            uid.push(range.clone());
            last[0] = Some(at);
        }
        if *kind != "u" {
            gid.push(range);
            last[1] = Some(at);
        }
        if last[0] != Some(at) && last[1] != Some(at) {
            continue;
        }
        // Shown where the range stands; set below, whole.
        let key = if *kind == "g" { "gid" } else { "uid" };
        let list = if *kind == "g" { gid.clone() } else { uid.clone() };
        draft.set(at, &["idmap", key], Value::Array(list));
        if *kind == "b" {
            draft.set(at, &["idmap", "gid"], Value::Array(gid.clone()));
        }
    }
    if uid.is_empty() != gid.is_empty() {
        draft.note("ids of only one kind are mapped: ct needs both idmap.uid and idmap.gid");
    }
}

/// All capabilities but those of `cap.drop`, or those of `cap.keep` alone.
pub(super) fn capabilities(draft: &mut Draft) {
    let lines = draft.lines();
    let find = |key: &str| -> Vec<(usize, Vec<String>)> {
        let words = |value: &str| value.split_whitespace().map(str::to_ascii_uppercase).collect();
        let of = |(at, line): (usize, &Line)| (line.key == key).then(|| (at, words(unquoted(&line.value))));
        lines.iter().enumerate().filter_map(of).collect()
    };
    let (dropped, kept) = (find("lxc.cap.drop"), find("lxc.cap.keep"));
    let chosen = if kept.is_empty() { &dropped } else { &kept };
    let Some(&(last, _)) = chosen.last() else {
        draft.note("LXC leaves all capabilities unless told otherwise; ct gives its default set: see security.capabilities");
        return;
    };
    // An empty line takes back those before it.
    let mut names: Vec<String> = Vec::new();
    for (at, words) in chosen {
        if words.is_empty() {
            names.clear();
        }
        names.extend(words.iter().filter(|word| *word != "NONE").cloned());
        if *at != last {
            draft.change(*at, format!("counted in line {}", lines.get(last).map_or(0, |line| line.number)));
        }
    }
    let list = if kept.is_empty() {
        ct_config::validate::CAPABILITIES
            .iter()
            .filter(|name| !names.iter().any(|dropped| dropped == *name))
            .map(ToString::to_string)
            .collect()
    } else {
        names
    };
    draft.set(last, &["security", "capabilities", "drop"], Value::Array(["ALL"].into_iter().collect()));
    if !list.is_empty() {
        draft.set(last, &["security", "capabilities", "add"], Value::Array(list.iter().collect()));
    }
    if !kept.is_empty() {
        dropped.iter().for_each(|(at, _)| draft.change(*at, "only those of lxc.cap.keep are kept"));
    }
}
