// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systemd generator of ct, see systemd.generator(7).
//!
//! For each container it writes a drop-in over the static `ct@.service`, and for each that boot starts a link in
//! `ct.target.wants/`; for each pod drop-ins of its unit and its slice. One bad config never touches another container: its own unit then fails with the reason.
//!
//! It is pure: the configs in, the unit tree out, the same bytes each time. It asks no other process anything, since PID 1
//! waits for it and would be the one to answer; it reads nothing but /etc/ct, /run/ct, /usr/lib/ct and the names of the
//! links that `systemctl enable` makes.

pub mod arguments;
pub mod enabled;
pub mod graph;
pub mod kmsg;
pub mod lanes;
pub mod output;
pub mod plan;
pub mod render;
pub mod turns;
pub mod unit_file;

mod pods;
mod report;

use std::mem::{ManuallyDrop, take};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ct_config::Broken;
use ct_config::container::{Autostart, Container, Depends};
use ct_config::host::{Host, Parallel};
use ct_config::name::{ContainerName, PodName};
use ct_config::pod::{Pods, lowest_scores};
use ct_config::problem::Problem;
use ct_config::settings::unit_settings;
use ct_config::sources::Tree;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use enabled::{Enabled, Links};
use output::{Error, Output};
use plan::{Member, Place, Plan};
use render::{Draft, Failing, Head};
pub use report::{Report, Severity};
use unit_file::Unwritable;

/// Reads the configs below `root` and writes the unit tree into `normal`. `cpus` stands in for the machine's, for tests.
pub fn generate(root: &Path, normal: &Path, cpus: Option<usize>) -> Report {
    generate_from(root, &Tree::scan(root), || Pods::scan(root), normal, cpus)
}

/// As [`generate`], from a tree and pods that need not be all those below `root`: what would be written if they were.
pub fn generate_from(
    root: &Path,
    tree: &Tree,
    pods: impl FnOnce() -> Pods,
    normal: &Path,
    cpus: Option<usize>,
) -> Report {
    let mut report = Report::default();
    report.add_sorted_problems(tree.problems());
    let (host, problems) = Host::load(root);
    report.add_problems(&problems);
    let pods = pods();
    pods::report_problems(&pods, &mut report);
    let links = Links::read(root);
    let mut text = String::new();
    let known = Known { tree, pods: &pods, links: &links };
    let loaded: Vec<Loaded> =
        ct_config::load_all(tree, &host).map(|loaded| draft(&known, loaded, &mut text)).collect();
    let loaded = with_lowest_scores(&known, &host, loaded, &mut text);
    // Never freed: the process is about to end, and taking all of it apart takes longer than some of its work.
    let loaded = ManuallyDrop::new(loaded);
    if loaded.is_empty() && pods.iter().next().is_none() {
        return report;
    }
    let known: Vec<ContainerName> = tree.names().cloned().collect();
    let good: Vec<&Good> = loaded.iter().filter_map(|loaded| loaded.as_ref().ok()).collect();
    let members: Vec<Member<'_>> = good.iter().map(|good| good.member()).collect();
    let plan = plan::plan(&members, &known, starts_at_once(host.parallel, cpus));
    let mut writer = match Output::open(normal) {
        Ok(mut output) => {
            pods::write_all(&pods, &mut output, &mut text, &mut report);
            Writer { output, text, good: &good }
        }
        Err(error) => {
            report.add_failure(error);
            return report;
        }
    };
    let mut places = plan.places.iter();
    for loaded in loaded.iter() {
        let written = match loaded {
            Ok(good) => {
                let place = places.next().expect("the plan has a place for each good container");
                writer.write_good(good, place, &mut report)
            }
            Err(failing) => writer.write_failing(failing, &mut report),
        };
        if let Err(error) = written {
            report.add_failure(error);
        }
    }
    if let Err(error) = writer.write_turns(&plan) {
        report.add_failure(error);
    }
    report.add_warnings(plan.warnings);
    report
}

type Loaded = Result<Good, Box<Failing>>;

/// What is kept of a container that is valid as far as its own files tell.
struct Good {
    name: ContainerName,
    source: PathBuf,
    depends: Depends,
    autostart: Autostart,
    enabled: Enabled,
    draft: Draft,
    /// The pod and the score of a container that is in a sandbox.
    sandbox: Option<(PodName, i16)>,
}

impl Good {
    fn member(&self) -> Member<'_> {
        let Self { name, source, depends, autostart, enabled, .. } = self;
        Member { name, file: source, depends, autostart: enabled.at_boot().then_some(autostart.priority) }
    }
}

/// What there is besides the container at hand.
struct Known<'a> {
    tree: &'a Tree,
    pods: &'a Pods,
    links: &'a Links,
}

/// Renders one container while it is at hand: of a thousand, little more than the text need be kept.
fn draft(known: &Known<'_>, loaded: Result<Container, Box<Broken>>, text: &mut String) -> Loaded {
    let failing = |name: ContainerName, reasons: Vec<Problem>, autostart| {
        let source = known.tree.main_file(&name).unwrap_or_default();
        let enabled = known.links.of(&name, autostart);
        Err(Box::new(Failing { name, source, reasons, only_known_here: false, enabled }))
    };
    let mut container = match loaded {
        Ok(container) => container,
        Err(broken) => return failing(broken.name, broken.problems, broken.autostart),
    };
    if let Err(problems) = known.pods.join(&container) {
        return failing(container.name, problems, container.autostart.enabled);
    }
    let sandbox = container.sandbox_score().map(|(pod, score)| (pod.clone(), score));
    let settings = unit_settings(&container);
    let source = take(&mut container.files).into_iter().next().unwrap_or_default();
    let enabled = known.links.of(&container.name, container.autostart.enabled);
    match Draft::new(text, &Head { name: &container.name, source: &source, enabled: &enabled }, settings) {
        Ok(draft) => {
            let Container { name, depends, autostart, .. } = container;
            Ok(Good { name, source, depends, autostart, enabled, draft, sandbox })
        }
        Err(unwritable) => Err(Box::new(Failing {
            name: container.name,
            reasons: vec![unusable(&source, &unwritable)],
            source,
            only_known_here: true,
            enabled,
        })),
    }
}

/// Renders those again whose score is another than their own: the lowest of the sandboxes of their pod.
fn with_lowest_scores(known: &Known<'_>, host: &Host, loaded: Vec<Loaded>, text: &mut String) -> Vec<Loaded> {
    let scores = loaded.iter().flatten().filter_map(|good| good.sandbox.as_ref());
    let scores: Vec<(PodName, i16)> = scores.cloned().collect();
    if scores.is_empty() {
        return loaded;
    }
    let lowest = lowest_scores(scores.iter().map(|(pod, score)| (pod, *score)));
    let again = |good: &Good| {
        let (pod, own) = good.sandbox.as_ref()?;
        let least = *lowest.get(pod).filter(|least| *least != own)?;
        let container = ct_config::load(known.tree, host, &good.name).map(|mut container| {
            container.oom.score_adjust = Some(least);
            container
        });
        Some(container)
    };
    let render = |one: Loaded| match one {
        Ok(good) => match again(&good) {
            Some(container) => draft(known, container, text),
            None => Ok(good),
        },
        failing => failing,
    };
    loaded.into_iter().map(render).collect()
}

/// A path that no unit file can have in it.
fn unusable(source: &Path, unwritable: &Unwritable) -> Problem {
    Problem { file: source.to_owned(), position: None, key: None, reason: unwritable.to_string(), hint: None }
}

/// How many containers may start at once. `auto` is two for each processor that we may run on: starting one is half
/// computing, half waiting for the disk or for the container to be ready.
///
/// The affinity of PID 1, which we inherit, is what the containers will have as well; to ask for it opens no file.
fn starts_at_once(parallel: Parallel, cpus: Option<usize>) -> Option<NonZeroUsize> {
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

/// The names for the numbers in the plan.
fn names<'a>(good: &'a [&'a Good]) -> impl Fn(usize) -> Option<&'a ContainerName> {
    |number| good.get(number).map(|other| &other.name)
}

/// Writes one container after another, all or nothing of each.
struct Writer<'a> {
    output: Output,
    /// The one buffer for all texts.
    text: String,
    good: &'a [&'a Good],
}

impl Writer<'_> {
    fn write_good(&mut self, good: &Good, place: &Place, report: &mut Report) -> Result<(), Error> {
        if let Some(reason) = &place.fails {
            let failing = Failing {
                name: good.name.clone(),
                source: good.source.clone(),
                reasons: vec![reason.clone()],
                only_known_here: true,
                enabled: good.enabled.clone(),
            };
            return self.write_failing(&failing, report);
        }
        let name_of = names(self.good);
        good.draft.complete(&mut self.text, place, &name_of);
        self.write(&good.name, good.autostart.enabled)?;
        if let Some(delay) = turns::pause(good.autostart.delay, place) {
            turns::render_delay(&mut self.text, &good.source, delay, place, &name_of);
            self.output.write_drop_in(&turns::delay_unit(&good.name), &self.text)?;
        }
        Ok(())
    }

    fn write_failing(&mut self, failing: &Failing, report: &mut Report) -> Result<(), Error> {
        report.add_problems(&failing.reasons);
        // Only a source path could be unwritable: then systemd cannot watch it, and the unit fails all the same.
        let _ = render::render_failing(&mut self.text, failing);
        self.write(&failing.name, failing.enabled.config)
    }

    /// Writes what lies between the services, and what makes it part of the boot.
    fn write_turns(&mut self, plan: &Plan) -> Result<(), Error> {
        let mut wanted = Vec::new();
        let mut previous = None;
        for barrier in &plan.barriers {
            let unit = turns::priority_unit(barrier.priority);
            turns::render_priority(&mut self.text, barrier, previous, names(self.good));
            self.output.write_drop_in(&unit, &self.text)?;
            wanted.push(unit);
            previous = Some(barrier.priority);
        }
        for (good, place) in self.good.iter().zip(&plan.places) {
            if place.turn.waits {
                wanted.push(["ct-turn@", good.name.as_str(), ".target"].concat());
            }
            if turns::pause(good.autostart.delay, place).is_some() {
                wanted.push(turns::delay_unit(&good.name));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        turns::render_boot(&mut self.text, &wanted);
        self.output.write_drop_in(turns::BOOT, &self.text)
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
