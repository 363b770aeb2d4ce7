// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one run has to say, and whether it was a good one. A bad file changes the exit status, it does not end the run.

use std::error::Error as _;

use ct_config::problem::Problem;

use crate::output::Error;

/// How much one message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The container, or pod, cannot be used, or some of what was said has no effect.
    Error,
    /// All works, though not as somebody may have meant it.
    Warning,
}

/// The messages of one run.
#[derive(Debug, Default)]
pub struct Report {
    messages: Vec<(Severity, Problem)>,
    /// The first thing that could not be written.
    failure: Option<Error>,
    /// How many could not be written.
    failures: usize,
}

impl Report {
    /// Problems in no order, such as those of a directory's entries.
    pub(crate) fn add_sorted_problems(&mut self, problems: &[Problem]) {
        let mut problems = problems.to_vec();
        problems.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        self.add_problems(&problems);
    }

    pub(crate) fn add_problems(&mut self, problems: &[Problem]) {
        self.messages.extend(problems.iter().map(|problem| (Severity::Error, problem.clone())));
    }

    pub(crate) fn add_warnings(&mut self, problems: Vec<Problem>) {
        self.messages.extend(problems.into_iter().map(|problem| (Severity::Warning, problem)));
    }

    /// Notes a failed write. On a full disk they all fail alike, and one line says it.
    pub(crate) fn add_failure(&mut self, error: Error) {
        self.failures += 1;
        self.failure.get_or_insert(error);
    }

    /// Whether any file was bad or could not be written: the exit status is 1.
    pub fn is_bad(&self) -> bool {
        self.failures > 0 || self.messages.iter().any(|(severity, _)| *severity == Severity::Error)
    }

    /// What is wrong with the configs, in the order in which it is said.
    pub fn messages(&self) -> &[(Severity, Problem)] {
        &self.messages
    }

    /// What could not be written, if anything.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// All messages in a fixed order.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.messages.iter().map(|(_, problem)| problem.to_string()).collect();
        if let Some(error) = &self.failure {
            let mut line = error.to_string();
            let mut cause = error.source();
            while let Some(source) = cause {
                line.push_str(": ");
                line.push_str(&source.to_string());
                cause = source.source();
            }
            if self.failures > 1 {
                line.push_str(&format!(" (and {} more)", self.failures - 1));
            }
            // First: where the log is cut, this must not be what goes missing.
            lines.insert(0, line);
        }
        lines
    }
}
