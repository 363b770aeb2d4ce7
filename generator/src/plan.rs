// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no container can know alone: names that do not exist, cycles, and whose turn it is at boot.
//!
//! A cycle of `requires` alone cannot be started by anybody: its containers fail, with the reason. Any other cycle
//! loses the order of a weakest entry (`after` and `before` first, then `wants`), which is reported; the entry still pulls
//! its unit in, so every container starts. Left alone, systemd would drop one of the units without a word.
//! Foreign units count as far as containers are ordered around them. For priorities and lanes see [`crate::lanes`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use ct_config::container::{Dependency, Depends};
use ct_config::name::{ContainerName, UnitName};
use ct_config::pod::Place as ConfigPlace;
use ct_config::problem::Problem;

use crate::graph::{self, Adjacency, Edge, Strength};
use crate::lanes::{self, Barrier, Boot, Turn};

/// What the plan needs to know about one container.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a ContainerName,
    /// Its main file, for messages.
    pub file: &'a Path,
    /// `[depends]`
    pub depends: &'a Depends,
    /// Its priority, if boot starts it.
    pub autostart: Option<i32>,
}

/// Where one container stands among all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Units that `After=` must leave out.
    pub not_after: Vec<UnitName>,
    /// Units that `Before=` must leave out.
    pub not_before: Vec<UnitName>,
    /// Why it can never start.
    pub fails: Option<Problem>,
    /// Its turn at boot; the numbers are those of the members.
    pub turn: Turn,
}

/// The places of all members, and what there is to say.
#[derive(Debug, Default)]
pub struct Plan {
    /// One per member.
    pub places: Vec<Place>,
    /// The priorities that wait for another; the numbers are those of the members.
    pub barriers: Vec<Barrier>,
    /// What is wrong, and is survived.
    pub warnings: Vec<Problem>,
}

/// Plans `members`, which are sorted by name. `known` are the names of all containers, broken ones too, also sorted.
pub fn plan(members: &[Member<'_>], known: &[ContainerName], lanes: Option<NonZeroUsize>) -> Plan {
    let mut units = Units::new(members);
    let mut plan = Plan { places: vec![Place::default(); members.len()], ..Plan::default() };
    let mut entries = entries(members, &mut units);
    warn_about_unknown(&entries, known, &mut plan);
    fail_cycles_of_requires(&entries, &units, &mut plan);
    entries.retain(|entry| plan.places.get(entry.owner).is_some_and(|place| place.fails.is_none()));
    let fixed = fixed_order(members, &units);
    let order = cut_cycles(&entries, &fixed, &units, &mut plan);
    let stays = |owner: usize| plan.places.get(owner).is_some_and(|place| place.fails.is_none());
    let priority: Vec<Option<i32>> = members
        .iter()
        .enumerate()
        .map(|(number, member)| member.autostart.filter(|_| stays(number)))
        .collect();
    let pulls: Vec<(usize, usize)> = entries
        .iter()
        .filter(|entry| entry.strength > Strength::Order)
        .map(|entry| (entry.from, entry.to))
        .collect();
    let schedule = lanes::schedule(&Boot {
        nodes: units.len(),
        containers: members.len(),
        priority: &priority,
        pulls: &pulls,
        order: &order,
        lanes,
    });
    for (place, turn) in plan.places.iter_mut().zip(schedule.turns) {
        place.turn = turn;
    }
    plan.barriers = schedule.barriers;
    for raised in schedule.raised {
        let last = raised.path.last().and_then(|&number| members.get(number));
        let file = last.map(|member| member.file.to_owned()).unwrap_or_default();
        let (path, asked, urgent) = (units.arrows(&raised.path), raised.asked, raised.urgent);
        let reason = format!("{asked} counts as {urgent}, the priority of one that waits for it: {path}");
        plan.warnings.push(ConfigPlace { file, position: None }.problem("autostart.priority", reason, None));
    }
    plan
}

/// Every unit that is spoken of, by number: the members first.
struct Units<'a> {
    members: &'a [Member<'a>],
    foreign: BTreeMap<&'a str, usize>,
    foreign_names: Vec<&'a str>,
}

impl<'a> Units<'a> {
    fn new(members: &'a [Member<'a>]) -> Self {
        Self { members, foreign: BTreeMap::new(), foreign_names: Vec::new() }
    }

    /// The number of a unit, a new one for a foreign unit not met before.
    fn number(&mut self, unit: &'a str) -> usize {
        let name = unit.strip_prefix("ct@").and_then(|rest| rest.strip_suffix(".service"));
        let member = name.and_then(|name| self.members.binary_search_by(|m| m.name.as_str().cmp(name)).ok());
        member.unwrap_or_else(|| {
            let next = self.members.len() + self.foreign_names.len();
            *self.foreign.entry(unit).or_insert_with(|| {
                self.foreign_names.push(unit);
                next
            })
        })
    }

    fn len(&self) -> usize {
        self.members.len() + self.foreign_names.len()
    }

    /// `web -> db -> web`, shortened in the middle where nobody would read on.
    fn arrows(&self, path: &[usize]) -> String {
        const SHOWN: usize = 8;
        let mut text = String::new();
        for (position, &number) in path.iter().enumerate() {
            if path.len() > 2 * SHOWN && position == SHOWN {
                let _ = write!(text, " -> ... {} more ...", path.len() - 2 * SHOWN);
            }
            if path.len() > 2 * SHOWN && (SHOWN..path.len() - SHOWN).contains(&position) {
                continue;
            }
            let separator = if position == 0 { "" } else { " -> " };
            let name = self.members.get(number).map(|member| member.name.as_str());
            let foreign = || number.checked_sub(self.members.len()).and_then(|n| self.foreign_names.get(n));
            let name = name.or_else(|| foreign().copied());
            let _ = write!(text, "{separator}{}", name.unwrap_or_default());
        }
        text
    }
}

/// One entry of some container's `[depends]` as an edge: `from` starts after `to`.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    from: usize,
    to: usize,
    strength: Strength,
    owner: usize,
    key: &'static str,
    dependency: &'a Dependency,
}

impl Entry<'_> {
    /// What is wrong with it.
    fn problem(&self, reason: String, hint: Option<String>) -> Problem {
        self.dependency.place.problem(&format!("depends.{}", self.key), reason, hint)
    }
}

const BEFORE: &str = "before";

/// All entries of one `[depends]` with their keys.
fn listed(depends: &Depends) -> impl Iterator<Item = (&'static str, Strength, &Dependency)> {
    let requires = depends.requires.iter().map(|dependency| ("requires", Strength::Requires, dependency));
    let wants = depends.wants.iter().map(|dependency| ("wants", Strength::Wants, dependency));
    let after = depends.after.iter().map(|dependency| ("after", Strength::Order, dependency));
    let before = depends.before.iter().map(|dependency| (BEFORE, Strength::Order, dependency));
    requires.chain(wants).chain(after).chain(before)
}

fn entries<'a>(members: &[Member<'a>], units: &mut Units<'a>) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (owner, member) in members.iter().enumerate() {
        for (key, strength, dependency) in listed(member.depends) {
            let other = units.number(dependency.unit.as_str());
            let (from, to) = if key == BEFORE { (other, owner) } else { (owner, other) };
            entries.push(Entry { from, to, strength, owner, key, dependency });
        }
    }
    entries
}

/// Units of others cannot be checked: any of them may exist by the time it is needed. Containers can.
fn warn_about_unknown(entries: &[Entry<'_>], known: &[ContainerName], plan: &mut Plan) {
    for entry in entries {
        let other = if entry.key == BEFORE { entry.from } else { entry.to };
        if other < plan.places.len() {
            continue;
        }
        let Some(name) = entry.dependency.unit.container() else { continue };
        if known.binary_search(&name).is_ok() {
            continue;
        }
        let near = ct_config::suggest(name.as_str(), known.iter().map(ContainerName::as_str));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        plan.warnings.push(entry.problem(format!("there is no container `{name}`"), hint));
    }
}

fn fail_cycles_of_requires(entries: &[Entry<'_>], units: &Units<'_>, plan: &mut Plan) {
    let requires = || entries.iter().filter(|entry| entry.strength == Strength::Requires);
    let graph = Adjacency::new(units.len(), requires().map(|entry| (entry.from, entry.to)));
    let component = graph::components(&graph);
    let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
    for entry in requires() {
        let own = component.get(entry.from).copied();
        let Some(own) = own.filter(|own| component.get(entry.to) == Some(own)) else { continue };
        let Some(place) = plan.places.get_mut(entry.owner).filter(|place| place.fails.is_none()) else {
            continue;
        };
        let reason = reasons.entry(own).or_insert_with(|| {
            let inside = |node: usize| component.get(node) == Some(&own);
            let cycle = graph::shortest_path(&graph, entry.from, entry.from, inside).unwrap_or_default();
            format!("{} is a cycle of requires, none of them can start", units.arrows(&cycle))
        });
        place.fails = Some(entry.problem(reason.clone(), None));
    }
}

/// The order that systemd gives containers whether their configs speak of it or not: they are services, so after the
/// targets of an early system; `ct@.service` adds two; and those that boot starts are before what their start is part of.
/// Somebody who writes `after = ["multi-user.target"]` to say "late" would otherwise be dropped by systemd, or another.
fn fixed_order(members: &[Member<'_>], units: &Units<'_>) -> Vec<(usize, usize)> {
    const EARLIER: [&str; 9] = [
        "basic.target",
        "local-fs-pre.target",
        "local-fs.target",
        "network-pre.target",
        "network.target",
        "paths.target",
        "slices.target",
        "sockets.target",
        "sysinit.target",
    ];
    const LATER: [&str; 3] = ["ct.target", "graphical.target", "multi-user.target"];
    let number = |unit: &&str| units.foreign.get(unit).copied();
    let earlier =
        EARLIER.iter().filter_map(number).flat_map(|to| (0..members.len()).map(move |from| (from, to)));
    let booted = |to: &usize| members.get(*to).is_some_and(|member| member.autostart.is_some());
    let later = LATER
        .iter()
        .filter_map(number)
        .flat_map(|from| (0..members.len()).filter(booted).map(move |to| (from, to)));
    earlier.chain(later).collect()
}

/// Cuts what is left of cycles; the result is the order that stays.
fn cut_cycles(
    entries: &[Entry<'_>],
    fixed: &[(usize, usize)],
    units: &Units<'_>,
    plan: &mut Plan,
) -> Vec<(usize, usize)> {
    let mut sorted: Vec<&Entry<'_>> = entries.iter().collect();
    sorted.sort_by_key(|entry| (entry.from, entry.to, Reverse(entry.strength)));
    // Two entries for the same order (`after` here, `before` there) stay or go together.
    let same = |a: &&Entry<'_>, b: &&Entry<'_>| (a.from, a.to) == (b.from, b.to);
    let groups: Vec<&[&Entry<'_>]> = sorted.chunk_by(same).collect();
    let edges: Vec<Edge> = groups
        .iter()
        .filter_map(|group| group.first())
        .map(|entry| Edge { from: entry.from, to: entry.to, strength: entry.strength })
        .collect();
    let mut all = edges.clone();
    for &(from, to) in fixed {
        let strength = Strength::Fixed;
        match edges.binary_search_by_key(&(from, to), |edge| (edge.from, edge.to)) {
            Ok(same) => all.get_mut(same).expect("it begins with these").strength = strength,
            Err(_) => all.push(Edge { from, to, strength }),
        }
    }
    let mut kept = vec![true; edges.len()];
    for cut in graph::cuts(units.len(), &all) {
        let (Some(group), Some(kept)) = (groups.get(cut.edge), kept.get_mut(cut.edge)) else { continue };
        *kept = false;
        for entry in *group {
            let Some(place) = plan.places.get_mut(entry.owner) else { continue };
            let list = if entry.key == BEFORE { &mut place.not_before } else { &mut place.not_after };
            list.push(entry.dependency.unit.clone());
        }
        let Some(entry) = group.first() else { continue };
        let reason = format!("{} is a cycle, ignoring the order of this entry", units.arrows(&cut.cycle));
        let rest = positions(&edges, &groups, cut.cycle.get(1..).unwrap_or_default());
        let hint = (!rest.is_empty()).then(|| format!("the others: {}", rest.join(", ")));
        plan.warnings.push(entry.problem(reason, hint));
    }
    edges.iter().zip(kept).filter(|(_, kept)| *kept).map(|(edge, _)| (edge.from, edge.to)).collect()
}

/// Where the steps of a path are written, the first few of them.
fn positions(edges: &[Edge], groups: &[&[&Entry<'_>]], path: &[usize]) -> Vec<String> {
    let step = |pair: &[usize]| {
        let &[from, to] = pair else { return None };
        let edge = edges.binary_search_by_key(&(from, to), |edge| (edge.from, edge.to)).ok()?;
        Some(groups.get(edge)?.first()?.dependency.place.to_string())
    };
    path.windows(2).filter_map(step).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container as `NAME: requires ... wants ... after ... before ...`, each word one entry.
    fn depends(text: &str) -> (ContainerName, Depends) {
        let (name, entries) = text.split_once(':').unwrap();
        let mut depends = Depends::default();
        let mut list = &mut depends.requires;
        for (position, word) in entries.split_whitespace().enumerate() {
            list = match word {
                "requires" => &mut depends.requires,
                "wants" => &mut depends.wants,
                "after" => &mut depends.after,
                "before" => &mut depends.before,
                word => {
                    let unit = ContainerName::parse(word).map(|name| name.unit());
                    let unit = if word.contains('.') { UnitName::parse(word) } else { unit };
                    list.push(Dependency {
                        unit: unit.unwrap(),
                        place: ConfigPlace {
                            file: format!("{name}.toml").into(),
                            position: Some((u32::try_from(position).unwrap(), 1)),
                        },
                    });
                    list
                }
            };
        }
        (ContainerName::parse(name).unwrap(), depends)
    }

    fn said(plan: &Plan) -> Vec<String> {
        plan.warnings.iter().map(ToString::to_string).collect()
    }

    /// The plan of containers that are all started by boot, without lanes.
    fn plan_of(containers: &[&str]) -> Plan {
        let containers: Vec<(ContainerName, Depends)> = containers.iter().map(|text| depends(text)).collect();
        let known: Vec<ContainerName> = containers.iter().map(|(name, _)| name.clone()).collect();
        let file = Path::new("x.toml");
        let member = |(name, depends)| Member { name, file, depends, autostart: Some(1000) };
        let members: Vec<Member<'_>> =
            containers.iter().map(|(name, depends)| member((name, depends))).collect();
        plan(&members, &known, None)
    }

    fn unit(name: &str) -> UnitName {
        UnitName::parse(name).unwrap()
    }

    #[test]
    fn what_has_no_cycle_is_left_alone() {
        let plan = plan_of(&["a: requires b wants c after d.service", "b: after c", "c: before b"]);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
        assert_eq!(plan.places, vec![Place::default(); 3]);
    }

    #[test]
    fn the_weakest_entry_gives_way_whatever_its_name() {
        let plan = plan_of(&["a: after b", "b: wants c", "c: requires a"]);
        assert_eq!(plan.places[0].not_after, [unit("ct@b.service")]);
        assert_eq!((&plan.places[1], &plan.places[2]), (&Place::default(), &Place::default()));
        let want = "a.toml:1:1: depends.after: a -> b -> c -> a is a cycle, ignoring the order of this entry \
                    (the others: b.toml:1:1, c.toml:1:1)";
        assert_eq!(said(&plan), [want]);
    }

    #[test]
    fn both_ways_to_say_an_order_are_ignored_together() {
        let plan = plan_of(&["a: requires b", "b: after a"]);
        assert_eq!(plan.places[1].not_after, [unit("ct@a.service")]);
        let plan = plan_of(&["a: requires b before b", "b: after a"]);
        assert_eq!(plan.places[0].not_before, [unit("ct@b.service")]);
        assert_eq!(plan.places[1].not_after, [unit("ct@a.service")]);
        assert!(plan.places[0].not_after.is_empty(), "what it requires still comes first");
    }

    #[test]
    fn cycles_through_units_of_others_are_seen() {
        let plan = plan_of(&["a: before x.service", "b: after x.service before a"]);
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        assert!(said(&plan)[0].contains("x.service -> a -> b -> x.service"), "{:?}", plan.warnings);
    }

    #[test]
    fn what_systemd_orders_anyway_is_known() {
        let plan = plan_of(&["a: after multi-user.target", "b: before network.target after network.target"]);
        assert_eq!(plan.places[0].not_after, [unit("multi-user.target")]);
        assert_eq!(plan.places[1].not_before, [unit("network.target")]);
        assert!(plan.places[1].not_after.is_empty());
        let want = "a.toml:1:1: depends.after: a -> multi-user.target -> a is a cycle, ignoring the order of this entry";
        assert_eq!(said(&plan)[0], want);
        let plan = plan_of(&["a: requires b", "b: wants ct.target"]);
        assert_eq!(plan.places[1].not_after, [unit("ct.target")]);
    }

    #[test]
    fn a_container_that_needs_itself() {
        let plan = plan_of(&["a: after a"]);
        assert_eq!(plan.places[0].not_after, [unit("ct@a.service")]);
        assert!(plan_of(&["a: requires a"]).places[0].fails.is_some());
    }

    #[test]
    fn a_cycle_of_requires_fails_and_takes_no_others_along() {
        let plan = plan_of(&["a: requires b", "b: requires a after c", "c: after a requires d", "d:"]);
        let fails: Vec<bool> = plan.places.iter().map(|place| place.fails.is_some()).collect();
        assert_eq!(fails, [true, true, false, false]);
        let want = "b.toml:1:1: depends.requires: a -> b -> a is a cycle of requires, none of them can start";
        assert_eq!(plan.places[1].fails.as_ref().map(ToString::to_string).as_deref(), Some(want));
        assert!(plan.warnings.is_empty(), "without them there is no other cycle: {:?}", plan.warnings);
        assert_eq!(plan.places[2], Place::default());
    }

    #[test]
    fn unknown_names_are_told_with_the_nearest() {
        let plan = plan_of(&["cache:", "web: after cahce nobody.service before zzzzzz"]);
        let want = [
            "web.toml:1:1: depends.after: there is no container `cahce` (did you mean `cache`?)",
            "web.toml:4:1: depends.before: there is no container `zzzzzz`",
        ];
        assert_eq!(said(&plan), want);
    }

    #[test]
    fn a_long_cycle_is_told_in_short() {
        let ring: Vec<String> = (0..1000).map(|n| format!("c{n:03}: after c{:03}", (n + 1) % 1000)).collect();
        let plan = plan_of(&ring.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(plan.warnings.len(), 1);
        assert!(said(&plan)[0].len() < 600, "{}", plan.warnings[0]);
        assert!(said(&plan)[0].contains(" -> ... 985 more ... -> "), "{}", plan.warnings[0]);
    }
}
