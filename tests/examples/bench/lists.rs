// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl list` of many containers of which some run, beside what systemd and Podman have for that.

use std::fs;

use crate::ROOTFS;
use crate::Result;
use crate::report::{Goal, Section, named, times};
use crate::starts::prepare_podman;
use crate::variant::{Variant, interleaved, output, run, write};

const CONTAINERS: u32 = 1000;

/// How many of them run.
const RUNNING: u32 = 50;

/// Podman makes a container in some 100 ms, and its list grows with their number.
const OF_PODMAN: u32 = 100;

const ROUNDS: u32 = 20;

const CONFIGS: &str = "/etc/ct/containers";

pub(crate) fn measure() -> Result<Section> {
    let others = "/etc/bench-lists";
    move_away(CONFIGS, others)?;
    for number in 0..CONTAINERS {
        write(
            format!("{CONFIGS}/many-{number}.toml"),
            &format!(
                "description = \"Web front end {number}\"\n[root]\npath = \"{ROOTFS}\"\n\
                 [process]\ncommand = [\"/bin/sleep\", \"infinity\"]\n[limits]\nnofile = \"1024:65536\"\n"
            ),
        )?;
    }
    run("systemctl daemon-reload")?;
    let units: Vec<String> = (0..RUNNING).map(|number| format!("ct@many-{number}.service")).collect();
    run(&format!("systemctl start {}", units.join(" ")))?;
    prepare_podman()?;
    for number in 0..OF_PODMAN {
        run(&format!(
            "podman create --network=none --name=many-{number} --rootfs {ROOTFS} /bin/sleep infinity"
        ))?;
    }

    let listed = output("ctctl list --quiet")?.lines().count();
    if listed != usize::try_from(CONTAINERS)? {
        return Err(format!("ctctl lists {listed} containers").into());
    }
    let ct = format!("ctctl list, {CONTAINERS} containers, {RUNNING} run");
    let systemctl = format!("systemctl list-units, the {RUNNING} that run");
    let podman = format!("podman ps --all, {OF_PODMAN} containers, none runs");
    let variants = [
        Variant::new(&ct, &[], &["ctctl list"], &[]),
        Variant::new("the same in JSON", &[], &["ctctl list --json"], &[]),
        Variant::new(&systemctl, &[], &["systemctl list-units --all ct@*"], &[]),
        Variant::new(&podman, &[], &["podman ps --all"], &[]),
    ];
    let samples = interleaved(&variants, ROUNDS)?;

    run(&format!("systemctl stop {}", units.join(" ")))?;
    run("podman rm --all --force")?;
    fs::remove_dir_all(CONFIGS)?;
    move_away(others, CONFIGS)?;
    run("systemctl daemon-reload")?;
    Ok(Section {
        title: "Lists".to_owned(),
        goals: vec![Goal::ratio(
            &format!("list of {CONTAINERS}, ct : podman ps of {OF_PODMAN}"),
            named(&samples, &ct)?,
            &[named(&samples, &podman)?],
            1.0,
        )],
        table: times(&samples),
    })
}

/// Configs of the other sections, if there are any.
fn move_away(from: &str, to: &str) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot move {from}: {error}").into())
        }
        _ => Ok(()),
    }
}
