// SPDX-License-Identifier: MIT OR Apache-2.0
//! `systemctl daemon-reload`: all generators, and PID 1 reading every unit anew.

use std::fs;

use crate::Result;
use crate::generators::write_configs;
use crate::report::{Section, times};
use crate::variant::{Variant, interleaved, run};

const ROUNDS: u32 = 10;

const CONTAINERS: u32 = 1000;

/// Where the configs are while they are not in use, on the file system of where they are used.
const STORE: &str = "/etc/bench-reload";

const RELOAD: &str = "systemctl daemon-reload";

pub(crate) fn measure() -> Result<Section> {
    let (ct, quadlet) = (format!("{STORE}/ct"), format!("{STORE}/quadlet"));
    write_configs(CONTAINERS, ct.as_ref(), quadlet.as_ref())?;
    for used in ["/etc/ct/containers", "/etc/containers/systemd"] {
        // Configs of the other sections.
        fs::remove_dir_all(used).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    fs::create_dir_all("/etc/ct")?;
    fs::create_dir_all("/etc/containers")?;

    let of = |name: String, stored: &str, used: &str| {
        let (put, take) = (format!("mv {stored} {used}"), format!("mv {used} {stored}"));
        // Once before, so that the reload that is timed finds the same units as it leaves.
        Variant::new(&name, &[&put, RELOAD], &[RELOAD], &[&take])
    };
    let variants = [
        Variant::new("without containers", &[RELOAD], &[RELOAD], &[]),
        of(format!("{CONTAINERS} ct containers"), &ct, "/etc/ct/containers"),
        of(format!("{CONTAINERS} Quadlet containers"), &quadlet, "/etc/containers/systemd"),
    ];
    let samples = interleaved(&variants, ROUNDS)?;
    run(RELOAD)?;
    Ok(Section { title: "systemctl daemon-reload".to_owned(), table: times(&samples), goals: Vec::new() })
}
