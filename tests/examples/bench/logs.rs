// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that logs line by line, in a plain unit, in containers of ct, and with Podman and its monitor.
//!
//! journald limits nobody's rate in this machine, see tests/src/boot.sh.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::printer::{Printer, ct_config};
use crate::report::{Goal, Samples, Section, named, times};
use crate::starts::prepare_podman;
use crate::variant::{output, run, write};
use crate::{ROOTFS, Result};

const LINES: usize = 50_000;
const LINE: usize = 100;
const ROUNDS: u32 = 15;

/// One write(2) each, as of a program that logs.
const PROGRAM: &str = "awk '{ print; fflush() }' /lines; echo end $word";

/// How long the log may take to have the last line, which the program has written.
const PATIENCE: Duration = Duration::from_secs(60);

const K8S_FILE: &str = "/srv/bench-log-k8s-file";

/// Each way to log: its name, its unit, and the command that shows the last line.
const WAYS: [(&str, &str, &str); 5] = [
    ("plain unit", "bench-log-plain", "journalctl -q -o cat -n 1 SYSLOG_IDENTIFIER=bench-log-plain"),
    ("ct, journal", "ct@bench-log-journal", "journalctl -q -o cat -n 1 SYSLOG_IDENTIFIER=bench-log-journal"),
    ("ct, pipe", "ct@bench-log-pipe", "journalctl -q -o cat -n 1 SYSLOG_IDENTIFIER=bench-log-pipe"),
    (
        "Podman, journald",
        "bench-log-journald",
        "journalctl -q -o cat -n 1 CONTAINER_NAME=systemd-bench-log-journald",
    ),
    ("Podman, k8s-file", "bench-log-k8s-file", "tail -n 1 /srv/bench-log-k8s-file"),
];

pub(crate) fn measure() -> Result<Section> {
    let mut printers = prepare()?;
    let mut samples: Vec<Samples> = WAYS.iter().map(|(name, ..)| Samples::of(name)).collect();
    for round in 0..=ROUNDS {
        let mut turns: Vec<_> = WAYS.iter().zip(&mut printers).zip(&mut samples).collect();
        // Each round another one is the first.
        turns.rotate_left(usize::try_from(round)? % WAYS.len());
        for (((name, _, last_line), printer), samples) in turns {
            let word = format!("{round}");
            let took = printer.print(&word)?;
            // Also, so that the next one does not pay for what is still on its way.
            wait_for(last_line, &format!("end {word}")).map_err(|error| format!("{name}: {error}"))?;
            if round > 0 {
                samples.add(took);
            }
        }
    }
    let units: Vec<String> = WAYS.iter().map(|(_, unit, _)| format!("{unit}.service")).collect();
    run(&format!("systemctl stop {}", units.join(" ")))?;
    fs::remove_file(format!("{ROOTFS}/lines"))?;

    let of = |name: &str| named(&samples, name);
    // A file is no journal: Podman's is there to be looked at.
    let goals = vec![
        Goal::ratio("ct, journal : plain unit", of("ct, journal")?, &[of("plain unit")?], 1.05),
        Goal::ratio("ct, pipe : Podman, journald", of("ct, pipe")?, &[of("Podman, journald")?], 1.0),
    ];
    Ok(Section { title: format!("Logging {LINES} lines of {LINE} bytes"), goals, table: times(&samples) })
}

/// The units, all started; and what makes each print.
fn prepare() -> Result<Vec<Printer>> {
    prepare_podman()?;
    write(format!("{ROOTFS}/lines"), &format!("{:x<1$}\n", "", LINE - 1).repeat(LINES))?;
    let mut printers = Vec::new();
    for (_, unit, _) in WAYS {
        let name = unit.trim_start_matches("ct@");
        printers.push(Printer::new(name, PROGRAM)?);
    }
    for mode in ["journal", "pipe"] {
        let name = format!("bench-log-{mode}");
        write(format!("/etc/ct/containers/{name}.toml"), &ct_config(&name, mode, false))?;
    }
    let drivers = [
        ("journald", "LogDriver=journald".to_owned()),
        ("k8s-file", format!("LogDriver=k8s-file\nPodmanArgs=--log-opt=path={K8S_FILE}")),
    ];
    for (name, driver) in drivers {
        write(
            format!("/etc/containers/systemd/bench-log-{name}.container"),
            &format!(
                "[Container]\nRootfs={ROOTFS}\nExec=sh /print-bench-log-{name}\nNetwork=none\nStopSignal=SIGKILL\n{driver}\n"
            ),
        )?;
    }
    write(
        "/run/systemd/system/bench-log-plain.service",
        &format!(
            "[Service]\nType=exec\nRootDirectory={ROOTFS}\nMountAPIVFS=yes\nSyslogIdentifier=bench-log-plain\n\
             ExecStart=/bin/sh /print-bench-log-plain\n"
        ),
    )?;
    run("systemctl daemon-reload")?;
    for (_, unit, _) in WAYS {
        run(&format!("systemctl start {unit}.service"))?;
    }
    Ok(printers)
}

fn wait_for(command: &str, line: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let last = output(command)?;
        if last.ends_with(line) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("the last line in the log is {last:?}, not {line:?}").into());
        }
        sleep(Duration::from_millis(100));
    }
}
