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
        spent.commit(&*self.clock);
        (Answer { outcome, degraded: true, at }, receipt)
    }

    /// Gives back what was taken a moment ago for a request that another limit denied.
    pub(crate) fn give_back(&self, receipt: &Receipt) {
        if let Some(spent) = &mut *self.spent() {
            let now = spent.clock.now(self.clock.mono_ns());
            spent.leader.give_back(&spent.state, now, receipt, receipt.units);
            spent.commit(&*self.clock);
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

    /// Grants all that was asked for, at once: nobody else has to agree.
    fn commit(&mut self, clock: &dyn Clock) {
        let reading = clock.read();
        let stamp = Stamp { at: self.clock.now(reading.mono_ns), reading };
        if let Some(command) = self.leader.proposal(&self.state, stamp) {
            self.state.apply(&command);
            self.leader.granted(&self.state);
        }
        self.leader.report(&self.state);
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

    const SECOND: i64 = 1_000_000_000;

    /// The shares of one limit, which a clock in hand goes by.
    struct Fixture {
        clock: Arc<Hand>,
        share: Share,
        limits: Limits,
        budget: Budget,
    }

    impl Fixture {
        fn of(algorithm: Algorithm) -> Self {
            let clock = Arc::new(Hand(AtomicI64::new(SECOND)));
            let budget = Budget::new(1_000);
            let options = LeaderOptions { horizon_lead_ns: 2 * SECOND, commit_ns: 1_000_000, budget: budget.clone() };
            let share = Share::new(Arc::clone(&clock) as Arc<dyn Clock>, options);
            let mut limits = Limits::default();
            limits.put(Limit {
                name: LimitName::new("a").expect("a valid name"),
                prefix: None,
                selectors: Vec::new(),
                by: Vec::new(),
                algorithm,
                consistency: Consistency::Exact,
                on_unavailable: OnUnavailable::Local,
                shadow: false,
                reservation_ttl_ns: 1,
            });
            Self { clock, share, limits, budget }
        }

        /// Asks for one unit as one node of three.
        fn ask(&self, bucket: u128) -> Option<Receipt> {
            let (id, _) = self.limits.get("a").expect("it was put");
            self.share.decide(&self.limits, (id, Key::from_bits(bucket)), 1, 3).1
        }

        fn admitted(&self) -> usize {
            std::iter::repeat_with(|| self.ask(7)).take_while(Option::is_some).count()
        }

        fn pass(&self, span_ns: i64) {
            self.clock.0.fetch_add(span_ns, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_node_admits_its_share_of_a_limit_and_of_its_rate() {
        let fixture = Fixture::of(Algorithm::TokenBucket(Pace::new(10, SECOND, 30).expect("a legal pace")));
        assert_eq!(fixture.admitted(), 10, "a third of the burst");
        fixture.pass(SECOND);
        let taken = fixture.ask(7).expect("there is some again");
        fixture.share.give_back(&taken);
        assert_eq!(fixture.admitted(), 3, "a third of the rate, 3.3 units, what was given back among them");
    }

    #[test]
    fn a_node_gives_out_its_share_of_permits_again_when_they_come_back_or_expire() {
        let fixture = Fixture::of(Algorithm::Concurrency { permits: 9, ttl_ns: 60 * SECOND });
        let taken: Vec<_> = (0..3).filter_map(|_| fixture.ask(7)).collect();
        assert_eq!((taken.len(), fixture.admitted()), (3, 0), "a third");
        fixture.share.give_back(&taken[0]);
        assert_eq!(fixture.admitted(), 1, "one came back");
        for _minute in 0..4 {
            fixture.pass(61 * SECOND);
            assert_eq!(fixture.admitted(), 3, "all have expired");
        }
    }

    #[test]
    fn buckets_of_which_a_node_admitted_its_share_are_forgotten_when_they_are_whole() {
        let fixture = Fixture::of(Algorithm::TokenBucket(Pace::new(10, SECOND, 30).expect("a legal pace")));
        for bucket in 1..=20_000 {
            assert!(fixture.ask(bucket).is_some(), "bucket {bucket} has room");
            fixture.pass(SECOND / 100);
        }
        assert!(fixture.budget.held() < 1_000, "{} are held", fixture.budget.held());
    }
}
