// SPDX-License-Identifier: MIT OR Apache-2.0
//! `import`: configs of Quadlet, LXC and SPOC as configs of ct, with a report of what became of each line. The translation
//! is pure; what it makes goes through the parser before it is written.

mod draft;
mod lxc;
mod quadlet;
mod spoc;
mod unit_syntax;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ct_config::name::ContainerName;
use serde_json::json;

pub use draft::{Bad, Draft, Line, Outcome};

use crate::config_file;
use crate::context::Context;
use crate::create::{PlacingArguments, parse_name};
use crate::error::Error;
use crate::exit::Status;
use crate::output::{print, print_json, safe};

/// Make configs of ct from those of Quadlet, LXC or SPOC
///
/// Quadlet's *.container files (with their drop-ins in FILE.d), LXC's configs and SPOC's definitions in JSON become
/// /etc/ct/containers/NAME.toml. The report says of each line whether it was carried over, changed (and what is
/// different) or refused (why, and what to do); nothing is dropped silently. Images are not pulled: --map says where
/// the root file system of one is.
///
/// If any line is refused nothing is written, and the exit code is 1; with --partial the configs are written without
/// these lines, which are comments in them then. A config that the parser does not take is never written.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  ctctl import --dry-run /etc/containers/systemd/*.container
  ctctl import --map docker.io/library/nginx:1.27=/srv/nginx web.container
  ctctl import --name web /var/lib/lxc/web/config")]
pub struct ImportArguments {
    /// Files to import; those of one go may depend on each other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files are; told by their names and contents if left out
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where the root file system of an image, or the directory of a volume or layer, is; names of layers, with commas
    /// between them and the lowest first, also do for an image
    #[arg(long, value_name = "IMAGE=ROOTFS", value_parser = parse_map)]
    map: Vec<(String, String)>,
    /// Name of the container, of one file; that of the file if left out
    #[arg(long, value_parser = parse_name)]
    name: Option<ContainerName>,
    /// Write to this directory instead of /etc/ct/containers
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write the configs to standard output, and nothing to the disk
    #[arg(long)]
    dry_run: bool,
    /// Write configs also where lines are refused
    #[arg(long)]
    partial: bool,
    /// Write the report, and the configs, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    placing: PlacingArguments,
}

/// Where a config comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Podman's Quadlet, podman-systemd.unit(5)
    Quadlet,
    /// lxc.container.conf(5), also with the names of before LXC 3
    Lxc,
    /// SPOC's definitions in JSON
    Spoc,
}

fn parse_map(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((image, place)) if !image.is_empty() && !place.is_empty() => {
            Ok((image.to_owned(), place.to_owned()))
        }
        _ => Err("not IMAGE=ROOTFS".to_owned()),
    }
}

/// One file to translate.
#[derive(Debug)]
pub struct Source {
    /// The name of its container, if it says none itself.
    pub name: String,
    /// Its path, absolute; nothing is read from there.
    pub path: PathBuf,
    /// What the report calls it.
    pub shown: String,
    /// What is in it.
    pub text: String,
    /// Its drop-ins: what the report calls them, and what is in them.
    pub drop_ins: Vec<(String, String)>,
}

/// What all files of one go have in common.
#[derive(Debug, Default)]
pub struct Settings<'a> {
    /// `--map`
    pub maps: &'a [(String, String)],
    /// The names of all containers that are imported.
    pub names: &'a [String],
}

impl Settings<'_> {
    /// Where something is, if `--map` says so.
    fn map(&self, name: &str) -> Option<&str> {
        self.maps.iter().find(|(known, _)| known == name).map(|(_, place)| place.as_str())
    }
}

/// The configs that a file makes, by name.
pub fn translate(
    format: Format,
    source: &Source,
    settings: &Settings<'_>,
) -> Result<Vec<(String, Draft)>, Bad> {
    match format {
        Format::Quadlet => Ok(vec![(source.name.clone(), quadlet::translate(source, settings)?)]),
        Format::Lxc => Ok(vec![(source.name.clone(), lxc::translate(source)?)]),
        Format::Spoc => spoc::translate(source, settings),
    }
}

/// One config on its way.
struct Made {
    name: ContainerName,
    draft: Draft,
    text: String,
    problem: Option<Error>,
}

/// `ctctl import`
pub fn import(arguments: &ImportArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("import")?;
    if arguments.name.is_some() && arguments.files.len() > 1 {
        return Err(Error::Usage("--name is for one file".to_owned()));
    }
    let mut sources = Vec::new();
    for path in &arguments.files {
        sources.push(source(path, arguments)?);
    }
    let names: Vec<String> = sources.iter().map(|(_, source)| source.name.clone()).collect();
    let settings = Settings { maps: &arguments.map, names: &names };
    let mut made = Vec::new();
    for (format, source) in &sources {
        let drafts = translate(*format, source, &settings).map_err(|bad| Error::failed(bad.to_string()))?;
        for (name, draft) in drafts {
            made.push(checked(&name, draft, (*format, source), context)?);
        }
    }
    let partial = made.iter().any(|made| made.draft.is_partial());
    let broken = made.iter().any(|made| made.problem.is_some());
    let write = !arguments.dry_run && !broken && (!partial || arguments.partial);
    let written = if write { place(&made, arguments, context)? } else { Vec::new() };
    report(&made, &written, arguments)?;
    Ok(if broken || (partial && !arguments.partial) { Status::Failed } else { Status::Done })
}

/// The config as the parser would take it.
fn checked(
    name: &str,
    draft: Draft,
    (format, source): (Format, &Source),
    context: &Context,
) -> Result<Made, Error> {
    let name =
        parse_name(name).map_err(|why| Error::failed(format!("{}: {why} (use --name)", source.shown)))?;
    let of = match format {
        Format::Quadlet => "Quadlet",
        Format::Lxc => "LXC",
        Format::Spoc => "SPOC",
    };
    let text = draft.toml(&format!("Imported from {} ({of}), see ct.toml(5).", source.shown));
    let problem = config_file::check(context, &name, &config_file::path_of(&name), &text).err();
    Ok(Made { name, draft, text, problem })
}

/// Writes all; where one of them cannot be, those before it stay.
fn place(made: &[Made], arguments: &ImportArguments, context: &Context) -> Result<Vec<PathBuf>, Error> {
    let force = arguments.placing.force;
    let mut written = Vec::new();
    if let Some(dir) = &arguments.output {
        for Made { name, text, .. } in made {
            let path = dir.join(format!("{name}.toml"));
            config_file::write_text(&path, text, force)?;
            written.push(path);
        }
        return Ok(written);
    }
    if !force {
        made.iter().try_for_each(|made| config_file::refuse_existing(context, &made.name))?;
    }
    for Made { name, text, .. } in made {
        written.push(config_file::write_new(context, name, text, force)?);
    }
    if let Some(path) = written.first() {
        arguments.placing.reload(path, context)?;
    }
    Ok(written)
}

fn report(made: &[Made], written: &[PathBuf], arguments: &ImportArguments) -> Result<(), Error> {
    if arguments.json {
        let of = |made: &Made| {
            let mut value = made.draft.json();
            if let Some(table) = value.as_object_mut() {
                table.insert("name".to_owned(), json!(made.name.as_str()));
                table.insert("config".to_owned(), json!(made.text));
                table.insert("problem".to_owned(), json!(made.problem.as_ref().map(Error::story)));
                table.insert("written".to_owned(), json!(!written.is_empty()));
            }
            value
        };
        return print_json(&made.iter().map(of).collect::<Vec<_>>());
    }
    for (index, Made { name, draft, text, problem }) in made.iter().enumerate() {
        for line in draft.report() {
            print(&format!("{line}\n"))?;
        }
        if arguments.dry_run {
            // The writer of TOML has escaped all that a terminal obeys.
            let shown: String = text.lines().map(|line| format!("{}\n", safe(line))).collect();
            print(&format!("\n# {}\n{shown}\n", config_file::path_of(name).display()))?;
        }
        if let Some(problem) = problem {
            eprintln!("ctctl: the config of {name} cannot be used: {}", problem.story());
        }
        if let Some(path) = written.get(index) {
            print(&format!("{}\n", safe(&path.to_string_lossy())))?;
        }
    }
    if written.is_empty() && !arguments.dry_run {
        let broken = made.iter().any(|made| made.problem.is_some());
        let hint =
            if broken { "" } else { " (see the lines that are refused; --partial writes without them)" };
        eprintln!("ctctl: nothing is written{hint}");
    }
    Ok(())
}

/// Larger files are refused, as configs are.
const MAX_FILE: u64 = 1 << 20;

/// The text of a file that may be anything.
fn read(path: &Path) -> std::io::Result<String> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    if !path.metadata()?.is_file() {
        return Err(invalid("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(invalid("larger than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_error| invalid("not UTF-8 text"))?;
    if text.contains('\0') { Err(invalid("not text: it has a NUL byte")) } else { Ok(text) }
}

/// Reads a file, and for Quadlet its drop-ins.
fn source(path: &Path, arguments: &ImportArguments) -> Result<(Format, Source), Error> {
    let shown = path.to_string_lossy().into_owned();
    let cannot = |what: &Path, error| Error::system(format!("cannot read {}", what.display()), error);
    let text = read(path).map_err(|error| cannot(path, error))?;
    let format = arguments.format.or_else(|| guess(path, &text)).ok_or_else(|| {
        Error::Usage(format!("{shown}: neither of Quadlet, LXC nor SPOC by its looks (use --format)"))
    })?;
    let path = std::path::absolute(path).map_err(|error| cannot(path, error))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // LXC has /var/lib/lxc/NAME/config.
    let dir = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let name = arguments.name.as_ref().map_or_else(
        || if format == Format::Lxc && stem == "config" { dir } else { stem },
        ToString::to_string,
    );
    let mut drop_ins = Vec::new();
    if format == Format::Quadlet {
        let mut folder = path.as_os_str().to_owned();
        folder.push(".d");
        for file in drop_in_files(Path::new(&folder)).map_err(|error| cannot(Path::new(&folder), error))? {
            let text = read(&file).map_err(|error| cannot(&file, error))?;
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            drop_ins.push((format!("{shown}.d/{own}"), text));
        }
    }
    Ok((format, Source { name, path, shown, text, drop_ins }))
}

fn drop_in_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|end| end == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn guess(path: &Path, text: &str) -> Option<Format> {
    let end = path.extension().unwrap_or_default().to_string_lossy();
    let begins = |what: &str| text.lines().any(|line| line.trim_start().starts_with(what));
    match end.as_ref() {
        "container" => Some(Format::Quadlet),
        "json" => Some(Format::Spoc),
        _ if text.trim_start().starts_with('{') => Some(Format::Spoc),
        _ if begins("lxc.") => Some(Format::Lxc),
        _ if begins("[Container]") => Some(Format::Quadlet),
        _ => None,
    }
}

/// Whether a path begins at the root.
fn absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// `512m`, `1gb`: sizes of Podman, to the base 1024 in small letters, as systemd writes them.
fn size(value: &str) -> String {
    let upper = value.trim().to_ascii_uppercase();
    let bare = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
    if matches!(bare, "-1" | "0") { "infinity".to_owned() } else { bare.to_owned() }
}
