// SPDX-License-Identifier: MIT OR Apache-2.0
//! A command in a container that runs: ctctl, what it is made of, and Podman.

use crate::Result;
use crate::report::{Goal, Section, named, times};
use crate::starts::{ct_config, prepare_podman, quadlet_config};
use crate::variant::{Variant, interleaved, run, write};

const ROUNDS: u32 = 50;

pub(crate) fn measure() -> Result<Section> {
    prepare_podman()?;
    write("/etc/ct/containers/bench-exec.toml", &ct_config(""))?;
    write("/etc/containers/systemd/bench-exec-quadlet.container", &quadlet_config())?;
    run("systemctl daemon-reload")?;
    run("systemctl start ct@bench-exec.service bench-exec-quadlet.service")?;
    let crun =
        "crun --root /run/ct/bench-exec/runtime/containers --cgroup-manager=cgroupfs exec bench-exec true";
    let variants = [
        Variant::new("trivial scope", &[], &["systemd-run --quiet --scope true"], &[]),
        Variant::new("crun exec", &[], &[crun], &[]),
        Variant::new("ctctl exec", &[], &["ctctl exec bench-exec true"], &[]),
        Variant::new("podman exec", &[], &["podman exec systemd-bench-exec-quadlet true"], &[]),
    ];
    let samples = interleaved(&variants, ROUNDS)?;
    run("systemctl stop ct@bench-exec.service bench-exec-quadlet.service")?;
    let of = |name: &str| named(&samples, name);
    let floor = [of("trivial scope")?, of("crun exec")?];
    Ok(Section {
        title: "A command in a running container".to_owned(),
        goals: vec![
            Goal::ratio("ctctl exec : trivial scope + crun exec", of("ctctl exec")?, &floor, 1.25),
            Goal::ratio("ctctl exec : podman exec", of("ctctl exec")?, &[of("podman exec")?], 0.5),
        ],
        table: times(&samples),
    })
}
