//! One shard of a replay: the state that a group would replicate, and the leader that spends from it.
//!
//! A bucket actor of a node drives the same two types. Here its group commits at once and without taking any time, so all
//! that an actor does between two requests is done when [`Shard::decide`] returns.

use tollgate_limiter::{
    Ask, ClockReading, Command, Decision, Leader, LeaderOptions, Limits, Matched, PermitId, Receipt, Shape, ShardTime,
    Stamp, State, Unreplicated,
};

/// Slots that every decision lets the leader look at, to forget buckets that are whole: as many as on a node.
const SWEEP_SLOTS_A_REQUEST: usize = 2;

/// The most commits that a request waits for. One is enough for every algorithm; a node waits for no more than its
/// deadline allows either.
const MOST_COMMITS: usize = 8;

/// The estimate of the time of a commit moves to what was measured over about so many commits, as on a node.
const COMMITS_TO_LEARN: i64 = 8;

/// One shard: what its replicas agree on, and its leader.
pub(super) struct Shard {
    state: State,
    leader: Leader,
    /// How long a commit is thought to take. It sizes the grants, and begins as on a node.
    commit_ns: i64,
}

/// What a request asks of one limit, and what became of it.
pub(super) struct Asked {
    pub(super) matched: Matched,
    /// The permit that is asked for on its behalf.
    permit: Option<PermitId>,
    /// `None` until it is decided.
    pub(super) decision: Option<Decision>,
}

impl Asked {
    pub(super) fn new(matched: Matched) -> Self {
        Self { matched, permit: None, decision: None }
    }

    fn ask(&self, cost: u64) -> Ask {
        let Matched { id, limit, key } = &self.matched;
        Ask { limit: *id, key: *key, cost, consistency: limit.consistency, ahead: 0, permit: self.permit }
    }
}

impl Shard {
    /// A shard that begins at `now` and counts by `limits`.
    pub(super) fn start(now: ShardTime, limits: &Limits, options: LeaderOptions) -> Self {
        let commit_ns = options.commit_ns;
        let mut state = State::default();
        state.apply(&Command::TakeOver { stamp: stamp(now) });
        let leader = Leader::new(state.leadership(), options);
        let mut shard = Self { state, leader, commit_ns };
        shard.note_commit();
        let shapes = limits.iter().map(|(id, limit)| Shape { id, algorithm: limit.algorithm }).collect();
        let reshape = shard.leader.reshape(stamp(now), limits.version(), shapes);
        shard.commit(&reshape);
        shard
    }

    /// Decides what a request of `cost` asks of this shard, all of it at one instant.
    pub(super) fn decide(&mut self, now: ShardTime, cost: u64, asks: &mut [&mut Asked]) {
        self.decide_open(now, cost, asks, None);
        self.leader.forget(&self.state, now, SWEEP_SLOTS_A_REQUEST * asks.len());
        for _ in 0..MOST_COMMITS {
            if !self.commit_due(now) {
                break;
            }
            self.decide_open(now, cost, asks, None);
        }
        // What has still not got its grant is decided without one, as on a node whose deadline has passed.
        self.decide_open(now, cost, asks, Some(Unreplicated { nodes: 1 }));
    }

    /// Gives back what was taken for a request that another limit denied.
    pub(super) fn give_back(&mut self, now: ShardTime, receipts: &[Receipt]) {
        for receipt in receipts {
            self.leader.give_back(&self.state, now, receipt, receipt.units);
        }
        self.leader.forget(&self.state, now, SWEEP_SLOTS_A_REQUEST * receipts.len());
        for _ in 0..MOST_COMMITS {
            if !self.commit_due(now) {
                break;
            }
        }
    }

    fn decide_open(&mut self, now: ShardTime, cost: u64, asks: &mut [&mut Asked], alone: Option<Unreplicated>) {
        for asked in asks.iter_mut().filter(|asked| asked.decision.is_none()) {
            match self.leader.decide(&self.state, now, &asked.ask(cost), alone) {
                Decision::Wait(permit) => asked.permit = permit,
                decision => asked.decision = Some(decision),
            }
        }
    }

    /// Commits what is due; `false` when nothing is.
    fn commit_due(&mut self, now: ShardTime) -> bool {
        self.leader.report(&self.state);
        let Some(command) = self.leader.proposal(&self.state, stamp(now)) else { return false };
        self.commit(&command);
        self.leader.granted(&self.state);
        self.leader.set_commit_ns(self.commit_ns);
        true
    }

    fn commit(&mut self, command: &Command) {
        self.state.apply(command);
        let leads = self.leader.follow(&self.state);
        assert!(leads, "nobody else takes over a replayed shard");
        self.note_commit();
    }

    /// A commit took no time.
    fn note_commit(&mut self) {
        self.commit_ns -= self.commit_ns / COMMITS_TO_LEARN;
    }
}

/// A stamp by clocks that all show the log's time.
fn stamp(at: ShardTime) -> Stamp {
    Stamp { at, reading: ClockReading { mono_ns: at.nanos(), wall_ns: at.nanos(), boot: 0 } }
}
