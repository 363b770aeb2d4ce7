// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stays in memory beside a running container: the processes of its unit that are not the container's own.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::Result;
use crate::report::{Goal, Section};
use crate::starts::{ct_config, prepare_podman, quadlet_config};
use crate::variant::{output, run, write};

/// How many of each kind run at the same time, as shared pages are counted by their share (PSS).
const CONTAINERS: u32 = 10;

/// For a helper to end and a monitor to come to rest.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Resident {
    processes: u32,
    /// Proportional set size, see proc_pid_smaps(5).
    pss_kib: u32,
}

pub(crate) fn measure() -> Result<Section> {
    prepare_podman()?;
    let (mut ct, mut quadlet) = (Vec::new(), Vec::new());
    for number in 1..=CONTAINERS {
        let name = format!("idle-{number}");
        write(format!("/etc/ct/containers/{name}.toml"), &ct_config(""))?;
        write(format!("/etc/containers/systemd/quadlet-{name}.container"), &quadlet_config())?;
        ct.push(format!("ct@{name}.service"));
        quadlet.push(format!("quadlet-{name}.service"));
    }
    run("systemctl daemon-reload")?;
    let both = format!("{} {}", ct.join(" "), quadlet.join(" "));
    run(&format!("systemctl start {both}"))?;
    sleep(PAUSE);
    let (ct, quadlet) = (of_units(&ct)?, of_units(&quadlet)?);
    run(&format!("systemctl stop {both}"))?;

    let each = |total: u32| f64::from(total) / f64::from(CONTAINERS);
    let row = |name: &str, resident: &Resident| {
        let figures = [each(resident.processes), each(resident.pss_kib)].map(|figure| format!("{figure:.1}"));
        [&[name.to_owned()], figures.as_slice()].concat()
    };
    let header = "|processes|PSS KiB".split('|').map(str::to_owned).collect();
    let met = ct.processes == 0 && ct.pss_kib == 0;
    let reached = format!("{}, {} KiB", each(ct.processes), each(ct.pss_kib));
    Ok(Section {
        title: format!("Resident beside each of {CONTAINERS} idle containers"),
        table: vec![header, row("ct", &ct), row("Quadlet", &quadlet)],
        goals: vec![Goal {
            what: "ct, processes and memory".to_owned(),
            wanted: "0, 0 KiB".to_owned(),
            reached,
            met,
        }],
    })
}

fn of_units(units: &[String]) -> Result<Resident> {
    let mut resident = Resident::default();
    for unit in units {
        let cgroup = output(&format!("systemctl show --property ControlGroup --value {unit}"))?;
        let mut pids = Vec::new();
        read_processes(&Path::new("/sys/fs/cgroup").join(cgroup.trim_start_matches('/')), &mut pids)?;
        if pids.is_empty() {
            return Err(format!("{unit} has no process at all").into());
        }
        for pid in pids.into_iter().filter(|pid| !is_containers(pid)) {
            resident.processes += 1;
            resident.pss_kib += read_pss(&pid)?;
        }
    }
    Ok(resident)
}

/// The processes of a cgroup and of all below it.
fn read_processes(cgroup: &Path, pids: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs"))?;
    pids.extend(text.lines().map(str::to_owned));
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            read_processes(&entry.path(), pids)?;
        }
    }
    Ok(())
}

/// A container has a PID namespace of its own.
fn is_containers(pid: &str) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    namespace(pid) != namespace("self")
}

fn read_pss(pid: &str) -> Result<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss in smaps_rollup")?;
    Ok(field.trim_end_matches("kB").trim().parse()?)
}
