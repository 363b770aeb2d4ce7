// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper checkpoint NAME IMAGE`, for `ctctl checkpoint`: what runs in the container, written to a directory; and the
//! request of `ctctl restore`, by which a start goes on from such a directory.
//!
//! An image appears whole or not at all: it is made below another name, and renamed when it is on the disk. A request is a
//! file that the start takes away before it does anything else, so that it counts for one start and no other.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ct_config::container::{Container, LogMode, ReadyWhen, Writable};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, syncfs};
use serde_json::{Value, json};

use crate::exit::{At, Error, Failure, Step, printable};
use crate::instance::Instance;
use crate::journal::Journal;
use crate::runtime::Runtime;
use crate::runtime::criu;
use crate::runtime::family;
use crate::runtime::places::Places;
use crate::runtime::said::{last_error, read_untrusted};
use crate::{claim, identity, read};

/// Where `ctctl restore` asks for a start from an image: a file for each container, with the directory in it.
const REQUESTS: &str = "/run/ct-restore";

/// What an image is of, beside the runtime's own files.
const LABEL: &str = "ct.json";

/// Writes what runs in `name` to the directory `image`. Unless it is to go on, all of it has ended then.
pub(crate) fn checkpoint(
    name: &str,
    image: &Path,
    leave_running: bool,
    journal: Journal,
) -> Result<i32, Failure> {
    let container = read::config(name, journal).at(Step::Config)?;
    let runtime = Runtime::locate(&container.runtime).at(Step::Runtime)?;
    let account = identity::account(&container).at(Step::User)?;
    let instance = Instance::Container(container.name.clone());
    claim::reopen(&container, &instance).at(Step::Claim)?;
    let places = Places::of(&instance, &account).at(Step::Runtime)?;
    let draft = Draft::make(image).at(Step::Claim)?;
    let log = places.state.join("checkpoint.log");
    let mut command =
        runtime.checkpoint(&places, &account, (&draft.path, leave_running)).at(Step::Runtime)?;
    // After what the runtime cannot do for any container.
    can_be_restored(&container).at(Step::Config)?;
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let said = why(&log, &draft.path);
    let _ = fs::remove_file(&log);
    let status = ended.map_err(|e| Error::system(format!("execute {}", runtime.name()), e));
    let status = status.at(Step::Runtime)?;
    if !status.success() {
        let reason = said.unwrap_or_else(|| status.to_string());
        return Err(Error::RuntimeFailed { name: runtime.name().to_owned(), reason }).at(Step::Runtime);
    }
    draft.publish(image, &label(&container)).at(Step::Claim)?;
    Ok(0)
}

/// What the container has beside its processes must be there again.
fn can_be_restored(container: &Container) -> Result<(), Error> {
    let cannot =
        |reason: &str| Err(Error::ConfigText(format!("{} cannot be restored: {reason}", container.name)));
    if container.account.is_some() {
        return cannot("a checkpoint takes the rights of root, and it runs through an account");
    }
    if container.root.writable == Some(Writable::Ephemeral) {
        return cannot(
            "what it has written to its root file system ends with it (root.writable = \"ephemeral\")",
        );
    }
    // Seen with runsc: what goes on at a new terminal hears no signal from outside, that of a stop among them.
    if container.process.terminal == Some(true) {
        return cannot("with another terminal it would hear no signal (process.terminal)");
    }
    if matches!(container.ready.when, ReadyWhen::Notified { .. }) {
        return cannot("its socket to ct ends with it (ready.notify)");
    }
    if container.log == LogMode::Journal && !family::of(container.runtime.family).keeps_outer_sockets() {
        return cannot(
            "CRIU has but one end of the journal's stream (log.mode = \"pipe\" and \"none\" can be)",
        );
    }
    Ok(())
}

fn label(container: &Container) -> Value {
    json!({ "name": container.name.as_str(), "runtime": container.runtime.name, "digest": container.digest.0 })
}

/// The runtime's own words, and those of CRIU if it was that.
fn why(log: &Path, draft: &Path) -> Option<String> {
    let said = read_untrusted(log).ok().and_then(|text| last_error(&text));
    match (said, criu::cause(&draft.join(criu::CHECKPOINT_LOG))) {
        (Some(said), Some(cause)) => Some(format!("{said}: {cause}")),
        (said, cause) => said.or(cause),
    }
}

/// An image that is not whole. It is removed unless it is published.
struct Draft {
    path: PathBuf,
    /// Locked: nobody else makes an image there meanwhile.
    _parent: File,
}

impl Draft {
    fn make(image: &Path) -> Result<Self, Error> {
        let failed =
            |what: &str, path: &Path, e: io::Error| Error::system(format!("{what} {}", path.display()), e);
        let (Some(parent), Some(name)) = (image.parent(), image.file_name()) else {
            return Err(Error::Usage(format!("{} is no directory to write to", image.display())));
        };
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(parent)
            .map_err(|e| failed("mkdir", parent, e))?;
        let opened = File::open(parent).map_err(|e| failed("open", parent, e))?;
        // What root writes there, nobody else may exchange.
        let metadata = opened.metadata().map_err(|e| failed("stat", parent, e))?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(Error::Usage(format!("{} can be written to by others than root", parent.display())));
        }
        flock(&opened, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| failed("lock (another checkpoint is being made)", parent, e.into()))?;
        if fs::symlink_metadata(image).is_ok() && !image.join(LABEL).is_file() {
            return Err(Error::Usage(format!("{} is there, and is no checkpoint", image.display())));
        }
        let path = parent.join(format!(".{}.new", name.to_string_lossy()));
        // Of one that was killed.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).map_err(|e| failed("mkdir", &path, e))?;
        Ok(Self { path, _parent: opened })
    }

    /// Puts it in place of an older one.
    fn publish(self, image: &Path, label: &Value) -> Result<(), Error> {
        let failed = |what: &str, e: io::Error| Error::system(format!("{what} {}", self.path.display()), e);
        let mut file = File::create_new(self.path.join(LABEL)).map_err(|e| failed("write to", e))?;
        file.write_all(label.to_string().as_bytes()).map_err(|e| failed("write to", e))?;
        syncfs(&file).map_err(|e| failed("sync", e.into()))?;
        // With an older one in place, that is what has the draft's name afterwards.
        let exchanged = renameat_with(CWD, &self.path, CWD, image, RenameFlags::EXCHANGE);
        let renamed =
            exchanged.or_else(|_| renameat_with(CWD, &self.path, CWD, image, RenameFlags::NOREPLACE));
        renamed.map_err(|e| failed("rename", e.into()))?;
        syncfs(&file).map_err(|e| failed("sync", e.into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Takes the request for `name` away; the image that it asks to go on from.
pub(crate) fn take_request(name: &str) -> Result<Option<PathBuf>, Error> {
    let path = Path::new(REQUESTS).join(name);
    let failed = |what: &str, e: io::Error| Error::system(format!("{what} {}", path.display()), e);
    let text = match read_untrusted(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| failed("read", e))?,
    };
    fs::remove_file(&path).map_err(|e| failed("remove", e))?;
    Ok(Some(PathBuf::from(text)))
}

/// Whether an image is one of this container as it is configured now.
pub(crate) fn check(image: &Path, container: &Container) -> Result<(), Error> {
    can_be_restored(container)?;
    let path = image.join(LABEL);
    let text = fs::read_to_string(&path).map_err(|e| Error::system(format!("read {}", path.display()), e))?;
    let found: Value = serde_json::from_str(&text).unwrap_or_default();
    if found == label(container) {
        return Ok(());
    }
    let of = found.get("name").and_then(Value::as_str).unwrap_or("nothing");
    Err(Error::ConfigText(if of == container.name.as_str() {
        format!("{}: the config of {of} has changed since this checkpoint", image.display())
    } else {
        format!("{} is a checkpoint of {}", image.display(), printable(of, 80))
    }))
}
