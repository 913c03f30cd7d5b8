//! One shard of a replay: the state that a group would replicate, and the leader that spends from it.
//!
//! A bucket actor of a node drives the same two types, and in the same order: requests are decided, what is due is
//! proposed, one command at a time, and only who needs a grant waits for its commit. Here the caller says when a command
//! commits, and no time passes until then.

use tollgate_limiter::{
    Ask, ClockReading, Command, Decision, Leader, LeaderOptions, Limits, Matched, PermitId, Receipt, Shape, ShardTime,
    Stamp, State, Unreplicated,
};

/// What every logged request costs.
const COST: u64 = 1;

/// Slots that every decision lets the leader look at, to forget buckets that are whole: as many as on a node.
const SWEEP_SLOTS_A_REQUEST: usize = 2;

/// The estimate of the time of a commit moves to what was measured over about so many commits, as on a node.
const COMMITS_TO_LEARN: i64 = 8;

/// One shard: what its replicas agree on, and its leader.
pub(super) struct Shard {
    state: State,
    leader: Leader,
    /// What is proposed and has not committed.
    in_flight: Option<Command>,
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

    fn ask(&self) -> Ask {
        let Matched { id, limit, key } = &self.matched;
        Ask { limit: *id, key: *key, cost: COST, consistency: limit.consistency, ahead: 0, permit: self.permit }
    }
}

impl Shard {
    /// A shard that begins at `now` and counts by `limits`.
    pub(super) fn start(now: ShardTime, limits: &Limits, options: LeaderOptions) -> Self {
        let commit_ns = options.commit_ns;
        let mut state = State::default();
        state.apply(&Command::TakeOver { stamp: stamp(now) });
        let leader = Leader::new(state.leadership(), options);
        let mut shard = Self { state, leader, in_flight: None, commit_ns };
        shard.note_commit();
        let shapes = limits.iter().map(|(id, limit)| Shape { id, algorithm: limit.algorithm }).collect();
        let reshape = shard.leader.reshape(stamp(now), limits.version(), shapes);
        shard.commit(&reshape);
        shard
    }

    /// Decides what a request asks of this shard, all of it at one instant. What needs a grant stays undecided until
    /// [`Shard::complete`].
    pub(super) fn decide(&mut self, now: ShardTime, asks: &mut [&mut Asked]) {
        self.decide_open(now, asks, None);
        self.leader.forget(&self.state, now, SWEEP_SLOTS_A_REQUEST * asks.len());
        self.propose(now);
    }

    /// Decides without a grant what has still not got one, as a node does when its deadline has passed.
    pub(super) fn decide_alone(&mut self, now: ShardTime, asks: &mut [&mut Asked]) {
        self.decide_open(now, asks, Some(Unreplicated { nodes: 1 }));
    }

    /// Gives back what was taken for a request that another limit denied.
    pub(super) fn give_back(&mut self, now: ShardTime, receipts: &[Receipt]) {
        for receipt in receipts {
            self.leader.give_back(&self.state, now, receipt, receipt.units);
        }
        self.leader.forget(&self.state, now, SWEEP_SLOTS_A_REQUEST * receipts.len());
        self.propose(now);
    }

    /// Commits what is proposed, if anything is, and decides what waited for it. `false` when nothing was proposed.
    pub(super) fn complete(&mut self, now: ShardTime, asks: &mut [&mut Asked]) -> bool {
        let Some(command) = self.in_flight.take() else { return false };
        self.commit(&command);
        self.leader.granted(&self.state);
        self.leader.set_commit_ns(self.commit_ns);
        self.decide_open(now, asks, None);
        self.propose(now);
        true
    }

    fn decide_open(&mut self, now: ShardTime, asks: &mut [&mut Asked], alone: Option<Unreplicated>) {
        for asked in asks.iter_mut().filter(|asked| asked.decision.is_none()) {
            match self.leader.decide(&self.state, now, &asked.ask(), alone) {
                Decision::Wait(permit) => asked.permit = permit,
                decision => asked.decision = Some(decision),
            }
        }
    }

    /// Proposes what is due, unless something is in flight.
    fn propose(&mut self, now: ShardTime) {
        self.leader.report(&self.state);
        if self.in_flight.is_none() {
            self.in_flight = self.leader.proposal(&self.state, stamp(now));
        }
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
