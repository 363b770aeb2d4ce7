// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a container behave alike whatever its runtime is? Each behaviour is tried with each runtime on each machine, and
//! what was seen is printed as a table, the last output of the test; it is in target/ct-tests/behaviour.md, too.
//!
//! What a runtime cannot do is in its row with the reason, and is tried as well: ct must refuse it, and say that reason.

mod inside;
mod life;
mod rights;
mod runtime_under_test;
mod table;

use std::sync::Mutex;
use std::thread;

use ct_tests::{Machine, Root, test_name, unless_skipped};

use runtime_under_test::{Behaviour, Cannot, Refusal, Runtime, RuntimeUnderTest};
use table::{Cell, Row};

/// To add one, add its line.
const RUNTIMES: [Runtime; 5] = [
    Runtime { name: "crun", in_ci: true, cannot: &[] },
    Runtime { name: "runc", in_ci: true, cannot: &[] },
    Runtime { name: "lxc", in_ci: true, cannot: &[] },
    Runtime { name: "youki", in_ci: false, cannot: &[YOUKI_BY_ACCOUNT, YOUKI_SIZES] },
    Runtime { name: "runsc", in_ci: true, cannot: &[RUNSC_BY_ACCOUNT, RUNSC_DEV_CONSOLE, RUNSC_REBOOTS] },
];

const YOUKI_BY_ACCOUNT: Cannot = Cannot {
    behaviour: "account",
    reason: "without privileges it cannot write the id maps",
    refusal: Refusal::AtStart,
};
/// It takes the mask of a rule of the system-call filter for the value: more requests of terminals are refused than are meant.
const YOUKI_SIZES: Cannot = Cannot {
    behaviour: "console",
    reason: "stty: standard input: Operation not permitted",
    refusal: Refusal::Inside(inside::lacks_some_of_it),
};
const RUNSC_BY_ACCOUNT: Cannot = Cannot {
    behaviour: "account",
    reason: "only root may run it; its sandbox has no rights on the host anyhow",
    refusal: Refusal::AtStart,
};
const RUNSC_DEV_CONSOLE: Cannot = Cannot {
    behaviour: "/dev/console",
    reason: "/bin/sh: can't open /dev/console: no such file",
    refusal: Refusal::Inside(inside::lacks_some_of_it),
};
const RUNSC_REBOOTS: Cannot = Cannot {
    behaviour: "reboot",
    reason: "Function not implemented",
    refusal: Refusal::Inside(life::is_told_that_it_cannot_reboot),
};

/// The columns.
const BEHAVIOURS: [Behaviour; 11] = [
    Behaviour { name: "start", containers: life::START, holds: life::starts },
    Behaviour { name: "ready", containers: life::READY, holds: life::becomes_ready },
    Behaviour { name: "exec", containers: inside::EXEC, holds: inside::executes },
    Behaviour { name: "console", containers: inside::CONSOLE, holds: inside::has_a_console },
    Behaviour { name: "/dev/console", containers: inside::CONSOLE, holds: inside::has_dev_console },
    Behaviour { name: "stop", containers: life::STOP, holds: life::stops },
    Behaviour { name: "exit status", containers: life::EXIT_STATUS, holds: life::has_the_status_of_its_init },
    Behaviour { name: "reboot", containers: life::REBOOT, holds: life::reboots_and_powers_off },
    Behaviour { name: "freeze", containers: life::FREEZE, holds: life::freezes },
    Behaviour { name: "limits", containers: rights::LIMITS, holds: rights::has_its_limits },
    Behaviour { name: "account", containers: rights::ACCOUNT, holds: rights::runs_through_an_account },
];

/// What the machines have seen.
static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

#[test]
fn every_runtime_behaves_alike() {
    let machines = Root::all().map(|root| {
        let name = format!("every_runtime_behaves_alike::{root:?}").to_lowercase();
        let machine = thread::Builder::new().name(name).spawn(move || unless_skipped(root, tried_on));
        machine.expect("there is room for two threads")
    });
    let ended = machines.map(thread::JoinHandle::join);
    let mut rows = ROWS.lock().expect("its lock is held for moments");
    rows.sort();
    table::publish(&BEHAVIOURS.map(|behaviour| behaviour.name), &rows);
    // After the table, which says all of it.
    if let Some(failed) = ended.into_iter().find_map(Result::err) {
        std::panic::resume_unwind(failed);
    }
}

/// Tries all of them on one machine.
fn tried_on(root: Root) {
    let machine = runtime_under_test::machine(root, &test_name());
    for runtime in &RUNTIMES {
        for behaviour in &BEHAVIOURS {
            RuntimeUnderTest::new(&machine, runtime).configure(behaviour);
        }
    }
    machine.daemon_reload();
    machine.start("ct.slice");
    let rows = RUNTIMES.each_ref().map(|runtime| row(&machine, runtime));
    let failed: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    ROWS.lock().expect("its lock is held for moments").extend(rows);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Tries one runtime.
fn row(machine: &Machine, runtime: &'static Runtime) -> Row {
    let tried = RuntimeUnderTest::new(machine, runtime);
    let systemd = runtime_under_test::version(machine, "systemctl").expect("a machine has systemd");
    let Some(version) = runtime_under_test::version(machine, runtime.program()) else {
        let missing = format!("{} is not installed", runtime.program());
        let cell = match runtime.in_ci && std::env::var_os("CI").is_some() {
            true => Cell::Fails(missing),
            false => Cell::Absent(missing),
        };
        return Row::new(runtime.name, "", &systemd, vec![cell; BEHAVIOURS.len() + 1]);
    };
    let mut left = Vec::new();
    let mut cells: Vec<Cell> =
        BEHAVIOURS.iter().map(|behaviour| tried.try_it(behaviour, &mut left)).collect();
    cells.push(if left.is_empty() { Cell::Does } else { Cell::Fails(left.join("; ")) });
    Row::new(runtime.name, &version, &systemd, cells)
}
