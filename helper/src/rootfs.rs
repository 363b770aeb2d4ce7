// SPDX-License-Identifier: MIT OR Apache-2.0
//! The container's root file system, mounted at /run/ct/NAME/rootfs in the unit's private mount namespace.
//!
//! Every mount here ends with the namespace's last process: there is nothing to unmount after a stop, a failure or a
//! kill (mount_namespaces(7)). Paths are handed to mount(2) as /proc/self/fd/N of directories already opened, which
//! keeps them what they were when checked, needs no escaping and fits any number of layers into the option page.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ct_config::container::{Root, RootSource, Writable};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chown};

use crate::claim::RunDirectory;
use crate::confined;
use crate::exit::{Error, Named};
use crate::identity::Identity;
use crate::idmapped::{Below, IdMappedMounts};

/// The host ids of the container's root, who must own what an empty upper layer begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A mounted root file system.
#[derive(Debug)]
pub(crate) struct Rootfs {
    /// Where it is mounted, `root.path` of config.json.
    pub(crate) path: PathBuf,
    /// The mounted directory itself, for looking into it.
    pub(crate) directory: OwnedFd,
    /// `root.readonly`; `None` keeps a bundle's.
    pub(crate) readonly: Option<bool>,
}

/// Makes sure that mounts of this process are seen by nobody else. `PrivateMounts=` has done it already, unless an
/// administrator's drop-in took it away.
pub(crate) fn leave_host_mounts() -> Result<(), Error> {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt"));
    let (own, init) = (of("self"), of("1"));
    if let (Ok(own), Ok(init)) = (own, init)
        && own != init
    {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| Error::system("unshare(CLONE_NEWNS)", e))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(|e| Error::system("mount(\"/\", MS_REC|MS_SLAVE)", e))
}

/// Mounts the root file system. `bundle_root` is where a bundle's config.json says its root is.
pub(crate) fn mount_root(
    root: &Root,
    bundle_root: Option<&Path>,
    run: &RunDirectory,
    identity: &Identity,
) -> Result<Rootfs, Error> {
    let target = run.make("rootfs", 0o755)?;
    let writable = root.writable.unwrap_or_default();
    let mut mapped = root.idmap.then(|| IdMappedMounts::prepare(identity, run)).transpose()?;
    let mut open = |what, path: &Path, below| {
        let directory = open_directory(what, path)?;
        match &mut mapped {
            Some(mapped) => mapped.mount(&directory, &format!("{what} {}", path.display()), below),
            None => Ok(directory),
        }
    };
    match (&root.source, writable) {
        (RootSource::Path(path) | RootSource::Bundle(path), Writable::Persistent) => {
            bind(&open(Named::Rootfs, bundle_root.unwrap_or(path), Below::Included)?, &target)?;
        }
        (RootSource::Path(path) | RootSource::Bundle(path), _) => {
            let lower = open(Named::Rootfs, bundle_root.unwrap_or(path), Below::LeftOut)?;
            mount_layers(&[lower], writable, &target, run, identity.owner)?;
        }
        (RootSource::Layers(layers), _) => {
            let lower = layers
                .iter()
                .map(|path| open(Named::Layer, path, Below::LeftOut))
                .collect::<Result<Vec<OwnedFd>, Error>>()?;
            mount_layers(&lower, writable, &target, run, identity.owner)?;
        }
    }
    let directory = open_directory(Named::Rootfs, &target)?;
    refuse_links(&directory)?;
    let readonly = match (&root.source, root.writable) {
        (RootSource::Bundle(_), None) => None,
        _ => Some(writable == Writable::No),
    };
    Ok(Rootfs { path: target, directory, readonly })
}

/// Refuses a root file system whose /dev, /proc or /sys is a link: crun up to 1.21 and runc up to 1.1.15 follow one to
/// the host and make device nodes there.
fn refuse_links(directory: &OwnedFd) -> Result<(), Error> {
    for name in ["dev", "proc", "sys"] {
        let is_link = confined::is_link(directory, Path::new(name))
            .map_err(|e| Error::system(format!("look at /{name} of the root file system"), e))?;
        if is_link {
            return Err(Error::LinkInRootfs(name));
        }
    }
    Ok(())
}

fn open_directory(what: Named, path: &Path) -> Result<OwnedFd, Error> {
    confined::host_directory(path).map_err(|source| Error::open(what, path, source))
}

fn mount_layers(
    lower: &[OwnedFd],
    writable: Writable,
    target: &Path,
    run: &RunDirectory,
    owner: Owner,
) -> Result<(), Error> {
    let writes = match writable {
        Writable::Persistent => state_directory()?,
        // The runtime makes missing mount points before it makes the root read-only: in the tmpfs, not in the image.
        Writable::Ephemeral | Writable::No => fresh_tmpfs(run)?,
    };
    let writes = WritableLayer::open(&writes, lower.last(), owner)?;
    overlay(lower, &writes, target)
}

/// /var/lib/ct/NAME, which `StateDirectory=` made.
fn state_directory() -> Result<PathBuf, Error> {
    std::env::var_os("STATE_DIRECTORY").map(PathBuf::from).ok_or_else(|| {
        Error::NotLoaded(
            "the unit has no StateDirectory=; run `systemctl daemon-reload` and start again".to_owned(),
        )
    })
}

/// A tmpfs of this mount namespace alone: gone with the container, and its pages are charged to the container.
fn fresh_tmpfs(run: &RunDirectory) -> Result<PathBuf, Error> {
    let path = run.make("ephemeral", 0o700)?;
    mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::MS_NODEV | MsFlags::MS_NOATIME, Some("mode=0700"))
        .map_err(|e| Error::system(format!("mount(\"tmpfs\", {:?})", path), e))?;
    Ok(path)
}

/// The upper and the work directory of an overlay.
struct WritableLayer {
    upper: OwnedFd,
    work: OwnedFd,
}

impl WritableLayer {
    /// Opens both below `directory`, making them at the first start. A new upper layer, the container's `/`, takes its
    /// mode and owner from the topmost lower layer, or belongs to the container's root where ids are mapped.
    fn open(directory: &Path, topmost: Option<&OwnedFd>, owner: Owner) -> Result<Self, Error> {
        let (upper, work) = (directory.join("upper"), directory.join("work"));
        make_directory(&work, 0o700)?;
        if !upper.exists() {
            make_upper(directory, &upper, topmost, owner)?;
        }
        Ok(Self {
            upper: open_directory(Named::UpperLayer, &upper)?,
            work: open_directory(Named::WorkDirectory, &work)?,
        })
    }
}

/// Makes an upper layer under another name and renames it when it is right: a helper killed in between leaves no
/// container whose `/` belongs to the wrong user.
fn make_upper(directory: &Path, upper: &Path, topmost: Option<&OwnedFd>, owner: Owner) -> Result<(), Error> {
    let new = directory.join("upper.new");
    make_directory(&new, 0o700)?;
    let beneath = topmost.and_then(|lower| fs::metadata(descriptor(lower)).ok());
    let mode = beneath.as_ref().map_or(0o755, |lower| lower.mode() & 0o7777);
    let (uid, gid) = match beneath {
        Some(lower) if owner.uid == 0 => (lower.uid(), lower.gid()),
        _ => (owner.uid, owner.gid),
    };
    chown(&new, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|e| Error::system(format!("chown {}", new.display()), e))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))
        .map_err(|e| Error::system(format!("chmod {}", new.display()), e))?;
    fs::rename(&new, upper).map_err(|e| Error::system(format!("rename {}", new.display()), e))
}

/// Makes a directory unless it is there.
fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::system(format!("mkdir {}", path.display()), e)),
    }
}

fn bind(source: &OwnedFd, target: &Path) -> Result<(), Error> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(descriptor(source).as_str()), target, None::<&str>, flags, None::<&str>)
        .map_err(|e| Error::system(format!("bind mount at {}", target.display()), e))
}

/// overlayfs: the first of `lowerdir=` is the topmost, DESIGN's list begins with the lowest.
fn overlay(lower: &[OwnedFd], writes: &WritableLayer, target: &Path) -> Result<(), Error> {
    let lower: Vec<String> = lower.iter().rev().map(descriptor).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        descriptor(&writes.upper),
        descriptor(&writes.work)
    );
    mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|e| Error::system(format!("mount(\"overlay\", {:?}) of {} layers", target, lower.len()), e))
}

fn descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
