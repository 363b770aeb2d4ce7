// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systemd generator of ct, see systemd.generator(7).
//!
//! For each container it writes a drop-in over the static `ct@.service`, and for each that boot starts a link in
//! `ct.target.wants/`. One bad config never touches another container: its own unit then fails with the reason.
//!
//! It is pure: the configs in, the unit tree out, the same bytes each time. It asks no other process anything, since PID 1
//! waits for it and would be the one to answer; it reads nothing but /etc/ct, /run/ct and /usr/lib/ct.

pub mod arguments;
pub mod graph;
pub mod kmsg;
pub mod lanes;
pub mod output;
pub mod plan;
pub mod render;
pub mod unit_file;

mod report;

use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ct_config::container::Container;
use ct_config::host::{Host, Parallel};
use ct_config::name::ContainerName;
use ct_config::settings::unit_settings;
use ct_config::sources::Tree;
use ct_config::{Broken, load};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use output::{Error, Output};
use plan::{Member, Place};
use render::Failing;
pub use report::Report;

/// Reads the configs below `root` and writes the unit tree into `normal`. `cpus` stands in for the machine's, for tests.
pub fn generate(root: &Path, normal: &Path, cpus: Option<usize>) -> Report {
    let mut report = Report::default();
    let tree = Tree::scan(root);
    report.add_sorted_problems(tree.problems());
    let (host, problems) = Host::load(root);
    report.add_problems(&problems);
    // Never freed: the process is about to end, and taking it all apart is a good part of the time it would take.
    let loaded: Vec<Loaded> = tree.names().map(|name| load(&tree, &host, name)).collect();
    let loaded = ManuallyDrop::new(loaded);
    if loaded.is_empty() {
        return report;
    }
    let known: Vec<ContainerName> = tree.names().cloned().collect();
    let containers: Vec<&Container> = loaded.iter().filter_map(|loaded| loaded.as_ref().ok()).collect();
    let members: Vec<Member<'_>> = containers.iter().map(|container| member(container)).collect();
    let plan = plan::plan(&members, &known, lanes(host.parallel, cpus));
    let output = Output::open(normal);
    let mut writer = match output {
        Ok(output) => Writer { output, text: String::new(), containers: &containers },
        Err(error) => {
            report.add_failure(error);
            return report;
        }
    };
    let mut places = plan.places.iter();
    for loaded in loaded.iter() {
        let written = match loaded {
            Ok(container) => {
                let place = places.next().expect("the plan has a place for each good container");
                writer.write_good(container, place, &mut report)
            }
            Err(broken) => {
                report.add_problems(&broken.problems);
                writer.write_broken(broken, &tree.main_file(&broken.name).unwrap_or_default())
            }
        };
        if let Err(error) = written {
            report.add_failure(error);
        }
    }
    report.add_warnings(plan.warnings);
    report
}

type Loaded = Result<Container, Box<Broken>>;

fn member(container: &Container) -> Member<'_> {
    Member {
        name: &container.name,
        file: main_file(&container.files),
        depends: &container.depends,
        autostart: container.autostart.enabled.then_some(container.autostart.priority),
    }
}

fn main_file(files: &[PathBuf]) -> &Path {
    files.first().map_or(Path::new(""), PathBuf::as_path)
}

/// How many containers may start at once. `auto` is two for each processor that we may run on: starting one is half
/// computing, half waiting for the disk or for the container to be ready.
///
/// The affinity of PID 1, which we inherit, is what the containers will have as well; to ask for it opens no file.
fn lanes(parallel: Parallel, cpus: Option<usize>) -> Option<NonZeroUsize> {
    let count = match parallel {
        Parallel::Unlimited => return None,
        Parallel::AtMost(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Parallel::Auto => 2 * cpus.unwrap_or_else(online_cpus),
    };
    NonZeroUsize::new(count)
}

fn online_cpus() -> usize {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return 1 };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).count().max(1)
}

/// Writes one container after another, all or nothing of each.
struct Writer<'a> {
    output: Output,
    /// The one buffer for all texts.
    text: String,
    containers: &'a [&'a Container],
}

impl Writer<'_> {
    fn write_good(&mut self, container: &Container, place: &Place, report: &mut Report) -> Result<(), Error> {
        let (name, source) = (&container.name, main_file(&container.files));
        let autostart = container.autostart.enabled;
        let reason = if let Some(reason) = &place.fails {
            reason.clone()
        } else {
            let settings = unit_settings(container);
            let name_of = |number: usize| self.containers.get(number).map(|container| &container.name);
            match render::render_container(&mut self.text, source, &settings, place, name_of) {
                Ok(()) => return self.write(name, autostart),
                Err(unwritable) => format!("{}: {unwritable}", source.display()),
            }
        };
        report.add_error(reason.clone());
        self.write_failing(Failing { name, source, reasons: &[reason], only_known_here: true }, autostart)
    }

    fn write_broken(&mut self, broken: &Broken, source: &Path) -> Result<(), Error> {
        let reasons: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
        let failing = Failing { name: &broken.name, source, reasons: &reasons, only_known_here: false };
        self.write_failing(failing, broken.autostart)
    }

    fn write_failing(&mut self, failing: Failing<'_>, autostart: bool) -> Result<(), Error> {
        // Only a source path could be unwritable: then systemd cannot watch it, and the unit fails all the same.
        let _ = render::render_failing(&mut self.text, failing);
        self.write(failing.name, autostart)
    }

    /// Writes the text as the container's drop-in, and the link last: it makes boot start the container.
    fn write(&mut self, name: &ContainerName, autostart: bool) -> Result<(), Error> {
        let unit = name.unit();
        self.output.write_drop_in(unit.as_str(), &self.text)?;
        if autostart {
            let linked = self.output.link_wants(unit.as_str(), render::TEMPLATE);
            linked.inspect_err(|_| self.output.remove_drop_in(unit.as_str()))?;
        }
        Ok(())
    }
}
