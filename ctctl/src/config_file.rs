// SPDX-License-Identifier: MIT OR Apache-2.0
//! The config files of containers, as ctctl writes them: checked by the parser first, then put in place whole or not at
//! all. Whoever reads at any moment, and after a crash at any moment, finds the old file or the new one.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::sources::{CONTAINER_DIRS, Tree};
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::context::Context;
use crate::error::Error;

/// Where a container's main file is written, as it is named on the host.
pub fn path_of(name: &ContainerName) -> PathBuf {
    let [administrator, ..] = CONTAINER_DIRS;
    Path::new(administrator).join(format!("{name}.toml"))
}

/// Writes the config of a container that there is none of yet; with `force`, also of one that there is. The file.
pub fn write_new(context: &Context, name: &ContainerName, text: &str, force: bool) -> Result<PathBuf, Error> {
    let path = path_of(name);
    if !force {
        refuse_existing(context, name)?;
    }
    check(context, name, &path, text)?;
    let place = if force { Place::Any } else { Place::Free };
    write(&context.on_disk(&path), text, place)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(name, &path),
            _ => Error::system(format!("cannot write {}", path.display()), source),
        })
        .map(|()| path)
}

/// Writes `path`, a container's main file or one of its drop-ins, as it is named on the host, whether it is there or not.
pub fn replace(context: &Context, name: &ContainerName, path: &Path, text: &str) -> Result<(), Error> {
    check(context, name, path, text)?;
    write(&context.on_disk(path), text, Place::Any)
        .map_err(|source| Error::system(format!("cannot write {}", path.display()), source))
}

/// Whether the container could be used if `path` had this text; all that is wrong with it else.
pub fn check(context: &Context, name: &ContainerName, path: &Path, text: &str) -> Result<(), Error> {
    let (host, _) = Host::load(context.root());
    let tree = Tree::only(context.root(), name);
    let broken = match ct_config::load_as_if(&tree, &host, name, path, text.to_owned()) {
        Ok(_) => return Ok(()),
        Err(broken) => broken,
    };
    let problems: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
    Err(Error::failed(problems.join("; ")))
}

/// Refuses a name that has a config, or that is masked.
pub fn refuse_existing(context: &Context, name: &ContainerName) -> Result<(), Error> {
    let tree = Tree::only(context.root(), name);
    match tree.main_file(name) {
        Some(file) => Err(exists(name, &file)),
        None if tree.is_masked(name) => Err(Error::failed(format!(
            "the container {:?} is masked by a link to /dev/null (use --force to replace it)",
            name.as_str()
        ))),
        None => Ok(()),
    }
}

fn exists(name: &ContainerName, file: &Path) -> Error {
    Error::failed(format!(
        "there is a container {:?} already: {} (use --force to replace it)",
        name.as_str(),
        file.display()
    ))
}

/// Writes a text to a file that is not in place, whole or not at all.
pub fn write_text(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    let place = if force { Place::Any } else { Place::Free };
    write(path, text, place).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::failed(format!("there is {} already (use --force to replace it)", path.display()))
        }
        _ => Error::system(format!("cannot write {}", path.display()), source),
    })
}

/// What may be where a file is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing.
    Free,
    /// An older file, or a link, which is replaced and not followed.
    Any,
}

/// Writes a file under another name in the same directory, which no reader of configs looks at, and renames it when
/// every byte is on the disk.
fn write(path: &Path, text: &str, place: Place) -> io::Result<()> {
    let no_name = || io::Error::from(io::ErrorKind::InvalidInput);
    let (parent, file_name) = path.parent().zip(path.file_name()).ok_or_else(no_name)?;
    DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    let directory = File::open(parent)?;
    let mut hidden = OsString::from(".");
    hidden.push(file_name);
    hidden.push(".new");
    let new = parent.join(hidden);
    let file = lock(&new)?;
    // What only root may read stays so.
    let mode = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)
        .map_or(0o644, |old| old.permissions().mode() & 0o777);
    write_whole(file, mode, text).and_then(|()| rename(&new, path, place)).inspect_err(|_| {
        // The reason to tell is the first one.
        remove(&new).ok();
    })?;
    directory.sync_all()
}

/// One writer at a time: what is in the file then is what a killed one left. The lock is on a file that nobody else can
/// open; whoever can open one can lock it, and keep all others waiting.
fn lock(path: &Path) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        // The one before has renamed or removed it while we waited.
        let (ours, there) = (file.metadata()?, fs::symlink_metadata(path));
        if there.is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
            return Ok(file);
        }
    }
}

fn write_whole(mut file: File, mode: u32, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    // Also below a umask that leaves less: the generator may be sandboxed, and editors are not run as root.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

fn rename(new: &Path, path: &Path, place: Place) -> io::Result<()> {
    match place {
        Place::Any => fs::rename(new, path),
        Place::Free => match renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE) {
            // A file system that does not know the flag (NFS): a second name is refused where there is one.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(new, path)?;
                fs::remove_file(new)
            }
            other => Ok(other?),
        },
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Options;

    const GOOD: &str = "[root]\npath = \"/srv/web\"\n";

    fn context(root: &Path) -> Context {
        Context::new(&Options { host: None, root: root.to_owned() })
    }

    fn scratch(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("ct-config-file-{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("etc/ct")).unwrap();
        root
    }

    fn names(root: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(root.join("etc/ct/containers")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_is_whole_and_readable_and_the_only_one() {
        let root = scratch("new");
        let web = ContainerName::parse("web").unwrap();
        // What a killed writer left.
        fs::create_dir_all(root.join("etc/ct/containers")).unwrap();
        fs::write(root.join("etc/ct/containers/.web.toml.new"), "half").unwrap();
        let path = write_new(&context(&root), &web, GOOD, false).unwrap();
        assert_eq!(path, Path::new("/etc/ct/containers/web.toml"));
        let file = root.join("etc/ct/containers/web.toml");
        assert_eq!(fs::read_to_string(&file).unwrap(), GOOD);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(names(&root), ["web.toml"]);

        let again = write_new(&context(&root), &web, GOOD, false).unwrap_err().to_string();
        assert!(
            again.contains("there is a container \"web\" already: /etc/ct/containers/web.toml"),
            "{again}"
        );
        let other = GOOD.replace("/srv/web", "/srv/other");
        write_new(&context(&root), &web, &other, true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), other);
        assert_eq!(names(&root), ["web.toml"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_config_elsewhere_and_a_masked_one_are_in_the_way_too() {
        let root = scratch("elsewhere");
        let web = ContainerName::parse("web").unwrap();
        fs::create_dir_all(root.join("usr/lib/ct/containers")).unwrap();
        fs::create_dir_all(root.join("etc/ct/containers")).unwrap();
        fs::write(root.join("usr/lib/ct/containers/web.toml"), GOOD).unwrap();
        let refused = write_new(&context(&root), &web, GOOD, false).unwrap_err().to_string();
        assert!(refused.contains("/usr/lib/ct/containers/web.toml"), "{refused}");
        std::os::unix::fs::symlink("/dev/null", root.join("etc/ct/containers/web.toml")).unwrap();
        let refused = write_new(&context(&root), &web, GOOD, false).unwrap_err().to_string();
        assert!(refused.contains("masked"), "{refused}");
        write_new(&context(&root), &web, GOOD, true).unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/ct/containers/web.toml")).unwrap(), GOOD);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_the_parser_refuses_is_not_written() {
        let root = scratch("refused");
        let web = ContainerName::parse("web").unwrap();
        let bad = "[root]\npath = \"/srv/web\"\n[resources]\nmemory_max = \"12Q\"\n";
        let refused = write_new(&context(&root), &web, bad, false).unwrap_err().to_string();
        assert!(refused.starts_with("/etc/ct/containers/web.toml:4:14: resources.memory_max: "), "{refused}");
        assert_eq!(names(&root), Vec::<String>::new());

        write_new(&context(&root), &web, GOOD, false).unwrap();
        let path = path_of(&web);
        replace(&context(&root), &web, &path, "[root]\n").unwrap_err();
        replace(&context(&root), &web, &path, &format!("hostname = \"a\"\n{GOOD}")).unwrap();
        let drop_in = Path::new("/etc/ct/containers/web.toml.d/50-set.toml");
        replace(&context(&root), &web, drop_in, "[resources]\ntasks_max = 5\n").unwrap();
        replace(&context(&root), &web, drop_in, "[resources]\ntasks_max = \"x\"\n").unwrap_err();
        assert_eq!(names(&root), ["web.toml", "web.toml.d"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn of_two_at_once_one_is_refused() {
        let root = scratch("race");
        let web = ContainerName::parse("web").unwrap();
        let written = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| write_new(&context(&root), &web, GOOD, false).is_ok()))
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(|written| *written).count()
        });
        assert_eq!(written, 1);
        assert_eq!(names(&root), ["web.toml"]);
        fs::remove_dir_all(root).unwrap();
    }
}
