// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine boots from: a directory with a systemd, used as the lower layer and never written.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

/// The packages of the Debian 13 root: what the tests need, and Podman to compare with.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,crun,runc,busybox-static,uidmap,lxc,strace,procps,iproute2,\
                        podman,conmon,netavark,catatonit,lxcfs,polkitd,openssh-client,dropbear-bin";

/// The packages of a Debian that boots in a container.
const SYSTEM_PACKAGES: &str = "systemd,systemd-sysv,dbus,login";

/// A root directory to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The host's own `/`: systemd 252 on Debian 12.
    Host,
    /// Debian 13 with systemd 257, made once by mmdebstrap(1) in `CT_TEST_CACHE` (default `/var/cache/ct-tests`).
    Debian13,
}

impl Root {
    /// Every root, for tests that loop.
    #[must_use]
    pub fn all() -> [Root; 2] {
        [Root::Host, Root::Debian13]
    }

    /// The directory, made if need be; or what is missing for it.
    pub(crate) fn lower(self) -> Result<PathBuf, String> {
        static DEBIAN13: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if !rustix::process::geteuid().is_root() {
            return Err("a machine needs root".to_owned());
        }
        match self {
            Root::Host => Ok(PathBuf::from("/")),
            Root::Debian13 => DEBIAN13.get_or_init(cached_debian13).clone(),
        }
    }
}

/// A Debian with systemd for a container to boot, see [`Preparation::layer`](crate::Preparation::layer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian 12 with systemd 252, made once by mmdebstrap(1).
    Debian12,
    /// The root of [`Root::Debian13`].
    Debian13,
}

impl System {
    /// Every one, for tests that loop.
    #[must_use]
    pub fn all() -> [System; 2] {
        [System::Debian12, System::Debian13]
    }

    /// Its name as a layer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            System::Debian12 => "debian12",
            System::Debian13 => "debian13",
        }
    }

    /// Its release's name.
    pub(crate) fn release(self) -> &'static str {
        match self {
            System::Debian12 => "bookworm",
            System::Debian13 => "trixie",
        }
    }

    /// The directory, made if need be; or what is missing for it.
    pub(crate) fn directory(self) -> Result<PathBuf, String> {
        static DEBIAN12: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match self {
            System::Debian12 => DEBIAN12
                .get_or_init(|| {
                    cached("bookworm", SYSTEM_PACKAGES, |dir| mmdebstrap("bookworm", SYSTEM_PACKAGES, dir))
                })
                .clone(),
            System::Debian13 => Root::Debian13.lower(),
        }
    }
}

/// `target/ct-tests`, where the results of this build's tests go. Made if need be.
pub(crate) fn results_dir() -> PathBuf {
    // target/debug/deps/machine-0123456789abcdef
    let program = std::env::current_exe().expect("/proc is mounted");
    let target = program.ancestors().nth(3).expect("cargo puts tests into target/PROFILE/deps");
    let dir = target.join("ct-tests");
    if let Err(error) = fs::create_dir_all(&dir) {
        panic!("cannot make {}: {error}", dir.display());
    }
    dir
}

fn cached_debian13() -> Result<PathBuf, String> {
    cached("trixie", PACKAGES, |dir| mmdebstrap("trixie", PACKAGES, dir))
}

/// A directory of `CT_TEST_CACHE`, made if need be. By its recipe: a build of another age beside this one goes on
/// using its own.
pub(crate) fn cached(
    name: &str,
    recipe: &str,
    make: impl Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let cache =
        std::env::var_os("CT_TEST_CACHE").map_or_else(|| PathBuf::from("/var/cache/ct-tests"), PathBuf::from);
    let mut hash = DefaultHasher::new();
    recipe.hash(&mut hash);
    let dir = cache.join(format!("{name}-{:016x}", hash.finish()));
    make_once(&cache, &dir, make).map_err(|error| format!("no Debian in {}: {error}", dir.display()))?;
    Ok(dir)
}

/// One test process makes it, the others wait at the lock; it appears whole or not at all.
fn make_once(cache: &Path, dir: &Path, make: impl Fn(&Path) -> Result<(), String>) -> Result<(), String> {
    fs::create_dir_all(cache).map_err(|error| format!("cannot make the directory: {error}"))?;
    let lock = File::create(cache.join("lock")).map_err(|error| format!("cannot open the lock: {error}"))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| format!("cannot lock: {error}"))?;
    if dir.is_dir() {
        return Ok(());
    }
    let new = dir.with_extension("new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot remove {}: {error}", new.display()));
        }
        _ => {}
    }
    make(&new)?;
    fs::rename(&new, dir).map_err(|error| format!("cannot put it in place: {error}"))
}

/// A Debian of this release, with these packages and what they need.
pub(crate) fn mmdebstrap(release: &str, packages: &str, root: &Path) -> Result<(), String> {
    // In namespaces of its own: killed, it leaves neither a process nor the host's /dev mounted below a directory
    // that the next try removes.
    let made = Command::new("setpriv")
        .args("--pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc".split(' '))
        .args(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"])
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg(format!("--include={packages}"))
        // Of LXC the library is wanted: a bridge and a daemon have no place in a container.
        .arg("--customize-hook=rm -f \"$1\"/etc/systemd/system/*.wants/lxc*.service")
        .arg(release)
        .arg(root)
        .env("INITRD", "No") // for a kernel's own scripts: no machine of these boots from one
        .output()
        .map_err(|error| format!("cannot run mmdebstrap: {error}"))?;
    if !made.status.success() {
        return Err(format!("mmdebstrap: {}\n{}", made.status, String::from_utf8_lossy(&made.stderr)));
    }
    Ok(())
}
