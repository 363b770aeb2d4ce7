// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose turn it is at boot: priorities and lanes, as start-only order.
//!
//! - What takes part: every container with `autostart`, and what those pull in by `requires` and `wants`.
//! - A *priority* is a barrier: a container's turn comes when everything of lower priority has been started (or has
//!   failed to). This holds whatever `parallel` is; when all priorities are equal it costs nothing.
//! - A dependency counts more than a priority: what a container waits for is at least as urgent as the container. One that
//!   names no priority simply inherits; one that names another is reported.
//! - *Lanes* are within one priority: in an order that respects every dependency, and names otherwise, the n-th
//!   container waits for the (n − lanes)-th. So at most that many start at once.
//!
//! Every edge made here points back in one total order that extends the dependencies, so none can close a cycle: lane
//! edges give way to priorities, and both to dependencies, by construction.
//!
//! An edge leads through the target `ct-turn@NAME.target`, which `ct@NAME.service` waits for and the one before it in the
//! lane is `Before=`; a priority is `ct-priority@NUMBER.target`, which turns wait for. The targets have no default
//! dependencies and no stop job, so the order is one of starting only: `After=` between the services themselves would
//! also serialise the shutdown. Only `ct.target` wants them, so a start by hand has no turn to wait for.
#![expect(
    clippy::indexing_slicing,
    reason = "every index is a node number below the length it was made from"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use ct_config::container::Autostart;

use crate::graph::Adjacency;

/// What the schedule is made from. Nodes below `containers` are containers in name order, others are foreign units.
#[derive(Debug)]
pub struct Boot<'a> {
    /// Number of all nodes.
    pub nodes: usize,
    /// Number of containers.
    pub containers: usize,
    /// The priority of the containers that boot starts.
    pub priority: &'a [Option<i32>],
    /// `(from, to)`: starting `from` starts `to` (`requires`, `wants`).
    pub pulls: &'a [(usize, usize)],
    /// `(from, to)`: `from` starts after `to`. Acyclic.
    pub order: &'a [(usize, usize)],
    /// How many may start at once; `None` for any number.
    pub lanes: Option<NonZeroUsize>,
}

/// What one container waits for besides its dependencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Whether it waits for its turn at all.
    pub waits: bool,
    /// The container whose turn comes when this one has been started: the next in its lane.
    pub before: Option<usize>,
    /// The priority that begins when this one has been started, with all others of its priority.
    pub before_priority: Option<i32>,
}

/// A priority that waits for the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Its number.
    pub priority: i32,
    /// The containers whose turns wait for it.
    pub members: Vec<usize>,
}

/// A container that names a priority, but something more urgent waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// From the more urgent container to the one it waits for.
    pub path: Vec<usize>,
    /// What the last of the path asked for.
    pub asked: i32,
    /// What the first of the path asked for.
    pub urgent: i32,
}

/// The turn of each container, and the priorities that could not be kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// One per container.
    pub turns: Vec<Turn>,
    /// All priorities but the first, in their order.
    pub barriers: Vec<Barrier>,
    /// In name order.
    pub raised: Vec<Raised>,
}

/// Makes the schedule. Linear but for the sorting.
pub fn schedule(boot: &Boot<'_>) -> Schedule {
    let starting = starting(boot);
    let waits = Adjacency::new(boot.nodes, boot.order.iter().copied());
    let (urgency, raised) = urgencies(boot, &waits);
    let mut turns = vec![Turn::default(); boot.containers];
    let mut barriers = Vec::new();
    let mut previous: &[usize] = &[];
    let in_order: Vec<usize> =
        start_order(boot, &waits, &urgency).into_iter().filter(|&node| starting[node]).collect();
    for group in in_order.chunk_by(|a, b| urgency[*a] == urgency[*b]) {
        let priority = urgency[group[0]];
        // All of them, not just the last in each lane: one may be masked, and order against a unit without a job is none.
        previous.iter().for_each(|&earlier: &usize| turns[earlier].before_priority = Some(priority));
        if !previous.is_empty() {
            barriers.push(Barrier { priority, members: group.to_vec() });
        }
        let lanes = boot.lanes.map_or(group.len(), NonZeroUsize::get);
        for (position, &member) in group.iter().enumerate() {
            turns[member].waits = position >= lanes || !previous.is_empty();
            if let Some(earlier) = position.checked_sub(lanes) {
                turns[group[earlier]].before = Some(member);
            }
        }
        previous = group;
    }
    Schedule { turns, barriers, raised }
}

/// Which nodes get a start job at boot: autostart, and what that pulls in.
fn starting(boot: &Boot<'_>) -> Vec<bool> {
    let pulls = Adjacency::new(boot.nodes, boot.pulls.iter().copied());
    let mut starting = vec![false; boot.nodes];
    let mut next: Vec<usize> = (0..boot.containers).filter(|&node| boot.priority[node].is_some()).collect();
    while let Some(node) = next.pop() {
        if !std::mem::replace(&mut starting[node], true) {
            next.extend_from_slice(pulls.successors(node));
        }
    }
    starting[boot.containers..].fill(false);
    starting
}

/// The priority that each node ends up with: the lowest among itself and all that wait for it. What nobody waits for and
/// boot does not start has the default.
fn urgencies(boot: &Boot<'_>, waits: &Adjacency) -> (Vec<i32>, Vec<Raised>) {
    let asked = |node: usize| boot.priority.get(node).copied().flatten();
    let mut urgency: Vec<Option<i32>> = (0..boot.nodes).map(asked).collect();
    let mut because: Vec<Option<usize>> = vec![None; boot.nodes];
    let mut waiting = vec![0_usize; boot.nodes];
    for &(_, to) in boot.order {
        waiting[to] += 1;
    }
    let mut ready: Vec<usize> = (0..boot.nodes).filter(|&node| waiting[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &to in waits.successors(node) {
            if let Some(own) = urgency[node]
                && urgency[to].is_none_or(|other| own < other)
            {
                (urgency[to], because[to]) = (Some(own), Some(node));
            }
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push(to);
            }
        }
    }
    let mut raised = Vec::new();
    for node in 0..boot.containers {
        let Some(own) = asked(node).filter(|&own| own != Autostart::DEFAULT_PRIORITY) else { continue };
        let mut path = vec![node];
        while let Some(from) = path.last().and_then(|&last| because[last]) {
            path.push(from);
        }
        path.reverse();
        // Inheriting from a container that named no priority contradicts nobody.
        let urgent = asked(path[0]).unwrap_or(own);
        if urgent < own && urgent != Autostart::DEFAULT_PRIORITY {
            raised.push(Raised { path, asked: own, urgent });
        }
    }
    let urgency = urgency.into_iter().map(|own| own.unwrap_or(Autostart::DEFAULT_PRIORITY)).collect();
    (urgency, raised)
}

/// All nodes, each after what it waits for; among those that could come next, by priority and then by name.
///
/// As nothing waits for something less urgent than itself, the priorities never fall along the result.
fn start_order(boot: &Boot<'_>, waits: &Adjacency, urgency: &[i32]) -> Vec<usize> {
    let waited = Adjacency::new(boot.nodes, boot.order.iter().map(|&(from, to)| (to, from)));
    let mut missing: Vec<usize> = (0..boot.nodes).map(|node| waits.successors(node).len()).collect();
    let mut ready: BinaryHeap<Reverse<(i32, usize)>> = (0..boot.nodes)
        .filter(|&node| missing[node] == 0)
        .map(|node| Reverse((urgency[node], node)))
        .collect();
    let mut order = Vec::with_capacity(boot.nodes);
    while let Some(Reverse((_, node))) = ready.pop() {
        order.push(node);
        for &from in waited.successors(node) {
            missing[from] -= 1;
            if missing[from] == 0 {
                ready.push(Reverse((urgency[from], from)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot<'a>(priority: &'a [Option<i32>], order: &'a [(usize, usize)], lanes: usize) -> Boot<'a> {
        let nodes = priority.len();
        Boot { nodes, containers: nodes, priority, pulls: order, order, lanes: NonZeroUsize::new(lanes) }
    }

    fn turn(waits: bool, before: impl Into<Option<usize>>, before_priority: impl Into<Option<i32>>) -> Turn {
        Turn { waits, before: before.into(), before_priority: before_priority.into() }
    }

    fn turns<const N: usize>(boot: &Boot<'_>) -> [Turn; N] {
        schedule(boot).turns.try_into().unwrap()
    }

    #[test]
    fn as_many_as_there_are_lanes_need_no_turns() {
        assert_eq!(turns(&boot(&[Some(1000); 3], &[(0, 2)], 3)), [(); 3].map(|()| Turn::default()));
    }

    #[test]
    fn unlimited_means_no_turns() {
        assert_eq!(turns(&boot(&[Some(1000); 5], &[], 0)), [(); 5].map(|()| Turn::default()));
    }

    #[test]
    fn the_nth_waits_for_the_one_a_round_before() {
        let turns = turns(&boot(&[Some(1000), None, Some(1000), Some(1000), Some(1000)], &[], 2));
        assert_eq!(
            turns,
            [
                turn(false, 3, None),
                turn(false, None, None),
                turn(false, 4, None),
                turn(true, None, None),
                turn(true, None, None)
            ]
        );
    }

    #[test]
    fn a_dependency_comes_first_whatever_its_name() {
        // 0 waits for 2: the order is 1, 2, 0.
        let turns = turns(&boot(&[Some(1000); 3], &[(0, 2)], 1));
        assert_eq!(turns, [turn(true, None, None), turn(false, 2, None), turn(true, 0, None)]);
    }

    #[test]
    fn priorities_are_barriers_even_without_lanes() {
        let schedule = schedule(&boot(&[Some(20), Some(10), Some(20), Some(10)], &[], 0));
        let (first, second) = (turn(false, None, 20), turn(true, None, None));
        assert_eq!(schedule.turns, [second.clone(), first.clone(), second, first]);
        assert_eq!(schedule.barriers, [Barrier { priority: 20, members: vec![0, 2] }]);
    }

    #[test]
    fn the_lanes_of_each_priority_begin_anew() {
        let turns = turns(&boot(&[Some(10), Some(10), Some(20), Some(20)], &[], 1));
        assert_eq!(
            turns,
            [turn(false, 1, 20), turn(true, None, 20), turn(true, 3, None), turn(true, None, None)]
        );
    }

    #[test]
    fn what_is_pulled_in_takes_a_place_in_a_lane() {
        let turns = turns(&boot(&[Some(1000), None, None], &[(0, 1)], 1));
        assert_eq!(turns, [turn(true, None, None), turn(false, 0, None), turn(false, None, None)]);
    }

    #[test]
    fn an_unsaid_priority_is_inherited_in_silence() {
        let schedule = schedule(&boot(&[Some(10), Some(1000), Some(1000)], &[(0, 1)], 0));
        assert!(schedule.raised.is_empty());
        assert_eq!(
            schedule.turns,
            [turn(false, None, 1000), turn(false, None, 1000), turn(true, None, None)]
        );
    }

    #[test]
    fn a_contradicted_priority_is_reported_with_the_path() {
        let schedule = schedule(&boot(&[Some(10), None, Some(50)], &[(0, 1), (1, 2)], 0));
        assert_eq!(schedule.raised, [Raised { path: vec![0, 1, 2], asked: 50, urgent: 10 }]);
        assert_eq!(schedule.turns, [(); 3].map(|()| Turn::default()));
    }

    #[test]
    fn turns_never_point_forward_and_lanes_never_overflow() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut below = |end: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap() % end
        };
        for _ in 0..2000 {
            let nodes = 1 + below(12);
            let priority: Vec<Option<i32>> =
                (0..nodes).map(|_| [None, Some(10), Some(20), Some(1000)][below(4)]).collect();
            let order: Vec<(usize, usize)> = (0..below(nodes + 3))
                .map(|_| (below(nodes), below(nodes)))
                .filter(|(from, to)| from > to)
                .collect();
            let lanes = below(4);
            let boot = boot(&priority, &order, lanes);
            simulate(&boot, &schedule(&boot));
        }
    }

    /// Starts one container after another as systemd would and lets them become ready as late as possible.
    fn simulate(boot: &Boot<'_>, schedule: &Schedule) {
        let turns = &schedule.turns;
        let starting = starting(boot);
        let (mut running, mut done) = (Vec::<usize>::new(), vec![false; boot.nodes]);
        let over = |node: usize, done: &[bool]| !starting[node] || done[node];
        loop {
            let free = (0..boot.nodes).filter(|&node| {
                let waits =
                    boot.order.iter().filter(|(from, _)| *from == node).all(|&(_, to)| over(to, &done));
                let mine = schedule.barriers.iter().find(|barrier| barrier.members.contains(&node));
                let waited_for = |n: usize| {
                    turns[n].before == Some(node)
                        || mine.is_some_and(|mine| turns[n].before_priority == Some(mine.priority))
                };
                let turn =
                    !turns[node].waits || (0..boot.nodes).filter(|&n| waited_for(n)).all(|n| over(n, &done));
                starting[node] && !done[node] && !running.contains(&node) && waits && turn
            });
            let free: Vec<usize> = free.collect();
            running.extend(free);
            if let Some(lanes) = boot.lanes {
                assert!(running.len() <= lanes.get(), "{} at once: {boot:?}", running.len());
            }
            match running.pop() {
                Some(node) => done[node] = true,
                None => break,
            }
        }
        assert!((0..boot.nodes).all(|node| over(node, &done)), "some wait forever: {boot:?} {schedule:?}");
    }
}
