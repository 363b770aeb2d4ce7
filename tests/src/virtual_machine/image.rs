// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk of a virtual machine: a Debian 13 with its kernel, made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;
use crate::seed::succeeds;

/// The packages of the virtual machine. The cloud kernel has NVMe disks, ext4 and the serial port built in, so that it
/// boots without an initrd.
const PACKAGES: &str =
    "systemd,systemd-sysv,udev,dbus,crun,runc,busybox-static,uidmap,procps,linux-image-cloud-amd64";

/// What is done to them, and the machine's first program.
const PREPARE: &str = include_str!("prepare.sh");
const INIT: &str = include_str!("init.sh");

/// All there is room for on the disk; what is not used is not written.
const SIZE: &str = "1500M";

/// What QEMU boots from.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) kernel: PathBuf,
    pub(crate) disk: PathBuf,
}

/// The image in the cache, made if need be; or what is missing for it.
pub(crate) fn cached() -> Result<Image, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the image of a virtual machine is made by root".to_owned());
    }
    let recipe = [PACKAGES, SIZE, PREPARE, INIT].join("\n");
    let dir = root::cached("trixie-vm", &recipe, make)?;
    Ok(Image { kernel: dir.join("kernel"), disk: dir.join("disk") })
}

fn make(dir: &Path) -> Result<(), String> {
    let root = dir.join("root");
    fs::create_dir(dir).map_err(|error| format!("cannot make the directory: {error}"))?;
    root::mmdebstrap("trixie", PACKAGES, &root)?;
    prepare(&root).and_then(|()| pack(&root, dir)).map_err(|error| format!("cannot make the image: {error}"))
}

fn prepare(root: &Path) -> std::io::Result<()> {
    succeeds(Command::new("sh").args(["-c", PREPARE, "sh"]).args([root, Path::new(INIT)]))
}

fn pack(root: &Path, dir: &Path) -> std::io::Result<()> {
    let kernel = fs::read_dir(root.join("boot"))?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
        .ok_or_else(|| std::io::Error::other("no kernel in /boot"))?;
    fs::copy(kernel.path(), dir.join("kernel"))?;
    // No journal: a disk that is thrown away need not survive a crash.
    succeeds(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"])
            .args([root, &dir.join("disk")])
            .arg(SIZE),
    )?;
    fs::remove_dir_all(root)
}
