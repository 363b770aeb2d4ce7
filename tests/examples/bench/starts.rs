// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the request to the running container: ct, what it is made of, and Quadlet.

use std::fs;

use serde_json::{Value, json};

use crate::report::{Goal, Section, named, times};
use crate::variant::{Variant, interleaved, run, write};
use crate::{ACCOUNT, ROOTFS, Result};

const ROUNDS: u32 = 50;

/// Where the bare runtime finds its bundle.
const BUNDLE: &str = "/srv/bundle";

const CRUN: &str = "crun --root /run/crun-bench --cgroup-manager=cgroupfs";

/// The least that systemd can start: one program. It is ready when the program is executed (`exec`), or before that,
/// when the process is forked (`simple`), which is less than any container can be measured by.
fn trivial(service_type: &str) -> String {
    format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType={service_type}\nExecStart=/usr/bin/sleep infinity\n"
    )
}

pub(crate) fn measure() -> Result<Section> {
    prepare()?;
    let create = format!("{CRUN} create --bundle {BUNDLE} bench");
    let start = format!("{CRUN} start bench");
    let run_detached = format!("{CRUN} run --detach --bundle {BUNDLE} bench");
    let delete = format!("{CRUN} delete --force bench");
    let unit = |name: &str, unit: &str| {
        let systemctl = |verb: &str| format!("systemctl {verb} {unit}");
        Variant::new(name, &[], &[&systemctl("start")], &[&systemctl("stop")])
    };
    let variants = [
        unit("trivial unit", "bench-exec.service"),
        unit("trivial unit, Type=simple", "bench-simple.service"),
        Variant::new("crun run --detach", &[], &[&run_detached], &[&delete]),
        Variant::new("crun create, crun start", &[], &[&create, &start], &[&delete]),
        unit("ct", "ct@bench.service"),
        unit("ct through an account", "ct@bench-account.service"),
        unit("Quadlet", "bench-quadlet.service"),
    ];
    let samples = interleaved(&variants, ROUNDS)?;
    let of = |name: &str| named(&samples, name);
    let floor = [of("trivial unit")?, of("crun run --detach")?];
    Ok(Section {
        title: "Start to READY".to_owned(),
        goals: vec![
            Goal::ratio("ct start : trivial unit + crun run", of("ct")?, &floor, 1.25),
            Goal::ratio("ct start : Quadlet start", of("ct")?, &[of("Quadlet")?], 0.25),
        ],
        table: times(&samples),
    })
}

/// A container that idles, for ct. Its init would ignore SIGTERM, as any process 1 without a handler does.
pub(crate) fn ct_config(rest: &str) -> String {
    format!(
        "{rest}\n[root]\npath = \"{ROOTFS}\"\n[process]\ncommand = [\"sleep\", \"infinity\"]\n\
         [stop]\nsignal = \"SIGKILL\"\n[systemd.unit]\nStartLimitIntervalSec = \"0\"\n"
    )
}

/// The same container, for Quadlet.
pub(crate) fn quadlet_config() -> String {
    format!(
        "[Unit]\nStartLimitIntervalSec=0\n\
         [Container]\nRootfs={ROOTFS}\nExec=sleep infinity\nNetwork=none\nStopSignal=SIGKILL\n"
    )
}

/// Podman's settings. Its storage is on a plain file system, as overlayfs needs; a limit of processes is left out
/// since the pids controller may be missing in the machine. All else is as installed.
pub(crate) fn prepare_podman() -> Result<()> {
    write("/etc/containers/containers.conf", "[containers]\npids_limit = 0\n")?;
    write(
        "/etc/containers/storage.conf",
        "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/srv/podman\"\n",
    )
}

fn prepare() -> Result<()> {
    prepare_podman()?;
    for service_type in ["exec", "simple"] {
        write(format!("/run/systemd/system/bench-{service_type}.service"), &trivial(service_type))?;
    }
    write("/etc/ct/containers/bench.toml", &ct_config(""))?;
    write("/etc/ct/containers/bench-account.toml", &ct_config(&format!("user = \"{ACCOUNT}\"")))?;
    write("/etc/containers/systemd/bench-quadlet.container", &quadlet_config())?;
    run("systemctl daemon-reload")?;

    // The runtime alone gets what ct gives it, but for where the container's files and cgroup are.
    run("systemctl start ct@bench.service")?;
    let mut config: Value = serde_json::from_slice(&fs::read("/run/ct/bench/bundle/config.json")?)?;
    run("systemctl stop ct@bench.service")?;
    for (pointer, value) in [("/root/path", ROOTFS), ("/linux/cgroupsPath", "/bench")] {
        *config.pointer_mut(pointer).ok_or_else(|| format!("no {pointer} in config.json"))? = json!(value);
    }
    write(format!("{BUNDLE}/config.json"), &config.to_string())
}
