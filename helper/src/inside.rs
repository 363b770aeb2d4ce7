// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running a command inside a container that runs. Only the runtime enters its namespaces, see the `exec` of its
//! command line; the command finds itself in a group of its own below the container's cgroup.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use ct_config::name::ContainerName;

use crate::account::Account;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;
use crate::job::{Finished, Job, JobEnd, Output};
use crate::runtime::Runtime;
use crate::runtime::places::Places;

/// What it takes.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) name: &'a ContainerName,
    pub(crate) runtime: &'a Runtime<'a>,
    pub(crate) places: &'a Places,
    /// Who runs the runtime.
    pub(crate) account: &'a Account,
    pub(crate) cgroup: &'a UnitCgroup,
}

impl Inside<'_> {
    /// Runs `argv` until it ends, `deadline` has come or a descriptor of `watched` is readable; all it has started is
    /// killed then.
    pub(crate) fn run(
        &self,
        argv: &[String],
        deadline: Option<Instant>,
        watched: &[BorrowedFd<'_>],
    ) -> Result<Finished, Error> {
        let account = self.account;
        let group = self.cgroup.job_in_payload(self.account)?;
        let command = self.runtime.exec(self.places, account, &group, argv);
        let job = Job { command, group: &group, account, deadline, output: Output::Keep, input: None };
        let finished = job.run(watched).inspect_err(|_| group.remove(false))?;
        if !matches!(finished.end, JobEnd::Ended(_)) {
            self.runtime.signal_inside(self.places, account, &group, libc::SIGKILL);
        }
        Ok(finished)
    }
}
