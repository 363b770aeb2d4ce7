// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk of a virtual machine: a Debian with its kernel, made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root::{self, System};
use crate::seed::succeeds;

/// The packages of a virtual machine. The cloud kernel has NVMe disks, ext4 and the serial port built in, so that it
/// boots without an initrd.
const PACKAGES: &str =
    "systemd,systemd-sysv,udev,dbus,crun,runc,busybox-static,uidmap,procps,linux-image-cloud-amd64";

/// What Debian 12 has besides: CRIU, made for this kernel, and what it closes the network with meanwhile.
const DEBIAN12_PACKAGES: &str = "criu,iptables";

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
pub(crate) fn cached(system: System) -> Result<Image, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the image of a virtual machine is made by root".to_owned());
    }
    let packages = match system {
        System::Debian12 => format!("{PACKAGES},{DEBIAN12_PACKAGES}"),
        System::Debian13 => PACKAGES.to_owned(),
    };
    let recipe = [&packages, SIZE, PREPARE, INIT].join("\n");
    let release = system.release();
    let dir = root::cached(&format!("{release}-vm"), &recipe, |dir| make(dir, release, &packages))?;
    Ok(Image { kernel: dir.join("kernel"), disk: dir.join("disk") })
}

fn make(dir: &Path, release: &str, packages: &str) -> Result<(), String> {
    let root = dir.join("root");
    fs::create_dir(dir).map_err(|error| format!("cannot make the directory: {error}"))?;
    root::mmdebstrap(release, packages, &root)?;
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
