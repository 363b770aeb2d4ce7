// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thousand containers to READY, as boot starts them; beside them the runtime's own time for as many.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::report::{Goal, Samples, Section, named, times};
use crate::starts::ct_config;
use crate::variant::{Variant, interleaved, run, write};
use crate::{ROOTFS, Result};

const CONTAINERS: u32 = 1000;

/// Each takes a minute or so for all variants; one more is not counted.
const ROUNDS: u32 = 1;

const RUNTIME: &str = "/srv/boots/runtime";

/// The runtime's own time: `runtime N` runs all containers, N at once.
const RUNTIME_SCRIPT: &str = "\
seq 1000 | xargs -P $1 -I @ crun --root /run/crun-boots --cgroup-manager=cgroupfs run --detach --bundle /srv/boots boots-@\n";

const DELETE: &str = "/srv/boots/delete";

const DELETE_SCRIPT: &str = "\
seq 1000 | xargs -P 4 -I @ crun --root /run/crun-boots --cgroup-manager=cgroupfs delete --force boots-@\n";

const START: &str = "systemctl start ct.target";

/// The turns too, so that the next start finds the machine as a boot does.
const STOP: &str = "systemctl stop ct.target ct@* ct-turn@*";

pub(crate) fn measure() -> Result<Section> {
    prepare()?;
    let at_once = 2 * available_parallelism()?.get();
    let runtime = |name: &str, at_once: usize| {
        let run = format!("sh {RUNTIME} {at_once}");
        Variant::new(name, &[], &[&run], &[&format!("sh {DELETE}")])
    };
    let parallel = format!("crun run --detach, {at_once} at once");
    let variants = [
        runtime("crun run --detach, one after the other", 1),
        runtime(&parallel, at_once),
        Variant::new(
            "trivial units",
            &[],
            &["systemctl start bench-boots.target"],
            &["systemctl stop bench-boots.target bench-boots@*"],
        ),
        Variant::new("ct.target", &[], &[START], &[STOP]),
    ];
    let mut samples = interleaved(&variants, ROUNDS)?;
    let answers = answers_meanwhile()?;
    run(STOP)?;
    fs::remove_dir_all("/etc/ct")?;
    run("systemctl daemon-reload")?;
    let of = |name: &str| named(&samples, name);
    let ct = of("ct.target")?;
    let alone = "crun run --detach, one after the other";
    let goals = vec![
        Goal::ratio("1000 containers at boot : crun run, one after the other", ct, &[of(alone)?], 1.2),
        Goal::ratio("1000 containers at boot : crun run, as many at once", ct, &[of(&parallel)?], 1.2),
        Goal::ratio(
            "1000 containers at boot : trivial units + crun run, as many at once",
            ct,
            &[of("trivial units")?, of(&parallel)?],
            1.25,
        ),
    ];
    samples.push(answers);
    Ok(Section { title: format!("{CONTAINERS} containers"), goals, table: times(&samples) })
}

/// How long PID 1 takes to answer while it starts them all.
fn answers_meanwhile() -> Result<Samples> {
    let mut answers = Samples::of("systemctl is-system-running meanwhile");
    let mut words = START.split(' ');
    let mut start = Command::new(words.next().unwrap_or_default()).args(words).spawn()?;
    while start.try_wait()?.is_none() {
        let asked = Instant::now();
        // Its status says that there are jobs left, which is no news.
        Command::new("systemctl").arg("is-system-running").stdout(Stdio::null()).status()?;
        answers.add(asked.elapsed());
        sleep(Duration::from_millis(50));
    }
    Ok(answers)
}

fn prepare() -> Result<()> {
    for number in 0..CONTAINERS {
        write(format!("/etc/ct/containers/many-{number}.toml"), &ct_config("autostart.enabled = true"))?;
    }
    write(
        "/run/systemd/system/bench-boots@.service",
        "[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n",
    )?;
    let wants: String =
        (0..CONTAINERS).map(|number| format!("Wants=bench-boots@{number}.service\n")).collect();
    write("/run/systemd/system/bench-boots.target", &format!("[Unit]\n{wants}"))?;
    run("systemctl daemon-reload")?;

    // The runtime alone gets what ct gives it, but for where the container's files and cgroup are.
    run("systemctl start ct@many-0.service")?;
    let mut config: Value = serde_json::from_slice(&fs::read("/run/ct/many-0/bundle/config.json")?)?;
    run("systemctl stop ct@many-0.service")?;
    *config.pointer_mut("/root/path").ok_or("no root in config.json")? = ROOTFS.into();
    let linux =
        config.pointer_mut("/linux").and_then(Value::as_object_mut).ok_or("no linux in config.json")?;
    linux.remove("cgroupsPath"); // one of its own for each, by its name
    write("/srv/boots/config.json", &config.to_string())?;
    write(RUNTIME, RUNTIME_SCRIPT)?;
    write(DELETE, DELETE_SCRIPT)
}
