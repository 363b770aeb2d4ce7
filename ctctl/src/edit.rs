// SPDX-License-Identifier: MIT OR Apache-2.0
//! `edit`: a container's config in an editor, checked before it takes the place of the old one. What was written is never
//! lost: it stays in a file beside the config until it is in place, or until it is as it was before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use ct_config::name::ContainerName;
use nix::sys::signal::Signal;

use crate::config_file;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use crate::question::ask;
use crate::signals::Signals;

/// Edit the config of a container; it is checked before it is put in place
///
/// The editor is the first of $SYSTEMD_EDITOR, $VISUAL and $EDITOR that is set, else editor(1), nano or vi. A config
/// below /usr/lib or /run is copied to /etc. What has errors is not put in place: on a terminal it can be edited again,
/// else it stays in a hidden file beside the config, and the next edit goes on with it.
#[derive(Debug, Args)]
pub struct EditArguments {
    /// Name of a container, or a beginning that is unique
    #[arg(value_name = "NAME")]
    name: String,
    /// Take the new text from stdin instead of an editor
    #[arg(long)]
    stdin: bool,
    /// Do not have systemd load it
    #[arg(long)]
    no_reload: bool,
}

/// The largest config that the parser reads, and a byte: more from stdin is too much.
const MOST: u64 = (1 << 20) + 1;

/// One edit.
#[derive(Debug)]
struct Edit<'a> {
    context: &'a Context,
    name: ContainerName,
    /// What is there before.
    source: PathBuf,
    before: String,
    /// Where the config will be, as it is named on the host.
    path: PathBuf,
    /// What is edited, in the same directory; readers of configs pass over hidden files.
    draft: PathBuf,
}

/// `ctctl edit`
pub fn edit(arguments: &EditArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("edit")?;
    let name = resolve(&arguments.name, context)?;
    let edit = Edit::of(name, context)?;
    let changed = if arguments.stdin { edit.take(&from_stdin()?)? } else { edit.by_editor()? };
    if changed && !arguments.no_reload && context.root() == Path::new("/") {
        context.systemd()?.reload()?;
    }
    Ok(Status::Done)
}

impl<'a> Edit<'a> {
    fn of(name: ContainerName, context: &'a Context) -> Result<Self, Error> {
        let main = context
            .tree()
            .main_file(&name)
            .ok_or_else(|| Error::failed(format!("{name} has no config (ctctl create makes one)")))?;
        let source = context.on_disk(&main);
        let text = fs::read(&source)
            .map_err(|error| Error::system(format!("cannot read {}", main.display()), error))?;
        let path = config_file::path_of(&name);
        let draft = context.on_disk(&path).with_file_name(format!(".{name}.edit.toml"));
        let before = String::from_utf8_lossy(&text).into_owned();
        Ok(Self { context, name, source, before, path, draft })
    }

    /// Puts a text in place, if the parser takes it; whether anything changed.
    fn take(&self, text: &str) -> Result<bool, Error> {
        if text == self.before {
            eprintln!("ctctl: {} is as it was", self.path.display());
            return Ok(false);
        }
        config_file::replace(self.context, &self.name, &self.path, text)?;
        Ok(true)
    }

    fn by_editor(&self) -> Result<bool, Error> {
        let _alone = self.make_draft()?;
        loop {
            run_editor(&self.draft).map_err(|error| self.kept(error))?;
            let text = fs::read_to_string(&self.draft).map_err(|error| {
                self.kept(Error::system(format!("cannot read {}", self.draft.display()), error))
            })?;
            if text == self.before {
                self.remove_draft();
                return self.take(&text);
            }
            self.is_unchanged().map_err(|error| self.kept(error))?;
            match config_file::replace(self.context, &self.name, &self.path, &text) {
                Ok(()) => {
                    self.remove_draft();
                    return Ok(true);
                }
                Err(error) if !io::stdin().is_terminal() => return Err(self.kept(error)),
                Err(error) => {
                    eprintln!("ctctl: {}", error.story());
                    if !ask("Edit it again?", true)? {
                        return Err(self.kept(Error::failed("it was not put in place")));
                    }
                }
            }
        }
    }

    /// Makes the draft, or goes on with that of an earlier edit which came to nothing. As long as the file lives that is
    /// returned, nobody else edits this config.
    fn make_draft(&self) -> Result<File, Error> {
        let failed = |path: &Path, error| Error::system(format!("cannot write {}", path.display()), error);
        if let Some(directory) = self.draft.parent() {
            fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        }
        let base = self.base();
        let mut options = OpenOptions::new();
        let mut alone = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&base)
            .map_err(|error| failed(&base, error))?;
        if alone.try_lock().is_err() {
            return Err(Error::failed(format!("{} is being edited by another ctctl", self.name)));
        }
        let mut earlier = Vec::new();
        alone.read_to_end(&mut earlier).map_err(|error| failed(&base, error))?;
        if fs::symlink_metadata(&self.draft).is_ok() {
            eprintln!("ctctl: going on with {}, which an earlier edit has left", self.draft.display());
            self.agree_to_replace(&earlier)?;
        } else {
            self.write_draft().map_err(|error| {
                self.remove_draft();
                failed(&self.draft, error)
            })?;
        }
        let written = alone
            .set_len(0)
            .and_then(|()| alone.rewind())
            .and_then(|()| alone.write_all(self.before.as_bytes()));
        written.map_err(|error| failed(&base, error))?;
        Ok(alone)
    }

    fn write_draft(&self) -> io::Result<()> {
        // A config that others may not read has a draft that they may not read.
        let mode = fs::metadata(&self.source).map_or(0o644, |file| file.mode() & 0o777);
        let mut draft = OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.draft)?;
        draft.write_all(self.before.as_bytes())
    }

    /// What the earlier edit began with may have been changed since.
    fn agree_to_replace(&self, earlier: &[u8]) -> Result<(), Error> {
        if earlier == self.before.as_bytes() {
            return Ok(());
        }
        let changed = format!("{} was changed since that was begun", self.path.display());
        if io::stdin().is_terminal() && ask(&format!("{changed}. Go on, and replace it?"), false)? {
            return Ok(());
        }
        Err(self.kept(Error::failed(format!("{changed}: compare the two, and remove one"))))
    }

    /// What the draft began with; locked while it is edited. Editors replace files, and the draft's lock with it.
    fn base(&self) -> PathBuf {
        self.draft.with_extension("base")
    }

    /// Somebody else may have been quicker.
    fn is_unchanged(&self) -> Result<(), Error> {
        let now = fs::read(&self.source).unwrap_or_default();
        if String::from_utf8_lossy(&now) == self.before {
            return Ok(());
        }
        Err(Error::failed(format!("{} was changed meanwhile", self.path.display())))
    }

    /// Where to find what was written, if anything was.
    fn kept(&self, error: Error) -> Error {
        if fs::read(&self.draft).is_ok_and(|text| text == self.before.as_bytes()) {
            self.remove_draft();
            return error;
        }
        let status = error.status();
        Error::Failed {
            reason: format!("{} (your text is in {})", error.story(), self.draft.display()),
            status,
        }
    }

    fn remove_draft(&self) {
        for file in [&self.draft, &self.base()] {
            if let Err(error) = fs::remove_file(file) {
                eprintln!("ctctl: cannot remove {}: {error}, ignoring", file.display());
            }
        }
    }
}

/// Its variable may hold arguments, too: a shell takes it apart, as for git and systemctl.
fn run_editor(file: &Path) -> Result<(), Error> {
    let set = ["SYSTEMD_EDITOR", "VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let candidates =
        set.map_or_else(|| ["editor", "nano", "vi"].map(str::to_owned).to_vec(), |one| vec![one]);
    for editor in &candidates {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{editor} \"$@\""), editor]).arg(file);
        // Ctrl-C is for the editor. Standard library's children begin with no signal blocked.
        let held = Signals::catch([Signal::SIGINT, Signal::SIGQUIT])?;
        let status = command.status().map_err(|error| Error::system(format!("run {editor}"), error))?;
        while held.next().is_some() {}
        drop(held);
        match status.code() {
            Some(0) => return Ok(()),
            // There is no such program.
            Some(127) => {}
            _ => return Err(Error::failed(format!("the editor failed: {editor}: {status}"))),
        }
    }
    Err(Error::failed(format!("there is no editor: {} (set $EDITOR)", candidates.join(", "))))
}

fn from_stdin() -> Result<String, Error> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST).read_to_string(&mut text);
    read.map_err(|error| Error::system("cannot read stdin", error))?;
    Ok(text)
}
