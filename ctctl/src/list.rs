// SPDX-License-Identifier: MIT OR Apache-2.0
//! `list`: the configs joined with the units. A container is there if it has the one or the other.

use std::collections::BTreeSet;

use clap::Args;
use ct_config::name::ContainerName;
use glob::Pattern;
use serde::Serialize;

use crate::amount;
use crate::configs::{Config, Configs, Verdict};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::output::{print, print_json, print_table, safe};
use crate::phase::Phase;
use crate::units::{self, Loaded};

/// List containers, also those that are stopped, failed, broken or were never started
///
/// The columns: STATE is one of running, frozen, starting, waiting (for another unit's job), restarting, stopping, stopped
/// and failed. SINCE is for how long. MEMORY is what the unit uses, with all its processes and their files in memory.
/// AUTOSTART says whether boot starts it, by its config or by `systemctl enable`. CONFIG is ok, invalid, changed or
/// new (since the last `systemctl daemon-reload`), removed, masked, or unreadable.
///
/// With --json the same and more as an array of objects: name, unit, description, state, active_state, sub_state, pid,
/// runtime, account, pod, memory (bytes), since (microseconds since the epoch), autostart, config. What is unknown, or does
/// not apply, is null. With --host, whatever is in files is.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only names that match one of these, see glob(7)
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Only those in one of these states
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    state: Vec<Phase>,
    /// Only those that run, as --state=running,frozen
    #[arg(long)]
    running: bool,
    /// Only those that failed, as --state=failed
    #[arg(long)]
    failed: bool,
    /// Names only, one on a line
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// One container; the order is that of the JSON.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: String,
    description: Option<String>,
    state: Phase,
    active_state: String,
    sub_state: String,
    pid: Option<u32>,
    runtime: Option<String>,
    account: Option<String>,
    pod: Option<String>,
    memory: Option<u64>,
    since: Option<u64>,
    autostart: Option<bool>,
    config: Option<Verdict>,
}

/// `ctctl list`
pub fn list(arguments: &ListArguments, context: &Context) -> Result<Status, Error> {
    let filter = Filter::new(arguments)?;
    let rows = rows(&filter, context)?;
    if arguments.json {
        print_json(&rows)?;
    } else if arguments.quiet {
        print(&rows.iter().map(|row| format!("{}\n", safe(&row.name))).collect::<String>())?;
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        print_table(&HEADER, &cells, &[2, 5, 6])?;
    }
    Ok(Status::Done)
}

/// Which containers are wanted.
struct Filter {
    patterns: Vec<Pattern>,
    states: Vec<Phase>,
}

impl Filter {
    fn new(arguments: &ListArguments) -> Result<Self, Error> {
        let compiled = arguments.patterns.iter().map(|text| {
            Pattern::new(text)
                .map_err(|error| Error::Usage(format!("{text:?} is not a pattern: {}", error.msg)))
        });
        let mut states = arguments.state.clone();
        if arguments.running {
            states.extend([Phase::Running, Phase::Frozen]);
        }
        if arguments.failed {
            states.push(Phase::Failed);
        }
        Ok(Self { patterns: compiled.collect::<Result<_, _>>()?, states })
    }

    fn names(&self, name: &ContainerName) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(name.as_str()))
    }

    fn state(&self, phase: Phase) -> bool {
        self.states.is_empty() || self.states.contains(&phase)
    }
}

fn rows(filter: &Filter, context: &Context) -> Result<Vec<Row>, Error> {
    let mut loaded = units::loaded(context)?;
    let configs = context.host().is_none().then(|| Configs::read(context));
    let mut names: BTreeSet<ContainerName> = loaded.keys().cloned().collect();
    if let Some(configs) = &configs {
        for problem in configs.problems() {
            eprintln!("ctctl: {}, ignoring", safe(&problem.to_string()));
        }
        names.extend(configs.names());
    }
    let mut rows = Vec::with_capacity(names.len());
    for name in names.iter().filter(|name| filter.names(name)) {
        let unit = loaded.remove(name);
        let phase = unit.as_ref().map_or(Phase::Stopped, |unit| unit.phase);
        if !filter.state(phase) {
            continue;
        }
        let config = configs.as_ref().map(|configs| configs.of(name));
        // Stopped and without a config, it is but a name that another unit may speak of.
        let is_word = phase == Phase::Stopped
            && config.as_ref().is_some_and(|config| config.verdict == Verdict::Removed);
        if !is_word {
            rows.push(Row::of(name, unit, config));
        }
    }
    Ok(rows)
}

const HEADER: [&str; 9] =
    ["NAME", "STATE", "PID", "RUNTIME", "ACCOUNT", "MEMORY", "SINCE", "AUTOSTART", "CONFIG"];

impl Row {
    fn of(name: &ContainerName, unit: Option<Loaded>, config: Option<Config>) -> Self {
        let configured = config.as_ref().and_then(|config| config.container.as_ref()?.description.clone());
        let known = unit.as_ref();
        let state = |of: fn(&Loaded) -> &str, none: &str| known.map_or(none, of).to_owned();
        Self {
            name: name.to_string(),
            unit: name.unit().to_string(),
            description: configured.or_else(|| known.map(|unit| unit.listed.description.clone())),
            state: known.map_or(Phase::Stopped, |unit| unit.phase),
            active_state: state(|unit| &unit.listed.active_state, "inactive"),
            sub_state: state(|unit| &unit.listed.sub_state, "dead"),
            pid: known.and_then(|unit| unit.pid),
            runtime: config.as_ref().and_then(|config| config.runtime().map(str::to_owned)),
            account: config.as_ref().and_then(Config::account),
            pod: config.as_ref().and_then(|config| config.pod().map(str::to_owned)),
            memory: known.and_then(|unit| unit.memory),
            since: known.and_then(|unit| unit.since),
            autostart: config.as_ref().and_then(|config| config.autostart),
            config: config.map(|config| config.verdict),
        }
    }

    fn cells(&self) -> Vec<String> {
        let yes_or_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        vec![
            self.name.clone(),
            self.state.as_str().to_owned(),
            self.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            self.runtime.clone().unwrap_or_default(),
            self.account.clone().unwrap_or_default(),
            self.memory.map(amount::bytes).unwrap_or_default(),
            self.since.map(amount::age).unwrap_or_default(),
            self.autostart.map(yes_or_no).unwrap_or_default(),
            self.config.map(|verdict| verdict.as_str().to_owned()).unwrap_or_default(),
        ]
    }
}
