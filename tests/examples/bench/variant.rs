// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured: commands that are timed, between others that are not; and the loop that takes turns.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::Samples;

/// Lets end what the command before left behind: cgroups to be removed, lines to be logged.
const PAUSE: Duration = Duration::from_millis(30);

/// One thing to measure, in command lines: words between blanks, `KEY=VALUE` in front as in a shell.
pub(crate) struct Variant {
    pub(crate) name: String,
    /// What it needs; not timed.
    pub(crate) before: Vec<String>,
    /// What is timed, as one figure.
    pub(crate) timed: Vec<String>,
    /// What takes it back; not timed.
    pub(crate) after: Vec<String>,
}

impl Variant {
    /// A variant of command lines.
    pub(crate) fn new(name: &str, before: &[&str], timed: &[&str], after: &[&str]) -> Self {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Variant { name: name.to_owned(), before: owned(before), timed: owned(timed), after: owned(after) }
    }

    fn measure(&self) -> Result<Duration> {
        self.before.iter().try_for_each(|line| run(line))?;
        let mut timed: Vec<Command> = self.timed.iter().map(|line| command(line)).collect();
        sleep(PAUSE);
        // CLOCK_MONOTONIC, around posix_spawn(3) and wait(2).
        let start = Instant::now();
        let mut succeed = true;
        for command in &mut timed {
            succeed &= command.status()?.success();
        }
        let took = start.elapsed();
        if !succeed {
            return Err(format!("`{}` fails", self.timed.join("; ")).into());
        }
        self.after.iter().try_for_each(|line| run(line))?;
        Ok(took)
    }
}

/// Measures each variant this many times, in turns and each round in another order, so that what disturbs the
/// machine disturbs all alike and none always follows the same other. A first round is not counted.
pub(crate) fn interleaved(variants: &[Variant], rounds: u32) -> Result<Vec<Samples>> {
    let mut samples: Vec<Samples> = variants.iter().map(|variant| Samples::of(&variant.name)).collect();
    let mut order: Vec<usize> = (0..variants.len()).collect();
    let mut random = Random(1);
    for round in 0..=rounds {
        order.sort_by_cached_key(|_| random.next());
        for &turn in &order {
            let (Some(variant), Some(samples)) = (variants.get(turn), samples.get_mut(turn)) else {
                continue;
            };
            let took = variant.measure()?;
            if round > 0 {
                samples.add(took);
            }
        }
    }
    Ok(samples)
}

/// A linear congruential generator (Knuth's MMIX): the same order in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

/// Runs a command line to its success.
pub(crate) fn run(line: &str) -> Result<()> {
    let status = command(line).status().map_err(|error| format!("`{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}`: {status}").into()) }
}

/// What a command line prints, without the last end of line.
pub(crate) fn output(line: &str) -> Result<String> {
    let output =
        command(line).stdout(Stdio::piped()).output().map_err(|error| format!("`{line}`: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    } else {
        Err(format!("`{line}`: {}", output.status).into())
    }
}

fn command(line: &str) -> Command {
    let mut words = line.split_whitespace().peekable();
    let mut variables = Vec::new();
    while let Some((key, value)) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push((key, value));
        words.next();
    }
    let mut command = Command::new(words.next().unwrap_or("true"));
    command.args(words).envs(variables).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Writes a file, with the directories above it.
pub(crate) fn write(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()).into())
}
