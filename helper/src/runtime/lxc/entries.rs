// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file systems of the container: LXC makes /proc, /dev and /sys itself, all others are `lxc.mount.entry`, a line of
//! fstab(5) with a target relative to the root. What it cannot do is refused, never left out.

use std::fs::Metadata;
use std::path::Path;

use oci_spec::runtime::{Linux, Mount, Spec};

use super::config::{Lines, utf8};
use crate::exit::Error;

/// The longest line that LXC reads whole (PATH_MAX, with what it puts around it), in bytes.
const MAX_ENTRY: usize = 4000;

/// What `lxc.mount.auto` and `lxc.autodev` make.
const OF_LXC: [&str; 3] = ["/proc", "/dev", "/dev/pts"];

/// Options that LXC knows, beside those that the file system reads itself. `rro` is looked at apart.
const UNKNOWN: [&str; 11] = [
    "tmpcopyup",
    "idmap",
    "ridmap",
    "rnosuid",
    "rnodev",
    "rnoexec",
    "rrelatime",
    "rnoatime",
    "rstrictatime",
    "rnodiratime",
    "rrw",
];

/// Words of LXC's own in the options of a mount, which mean nothing to the others.
const OF_LXC_ALONE: [&str; 5] = ["optional", "relative", "create=", "idmap=", "remount"];

/// The usual file systems and the config's own, then what of /proc and /sys is hidden.
pub(super) fn render(lines: &mut Lines, spec: &Spec, linux: &Linux) -> Result<(), Error> {
    lines.plain("lxc.autodev", "1")?;
    let mounts: &[Mount] = spec.mounts().as_deref().unwrap_or_default();
    let sys = mounts.iter().find(|mount| mount.destination() == Path::new("/sys"));
    let sys_by_lxc = sys.filter(|mount| mount.typ().as_deref() == Some("sysfs"));
    let sys_mode = sys_by_lxc.map(|mount| if has(mount, "ro") { " sys:ro" } else { " sys:rw" });
    lines.plain("lxc.mount.auto", &format!("proc:rw{}", sys_mode.unwrap_or_default()))?;
    for mount in mounts {
        let destination = mount.destination();
        let by_lxc = OF_LXC.iter().any(|known| destination == Path::new(known))
            || (destination == Path::new("/sys") && sys_by_lxc.is_some());
        // In a user namespace a file system is not mounted once more where it is mounted already (EBUSY), as the host's is here.
        if mount.typ().as_deref() == Some("cgroup") && sys.is_some() && sys_by_lxc.is_none() {
            let target = relative(&destination.to_string_lossy())?;
            lines.plain(
                "lxc.mount.entry",
                &format!("none {target} tmpfs ro,nosuid,nodev,noexec,size=0k 0 0"),
            )?;
        }
        if !by_lxc {
            lines.plain("lxc.mount.entry", &entry(mount)?)?;
        }
    }
    for path in linux.readonly_paths().iter().flatten() {
        if std::fs::symlink_metadata(path).is_ok() {
            let target = relative(path)?;
            lines
                .plain("lxc.mount.entry", &format!("{target} {target} none bind,ro,relative,optional 0 0"))?;
        }
    }
    // They are the kernel's, so that the host's own tell what they are.
    for path in linux.masked_paths().iter().flatten() {
        let target = relative(path)?;
        match std::fs::symlink_metadata(path).as_ref().map(Metadata::is_dir) {
            Ok(true) => {
                lines.plain("lxc.mount.entry", &format!("none {target} tmpfs ro,size=0k,optional 0 0"))?;
            }
            Ok(false) => {
                lines.plain("lxc.mount.entry", &format!("/dev/null {target} none bind,optional 0 0"))?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

pub(super) fn has(mount: &Mount, option: &str) -> bool {
    mount.options().iter().flatten().any(|known| known == option)
}

/// `lxc.mount.entry` of one mount.
fn entry(mount: &Mount) -> Result<String, Error> {
    let target = relative(&mount.destination().to_string_lossy())?;
    let kind = match mount.typ().as_deref() {
        Some("cgroup") => "cgroup2",
        other => other.unwrap_or("none"),
    };
    let source = mount.source().as_deref().map_or(Ok(kind), utf8)?;
    let mut options = Vec::new();
    for option in mount.options().iter().flatten() {
        match option.as_str() {
            "rro" => options.push("ro"),
            known if UNKNOWN.contains(&known) => {
                return Err(refused(mount, &format!("LXC does not know the option {known:?}")));
            }
            own if OF_LXC_ALONE.iter().any(|word| own.starts_with(word)) => {
                return Err(refused(mount, &format!("the option {own:?} is one of LXC's own")));
            }
            other => options.push(other),
        }
    }
    if has(mount, "rro") {
        refuse_mounts_below(mount)?;
    }
    let is_file = is_bind(mount) && std::fs::metadata(source).is_ok_and(|metadata| !metadata.is_dir());
    options.push(if is_file { "create=file" } else { "create=dir" });
    let source = escaped(source);
    if source.starts_with('#') {
        return Err(refused(mount, "LXC takes a source that begins with # for a comment"));
    }
    let line = format!("{source} {target} {} {} 0 0", escaped(kind), escaped(&options.join(",")));
    if line.len() > MAX_ENTRY {
        return Err(refused(mount, &format!("its line is longer than the {MAX_ENTRY} bytes that LXC reads")));
    }
    Ok(line)
}

pub(super) fn is_bind(mount: &Mount) -> bool {
    has(mount, "bind") || has(mount, "rbind")
}

/// LXC makes the topmost mount alone read-only.
fn refuse_mounts_below(mount: &Mount) -> Result<(), Error> {
    let Some(source) = mount.source() else { return Ok(()) };
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|e| Error::system("read /proc/self/mountinfo", e))?;
    // proc_pid_mountinfo(5): the fifth field, escaped as fstab(5).
    let prefix = format!("{}/", escaped(utf8(source)?).trim_end_matches('/'));
    let below =
        table.lines().filter_map(|line| line.split(' ').nth(4)).find(|point| point.starts_with(&prefix));
    below.map_or(Ok(()), |point| {
        let reason = format!(
            "something is mounted at {point}, which LXC would leave writable; options = [\"bind\", \"ro\"] leaves it out"
        );
        Err(refused(mount, &reason))
    })
}

fn refused(mount: &Mount, reason: &str) -> Error {
    Error::ConfigText(format!("mount at {}: {reason}", mount.destination().display()))
}

/// A target as LXC wants it: from the root of the container, escaped.
fn relative(path: &str) -> Result<String, Error> {
    match path.trim_start_matches('/') {
        "" => Err(Error::ConfigText("mount at /: the root file system is [root]'s to say".to_owned())),
        path => Ok(escaped(path)),
    }
}

/// fstab(5): what ends a field or a line, and the escape itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' => escaped.push_str("\\040"),
            '\t' => escaped.push_str("\\011"),
            '\n' => escaped.push_str("\\012"),
            '\\' => escaped.push_str("\\134"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::MountBuilder;

    fn mount(source: &str, target: &str, options: &[&str]) -> Mount {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let built = MountBuilder::default().source(source).destination(target).typ("none").options(options);
        built.build().unwrap()
    }

    #[test]
    fn an_entry_stays_one_line_of_six_fields() {
        let hostile = mount("/a b\\\t", "/c \n# d", &["bind", "ro"]);
        let line = entry(&hostile).unwrap();
        assert_eq!(line, "/a\\040b\\134\\011 c\\040\\012#\\040d none bind,ro,create=dir 0 0");
        assert_eq!(line.split(' ').count(), 6);
    }

    #[test]
    fn what_lxc_cannot_do_is_refused() {
        assert!(entry(&mount("/etc", "/a", &["bind", "tmpcopyup"])).is_err());
        for own in ["optional", "relative", "create=file", "idmap=container", "remount"] {
            let refused = entry(&mount("/etc", "/a", &["bind", own])).unwrap_err();
            assert!(refused.to_string().contains("one of LXC's own"), "{refused}");
        }
        assert!(entry(&mount("#x", "/a", &[])).unwrap_err().to_string().contains("comment"));
        assert!(entry(&mount("/etc", "/", &["bind"])).is_err());
        assert!(entry(&mount(&format!("/{}", "x".repeat(5000)), "/a", &["bind"])).is_err());
        // Below / something is mounted on every machine.
        assert!(
            entry(&mount("/", "/a", &["rbind", "rro"])).unwrap_err().to_string().contains("leave writable")
        );
    }
}
