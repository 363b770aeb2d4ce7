// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directed graphs over numbered nodes: which nodes lie on a cycle, and which edges to leave out so that none remains.
//!
//! An edge `from → to` says "`from` starts after `to`". Nothing recurses: a chain of 10,000 containers is an ordinary input.
#![expect(
    clippy::indexing_slicing,
    reason = "every index is a node or edge number below the length it was made from"
)]

use std::cmp::Reverse;
use std::collections::VecDeque;

/// How much it matters that an edge is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Pure order: `after` and `before`.
    Order,
    /// The order that comes with `wants`.
    Wants,
    /// The order that comes with `requires`; given up for a fixed one only.
    Requires,
    /// What is so whatever the configs say; never given up.
    Fixed,
}

/// `from` starts after `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The later node.
    pub from: usize,
    /// The earlier node.
    pub to: usize,
    /// The strongest reason for it.
    pub strength: Strength,
}

/// An edge that is left out, and the cycle that it would close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Index into the edges given.
    pub edge: usize,
    /// The cycle: begins with the edge's `from` and `to`, ends with `from` again.
    pub cycle: Vec<usize>,
}

/// Successors of every node, in one allocation.
#[derive(Debug)]
pub struct Adjacency {
    first: Vec<usize>,
    target: Vec<usize>,
}

impl Adjacency {
    /// The graph with `nodes` nodes and these edges; successors keep the order of `edges`.
    pub fn new(nodes: usize, edges: impl Iterator<Item = (usize, usize)> + Clone) -> Self {
        let mut first = vec![0; nodes + 1];
        for (from, _) in edges.clone() {
            first[from + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut free = first.clone();
        let mut target = vec![0; first[nodes]];
        for (from, to) in edges {
            target[free[from]] = to;
            free[from] += 1;
        }
        Self { first, target }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.first.len() - 1
    }

    /// The nodes that `node` has an edge to.
    pub fn successors(&self, node: usize) -> &[usize] {
        &self.target[self.first[node]..self.first[node + 1]]
    }
}

/// The strongly connected component of every node, by number (Tarjan 1972, with its own stack).
pub fn components(graph: &Adjacency) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let nodes = graph.nodes();
    let (mut index, mut low, mut component) = (vec![NONE; nodes], vec![NONE; nodes], vec![NONE; nodes]);
    let (mut seen, mut found) = (0, 0);
    let mut open = Vec::new();
    let mut calls: Vec<(usize, usize)> = Vec::new();
    for root in 0..nodes {
        if index[root] != NONE {
            continue;
        }
        calls.push((root, 0));
        while let Some((node, next)) = calls.pop() {
            if next == 0 {
                (index[node], low[node]) = (seen, seen);
                seen += 1;
                open.push(node);
            }
            if let Some(&to) = graph.successors(node).get(next) {
                calls.push((node, next + 1));
                if index[to] == NONE {
                    calls.push((to, 0));
                } else if component[to] == NONE {
                    low[node] = low[node].min(index[to]);
                }
                continue;
            }
            if low[node] == index[node] {
                while let Some(member) = open.pop() {
                    component[member] = found;
                    if member == node {
                        break;
                    }
                }
                found += 1;
            }
            if let Some(&(caller, _)) = calls.last() {
                low[caller] = low[caller].min(low[node]);
            }
        }
    }
    component
}

/// A shortest way from `from` to `to` over at least one edge, both ends included, through nodes that `allowed` accepts.
pub fn shortest_path(
    graph: &Adjacency,
    from: usize,
    to: usize,
    allowed: impl Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let mut came_from = vec![None; graph.nodes()];
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        for &next in graph.successors(node) {
            if next == to {
                let mut path = vec![to, node];
                let mut node = node;
                while node != from {
                    node = came_from[node]?;
                    path.push(node);
                }
                path.reverse();
                return Some(path);
            }
            if next != from && came_from[next].is_none() && allowed(next) {
                came_from[next] = Some(node);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The edges to leave out so that the rest is acyclic: greedily the strongest edges stay, so each cut is a weakest edge
/// of the cycle reported with it, and none could be put back. Among equals the first `(from, to)` stay.
///
/// `edges` holds each `(from, to)` once. What lies on no cycle costs linear time.
pub fn cuts(nodes: usize, edges: &[Edge]) -> Vec<Cut> {
    let component = components(&Adjacency::new(nodes, edges.iter().map(|edge| (edge.from, edge.to))));
    let on_cycle = |edge: &Edge| component[edge.from] == component[edge.to];
    let mut inside: Vec<usize> = (0..edges.len()).filter(|&number| on_cycle(&edges[number])).collect();
    if inside.is_empty() {
        return Vec::new();
    }
    inside.sort_by_key(|&number| (Reverse(edges[number].strength), edges[number].from, edges[number].to));
    let mut kept = Growing::new(nodes);
    let mut cuts = Vec::new();
    for number in inside {
        let Edge { from, to, .. } = edges[number];
        if from == to {
            cuts.push(Cut { edge: number, cycle: vec![from, from] });
        } else if kept.reaches(to, from) {
            let mut cycle = vec![from];
            cycle.extend(kept.path(to, from));
            cuts.push(Cut { edge: number, cycle });
        } else {
            kept.add(from, to);
        }
    }
    cuts
}

/// A graph that grows edge by edge and stays acyclic.
struct Growing {
    out: Vec<Vec<usize>>,
    into: Vec<Vec<usize>>,
    /// The search that last came by: even numbers from the front, odd ones from the back.
    mark: Vec<usize>,
    search: usize,
}

impl Growing {
    fn new(nodes: usize) -> Self {
        Self { out: vec![Vec::new(); nodes], into: vec![Vec::new(); nodes], mark: vec![0; nodes], search: 0 }
    }

    fn add(&mut self, from: usize, to: usize) {
        self.out[from].push(to);
        self.into[to].push(from);
    }

    /// Whether a path leads from `from` to `to`. Both ends search in turn and the one that runs dry first decides, so
    /// that growing a long chain from either end stays linear.
    fn reaches(&mut self, from: usize, to: usize) -> bool {
        self.search += 2;
        let (front, back) = (self.search, self.search + 1);
        (self.mark[from], self.mark[to]) = (front, back);
        let (mut forward, mut backward) = (vec![from], vec![to]);
        loop {
            let Some(node) = forward.pop() else { return false };
            for &next in &self.out[node] {
                match self.mark[next] {
                    mark if mark == back => return true,
                    mark if mark == front => {}
                    _ => {
                        self.mark[next] = front;
                        forward.push(next);
                    }
                }
            }
            let Some(node) = backward.pop() else { return false };
            for &next in &self.into[node] {
                match self.mark[next] {
                    mark if mark == front => return true,
                    mark if mark == back => {}
                    _ => {
                        self.mark[next] = back;
                        backward.push(next);
                    }
                }
            }
        }
    }

    /// A shortest path that [`Self::reaches`] has found to exist.
    fn path(&self, from: usize, to: usize) -> Vec<usize> {
        let edges =
            self.out.iter().enumerate().flat_map(|(from, list)| list.iter().map(move |&to| (from, to)));
        let graph = Adjacency::new(self.out.len(), edges);
        shortest_path(&graph, from, to, |_| true).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are the same in every run (Marsaglia's xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    /// All pairs by Floyd and Warshall: slow, and too simple to be wrong.
    fn reachable(nodes: usize, edges: &[Edge]) -> Vec<Vec<bool>> {
        let mut reach = vec![vec![false; nodes]; nodes];
        for edge in edges {
            reach[edge.from][edge.to] = true;
        }
        for middle in 0..nodes {
            for from in 0..nodes {
                for to in 0..nodes {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        reach
    }

    fn random_edges(random: &mut Random, nodes: usize) -> Vec<Edge> {
        let count = random.below(2 * nodes + 1);
        let mut edges: Vec<Edge> = (0..count)
            .map(|_| {
                let (mut from, mut to) = (random.below(nodes), random.below(nodes));
                let strength = [Strength::Order, Strength::Wants, Strength::Requires][random.below(3)];
                // The planner fails cycles of `requires` before it asks: here they are acyclic by construction.
                if strength == Strength::Requires && from <= to {
                    (from, to) = (to.max(from) + 1, to.min(from));
                    from %= nodes;
                    if from <= to {
                        return Edge { from, to, strength: Strength::Order };
                    }
                }
                Edge { from, to, strength }
            })
            .collect();
        edges.sort_by_key(|edge| (edge.from, edge.to, Reverse(edge.strength)));
        edges.dedup_by_key(|edge| (edge.from, edge.to));
        edges
    }

    #[test]
    fn components_are_mutual_reachability() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2000 {
            let nodes = 1 + random.below(9);
            let edges = random_edges(&mut random, nodes);
            let reach = reachable(nodes, &edges);
            let component = components(&Adjacency::new(nodes, edges.iter().map(|e| (e.from, e.to))));
            for from in 0..nodes {
                for to in 0..nodes {
                    let same = from == to || (reach[from][to] && reach[to][from]);
                    assert_eq!(component[from] == component[to], same, "{from} and {to} in {edges:?}");
                }
            }
        }
    }

    #[test]
    fn cuts_leave_no_cycle_and_take_no_edge_in_vain() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for _ in 0..5000 {
            let nodes = 1 + random.below(9);
            let edges = random_edges(&mut random, nodes);
            let cuts = cuts(nodes, &edges);
            let cut: Vec<usize> = cuts.iter().map(|cut| cut.edge).collect();
            let kept: Vec<Edge> = edges
                .iter()
                .enumerate()
                .filter(|(number, _)| !cut.contains(number))
                .map(|(_, edge)| *edge)
                .collect();
            let reach = reachable(nodes, &kept);
            assert!(
                (0..nodes).all(|node| !reach[node][node]),
                "a cycle is left in {edges:?} without {cut:?}"
            );
            for Cut { edge, cycle } in &cuts {
                let Edge { from, to, strength } = edges[*edge];
                assert!(from == to || reach[to][from], "{from} -> {to} could have stayed in {edges:?}");
                assert_ne!(strength, Strength::Requires, "requires was cut in {edges:?}");
                assert_eq!((cycle[0], cycle[1], *cycle.last().unwrap()), (from, to, from));
                for step in cycle.windows(2).skip(1) {
                    let with = kept.iter().find(|edge| (edge.from, edge.to) == (step[0], step[1]));
                    assert!(
                        with.is_some_and(|edge| edge.strength >= strength),
                        "not the weakest of {cycle:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn chains_and_rings_of_a_hundred_thousand_are_quick() {
        let nodes = 100_000;
        for turn in [1, nodes - 1] {
            let ring: Vec<Edge> = (0..nodes)
                .map(|from| Edge { from, to: (from + turn) % nodes, strength: Strength::Order })
                .collect();
            let start = std::time::Instant::now();
            assert_eq!(cuts(nodes, &ring).len(), 1, "one edge opens a ring");
            assert!(cuts(nodes, &ring[1..]).is_empty(), "a chain has no cycle");
            assert!(start.elapsed().as_secs() < 4, "took {:?}", start.elapsed());
        }
    }
}
