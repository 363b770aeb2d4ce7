// SPDX-License-Identifier: MIT OR Apache-2.0
//! `state`: the state of the OCI runtime specification, for programs that know containers by it. Of one that runs the
//! runtime tells, of any other systemd: a runtime forgets what has ended.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use ct_config::container::Container;
use ct_config::name::ContainerName;
use ct_dbus::unit::Unit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cgroup::UnitGroup;
use crate::configs::Configs;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use crate::output::print_json;
use crate::phase::{Phase, States};

/// Where a runtime given by its bare name is looked for, as the helper does it.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the runtime writes may be an account's own words: no more than this is read, nor waited for.
const MAX_STATE: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// The version of the specification, where there is no config.json to say it.
const OCI_VERSION: &str = "1.0.2";

/// Show the state of a container as the OCI runtime specification has it, in JSON
///
/// The status is creating, running, paused or stopped. Of a container that runs it is the runtime's own, which takes root;
/// otherwise it is made of what systemd says.
#[derive(Debug, Args)]
pub struct StateArguments {
    /// The name of a container, or a beginning that is unique
    name: String,
}

/// The state, with the keys of the specification.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    oci_version: String,
    id: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u64>,
    bundle: PathBuf,
    annotations: Map<String, Value>,
}

/// `ctctl state`
pub fn state(arguments: &StateArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("state")?;
    let name = resolve(&arguments.name, context)?;
    let unit = context.systemd()?.unit(&name.unit().to_string())?;
    let config = Configs::read(context).of(&name);
    print_json(&State::of(&name, &unit, config.container.as_deref()))?;
    Ok(Status::Done)
}

impl State {
    /// Of a container, by its unit's properties.
    pub(crate) fn of(name: &ContainerName, unit: &Unit, container: Option<&Container>) -> Self {
        let group = UnitGroup::of_unit(unit.text("ControlGroup"));
        let phase = phase(unit, group.as_ref());
        let run = Path::new("/run/ct").join(name.as_str());
        let spec: Value = read_limited(&run.join("bundle/config.json")).unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let told = container.filter(|_| phase.is_up()).and_then(|container| ask(name, &run, container));
        let told = told.unwrap_or_default();
        let status = match phase {
            Phase::Frozen => "paused".to_owned(),
            Phase::Starting => text(&told, "status").unwrap_or_else(|| "creating".to_owned()),
            Phase::Running | Phase::Stopping => text(&told, "status").unwrap_or_else(|| "running".to_owned()),
            Phase::Stopped | Phase::Failed | Phase::Waiting | Phase::Restarting => "stopped".to_owned(),
        };
        // Before the handover it is the helper's, which is not the container's init.
        let main = unit.number("MainPID").filter(|pid| *pid != 0 && phase != Phase::Starting);
        let annotations = spec.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        Self {
            oci_version: text(&told, "ociVersion")
                .or_else(|| text(&spec, "ociVersion"))
                .unwrap_or_else(|| OCI_VERSION.to_owned()),
            id: name.to_string(),
            pid: told.get("pid").and_then(Value::as_u64).filter(|pid| *pid != 0).or(main),
            status,
            bundle: run.join("bundle"),
            annotations,
        }
    }
}

fn phase(unit: &Unit, group: Option<&UnitGroup>) -> Phase {
    Phase::of(States {
        active: unit.text("ActiveState"),
        sub: unit.text("SubState"),
        start_queued: unit.job().is_some(),
        frozen: group.is_some_and(UnitGroup::is_frozen),
    })
}

/// What the runtime says. It is run as the one who owns its state, who may have written anything there.
fn ask(name: &ContainerName, run: &Path, container: &Container) -> Option<Value> {
    let directory = run.join("runtime");
    let owner = fs::symlink_metadata(&directory).ok()?;
    let mut command = Command::new(&container.runtime.program);
    command.args(&container.runtime.arguments);
    command.arg("--root").arg(directory.join("containers")).args(["state", name.as_str()]);
    command.env_clear().env("PATH", SEARCH_PATH).current_dir("/");
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // With no more groups than its own.
    command.gid(owner.gid()).uid(owner.uid());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let said = child.stdout.take().and_then(read_in_time);
    if said.is_none() {
        // Of one that has ended already nothing is lost.
        let _ = child.kill();
    }
    let ended = child.wait().ok()?;
    serde_json::from_slice(&said?).ok().filter(|_| ended.success())
}

/// Up to its end; `None` where there is too much of it, or it does not come.
fn read_in_time(mut pipe: impl std::io::Read + std::os::fd::AsFd) -> Option<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(1..) => {}
            _ => return None,
        }
        match pipe.read(&mut chunk).ok()? {
            0 => return Some(said),
            count => said.extend_from_slice(chunk.get(..count)?),
        }
        if said.len() > MAX_STATE {
            return None;
        }
    }
}

fn read_limited(path: &Path) -> Option<Value> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(1 << 20).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
