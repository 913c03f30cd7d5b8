//! One leader, undisturbed, beside a naive model of each algorithm.

use proptest::prelude::*;
use tollgate_limiter::{Algorithm, Ask, Decision, Pace, Quota, Receipt, Standing};

use crate::cluster::key;
use crate::history::{Admission, violation};
use crate::shard::{Shard, ask, at};

#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Ask(u64),
    /// Wait exactly as long as the last denial says, and ask the same again.
    Honour,
    /// Give back all that an earlier admission took: the so many-th from the latest.
    Return(usize),
}

/// Steps on a time scale of `unit_ns`: exact multiples of it, and fractions.
fn steps(unit_ns: i64, most_cost: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..4_i64).prop_map(move |units| Step::Pass(units * unit_ns)),
        2 => (0..=2 * unit_ns).prop_map(Step::Pass),
        8 => prop_oneof![3 => Just(1), 1 => 1..=most_cost].prop_map(Step::Ask),
        2 => Just(Step::Honour),
        2 => (0..6_usize).prop_map(Step::Return),
    ];
    prop::collection::vec(step, 1..120)
}

/// The same, with nothing given back.
fn steps_for_good(unit_ns: i64, most_cost: u64) -> impl Strategy<Value = Vec<Step>> {
    steps(unit_ns, most_cost).prop_map(|mut steps| {
        steps.retain(|step| !matches!(step, Step::Return(_)));
        steps
    })
}

/// What a naive model knows of one bucket.
trait Model {
    /// Whether `cost` fits at `now`.
    fn fits(&self, cost: u64, now: i64) -> bool;
    fn take(&mut self, cost: u64, now: i64);
}

/// The virtual time of a bucket as an exact integer.
struct Gcra {
    interval: i128,
    burst: i128,
    arrival: i128,
    leaky: bool,
}

impl Model for Gcra {
    fn fits(&self, cost: u64, now: i64) -> bool {
        let now = i128::from(now);
        if self.leaky {
            self.arrival <= now
        } else {
            self.arrival.max(now) + i128::from(cost) * self.interval <= now + self.burst * self.interval
        }
    }

    fn take(&mut self, cost: u64, now: i64) {
        self.arrival = self.arrival.max(i128::from(now)) + i128::from(cost) * self.interval;
    }
}

/// Every unit with its instant; it counts for `window`.
struct Log {
    taken: Vec<(i64, u64)>,
    window: i64,
    quota: u64,
}

impl Model for Log {
    fn fits(&self, cost: u64, now: i64) -> bool {
        let counting = self.taken.iter().filter(|(taken, _)| now - taken < self.window);
        counting.map(|(_, units)| units).sum::<u64>() + cost <= self.quota
    }

    fn take(&mut self, cost: u64, now: i64) {
        self.taken.push((now, cost));
    }
}

/// A count for each window.
struct Counts {
    counts: std::collections::BTreeMap<i64, u64>,
    window: i64,
    quota: u64,
}

impl Model for Counts {
    fn fits(&self, cost: u64, now: i64) -> bool {
        self.counts.get(&(now / self.window)).unwrap_or(&0) + cost <= self.quota
    }

    fn take(&mut self, cost: u64, now: i64) {
        *self.counts.entry(now / self.window).or_default() += cost;
    }
}

/// Which answers a model allows.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    /// The model admits exactly what is admitted.
    Exact,
    /// The model admits no less than what is admitted.
    Upper,
    /// The model admits no more than what is admitted.
    Lower,
}

/// Compares every decision with the models, and every honoured `retry_after` with an admission.
fn agrees(algorithm: Algorithm, steps: &[Step], models: &mut [(Bound, &mut dyn Model)]) -> Result<(), TestCaseError> {
    let mut shard = Shard::of(algorithm, at(1_000_000_007));
    let mut denied: Option<(u64, Standing)> = None;
    for step in steps {
        let cost = match (step, denied) {
            (Step::Pass(ns), _) => {
                shard.now = shard.now.plus(*ns);
                denied = None;
                continue;
            }
            (Step::Ask(cost), _) => (*cost).min(algorithm.capacity()),
            (Step::Honour, Some((cost, standing))) => {
                prop_assert!(standing.retry_after_ns > 0, "a denial without a time to wait: {:?}", standing);
                shard.now = shard.now.plus(standing.retry_after_ns);
                cost
            }
            (Step::Honour | Step::Return(_), _) => continue,
        };
        let before = shard.peek(key(0));
        prop_assert_eq!(before, shard.peek(key(0)), "a peek changes something");
        let answer = shard.acquire(key(0), cost);
        prop_assert!(answer.is_ok() || !matches!(step, Step::Honour), "{} denied though it waited: {:?}", cost, answer);
        if answer.is_err() {
            prop_assert_eq!(before, shard.peek(key(0)), "a denial changes something");
        }
        for (bound, model) in models.iter_mut() {
            let fits = model.fits(cost, shard.now.nanos());
            let allowed = match bound {
                Bound::Exact => fits == answer.is_ok(),
                Bound::Upper => fits || answer.is_err(),
                Bound::Lower => !fits || answer.is_ok(),
            };
            prop_assert!(allowed, "cost {} at {}: the model says {}, the limiter {:?}", cost, shard.now, fits, answer);
            if answer.is_ok() {
                model.take(cost, shard.now.nanos());
            }
        }
        denied = answer.err().map(|standing| (cost, standing));
    }
    Ok(())
}

/// Runs steps with refunds, forgets all that can be whenever time passes, and checks what was used in the end.
fn never_too_much(algorithm: Algorithm, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut shard = Shard::of(algorithm, at(1_000_000_000));
    let mut taken: Vec<(Receipt, Admission)> = Vec::new();
    for step in steps {
        match step {
            Step::Pass(ns) => {
                shard.now = shard.now.plus(*ns);
                shard.leader.forget(&shard.state, shard.now, usize::MAX);
            }
            Step::Ask(cost) => {
                if let Decision::Admitted(_, receipt) = shard.decide(Ask { cost: *cost, ..ask(key(0)) }).0 {
                    let Ask { limit, key, .. } = ask(key(0));
                    let admission = Admission { limit, key, at: shard.now, units: *cost, until: shard.now };
                    taken.push((receipt, admission));
                }
            }
            Step::Return(which) => {
                if let Some((receipt, admission)) =
                    taken.iter_mut().rev().nth(*which).filter(|(_, used)| used.units > 0)
                {
                    shard.leader.give_back(&shard.state, shard.now, receipt, receipt.units);
                    admission.units = 0;
                }
            }
            Step::Honour => {}
        }
    }
    let used: Vec<_> = taken.into_iter().map(|(_, admission)| admission).collect();
    prop_assert_eq!(violation(&algorithm, &used), None);
    Ok(())
}

const MS: i64 = 1_000_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_and_leaky_buckets_are_gcra(
        interval_ns in prop_oneof![Just(1_i64), 1..1_000_i64, Just(MS), Just(700 * MS), MS..10_000 * MS],
        burst in 1..40_u64,
        leaky in any::<bool>(),
        steps in prop_oneof![steps_for_good(MS, 40), steps_for_good(700 * MS, 40), steps_for_good(3, 40)],
    ) {
        let pace = Pace::new(1, interval_ns, burst).expect("a legal pace");
        let algorithm = if leaky { Algorithm::LeakyBucket(pace) } else { Algorithm::TokenBucket(pace) };
        let mut model = Gcra { interval: i128::from(interval_ns), burst: i128::from(burst), arrival: 0, leaky };
        agrees(algorithm, &steps, &mut [(Bound::Exact, &mut model)])?;
    }

    #[test]
    fn slow_buckets_are_gcra_too(
        interval_ns in 20_000 * MS..10_000_000 * MS,
        burst in 1..40_u64,
        steps in prop_oneof![steps_for_good(100_000 * MS, 40), steps_for_good(3_600_000 * MS, 40)],
    ) {
        let pace = Pace::new(1, interval_ns, burst).expect("a legal pace");
        let mut model = Gcra { interval: i128::from(interval_ns), burst: i128::from(burst), arrival: 0, leaky: false };
        agrees(Algorithm::TokenBucket(pace), &steps, &mut [(Bound::Exact, &mut model)])?;
    }

    #[test]
    fn a_sliding_window_lies_between_a_log_and_a_log_that_counts_a_slice_longer(
        window in prop_oneof![1..200_i64, Just(64 * MS), 100 * MS..100_000 * MS],
        quota in 1..60_u64,
        steps in prop_oneof![steps_for_good(2 * MS, 60), steps_for_good(900 * MS, 60), steps_for_good(40, 60)],
    ) {
        let mut never_more = Log { taken: Vec::new(), window, quota };
        let mut never_less = Log { taken: Vec::new(), window: window + (window / 32).max(1), quota };
        let models: &mut [(Bound, &mut dyn Model)] =
            &mut [(Bound::Upper, &mut never_more), (Bound::Lower, &mut never_less)];
        agrees(Algorithm::SlidingWindow(Quota::new(quota, window).expect("a legal quota")), &steps, models)?;
    }

    #[test]
    fn a_fixed_window_is_a_count(
        window in prop_oneof![1..200_i64, 100 * MS..100_000 * MS],
        quota in 1..60_u64,
        steps in prop_oneof![steps_for_good(2 * MS, 60), steps_for_good(900 * MS, 60), steps_for_good(40, 60)],
    ) {
        let mut model = Counts { counts: std::collections::BTreeMap::new(), window, quota };
        let algorithm = Algorithm::FixedWindow(Quota::new(quota, window).expect("a legal quota"), None);
        agrees(algorithm, &steps, &mut [(Bound::Exact, &mut model)])?;
    }

    #[test]
    fn permits_are_a_list(
        permits in 1..10_u64,
        ttl in MS..5_000 * MS,
        steps in prop_oneof![steps_for_good(700 * MS, 10), steps_for_good(MS, 10)],
    ) {
        let mut model = Log { taken: Vec::new(), window: ttl, quota: permits };
        agrees(Algorithm::Concurrency { permits, ttl_ns: ttl }, &steps, &mut [(Bound::Exact, &mut model)])?;
    }

    #[test]
    fn what_is_given_back_is_never_given_twice(burst in 1..12_u64, steps in steps(1_000 * MS, 12)) {
        let pace = Pace::new(1, 1_000 * MS, burst).expect("a legal pace");
        never_too_much(Algorithm::TokenBucket(pace), &steps)?;
        let quota = Quota::new(burst, 3_000 * MS).expect("a legal quota");
        never_too_much(Algorithm::SlidingWindow(quota), &steps)?;
        never_too_much(Algorithm::FixedWindow(quota, None), &steps)?;
    }
}
