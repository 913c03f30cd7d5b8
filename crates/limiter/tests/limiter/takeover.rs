//! No two leaders of one log, however little they know of each other, admit more than a limit allows.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tollgate_limiter::{Algorithm, LimitId, Pace, Quota};

use crate::cluster::{Cluster, PERMIT_TTL_NS};
use crate::history::first_violation;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;

/// What may happen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Pass {
        ns: i64,
    },
    Acquire {
        node: usize,
        limit: usize,
        bucket: u8,
        cost: u64,
        times: u8,
    },
    /// A proposal that goes through at once.
    Round {
        node: usize,
    },
    Propose {
        node: usize,
    },
    Commit {
        node: usize,
    },
    CatchUp {
        node: usize,
        most: usize,
    },
    TakeOver {
        node: usize,
    },
    Crash {
        node: usize,
    },
    Lose {
        node: usize,
    },
    HandOver {
        node: usize,
        most: usize,
    },
    Refund {
        node: usize,
        which: usize,
        units: u64,
    },
    Settle {
        node: usize,
        which: usize,
        actual: u64,
    },
    Forget {
        node: usize,
    },
    Change {
        node: usize,
        limit: usize,
        to: usize,
    },
}

/// Every algorithm, fast and slow, so that horizon, ceilings and chunks all matter within some seconds.
pub(crate) fn limits() -> Vec<(LimitId, Algorithm)> {
    let pace = |rate, per_ns, burst| Pace::new(rate, per_ns, burst).expect("a legal pace");
    let quota = |units, window_ns| Quota::new(units, window_ns).expect("a legal quota");
    let algorithms = [
        Algorithm::TokenBucket(pace(10, SECOND, 10)),
        Algorithm::TokenBucket(pace(1, 3 * SECOND, 5)),
        Algorithm::TokenBucket(pace(1, 700 * MS, 1)),
        Algorithm::TokenBucket(pace(2_000, SECOND, 4_000)),
        Algorithm::LeakyBucket(pace(5, SECOND, 4)),
        Algorithm::SlidingWindow(quota(7, 2 * SECOND)),
        Algorithm::SlidingWindow(quota(300, 500 * MS)),
        Algorithm::FixedWindow(quota(6, SECOND), None),
        Algorithm::Concurrency { permits: 3, ttl_ns: PERMIT_TTL_NS },
    ];
    algorithms.into_iter().enumerate().map(|(id, algorithm)| (LimitId(id as u32), algorithm)).collect()
}

/// Limits that one of [`limits`] may change to, each of the algorithm at this place.
pub(crate) fn changes(limit: usize) -> Vec<Algorithm> {
    let pace = |rate, per_ns, burst| Algorithm::TokenBucket(Pace::new(rate, per_ns, burst).expect("a legal pace"));
    let quota = |units, window_ns| Quota::new(units, window_ns).expect("a legal quota");
    match limits()[limit].1 {
        Algorithm::TokenBucket(_) => vec![
            pace(10, SECOND, 10),
            pace(1, SECOND, 10),
            pace(100, SECOND, 10),
            pace(20, SECOND, 3),
            pace(5, SECOND, 40),
            pace(1, 2 * SECOND, 1),
        ],
        Algorithm::SlidingWindow(_) => vec![
            Algorithm::SlidingWindow(quota(7, 2 * SECOND)),
            Algorithm::SlidingWindow(quota(3, 2 * SECOND)),
            Algorithm::SlidingWindow(quota(20, 2 * SECOND)),
            Algorithm::SlidingWindow(quota(5, 500 * MS)),
        ],
        same @ (Algorithm::LeakyBucket(_) | Algorithm::FixedWindow(..) | Algorithm::Concurrency { .. }) => vec![same],
    }
}

/// A step of a history in which only the limits of `focus` are used.
fn step(nodes: usize, focus: Vec<usize>) -> impl Strategy<Value = Step> {
    let node = 0..nodes;
    let cost = prop_oneof![4 => Just(1_u64), 2 => 1_u64..5, 1 => 1_u64..3_000];
    let acquired = focus.clone();
    let pass = prop_oneof![2 => 0..3 * MS, 3 => 0..400 * MS, 1 => 0..4 * SECOND];
    prop_oneof![
        8 => pass.prop_map(|ns| Step::Pass { ns }),
        16 => (node.clone(), any::<prop::sample::Index>(), 0..2_u8, cost, 1..12_u8)
            .prop_map(move |(node, limit, bucket, cost, times)| Step::Acquire { node, limit: *limit.get(&acquired), bucket, cost, times }),
        12 => node.clone().prop_map(|node| Step::Round { node }),
        3 => node.clone().prop_map(|node| Step::Propose { node }),
        3 => node.clone().prop_map(|node| Step::Commit { node }),
        3 => (node.clone(), prop_oneof![Just(usize::MAX), 1..4_usize]).prop_map(|(node, most)| Step::CatchUp { node, most }),
        2 => node.clone().prop_map(|node| Step::TakeOver { node }),
        1 => node.clone().prop_map(|node| Step::Crash { node }),
        1 => node.clone().prop_map(|node| Step::Lose { node }),
        1 => (node.clone(), prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize])
            .prop_map(|(node, most)| Step::HandOver { node, most }),
        4 => (node.clone(), 0..20_usize, 1..6_u64).prop_map(|(node, which, units)| Step::Refund { node, which, units }),
        1 => (node.clone(), 0..20_usize, 0..6_u64).prop_map(|(node, which, actual)| Step::Settle { node, which, actual }),
        2 => node.clone().prop_map(|node| Step::Forget { node }),
        2 => (node, any::<prop::sample::Index>(), 0..6_usize)
            .prop_map(move |(node, limit, to)| Step::Change { node, limit: *limit.get(&focus), to }),
    ]
}

/// Histories of at most so many steps on so many nodes, each with one or two limits in use.
pub(crate) fn histories(nodes: usize, steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let focus = prop::sample::subsequence((0..9).collect::<Vec<_>>(), 1..3);
    focus.prop_flat_map(move |focus| prop::collection::vec(step(nodes, focus), 1..steps))
}

/// Runs a history; `changed` does what a change of a limit means in it.
pub(crate) fn run(cluster: &mut Cluster, steps: &[Step], mut changed: impl FnMut(&mut Cluster, usize, usize, usize)) {
    for step in steps {
        match *step {
            Step::Pass { ns } => cluster.now = cluster.now.plus(ns),
            Step::Acquire { node, limit, bucket, cost, times } => {
                (0..times).for_each(|_| cluster.acquire(node, LimitId(limit as u32), bucket, cost));
            }
            Step::Round { node } => {
                cluster.propose(node);
                cluster.commit(node);
                cluster.catch_up(node, usize::MAX);
            }
            Step::Propose { node } => cluster.propose(node),
            Step::Commit { node } => cluster.commit(node),
            Step::CatchUp { node, most } => cluster.catch_up(node, most),
            Step::TakeOver { node } => cluster.take_over(node),
            Step::Crash { node } => cluster.crash(node),
            Step::Lose { node } => cluster.lose(node),
            Step::HandOver { node, most } => cluster.hand_over(node, most),
            Step::Refund { node, which, units } => cluster.refund(node, which, units),
            Step::Settle { node, which, actual } => cluster.settle(node, which, actual),
            Step::Forget { node } => cluster.forget(node),
            Step::Change { node, limit, to } => changed(cluster, node, limit, to),
        }
    }
}

fn unchanged(_: &mut Cluster, _: usize, _: usize, _: usize) {}

fn found_in(cluster: &Cluster) -> Option<String> {
    first_violation(&limits(), &cluster.admissions())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_of_leaders_admits_more_than_the_limits_allow(
        steps in histories(3, 160),
        ahead_ns in prop::array::uniform3(0..300 * MS),
        start_ns in 0..10 * SECOND,
    ) {
        let mut cluster = Cluster::new(&ahead_ns, &limits(), start_ns);
        run(&mut cluster, &steps, unchanged);
        prop_assert_eq!(found_in(&cluster), None);
    }

    #[test]
    fn a_node_that_leads_undisturbed_answers_everybody(steps in histories(2, 80), start_ns in 0..10 * SECOND) {
        let mut cluster = Cluster::new(&[0, 0], &limits(), start_ns);
        run(&mut cluster, &steps, unchanged);
        cluster.take_over(1);
        for limit in 0..9 {
            (0..3).for_each(|bucket| cluster.acquire(1, LimitId(limit), bucket, 1));
        }
        cluster.settle_down(1);
    }
}

/// Whether the checker finds the bug that `plant` plants, with only one limit in use, where it shows soonest.
fn finds(limit: usize, plant: impl Fn(&mut Cluster)) -> bool {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories = prop::collection::vec(step(3, vec![limit]), 100..200);
    (0..200).any(|_| {
        let steps = histories.new_tree(&mut runner).expect("a history can be made").current();
        let mut cluster = Cluster::new(&[0, 0, 0], &limits(), SECOND);
        plant(&mut cluster);
        run(&mut cluster, &steps, unchanged);
        found_in(&cluster).is_some()
    })
}

#[test]
fn the_checker_finds_a_takeover_that_is_skipped() {
    assert!(finds(0, |cluster| cluster.skips_takeovers = true));
}

#[test]
fn the_checker_finds_units_that_are_given_back_twice() {
    assert!(finds(0, |cluster| cluster.refunds_twice = true));
}

#[test]
fn the_checker_finds_a_leader_that_spends_after_its_handover() {
    assert!(finds(0, |cluster| cluster.spends_after_handover = true));
}

#[test]
fn the_checker_finds_nothing_where_nothing_is_planted() {
    assert!(!finds(0, |_| {}));
}
