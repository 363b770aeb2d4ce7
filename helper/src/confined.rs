// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening paths without being led astray: host paths of the config, and files inside a root file system that the
//! container may have prepared for us. See openat2(2).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat};

use crate::sys::retry;

/// The largest file that is read into memory.
const MAX_FILE: u64 = 1024 * 1024;

/// Opens a host path of the config as a mere reference (`O_PATH`). Magic links (/proc/self/fd/N and the like) are
/// refused anywhere in it: they would name an open file of the helper, not a place on the host.
pub(crate) fn host_path(path: &Path) -> io::Result<OwnedFd> {
    let how =
        OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(retry(|| openat2(nix::fcntl::AT_FDCWD, path, how))?)
}

/// As [`host_path`], and it must be a directory.
pub(crate) fn host_directory(path: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(retry(|| openat2(nix::fcntl::AT_FDCWD, path, how))?)
}

/// Opens `path` as if `root` were `/`: no link, absolute or with `..`, leads out of it.
pub(crate) fn in_root(root: impl AsFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(retry(|| openat2(&root, path, how))?)
}

/// Whether the entry `name` of `root` is a symbolic link; one that is not there is none.
pub(crate) fn is_link(root: impl AsFd, name: &Path) -> io::Result<bool> {
    match in_root(root, name, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
        Ok(entry) => Ok(fstat(&entry)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a regular file inside `root`; `None` where there is none. A FIFO, a device or a huge file is an error and
/// never blocks: whoever runs in the container chose it.
pub(crate) fn read_in_root(root: impl AsFd, path: &Path) -> io::Result<Option<Vec<u8>>> {
    // The type is looked at before the file is opened: opening a device can have effects of its own.
    let reference = match in_root(root, path, OFlag::O_PATH) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        other => other?,
    };
    read_regular(&reference).map(Some)
}

/// Reads the regular file that an `O_PATH` descriptor refers to.
pub(crate) fn read_regular(reference: &OwnedFd) -> io::Result<Vec<u8>> {
    use std::os::fd::AsRawFd;
    let stat = fstat(reference)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(format!("/proc/self/fd/{}", reference.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ct-confined-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("etc")).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn links_of_a_rootfs_stay_inside_it() {
        let scratch = Scratch::new("links");
        symlink("/etc/shadow", scratch.0.join("etc/passwd")).unwrap();
        symlink("../../../../../../etc/hostname", scratch.0.join("etc/group")).unwrap();
        let root = host_directory(&scratch.0).unwrap();
        assert_eq!(read_in_root(&root, Path::new("etc/passwd")).unwrap(), None, "absolute link");
        assert_eq!(read_in_root(&root, Path::new("etc/group")).unwrap(), None, "link with ..");
        std::fs::write(scratch.0.join("etc/shadow"), "inside").unwrap();
        assert_eq!(read_in_root(&root, Path::new("etc/passwd")).unwrap().unwrap(), b"inside");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_blocking() {
        let scratch = Scratch::new("fifo");
        nix::unistd::mkfifo(&scratch.0.join("etc/passwd"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        symlink("/dev/zero", scratch.0.join("etc/group")).unwrap();
        let root = host_directory(&scratch.0).unwrap();
        assert!(read_in_root(&root, Path::new("etc/passwd")).is_err());
        assert_eq!(read_in_root(&root, Path::new("etc/group")).unwrap(), None);
        assert!(read_in_root(&root, Path::new("etc")).is_err());
    }

    #[test]
    fn magic_links_are_refused() {
        assert!(host_path(Path::new("/proc/self/cwd")).is_err());
        assert!(host_directory(Path::new("/proc/self/root")).is_err());
    }
}
