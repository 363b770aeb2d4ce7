// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was seen, as a table of Markdown: a row for each runtime on each machine, a column for each behaviour.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// How a runtime did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    /// As every other.
    Does,
    /// Not, and ct refuses it: for this reason.
    Cannot(String),
    /// There is no such runtime here.
    Absent(String),
    /// Otherwise than it should.
    Fails(String),
}

/// One runtime on one machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    runtime: String,
    systemd: String,
    version: String,
    cells: Vec<Cell>,
}

impl Row {
    /// The last cell is about what was left behind.
    pub(crate) fn new(runtime: &str, version: &str, systemd: &str, cells: Vec<Cell>) -> Row {
        let [runtime, version, systemd] = [runtime, version, systemd].map(str::to_owned);
        Row { runtime, systemd, version, cells }
    }

    /// What should not be so.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.cells.iter().filter_map(|cell| match cell {
            Cell::Fails(why) => Some(format!("{}: {why}", self.runtime)),
            Cell::Does | Cell::Cannot(_) | Cell::Absent(_) => None,
        });
        failed.collect()
    }

    fn render(&self) -> String {
        let first = format!("{} {}", self.runtime, self.version);
        let mut said = "";
        let cells = self.cells.iter().map(|cell| match cell {
            Cell::Does => "yes".to_owned(),
            Cell::Cannot(why) => format!("cannot: {why}"),
            // Once in a row.
            Cell::Absent(why) if said == why => String::new(),
            Cell::Absent(why) => {
                said = why;
                why.clone()
            }
            Cell::Fails(why) => format!("FAILS: {}", why.lines().next().unwrap_or_default()),
        });
        let cells: Vec<String> =
            [first.trim().to_owned(), self.systemd.clone()].into_iter().chain(cells).collect();
        format!("| {} |\n", cells.join(" | "))
    }
}

/// Shows it, past the test runner's capture, and leaves it in target/ct-tests.
pub(crate) fn publish(behaviours: &[&str], rows: &[Row]) {
    let names = [&["runtime", "systemd"], behaviours, &["nothing left"]].concat();
    let rule = "|---".repeat(names.len());
    let rows: String = rows.iter().map(Row::render).collect();
    let table = format!("| {} |\n{rule}|\n{rows}", names.join(" | "));
    let program = std::env::current_exe().expect("/proc is mounted");
    // target/debug/deps/behaviour-0123456789abcdef
    let target = program.ancestors().nth(3).expect("cargo puts tests into target/PROFILE/deps");
    let file: PathBuf = target.join("ct-tests/behaviour.md");
    let shown = std::io::stderr().write_all(format!("\n{table}").as_bytes());
    if let Err(error) = fs::write(&file, &table).and(shown) {
        panic!("cannot write {}: {error}", file.display());
    }
}
