// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench`: ct beside its floor (a trivial unit, the bare runtime) and a peer (Podman's Quadlet), in one run.
//!
//! Outside, it boots a Debian 13 and puts itself into it; inside, the same program measures, section by section,
//! with nothing between its clock and the command. To add a figure, add a line to a section's table of variants; to
//! add a kind of figure, a file with a `measure` of its own to [`SECTIONS`]. docs/performance.md explains the results.

mod boots;
mod consoles;
mod execs;
mod generators;
mod lists;
mod logs;
mod printer;
mod reload;
mod report;
mod resident;
mod starts;
mod variant;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use ct_tests::{Machine, Root};
use report::Section;

/// Where the program is put, in the machine.
const INSIDE: &str = "/run/bench";

/// What the programs of a container are, for all of them: the root file system that ct, crun and Podman start.
const ROOTFS: &str = "/srv/rootfs";

/// The account that containers of the second kind run through.
const ACCOUNT: &str = "ct-bench";

/// Far above the minutes that it takes.
const DEADLINE: Duration = Duration::from_secs(1800);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Prepares, measures and clears away, inside the machine.
type Measure = fn() -> Result<Section>;

/// The sections in their order, by the names that choose them on the command line.
const SECTIONS: [(&str, Measure); 9] = [
    ("start", starts::measure),
    ("exec", execs::measure),
    ("resident", resident::measure),
    ("generator", generators::measure),
    ("reload", reload::measure),
    ("list", lists::measure),
    ("console", consoles::measure),
    ("log", logs::measure),
    ("boot", boots::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, wanted)) if first == "inside" => measure(wanted),
        _ => outside(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Boots the machine, and prints and saves what is measured in it.
fn outside(wanted: &[String]) -> Result<()> {
    for name in wanted {
        if !SECTIONS.iter().any(|(section, _)| section == name) {
            let known: Vec<&str> = SECTIONS.iter().map(|(section, _)| *section).collect();
            return Err(format!("no section {name:?}, but {}", known.join(", ")).into());
        }
    }
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    eprintln!("measuring for some ten minutes, on a machine with a load of {load}");

    let machine = Machine::prepare(Root::Debian13, "bench").busybox_rootfs(ROOTFS).boot();
    machine
        .shell(&format!(
            "useradd --system --no-create-home {ACCOUNT} && \
             echo {ACCOUNT}:200000:65536 | tee /etc/subuid >/etc/subgid"
        ))
        .succeeds();
    let program = env::current_exe()?;
    machine.write_file(INSIDE, 0o755, fs::read(&program)?);
    let arguments = [INSIDE, "inside"].into_iter().chain(wanted.iter().map(String::as_str));
    let output = machine.command(arguments).deadline(DEADLINE).run().succeeds();

    let text = format!("{}Load before: {load}\n", output.stdout);
    let saved = program.ancestors().nth(3).ok_or("not in cargo's target directory")?.join("bench.md");
    fs::write(&saved, &text)?;
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        println!("{text}");
    }
    eprintln!("saved as {}", saved.display());
    Ok(())
}

/// Measures the wanted sections, or all.
fn measure(wanted: &[String]) -> Result<()> {
    let mut sections = Vec::new();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            sections.push(measure().map_err(|error| format!("{name}: {error}"))?);
        }
    }
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        print!("{}", report::render(&sections)?);
    }
    Ok(())
}
