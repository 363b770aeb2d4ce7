// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures as they are read: tables in Markdown, and each goal with what was reached.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::Result;
use crate::variant::output;

/// The measurements of one variant.
pub(crate) struct Samples {
    pub(crate) name: String,
    sorted: Vec<Duration>,
}

impl Samples {
    pub(crate) fn of(name: &str) -> Self {
        Samples { name: name.to_owned(), sorted: Vec::new() }
    }

    pub(crate) fn add(&mut self, took: Duration) {
        let at = self.sorted.partition_point(|other| *other <= took);
        self.sorted.insert(at, took);
    }

    /// The middle one, in milliseconds.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(1, 2)
    }

    /// The least, in milliseconds: as if nothing else ran on the machine.
    pub(crate) fn least(&self) -> f64 {
        self.quantile(0, 1)
    }

    fn quantile(&self, numerator: usize, denominator: usize) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get(last * numerator / denominator).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

/// The measurements of the variant with this name.
pub(crate) fn named<'a>(samples: &'a [Samples], name: &str) -> Result<&'a Samples> {
    Ok(samples.iter().find(|samples| samples.name == name).ok_or_else(|| format!("no variant {name:?}"))?)
}

/// A heading and its table, with the goals that its figures decide.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) table: Vec<Vec<String>>,
    pub(crate) goals: Vec<Goal>,
}

/// What is wanted, and what was reached.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) reached: String,
    pub(crate) met: bool,
}

impl Goal {
    /// A ratio of two times: of the medians, which decide, and of the least of each, which noise does not touch.
    pub(crate) fn ratio(what: &str, of: &Samples, to: &[&Samples], limit: f64) -> Self {
        let ratio =
            |figure: fn(&Samples) -> f64| figure(of) / to.iter().map(|samples| figure(samples)).sum::<f64>();
        let (median, least) = (ratio(Samples::median), ratio(Samples::least));
        Goal {
            what: what.to_owned(),
            wanted: format!("≤ {limit}"),
            reached: format!("{median:.2} (of the least: {least:.2})"),
            met: median <= limit,
        }
    }
}

/// The table of some variants' times, in milliseconds.
pub(crate) fn times(samples: &[Samples]) -> Vec<Vec<String>> {
    let mut table = vec!["|median ms|min|p90|runs".split('|').map(str::to_owned).collect::<Vec<_>>()];
    table.extend(samples.iter().map(|samples| {
        let milliseconds = |figure: f64| format!("{figure:.1}");
        vec![
            samples.name.clone(),
            milliseconds(samples.median()),
            milliseconds(samples.least()),
            milliseconds(samples.quantile(9, 10)),
            samples.sorted.len().to_string(),
        ]
    }));
    table
}

/// Everything, in Markdown.
pub(crate) fn render(sections: &[Section]) -> Result<String> {
    let mut text = String::new();
    for section in sections {
        write!(text, "### {}\n\n{}\n", section.title, markdown(&section.table))?;
    }
    let mut goals = vec!["goal|wanted|reached|".split('|').map(str::to_owned).collect::<Vec<_>>()];
    goals.extend(sections.iter().flat_map(|section| &section.goals).map(|goal| {
        let verdict = if goal.met { "met" } else { "MISSED" };
        vec![goal.what.clone(), goal.wanted.clone(), goal.reached.clone(), verdict.to_owned()]
    }));
    write!(text, "### Goals\n\n{}\n{}\n", markdown(&goals), machine()?)?;
    Ok(text)
}

/// What was measured with and on.
fn machine() -> Result<String> {
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let mut models = processors.lines().filter_map(|line| line.strip_prefix("model name"));
    let model = models.next().unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned();
    let rest = [
        format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end()),
        first(output("systemctl --version")?),
        first(output("crun --version")?),
        output("podman --version")?,
    ];
    Ok(format!("{} × {model}\\\n{}\\", models.count() + 1, rest.join(", ")))
}

/// A table whose first column is text and whose others are figures, aligned also for whoever reads it as it is.
fn markdown(table: &[Vec<String>]) -> String {
    let width = |column: usize| {
        table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for (number, row) in table.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(0)),
                _ => format!("{cell:>0$}", width(column)),
            })
            .collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if number == 0 {
            let rules: Vec<String> = (0..row.len())
                .map(|column| {
                    format!("{}{}", "-".repeat(width(column) + 1), if column == 0 { "-" } else { ":" })
                })
                .collect();
            text += &format!("|{}|\n", rules.join("|"));
        }
    }
    text
}
