// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container that prints on its terminal as fast as it can, while nobody is attached and while a thousand are that
//! never read.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::Duration;

use ct_console::{ClientFrame, Mode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::printer::{Printer, ct_config};
use crate::report::{Goal, Samples, Section, times};
use crate::variant::{run, write};
use crate::{ROOTFS, Result};

const CLIENTS: u32 = 1000;

/// Each has four prints.
const ROUNDS: u32 = 8;

/// Two prints and a pause shall end before the service drops who does not read, which is after 10 seconds. A shorter print
/// would pay for little else than the clients' buffers, which fill but once.
const PRINT: Duration = Duration::from_secs(2);

/// The file that is printed as often as that takes.
const LINES: usize = 20_000;
const LINE: usize = 100;

/// HELLO, the one thing that they read: then they are in. See docs/console.md.
const HELLO: usize = 29;

/// For the service to send what was printed before, and to see them go.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn measure() -> Result<Section> {
    let limit = u64::from(CLIENTS) + 100;
    let maximum = getrlimit(Resource::Nofile).maximum.map(|maximum| maximum.max(limit));
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum })?;
    write(format!("{ROOTFS}/lines"), &format!("{:1$}\n", "x", LINE - 1).repeat(LINES))?;

    let (mut samples, mut goals) = (Vec::new(), Vec::new());
    for (log, what) in [("none", "not logged"), ("journal", "logged")] {
        let [nobody, first, later] = of_log(log, what)?;
        goals.push(Goal::ratio(
            &format!("{what}: {CLIENTS} clients, first : nobody"),
            &first,
            &[&nobody],
            1.1,
        ));
        goals.push(Goal::ratio(
            &format!("{what}: {CLIENTS} clients, later : nobody"),
            &later,
            &[&nobody],
            1.1,
        ));
        samples.extend([nobody, first, later]);
    }
    std::fs::remove_file(format!("{ROOTFS}/lines"))?;
    Ok(Section {
        title: format!("Printing on a terminal, for about {} s", PRINT.as_secs()),
        goals,
        table: times(&samples),
    })
}

/// The times with nobody, of the first print after they have attached, and of the second.
fn of_log(log: &str, what: &str) -> Result<[Samples; 3]> {
    let name = format!("bench-terminal-{log}");
    let mut printer = Printer::new(&name, "for i in $(seq $word); do cat /lines; done")?;
    write(format!("/etc/ct/containers/{name}.toml"), &ct_config(&name, log, true))?;
    // Each on a processor of its own, where there are two: where the scheduler happens to put them shall not decide.
    let last = std::thread::available_parallelism()?.get() - 1;
    for (unit, processor) in [("ct", 0), ("ct-console", 1.min(last))] {
        write(
            format!("/run/systemd/system/{unit}@{name}.service.d/affinity.conf"),
            &format!("[Service]\nCPUAffinity={processor}\n"),
        )?;
    }
    run("systemctl daemon-reload")?;
    run(&format!("systemctl start ct@{name}.service"))?;
    let count = (PRINT.as_secs_f64() / printer.print("10")?.as_secs_f64() * 10.0).ceil().to_string();
    let mut samples = ["nobody", "1000 clients, first", "1000 clients, later"]
        .map(|who| Samples::of(&format!("{what}, {who}")));
    for round in 0..=ROUNDS {
        // As often without as with them, now before and now after.
        let mut took = [Vec::new(), Vec::new(), Vec::new()];
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                took[0].extend([printer.print(&count)?, printer.print(&count)?]);
            } else {
                let clients = attach(&name)?;
                took[1].push(printer.print(&count)?);
                took[2].push(printer.print(&count)?);
                all_are_there(&clients).map_err(|error| format!("{error} (prints of {took:?})"))?;
                drop(clients);
                sleep(PAUSE);
            }
        }
        if round > 0 {
            for (samples, took) in samples.iter_mut().zip(took) {
                took.into_iter().for_each(|took| samples.add(took));
            }
        }
    }
    run(&format!("systemctl stop ct@{name}.service"))?;
    Ok(samples)
}

/// Clients that are let in, and read no more.
fn attach(name: &str) -> Result<Vec<UnixStream>> {
    let mut hello = Vec::new();
    ClientFrame::hello(Mode::ReadOnly, None).encode(&mut hello);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = UnixStream::connect(format!("/run/ct/{name}/console"))?;
        client.write_all(&hello)?;
        clients.push(client);
    }
    for client in &mut clients {
        client.read_exact(&mut [0; HELLO])?;
    }
    sleep(PAUSE);
    Ok(clients)
}

/// Else what was measured was nothing.
fn all_are_there(clients: &[UnixStream]) -> Result<()> {
    for client in clients {
        let mut fds = [PollFd::new(client, PollFlags::empty())];
        if poll(&mut fds, Some(&Timespec::default()))? > 0 {
            return Err("a client has been dropped before the end: print less".into());
        }
    }
    Ok(())
}
