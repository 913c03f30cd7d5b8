//! What a change of leaders costs: nothing when it is handed over, a bounded amount when it is not.

use proptest::prelude::*;
use tollgate_limiter::{Algorithm, LimitId, Standing};

use crate::cluster::{COMMIT_NS, Cluster, HORIZON_LEAD_NS};
use crate::takeover::{Step, histories, limits, run};

/// A grant for requests that wait covers this many commits beyond what they ask for.
const COMMITS_A_GRANT: i64 = 20;

/// How requests wait for grants.
#[derive(Clone, Copy, PartialEq)]
enum Waits {
    /// One is decided before the next comes, so that none is denied for which was granted.
    Alone,
    Together,
}

/// A cluster in which node 0 took over after one history, has led undisturbed through another and has nothing in flight.
fn led_for_a_while(before: &[Step], steps: &[Step], waits: Waits) -> Cluster {
    let mut cluster = Cluster::new(&[0, 0], &limits(), 1_000_000_000);
    run(&mut cluster, before, |_, _, _, _| {});
    cluster.take_over(0);
    let disturbs = |step: &&Step| {
        matches!(step, Step::TakeOver { .. } | Step::Crash { .. } | Step::Lose { .. } | Step::HandOver { .. })
    };
    for step in steps.iter().filter(|step| !disturbs(step)) {
        run(&mut cluster, std::slice::from_ref(step), |_, _, _, _| {});
        if waits == Waits::Alone {
            cluster.settle_down(0);
        }
    }
    cluster.settle_down(0);
    cluster.settle_down(0);
    cluster
}

/// The longest slice of the sliding windows here, in nanoseconds.
const SLICE_NS: i64 = 2_000_000_000 / 32;

/// The same step with one request at a time, and nothing given back: what was counts as spent after a takeover. In windows,
/// of one unit: what a request waits for near the edge of a slice is granted in the next one, too.
fn alone(step: Step) -> Step {
    match step {
        Step::Acquire { node, limit, bucket, cost, .. } => {
            let in_window = matches!(limits()[limit].1, Algorithm::SlidingWindow(_) | Algorithm::FixedWindow(..));
            Step::Acquire { node, limit, bucket, cost: if in_window { 1 } else { cost }, times: 1 }
        }
        Step::Refund { .. } | Step::Settle { .. } => Step::Pass { ns: 0 },
        other => other,
    }
}

fn standings(cluster: &mut Cluster, node: usize) -> Vec<(LimitId, u8, Standing)> {
    let buckets = (0..limits().len() as u32).flat_map(|limit| (0..2).map(move |bucket| (LimitId(limit), bucket)));
    buckets.map(|(limit, bucket)| (limit, bucket, cluster.peek(node, limit, bucket))).collect()
}

/// What a takeover may cost a bucket, in units.
fn bound(algorithm: &Algorithm) -> Option<u64> {
    match algorithm {
        Algorithm::TokenBucket(pace) => {
            let ahead_ns = HORIZON_LEAD_NS + COMMITS_A_GRANT * COMMIT_NS;
            Some(ahead_ns.unsigned_abs().div_ceil(pace.interval_ns().unsigned_abs()) + pace.burst().div_ceil(10))
        }
        Algorithm::SlidingWindow(quota) | Algorithm::FixedWindow(quota, _) => Some(2 * quota.units().div_ceil(10)),
        Algorithm::Concurrency { .. } => Some(0),
        Algorithm::LeakyBucket(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_handover_loses_nothing(before in histories(2, 60), steps in histories(1, 120)) {
        let mut cluster = led_for_a_while(&before, &steps, Waits::Together);
        let before = standings(&mut cluster, 0);
        cluster.hand_over(0, usize::MAX);
        cluster.take_over(1);
        for ((limit, bucket, old), (_, _, new)) in before.into_iter().zip(standings(&mut cluster, 1)) {
            prop_assert_eq!(old.remaining, new.remaining, "limit {:?}, bucket {}", limit, bucket);
        }
    }

    #[test]
    fn a_takeover_costs_no_more_than_what_was_granted_ahead(before in histories(2, 60), steps in histories(1, 120)) {
        let alone: Vec<_> = steps.into_iter().map(alone).collect();
        let mut cluster = led_for_a_while(&before, &alone, Waits::Alone);
        let before = standings(&mut cluster, 0);
        cluster.take_over(1);
        for ((limit, bucket, old), (_, _, new)) in before.iter().zip(standings(&mut cluster, 1)) {
            prop_assert!(new.remaining <= old.remaining, "limit {:?}, bucket {} was refilled", limit, bucket);
        }
        // What was granted in a slice counts to the slice's end.
        let later = Cluster { now: cluster.now.plus(SLICE_NS), ..cluster };
        for ((limit, bucket, old), (_, _, new)) in before.into_iter().zip(standings(&mut { later }, 1)) {
            let algorithm = limits()[limit.0 as usize].1;
            let Some(bound) = bound(&algorithm) else { continue };
            let lost = old.remaining.saturating_sub(new.remaining);
            prop_assert!(lost <= bound, "limit {:?}, bucket {}: {:?} then {:?}", limit, bucket, old, new);
        }
    }
}
