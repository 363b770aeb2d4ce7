// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[Container]`: the root file system, volumes, devices.

use super::super::draft::{Draft, Mount};
use super::super::{absolute, size};
use super::{Assignment, Rules, boolean};

pub(super) fn storage(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    match key.as_str() {
        "Image" => image(draft, at, value, rules),
        "Rootfs" => rootfs(draft, at, value),
        "Volume" => volume(draft, at, value, rules),
        "Mount" => mount(draft, at, value, rules),
        "Tmpfs" => {
            let (target, options) = value.split_once(':').unwrap_or((value, ""));
            tmpfs(draft, at, target, options.split(',').map(str::to_owned).collect());
        }
        "ShmSize" => {
            let options = ["nosuid", "nodev", "noexec", "mode=1777"].map(str::to_owned).into_iter();
            let options = options.chain([format!("size={}", size(value))]).collect();
            tmpfs(draft, at, "/dev/shm", options);
        }
        "AddDevice" => {
            let (device, optional) =
                value.strip_prefix('-').map_or((value.as_str(), false), |device| (device, true));
            draft.add(at, &["security", "devices"], device);
            if optional {
                draft.change(at, "not optional any more: a missing device fails the start");
            }
        }
        _ => {}
    }
}

fn image(draft: &mut Draft, at: usize, value: &str, rules: &Rules<'_>) {
    let Some(place) = rules.settings.map(value) else {
        return draft.refuse(at, format!("ct pulls no images: unpack it (ctctl import-image, podman export) and say where with --map {value}=DIR"));
    };
    if absolute(place) {
        draft.set(at, &["root", "path"], place);
    } else {
        for layer in place.split(',') {
            draft.add(at, &["root", "layers"], layer);
        }
    }
    if rules.all.container("Exec").is_none() && rules.all.container("Entrypoint").is_none() {
        draft.refuse(at, "the image's own command is not known here: set Exec");
    }
    draft.change(at, "what the image says of user, environment and working directory is not known here");
}

fn rootfs(draft: &mut Draft, at: usize, value: &str) {
    let (path, options) = value.split_once(':').unwrap_or((value, ""));
    if !absolute(path) {
        return draft.refuse(at, "not an absolute path");
    }
    draft.set(at, &["root", "path"], path);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "O" => draft.set(at, &["root", "writable"], "ephemeral"),
            "idmap" => draft.set(at, &["root", "idmap"], true),
            _ => draft.refuse(at, format!("the option {option:?} has no key")),
        }
    }
}

/// Whether writes stay, once it is clear where the root comes from.
pub(super) fn root(draft: &mut Draft, rules: &Rules<'_>) {
    let read_only = rules.all.container("ReadOnly");
    if let Some(assignment) = read_only
        && let Some(value) = boolean(draft, assignment)
    {
        if value {
            draft.set(assignment.at, &["root", "writable"], "no");
            let tmpfs_too = rules.all.container("ReadOnlyTmpfs").is_none_or(|tmpfs| tmpfs.value == "true");
            for target in ["/run", "/tmp", "/var/tmp"] {
                if tmpfs_too && !draft.has_mount(target) {
                    let options = ["nosuid", "nodev", "mode=1777"].map(str::to_owned).to_vec();
                    draft.mount(
                        assignment.at,
                        Mount {
                            target: target.to_owned(),
                            kind: Some("tmpfs".to_owned()),
                            options,
                            ..Mount::default()
                        },
                    );
                }
            }
        } else {
            draft.change(assignment.at, "it is writable anyway");
        }
    }
    // Quadlet runs containers with --rm: what they write is gone with them, but for that of a Rootfs.
    if rules.all.container("Image").is_some() && !draft.has(&["root", "writable"]) {
        draft.assume(
            &["root", "writable"],
            "ephemeral",
            "Quadlet removes the container, and what it wrote, at each stop",
        );
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`
fn volume(draft: &mut Draft, at: usize, value: &str, rules: &Rules<'_>) {
    let parts: Vec<&str> = value.split(':').collect();
    match parts.as_slice() {
        [target] if absolute(target) => {
            tmpfs(draft, at, target, Vec::new());
            draft.change(at, "a volume without a name is removed with the container: it is in memory now");
        }
        [source, target] => bind(draft, at, (source, target), &[], rules),
        [source, target, options] => {
            bind(draft, at, (source, target), &options.split(',').collect::<Vec<_>>(), rules)
        }
        _ => draft.refuse(at, "not of the form SOURCE:TARGET:OPTIONS"),
    }
}

fn bind(draft: &mut Draft, at: usize, (source, target): (&str, &str), options: &[&str], rules: &Rules<'_>) {
    let base = rules.source.path.parent().unwrap_or(std::path::Path::new("/"));
    let source = match rules.settings.map(source) {
        Some(place) => place.to_owned(),
        None if absolute(source) => source.to_owned(),
        None if source.starts_with('.') => {
            base.join(source.trim_start_matches("./")).to_string_lossy().into_owned()
        }
        None => {
            return draft.refuse(
                at,
                format!("{source:?} is a volume of Podman: say which directory with --map {source}=DIR"),
            );
        }
    };
    let mut mount = Mount { source: Some(source), target: target.to_owned(), ..Mount::default() };
    for option in options {
        match *option {
            "rw" | "" => {}
            "z" | "Z" => draft.change(at, "ct sets no labels"),
            "U" => return draft.refuse(at, "ct changes no owners: chown the directory once"),
            "O" => return draft.refuse(at, "an overlay over a volume is not made: use a copy"),
            "copy" | "nocopy" => draft.change(at, "nothing of the image is copied into it"),
            "idmap" => return draft.refuse(at, "a mount with mapped ids is not made; see root.idmap"),
            other => mount.options.push(other.to_owned()),
        }
    }
    put(draft, at, mount);
}

fn tmpfs(draft: &mut Draft, at: usize, target: &str, options: Vec<String>) {
    let options = options.into_iter().filter(|option| !option.is_empty() && option != "rw").collect();
    put(
        draft,
        at,
        Mount { target: target.to_owned(), kind: Some("tmpfs".to_owned()), options, ..Mount::default() },
    );
}

fn put(draft: &mut Draft, at: usize, mount: Mount) {
    if !absolute(&mount.target) {
        return draft.refuse(at, format!("{:?} is not an absolute path in the container", mount.target));
    }
    if draft.has_mount(&mount.target) {
        return draft.refuse(at, format!("{} is mounted twice", mount.target));
    }
    draft.mount(at, mount);
}

/// `type=bind,source=...,target=...`
fn mount(draft: &mut Draft, at: usize, value: &str, rules: &Rules<'_>) {
    let (mut kind, mut source, mut target, mut options) = ("volume", "", "", Vec::new());
    let mut size_option = None;
    for part in value.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, "true"));
        match name {
            "type" => kind = value,
            "source" | "src" => source = value,
            "destination" | "dst" | "target" => target = value,
            "ro" | "readonly" if matches!(value, "true" | "1") => options.push("ro"),
            "ro" | "readonly" | "rw" => {}
            "bind-propagation" => options.push(value),
            "tmpfs-size" => size_option = Some(format!("size={}", size(value))),
            "tmpfs-mode" => options.push(part.trim_start_matches("tmpfs-")),
            "relabel" => draft.change(at, "ct sets no labels"),
            _ => return draft.refuse(at, format!("{name}: write a [[mount]] with what it means")),
        }
    }
    match kind {
        "tmpfs" => {
            let options = options.into_iter().map(str::to_owned).chain(size_option).collect();
            tmpfs(draft, at, target, options);
        }
        "bind" | "volume" if !source.is_empty() => bind(draft, at, (source, target), &options, rules),
        _ => draft.refuse(at, format!("a mount of the type {kind:?} is not made: write a [[mount]]")),
    }
}
