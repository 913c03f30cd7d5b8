//! What a node admits by itself while it cannot reach the leader of a shard: its share of each limit.
//!
//! A unit costs as many units as there are nodes, so that all nodes together admit no more than the limit. Kept in memory alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_limiter::{
    Applied, Ask, Command, Consistency, Decision, Key, Leader, LeaderOptions, LimitId, Limits, Receipt, Shape,
    ShardClock, Stamp, State, Unreplicated,
};

use crate::environment::Clock;
use crate::inbox::{Answer, Outcome};

/// The node's shares of all limits.
pub(crate) struct Share {
    clock: Arc<dyn Clock>,
    options: LeaderOptions,
    spent: Mutex<Option<Spent>>,
}

/// A shard of its own, with everything in it, that is replicated nowhere.
struct Spent {
    clock: ShardClock,
    state: State,
    leader: Leader,
}

impl Share {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: LeaderOptions) -> Self {
        Self { clock, options, spent: Mutex::default() }
    }

    /// Decides whether `cost` units of a bucket fit into this node's share, one of `nodes`; with what proves that they were taken.
    pub(crate) fn decide(
        &self,
        limits: &Limits,
        (limit, key): (LimitId, Key),
        cost: u64,
        nodes: u64,
    ) -> (Answer, Option<Receipt>) {
        let mut spent = self.spent();
        let spent = spent.get_or_insert_with(|| Spent::new(&*self.clock, self.options.clone()));
        spent.count_by(limits, &*self.clock);
        let at = spent.clock.now(self.clock.mono_ns());
        let ask = Ask { limit, key, cost, consistency: Consistency::Eventual, ahead: 0, permit: None };
        let (outcome, receipt) = match spent.leader.decide(&spent.state, at, &ask, Some(Unreplicated { nodes })) {
            Decision::Admitted(standing, receipt) => (Outcome::Admitted(standing, None), Some(receipt)),
            Decision::Denied(standing) => (Outcome::Denied(standing), None),
            Decision::Refused(refusal) => (Outcome::Refused(refusal), None),
            Decision::Wait(_) => (Outcome::Unavailable, None),
        };
        spent.leader.forget(&spent.state, at, SWEEP_BUCKETS);
        (Answer { outcome, degraded: true, at }, receipt)
    }

    /// Gives back what was taken a moment ago for a request that another limit denied.
    pub(crate) fn give_back(&self, receipt: &Receipt) {
        if let Some(spent) = &mut *self.spent() {
            let now = spent.clock.now(self.clock.mono_ns());
            spent.leader.give_back(&spent.state, now, receipt, receipt.units);
        }
    }

    fn spent(&self) -> MutexGuard<'_, Option<Spent>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Buckets that each decision lets the leader look at, to forget those that are whole.
const SWEEP_BUCKETS: usize = 2;

impl Spent {
    fn new(clock: &dyn Clock, options: LeaderOptions) -> Self {
        let now = clock.read();
        let mut clock = ShardClock::start(now);
        let mut state = State::default();
        let stamp = Stamp { at: clock.now(now.mono_ns), reading: now };
        let leadership = match state.apply(&Command::TakeOver { stamp }) {
            Applied::TookOver(leadership) => leadership,
            Applied::Granted | Applied::Reshaped(_) | Applied::HandedOver | Applied::Stale => 0,
        };
        Self { clock, state, leader: Leader::new(leadership, options) }
    }

    /// Takes over a change of the limits.
    fn count_by(&mut self, limits: &Limits, clock: &dyn Clock) {
        if self.state.limits_version() != limits.version() {
            let reading = clock.read();
            let stamp = Stamp { at: self.clock.now(reading.mono_ns), reading };
            let shapes = limits.iter().map(|(id, limit)| Shape { id, algorithm: limit.algorithm }).collect();
            self.state.apply(&self.leader.reshape(stamp, limits.version(), shapes));
        }
        self.leader.follow(&self.state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tollgate_limiter::{Algorithm, Budget, ClockReading, Limit, LimitName, OnUnavailable, Pace};

    use super::*;

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn read(&self) -> ClockReading {
            let now = self.0.load(Ordering::SeqCst);
            ClockReading { mono_ns: now, wall_ns: now, boot: 1 }
        }
    }

    #[test]
    fn a_node_admits_its_share_of_a_limit_and_of_its_rate() {
        const SECOND: i64 = 1_000_000_000;
        let clock = Arc::new(Hand(AtomicI64::new(SECOND)));
        let budget = Budget::new(1_000);
        let options = LeaderOptions { horizon_lead_ns: 2 * SECOND, commit_ns: 1_000_000, budget };
        let share = Share::new(Arc::clone(&clock) as Arc<dyn Clock>, options);
        let mut limits = Limits::default();
        limits.put(Limit {
            name: LimitName::new("a").expect("a valid name"),
            prefix: None,
            selectors: Vec::new(),
            by: Vec::new(),
            algorithm: Algorithm::TokenBucket(Pace::new(10, SECOND, 30).expect("a legal pace")),
            consistency: Consistency::Exact,
            on_unavailable: OnUnavailable::Local,
            shadow: false,
            reservation_ttl_ns: 1,
        });
        let (id, _) = limits.get("a").expect("it was put");
        let admitted = |limits: &Limits| {
            let admits = |answer: &Answer| matches!(answer.outcome, Outcome::Admitted(..));
            let decide = || share.decide(limits, (id, Key::from_bits(7)), 1, 3).0;
            std::iter::repeat_with(decide).take_while(admits).count()
        };
        assert_eq!(admitted(&limits), 10, "a third of the burst");
        clock.0.fetch_add(SECOND, Ordering::SeqCst);
        let taken = share.decide(&limits, (id, Key::from_bits(7)), 1, 3).1.expect("there is some again");
        share.give_back(&taken);
        assert_eq!(admitted(&limits), 3, "a third of the rate, 3.3 units, what was given back among them");
    }
}
