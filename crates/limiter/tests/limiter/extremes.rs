//! Arithmetic at the limits of its integers: debug builds panic where it overflows.

use tollgate_limiter::{
    Algorithm, Ask, Budget, Calendar, ClockReading, Command, Consistency, Decision, Leader, LeaderOptions, LimitId,
    Pace, Quota, Settlement, SettlementId, Shape, ShardTime, Stamp, State, Unreplicated,
};

use crate::cluster::key;

const CENTURY_NS: i64 = 100 * 366 * 86_400_000_000_000;

fn algorithms() -> Vec<Algorithm> {
    let pace = |rate, per_ns, burst| Pace::new(rate, per_ns, burst).expect("a legal pace");
    let quota = |units, window_ns| Quota::new(units, window_ns).expect("a legal quota");
    vec![
        Algorithm::TokenBucket(pace(1, CENTURY_NS, 1)),
        Algorithm::TokenBucket(pace(1_000_000_000, 1_000_000_000, CENTURY_NS as u64)),
        Algorithm::LeakyBucket(pace(1, 1, 1)),
        Algorithm::LeakyBucket(pace(1, 1, CENTURY_NS as u64)),
        Algorithm::SlidingWindow(quota(u64::MAX, CENTURY_NS)),
        Algorithm::SlidingWindow(quota(u64::MAX, 1)),
        Algorithm::FixedWindow(quota(u64::MAX, CENTURY_NS), None),
        Algorithm::FixedWindow(quota(1, 1), None),
        Algorithm::FixedWindow(quota(u64::MAX, 1), Some(Calendar::Month)),
        Algorithm::Concurrency { permits: u64::MAX, ttl_ns: i64::MAX },
        Algorithm::Concurrency { permits: 1, ttl_ns: 1 },
    ]
}

fn instants() -> [ShardTime; 7] {
    let end = ShardTime::MAX.nanos();
    [i64::MIN, i64::MIN + 1, -1, 0, 1_700_000_000_000_000_000, end - 1, end].map(ShardTime::from_nanos)
}

fn asks() -> Vec<Ask> {
    let mut asks = Vec::new();
    for cost in [0, 1, CENTURY_NS as u64, u64::MAX] {
        for ahead in [0, u64::MAX] {
            for consistency in [Consistency::Exact, Consistency::Eventual] {
                asks.push(Ask { limit: LimitId(0), key: key(0), cost, consistency, ahead, permit: None });
            }
        }
    }
    asks
}

/// A leader whose options are as extreme as its limit.
struct Edge {
    state: State,
    leader: Leader,
    leadership: u64,
    commit_ns: i64,
}

impl Edge {
    fn new(algorithm: Algorithm, now: ShardTime, commit_ns: i64) -> Self {
        let mut edge = Self { state: State::default(), leader: leader(0, commit_ns), leadership: 0, commit_ns };
        edge.take_over(now);
        edge.reshape(algorithm, now);
        edge
    }

    fn take_over(&mut self, now: ShardTime) {
        self.state.apply(&Command::TakeOver { stamp: stamp(now) });
        self.leadership = self.state.leadership();
        self.leader = leader(self.leadership, self.commit_ns);
        self.leader.follow(&self.state);
    }

    fn reshape(&mut self, algorithm: Algorithm, now: ShardTime) {
        let shape = Shape { id: LimitId(0), algorithm };
        let command = self.leader.reshape(stamp(now), self.state.limits_version() + 1, vec![shape]);
        self.state.apply(&command);
        self.leader.follow(&self.state);
    }

    fn commit(&mut self, now: ShardTime) {
        if let Some(command) = self.leader.proposal(&self.state, stamp(now)) {
            self.state.apply(&command);
            self.leader.follow(&self.state);
            self.leader.granted(&self.state);
        }
    }

    /// Asks, and asks again when what was due has committed; whatever is admitted is settled at `actual`.
    fn ask(&mut self, ask: &Ask, unreplicated: Option<Unreplicated>, now: ShardTime, actual: u64) {
        let first = self.leader.decide(&self.state, now, ask, unreplicated);
        let permit = match first {
            Decision::Wait(permit) => permit,
            Decision::Admitted(..) | Decision::Denied(_) | Decision::Refused(_) => None,
        };
        self.commit(now);
        let second = self.leader.decide(&self.state, now, &Ask { permit, ..*ask }, unreplicated);
        for (serial, decision) in [first, second].into_iter().enumerate() {
            if let Decision::Admitted(_, receipt) = decision {
                let id = SettlementId::new(serial as u128, receipt.key);
                let settlement = Settlement { id, receipt, actual, expires: ShardTime::MAX };
                let _settled_before = self.leader.settle(&self.state, now, &settlement);
            }
        }
        self.commit(now);
    }
}

fn leader(leadership: u64, commit_ns: i64) -> Leader {
    Leader::new(leadership, LeaderOptions { horizon_lead_ns: i64::MAX, commit_ns, budget: Budget::new(u64::MAX) })
}

fn stamp(at: ShardTime) -> Stamp {
    Stamp { at, reading: ClockReading::default() }
}

#[test]
fn nothing_overflows() {
    let unreplicated = [None, Some(Unreplicated { nodes: 1 }), Some(Unreplicated { nodes: u64::MAX })];
    for algorithm in algorithms() {
        for from in instants() {
            for commit_ns in [0, i64::MAX] {
                let mut edge = Edge::new(algorithm, from, commit_ns);
                for to in instants().into_iter().filter(|to| *to >= from) {
                    for ask in asks() {
                        unreplicated.iter().for_each(|alone| edge.ask(&ask, *alone, to, 0));
                        edge.ask(&ask, None, to, u64::MAX);
                    }
                    edge.leader.reset(LimitId(0), key(0), to);
                    edge.leader.forget(&edge.state, to, usize::MAX);
                    edge.commit(to);
                    edge.leader.report(&edge.state);
                }
            }
        }
    }
}

#[test]
fn no_change_from_one_extreme_to_another_overflows() {
    for old in algorithms() {
        for new in algorithms() {
            for now in instants() {
                let mut edge = Edge::new(old, now, 1);
                asks().iter().for_each(|ask| edge.ask(ask, Some(Unreplicated { nodes: 1 }), now, u64::MAX));
                edge.reshape(new, now);
                asks().iter().for_each(|ask| edge.ask(ask, None, now, 0));
                let leader = std::mem::replace(&mut edge.leader, leader(0, 1));
                for command in leader.hand_over(&edge.state, stamp(now), 1) {
                    edge.state.apply(&command);
                }
                edge.take_over(now);
                asks().iter().for_each(|ask| edge.ask(ask, None, now, 0));
            }
        }
    }
}
