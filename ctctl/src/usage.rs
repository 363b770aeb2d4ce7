// SPDX-License-Identifier: MIT OR Apache-2.0
//! What containers use, as `stats` and `top` show it: two looks at the counters of their cgroups, and the difference.

use std::collections::BTreeMap;
use std::time::Instant;

use ct_config::name::ContainerName;
use serde::Serialize;

use crate::amount;
use crate::cgroup::{Io, UnitGroup};
use crate::context::Context;
use crate::error::Error;
use crate::units;

/// One look.
#[derive(Debug)]
pub(crate) struct Sample {
    at: Instant,
    groups: BTreeMap<ContainerName, Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    cpu: Option<u64>,
    memory: Option<u64>,
    memory_limit: Option<u64>,
    tasks: Option<u64>,
    tasks_limit: Option<u64>,
    io: Option<Io>,
}

/// What one container uses; the order is that of the JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Usage {
    pub(crate) name: String,
    /// Of one processor, since the look before.
    pub(crate) cpu_percent: Option<f64>,
    /// Microseconds since it was started.
    pub(crate) cpu: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) memory_percent: Option<f64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) tasks_limit: Option<u64>,
    pub(crate) read: Option<u64>,
    pub(crate) written: Option<u64>,
}

impl Sample {
    /// Looks at these, or at all that have processes.
    pub(crate) fn take(names: &[ContainerName], context: &Context) -> Result<Self, Error> {
        let loaded = units::loaded(context)?;
        let group = |name: &ContainerName| loaded.get(name).and_then(|unit| unit.group.as_ref());
        let groups = if names.is_empty() {
            let running = loaded.iter().filter_map(|(name, unit)| Some((name, unit.group.as_ref()?)));
            running.map(|(name, group)| (name.clone(), Counters::of(group))).collect()
        } else {
            let counters = |name| group(name).map(Counters::of).unwrap_or_default();
            names.iter().map(|name| (name.clone(), counters(name))).collect()
        };
        Ok(Self { at: Instant::now(), groups })
    }

    /// What was used since `before`, by name.
    pub(crate) fn since(&self, before: &Self) -> Vec<Usage> {
        let elapsed = self.at.duration_since(before.at).as_secs_f64();
        let usage = |(name, now): (&ContainerName, &Counters)| {
            // A new one, or one that was started again, has no difference yet.
            let earlier = before.groups.get(name).and_then(|counters| counters.cpu);
            let spent = now.cpu.zip(earlier).and_then(|(now, earlier)| now.checked_sub(earlier));
            #[expect(
                clippy::cast_precision_loss,
                reason = "of a percentage one digit after the point is shown"
            )]
            let share = |part: u64, whole: f64| rounded(100.0 * part as f64 / whole);
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            let limit = now.memory_limit.filter(|limit| *limit > 0).map(|limit| limit as f64);
            Usage {
                name: name.to_string(),
                cpu_percent: spent.filter(|_| elapsed > 0.0).map(|spent| share(spent, elapsed * 1e6)),
                cpu: now.cpu,
                memory: now.memory,
                memory_limit: now.memory_limit,
                memory_percent: now.memory.zip(limit).map(|(memory, limit)| share(memory, limit)),
                tasks: now.tasks,
                tasks_limit: now.tasks_limit,
                read: now.io.map(|io| io.read),
                written: now.io.map(|io| io.written),
            }
        };
        self.groups.iter().map(usage).collect()
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

impl Counters {
    fn of(group: &UnitGroup) -> Self {
        Self {
            cpu: group.cpu(),
            memory: group.memory(),
            memory_limit: group.memory_limit(),
            tasks: group.tasks(),
            tasks_limit: group.tasks_limit(),
            io: group.io(),
        }
    }
}

/// Of the table that [`Usage::cells`] fills.
pub(crate) const HEADER: [&str; 8] = ["NAME", "CPU%", "MEMORY", "LIMIT", "MEM%", "TASKS", "READ", "WRITTEN"];
/// Its columns with numbers.
pub(crate) const RIGHT: [usize; 7] = [1, 2, 3, 4, 5, 6, 7];

impl Usage {
    /// What is unknown is empty, which a table shows as `-`.
    pub(crate) fn cells(&self) -> Vec<String> {
        let percent =
            |percent: Option<f64>| percent.map(|percent| format!("{percent:.1}")).unwrap_or_default();
        let bytes = |bytes: Option<u64>| bytes.map(amount::bytes).unwrap_or_default();
        vec![
            self.name.clone(),
            percent(self.cpu_percent),
            bytes(self.memory),
            bytes(self.memory_limit),
            percent(self.memory_percent),
            self.tasks.map(|tasks| tasks.to_string()).unwrap_or_default(),
            bytes(self.read),
            bytes(self.written),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(at: Instant, cpu: Option<u64>, memory: Option<u64>) -> Sample {
        let counters = Counters { cpu, memory, memory_limit: Some(1000), ..Counters::default() };
        Sample { at, groups: [(ContainerName::parse("web").unwrap(), counters)].into() }
    }

    #[test]
    fn a_difference_is_a_share_of_one_processor() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let usage = sample(later, Some(4_000_000), Some(125)).since(&sample(start, Some(1_000_000), None));
        assert_eq!((usage[0].cpu_percent, usage[0].memory_percent), (Some(150.0), Some(12.5)));
        assert_eq!(usage[0].cells(), ["web", "150.0", "125B", "1000B", "12.5", "", "", ""]);
    }

    #[test]
    fn what_was_started_again_has_no_difference() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let usage = sample(later, Some(1), None).since(&sample(start, Some(1_000_000), None));
        assert_eq!(usage[0].cpu_percent, None);
        let usage = sample(later, None, None).since(&sample(start, None, None));
        assert_eq!((usage[0].cpu_percent, usage[0].memory_percent), (None, None));
    }
}
