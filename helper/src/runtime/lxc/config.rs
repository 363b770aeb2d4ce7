// SPDX-License-Identifier: MIT OR Apache-2.0
//! lxc.container.conf(5), from the specification that the OCI runtimes get.
//!
//! A line is `KEY = VALUE`, to its end. LXC takes blanks off both ends of a value, and then one pair of quotes: so what
//! may have either is quoted, and what has a line break is refused. Limits, oom score and resources are PID 1's and stay out.

use std::path::Path;

use oci_spec::runtime::{
    Capability, Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Process, Spec,
};

use super::entries;
use super::terminal::TAKER;
use crate::exit::Error;

/// The groups that LXC makes for its monitor and for the container. It insists that they are not there.
pub(super) const PAYLOAD: &str = "lxc.payload";
pub(super) const MONITOR: &str = "lxc.monitor";
const PIVOT: &str = "lxc.pivot";

/// Makes what is mounted at the container's root read-only. Told both, mount(8) looks nothing up.
const READ_ONLY: &str = "/bin/mount -n -t none -o remount,bind,ro none \"$LXC_ROOTFS_MOUNT\"";

/// Ids that LXC gives as many digits as it needs to, and no more.
const INIT: &str = "lxc.init";

/// The lines of a config.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
}

impl Lines {
    /// A value that ct itself has made.
    pub(super) fn plain(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Error::ConfigText(format!(
                "runtime: the LXC config has a line for each {key}, and {} has a line break or another control character",
                crate::exit::printable(value, 80)
            )));
        }
        self.text.push_str(&format!("{key} = {value}\n"));
        Ok(())
    }

    /// Any other: taken as it is between its quotes, whatever it has in it.
    pub(super) fn quoted(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.plain(key, &format!("\"{value}\""))
    }
}

/// The config. `seccomp` is the file of its system-call filter.
pub(super) fn render(spec: &Spec, seccomp: Option<&Path>) -> Result<String, Error> {
    let mut lines = Lines::default();
    let missing = |what: &str| Error::ConfigText(format!("runtime: a container of LXC needs {what}"));
    let root = spec.root().as_ref().ok_or_else(|| missing("a root file system"))?;
    let process = spec.process().as_ref().ok_or_else(|| missing("a process"))?;
    let linux = spec.linux().as_ref().ok_or_else(|| missing("namespaces"))?;

    lines.plain("lxc.rootfs.path", &format!("dir:{}", utf8(root.path())?))?;
    if root.readonly() == Some(true) {
        // Not from the beginning (lxc.rootfs.options): targets of mounts are made in there.
        lines.plain("lxc.hook.mount", READ_ONLY)?;
    }
    if let Some(hostname) = spec.hostname() {
        lines.plain("lxc.uts.name", hostname)?;
    }
    namespaces(&mut lines, linux)?;
    control_groups(&mut lines)?;
    entries::render(&mut lines, spec, linux)?;
    set_process(&mut lines, process)?;
    if let Some(path) = seccomp {
        lines.plain("lxc.seccomp.profile", utf8(path)?)?;
    }
    // As the OCI runtimes: the unit's own confinement is the container's.
    lines.plain("lxc.apparmor.profile", "unconfined")?;
    // The standard files are the unit's, or a terminal that is made where LXC has no say.
    lines.plain("lxc.tty.max", "0")?;
    lines.plain("lxc.pty.max", "1024")?;
    lines.plain("lxc.console.path", "none")?;
    if process.terminal() == Some(true) {
        let own = std::env::current_exe().map_err(|e| Error::system("readlink /proc/self/exe", e))?;
        let taker = TAKER.trim_start_matches('/');
        lines.plain("lxc.mount.entry", &format!("{} {taker} none bind,ro,create=file 0 0", utf8(&own)?))?;
    }
    // LXC would start a container that reboots again inside itself, behind PID 1's back. A hook that fails makes it stop.
    lines.plain("lxc.hook.version", "1")?;
    lines.plain("lxc.hook.post-stop", "/usr/bin/test \"$LXC_TARGET\" != reboot")?;
    Ok(lines.text)
}

/// Which are the container's own, which are joined by path, and the maps of ids.
fn namespaces(lines: &mut Lines, linux: &Linux) -> Result<(), Error> {
    let all: &[LinuxNamespace] = linux.namespaces().as_deref().unwrap_or_default();
    let own: Vec<&str> =
        all.iter().filter(|known| known.path().is_none()).filter_map(|known| name(known.typ())).collect();
    lines.plain("lxc.namespace.clone", &own.join(" "))?;
    for namespace in all {
        if let (Some(path), Some(name)) = (namespace.path(), name(namespace.typ())) {
            lines.plain(&format!("lxc.namespace.share.{name}"), utf8(path)?)?;
        }
    }
    let has_own_network = own.contains(&"net");
    lines.plain("lxc.net.0.type", if has_own_network { "empty" } else { "none" })?;
    for (kind, maps) in [("u", linux.uid_mappings()), ("g", linux.gid_mappings())] {
        for map in maps.as_deref().unwrap_or_default() {
            lines.plain("lxc.idmap", &id_map(kind, map))?;
        }
    }
    Ok(())
}

fn name(typ: LinuxNamespaceType) -> Option<&'static str> {
    Some(match typ {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Time => return None,
    })
}

fn id_map(kind: &str, map: &LinuxIdMapping) -> String {
    format!("{kind} {} {} {}", map.container_id(), map.host_id(), map.size())
}

/// All groups in `payload/`, where the monitor begins: there the account may make them, and the unit's limits hold.
fn control_groups(lines: &mut Lines) -> Result<(), Error> {
    lines.plain("lxc.cgroup.relative", "1")?;
    lines.plain("lxc.cgroup.dir.monitor", MONITOR)?;
    // Where the monitor goes at its end, to remove the other two. By default that is a group of the host's.
    lines.plain("lxc.cgroup.dir.monitor.pivot", PIVOT)?;
    lines.plain("lxc.cgroup.dir.container", PAYLOAD)
}

/// User, directory and rights of init. Its command and its environment, in which a value may have several lines, the monitor
/// has from config.json.
fn set_process(lines: &mut Lines, process: &Process) -> Result<(), Error> {
    let user = process.user();
    if (user.uid(), user.gid()) != (0, 0) {
        lines.plain(&format!("{INIT}.uid"), &user.uid().to_string())?;
        lines.plain(&format!("{INIT}.gid"), &user.gid().to_string())?;
    }
    let groups: Vec<String> =
        user.additional_gids().iter().flatten().map(|group| group.to_string()).collect();
    if !groups.is_empty() {
        lines.plain(&format!("{INIT}.groups"), &groups.join(","))?;
    }
    if process.cwd() != Path::new("/") {
        lines.quoted(&format!("{INIT}.cwd"), utf8(process.cwd())?)?;
    }
    if process.no_new_privileges() == Some(true) {
        lines.plain("lxc.no_new_privs", "1")?;
    }
    let bounding = process.capabilities().as_ref().and_then(|sets| sets.bounding().clone());
    if let Some(bounding) = bounding {
        lines.plain("lxc.cap.keep", &capabilities(bounding.into_iter()))?;
    }
    Ok(())
}

/// LXC's names, `net_admin`; "none" for none, since an empty value is "all".
fn capabilities(set: impl Iterator<Item = Capability>) -> String {
    let mut names: Vec<String> =
        set.map(|one| one.to_string().trim_start_matches("CAP_").to_ascii_lowercase()).collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

pub(super) fn utf8(path: &Path) -> Result<&str, Error> {
    path.to_str()
        .ok_or_else(|| Error::ConfigText(format!("{}: LXC takes no path that is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line_as_it_is() {
        let mut lines = Lines::default();
        lines.quoted("lxc.init.cwd", " V=\"a' # \\").unwrap();
        assert_eq!(lines.text, "lxc.init.cwd = \" V=\"a' # \\\"\n");
        for value in ["a\nlxc.hook.pre-start = /bin/sh", "a\r", "a\0b"] {
            let refused = lines.quoted("lxc.init.cwd", value).unwrap_err();
            assert!(refused.to_string().contains("control character"), "{refused}");
        }
        assert_eq!(lines.text.lines().count(), 1);
    }

    #[test]
    fn capabilities_have_lxcs_names() {
        assert_eq!(capabilities([Capability::NetAdmin, Capability::Chown].into_iter()), "chown net_admin");
        assert_eq!(capabilities([].into_iter()), "none");
    }
}
