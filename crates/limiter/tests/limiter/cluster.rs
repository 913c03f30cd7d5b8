//! Several nodes on one log, each of which has seen its own part of it, and leaders that do not know of each other.

use std::collections::BTreeMap;

use tollgate_limiter::{
    Algorithm, Applied, Ask, Budget, ClockReading, Command, Consistency, Decision, Key, Leader, LeaderOptions, LimitId,
    Receipt, Settlement, SettlementId, Shape, ShardTime, SpentAt, Stamp, Standing, State,
};

use crate::history::Admission;
use crate::shard::{decoded, encoded};

/// Commits that a leader expects to take this long, in nanoseconds.
pub(crate) const COMMIT_NS: i64 = 1_000_000;

/// How long permits live in these tests, in nanoseconds.
pub(crate) const PERMIT_TTL_NS: i64 = 3_000_000_000;

/// How far ahead the horizon is renewed, in nanoseconds.
pub(crate) const HORIZON_LEAD_NS: i64 = 2_000_000_000;

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) log: Vec<Command>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) admitted: Vec<Taken>,
    pub(crate) now: ShardTime,
    /// A planted bug: a new leader does not commit a takeover first.
    pub(crate) skips_takeovers: bool,
    /// A planted bug: what comes back is given back twice.
    pub(crate) refunds_twice: bool,
    /// A planted bug: a leader that was handed over goes on.
    pub(crate) spends_after_handover: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) state: State,
    applied: usize,
    pub(crate) leader: Option<Leader>,
    /// The command that the leader has proposed and, once it is in the log, its place there.
    in_flight: Option<(Command, Option<usize>)>,
    /// Requests that wait, each with when it was last decided.
    waiting: Vec<(Ask, ShardTime)>,
    /// How far this node's shard clock is ahead of the test's, in nanoseconds.
    ahead_ns: i64,
    latest: ShardTime,
}

/// An admission, and the proof of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) admission: Admission,
    pub(crate) receipt: Receipt,
    /// Version of the limits by which it was decided.
    pub(crate) version: u64,
    returned: bool,
}

pub(crate) fn options() -> LeaderOptions {
    LeaderOptions { horizon_lead_ns: HORIZON_LEAD_NS, commit_ns: COMMIT_NS, budget: Budget::new(u64::MAX) }
}

pub(crate) fn key(bucket: u8) -> Key {
    Key::from_bits(u128::from(bucket) + 1)
}

fn asked_for(limit: LimitId, bucket: u8, cost: u64) -> Ask {
    Ask { limit, key: key(bucket), cost, consistency: Consistency::Exact, ahead: 0, permit: None }
}

impl Cluster {
    /// As many nodes as `ahead_ns` has figures; the first one leads. The clock begins at `start_ns`.
    pub(crate) fn new(ahead_ns: &[i64], limits: &[(LimitId, Algorithm)], start_ns: i64) -> Self {
        let node = |ahead_ns: &i64| Node {
            state: State::default(),
            applied: 0,
            leader: None,
            in_flight: None,
            waiting: Vec::new(),
            ahead_ns: *ahead_ns,
            latest: ShardTime::MIN,
        };
        let mut cluster = Self {
            log: Vec::new(),
            nodes: ahead_ns.iter().map(node).collect(),
            admitted: Vec::new(),
            now: ShardTime::from_nanos(start_ns),
            skips_takeovers: false,
            refunds_twice: false,
            spends_after_handover: false,
        };
        cluster.take_over(0);
        cluster.reshape(0, limits);
        cluster.commit(0);
        cluster.catch_up(0, usize::MAX);
        cluster
    }

    /// The node's shard clock: never behind what the node has applied, and never backwards.
    fn clock(&mut self, node: usize) -> ShardTime {
        let node = &mut self.nodes[node];
        let stamp = node.state.stamp().map_or(ShardTime::MIN, |stamp| stamp.at);
        node.latest = node.latest.max(stamp).max(self.now.plus(node.ahead_ns));
        node.latest
    }

    fn stamp(&mut self, node: usize) -> Stamp {
        Stamp { at: self.clock(node), reading: ClockReading::default() }
    }

    pub(crate) fn acquire(&mut self, node: usize, limit: LimitId, bucket: u8, cost: u64) {
        let asked = self.clock(node);
        self.decide(node, asked_for(limit, bucket, cost), asked);
    }

    fn decide(&mut self, index: usize, ask: Ask, asked: ShardTime) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        let Some(leader) = &mut node.leader else { return };
        match leader.decide(&node.state, now, &ask, None) {
            Decision::Admitted(_, receipt) => {
                let version = node.state.limits_version();
                let until = asked.plus(PERMIT_TTL_NS);
                let admission = Admission { limit: ask.limit, key: ask.key, at: now, units: receipt.units, until };
                self.admitted.push(Taken { admission, receipt, version, returned: false });
            }
            Decision::Wait(permit) => {
                // A permit lives from when it was asked for.
                let asked = if permit != ask.permit { now } else { asked };
                node.waiting.push((Ask { permit: permit.or(ask.permit), ..ask }, asked));
            }
            Decision::Denied(_) | Decision::Refused(_) => {}
        }
    }

    /// Gives back `units` of the admission that is the `which`th from the latest; a permit stops being used.
    pub(crate) fn refund(&mut self, index: usize, which: usize, units: u64) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        let Some(leader) = &mut node.leader else { return };
        let Some(taken) = self.admitted.iter_mut().rev().nth(which).filter(|taken| !taken.returned) else { return };
        let units = units.min(taken.receipt.units);
        (0..if self.refunds_twice { 2 } else { 1 }).for_each(|_| {
            leader.give_back(&node.state, now, &taken.receipt, units);
        });
        taken.return_unused(units, now);
    }

    /// Settles an admission as a reservation, at less or more than was reserved. What is above it is not admitted.
    pub(crate) fn settle(&mut self, index: usize, which: usize, actual: u64) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        let Some(leader) = &mut node.leader else { return };
        let Some(which) = self.admitted.len().checked_sub(which + 1) else { return };
        let Some(taken) = self.admitted.get_mut(which).filter(|taken| !taken.returned) else { return };
        let id = SettlementId::new(which as u128, taken.receipt.key);
        let expires = now.plus(1_000_000_000);
        let settlement = Settlement { id, receipt: taken.receipt, actual, expires };
        if leader.settle(&node.state, now, &settlement).is_ok() {
            taken.return_unused(taken.receipt.units.saturating_sub(actual), now);
        }
    }

    /// The leader proposes what is due, unless a command of its is in flight.
    pub(crate) fn propose(&mut self, index: usize) {
        let stamp = self.stamp(index);
        let node = &mut self.nodes[index];
        let Some(leader) = node.leader.as_mut().filter(|_| node.in_flight.is_none()) else { return };
        match leader.proposal(&node.state, stamp) {
            Some(command) => node.in_flight = Some((decoded(&encoded(&command)), None)),
            None => self.decide_waiting(index),
        }
    }

    /// The limits change, unless a command is in flight.
    pub(crate) fn reshape(&mut self, index: usize, limits: &[(LimitId, Algorithm)]) {
        let stamp = self.stamp(index);
        let node = &mut self.nodes[index];
        let Some(leader) = node.leader.as_mut().filter(|_| node.in_flight.is_none()) else { return };
        let shapes = limits.iter().map(|(id, algorithm)| Shape { id: *id, algorithm: *algorithm }).collect();
        let command = leader.reshape(stamp, node.state.limits_version() + 1, shapes);
        node.in_flight = Some((command, None));
    }

    /// What the node has proposed enters the log, whether or not it still leads.
    pub(crate) fn commit(&mut self, index: usize) {
        if let Some((command, place @ None)) = &mut self.nodes[index].in_flight {
            *place = Some(self.log.len());
            self.log.push(command.clone());
        }
    }

    /// The node applies the next `most` commands of the log.
    pub(crate) fn catch_up(&mut self, index: usize, most: usize) {
        for _ in 0..most {
            let node = &mut self.nodes[index];
            let Some(command) = self.log.get(node.applied) else { return };
            node.state.apply(command);
            let place = node.applied;
            node.applied += 1;
            let leads = node.leader.as_mut().is_some_and(|leader| leader.follow(&node.state));
            if !leads {
                self.crash(index);
            } else if matches!(node.in_flight, Some((_, Some(mine))) if mine == place) {
                node.in_flight = None;
                node.leader.as_mut().expect("it leads").granted(&node.state);
                self.decide_waiting(index);
            }
        }
    }

    fn decide_waiting(&mut self, index: usize) {
        let waiting = std::mem::take(&mut self.nodes[index].waiting);
        waiting.into_iter().for_each(|(ask, asked)| self.decide(index, ask, asked));
    }

    /// The node loses its memory; what it has proposed may still commit.
    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let Some((command, None)) = node.in_flight.take() {
            self.log.push(command);
        }
        node.leader = None;
        node.waiting.clear();
    }

    /// A proposal gets lost, and the leader with it; another one may think that it leads still.
    pub(crate) fn lose(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if matches!(node.in_flight, Some((_, None))) {
            node.in_flight = None;
            self.crash(index);
        }
    }

    /// The node becomes the leader, as one does that has the whole log.
    pub(crate) fn take_over(&mut self, index: usize) {
        self.crash(index);
        self.catch_up(index, usize::MAX);
        let stamp = self.stamp(index);
        let node = &mut self.nodes[index];
        if self.skips_takeovers && node.state.leadership() > 0 {
            node.leader = Some(Leader::new(node.state.leadership(), options()));
        } else {
            let command = Command::TakeOver { stamp };
            let Applied::TookOver(leadership) = node.state.apply(&command) else {
                unreachable!("a takeover never fails")
            };
            self.log.push(command);
            node.applied = self.log.len();
            node.leader = Some(Leader::new(leadership, options()));
        }
        node.leader.as_mut().expect("it was made above").follow(&node.state);
    }

    /// The leader hands over, if it has seen the whole log and has nothing in flight; at most `most` commands make it.
    pub(crate) fn hand_over(&mut self, index: usize, most: usize) {
        let stamp = self.stamp(index);
        let node = &mut self.nodes[index];
        if node.in_flight.is_some() || node.applied < self.log.len() {
            return;
        }
        let Some(leader) = node.leader.take() else { return };
        let leadership = node.state.leadership();
        self.log.extend(leader.hand_over(&node.state, stamp, 2).into_iter().take(most));
        if self.spends_after_handover {
            let mut leader = Leader::new(leadership, options());
            leader.follow(&node.state);
            node.leader = Some(leader);
        } else {
            self.catch_up(index, usize::MAX);
        }
    }

    pub(crate) fn forget(&mut self, index: usize) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        if let Some(leader) = &mut node.leader {
            leader.forget(&node.state, now, 4);
        }
    }

    /// Proposes, commits and applies until nobody waits at the node; panics when that does not end.
    pub(crate) fn settle_down(&mut self, index: usize) {
        for _ in 0..20 {
            self.propose(index);
            self.commit(index);
            self.catch_up(index, usize::MAX);
            let node = &self.nodes[index];
            if node.waiting.is_empty() && node.in_flight.is_none() {
                return;
            }
        }
        panic!("requests wait for ever: {:?}", self.nodes[index].waiting);
    }

    /// Whether the node leads, as far as the log tells.
    pub(crate) fn leads(&self, index: usize) -> bool {
        let mut state = State::default();
        for command in &self.log {
            state.apply(command);
        }
        let node = &self.nodes[index];
        node.leader.is_some() && node.state.leadership() == state.leadership()
    }

    /// The limits of every version that ever held, each with the instant from which on it did.
    pub(crate) fn versions(&self) -> BTreeMap<u64, (ShardTime, Vec<(LimitId, Algorithm)>)> {
        let mut state = State::default();
        let mut versions = BTreeMap::new();
        for command in &self.log {
            let applied = state.apply(command);
            if let (Applied::Reshaped(version), Command::Reshape { shapes, .. }) = (applied, command) {
                let limits = shapes.iter().map(|shape| (shape.id, shape.algorithm)).collect();
                let at = state.stamp().expect("a command was applied").at;
                versions.insert(version, (at, limits));
            }
        }
        versions
    }

    /// How the bucket stands by the node's leader.
    pub(crate) fn peek(&mut self, index: usize, limit: LimitId, bucket: u8) -> Standing {
        let now = self.clock(index);
        let ask = asked_for(limit, bucket, 0);
        let node = &mut self.nodes[index];
        match node.leader.as_mut().expect("the node leads").decide(&node.state, now, &ask, None) {
            Decision::Admitted(standing, _) | Decision::Denied(standing) => standing,
            decision @ (Decision::Wait(_) | Decision::Refused(_)) => panic!("a peek is answered: {decision:?}"),
        }
    }

    /// All that was admitted.
    pub(crate) fn admissions(&self) -> Vec<Admission> {
        self.admitted.iter().map(Taken::used).collect()
    }
}

impl Taken {
    fn return_unused(&mut self, units: u64, now: ShardTime) {
        self.returned = true;
        match self.receipt.spent {
            SpentAt::Permit(_) => self.admission.until = self.admission.until.min(now),
            SpentAt::Interval { .. } | SpentAt::Slice { .. } | SpentAt::Nothing => self.admission.units -= units,
        }
    }

    /// What of it was used.
    pub(crate) fn used(&self) -> Admission {
        self.admission
    }
}
