//! Limits that change while leaders come and go.

use proptest::prelude::*;
use tollgate_limiter::{Algorithm, LimitId, Pace, ShardTime};

use crate::cluster::Cluster;
use crate::history::{Admission, first_violation};
use crate::takeover::{changes, histories, limits, run};

/// A second times what all intervals in these tests divide.
const UNIT: i128 = 42_000_000_000;

/// The node's leader changes one limit.
pub(crate) fn change(cluster: &mut Cluster, node: usize, limit: usize, to: usize) {
    let versions = cluster.versions();
    let version = cluster.nodes[node].state.limits_version();
    let Some((_, mut limits)) = versions.get(&version).cloned() else { return };
    let choices = changes(limit);
    limits[limit].1 = choices[to % choices.len()];
    cluster.reshape(node, &limits);
}

/// The same, when nobody is left who was cut off before.
fn change_known_to_all(cluster: &mut Cluster, node: usize, limit: usize, to: usize) {
    if cluster.leads(node) {
        (0..cluster.nodes.len()).filter(|other| *other != node).for_each(|other| cluster.crash(other));
        change(cluster, node, limit, to);
    }
}

/// The first limit under one shape of which more was admitted than it allows.
fn violation_of_a_shape(cluster: &Cluster) -> Option<String> {
    let versions = cluster.versions();
    (0..limits().len()).find_map(|limit| {
        let shape = |version: u64| versions[&version].1[limit].1;
        let of_limit = cluster.admitted.iter().filter(|taken| taken.used().limit.0 as usize == limit);
        let shaped: Vec<_> = of_limit.map(|taken| (generation(&versions, limit, taken.version), *taken)).collect();
        shaped.iter().find_map(|(generation, first)| {
            let same = shaped.iter().filter(|(other, _)| other == generation);
            let admissions: Vec<_> = same.map(|(_, taken)| taken.used()).collect();
            first_violation(&[(LimitId(limit as u32), shape(first.version))], &admissions)
        })
    })
}

type Versions = std::collections::BTreeMap<u64, (ShardTime, Vec<(LimitId, Algorithm)>)>;

/// How often the limit had changed when `version` began to hold.
fn generation(versions: &Versions, limit: usize, version: u64) -> usize {
    let shapes: Vec<_> = versions.range(..=version).map(|(_, (_, limits))| limits[limit].1).collect();
    shapes.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// A meter that drains at the pace of the day: what it holds after an admission must be within that day's burst.
fn overflow(versions: &Versions, limit: usize, admissions: &[(u64, Admission)]) -> Option<String> {
    let pace = |version: u64| match versions[&version].1[limit].1 {
        Algorithm::TokenBucket(pace) => pace,
        other => panic!("{other:?} has no pace"),
    };
    let paces: Vec<(ShardTime, Pace)> = versions.iter().map(|(version, (at, _))| (*at, pace(*version))).collect();
    let mut level = 0_i128;
    let mut before = ShardTime::from_nanos(0);
    for (version, admission) in admissions {
        level = (level - drained(&paces, before, admission.at)).max(0);
        level += i128::from(admission.units) * UNIT;
        before = admission.at;
        if level > i128::from(pace(*version).burst()) * UNIT {
            return Some(format!("{admission:?} overflows {:?}", pace(*version)));
        }
    }
    None
}

/// What drains from one instant to another.
fn drained(paces: &[(ShardTime, Pace)], from: ShardTime, to: ShardTime) -> i128 {
    let ends = paces.iter().skip(1).map(|(at, _)| *at).chain([ShardTime::MAX]);
    let parts = paces.iter().zip(ends).map(|((start, pace), end)| {
        let span = to.min(end).since(from.max(*start)).max(0);
        i128::from(span) * UNIT / i128::from(pace.interval_ns())
    });
    parts.sum()
}

/// The first token bucket that overflows, all changes taken together.
fn overflow_of_a_bucket(cluster: &Cluster) -> Option<String> {
    let versions = cluster.versions();
    let paced = limits().len().min(4);
    (0..paced).flat_map(|limit| (0..2).map(move |bucket| (limit, bucket))).find_map(|(limit, bucket)| {
        let key = crate::cluster::key(bucket);
        let of_bucket = cluster.admitted.iter().map(|taken| (taken.version, taken.used()));
        let mut admissions: Vec<_> =
            of_bucket.filter(|(_, used)| used.limit.0 as usize == limit && used.key == key).collect();
        admissions.sort_by_key(|(_, used)| used.at);
        overflow(&versions, limit, &admissions)
    })
}

/// A bucket that is whole by the old pace need not be so by the new one, which counts from when the change was proposed.
#[test]
fn nothing_is_forgotten_while_a_change_is_in_flight() {
    let fast = 3;
    let mut cluster = Cluster::new(&[0], &limits(), 1_000_000_000);
    cluster.acquire(0, LimitId(fast), 0, 2);
    cluster.settle_down(0);
    change(&mut cluster, 0, fast as usize, 0);
    cluster.now = cluster.now.plus(1_000_000);
    limits().iter().for_each(|_| cluster.forget(0));
    cluster.settle_down(0);
    assert_eq!(cluster.peek(0, LimitId(fast), 0).remaining, 8);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A leader that is cut off while a limit changes may still spend what it was granted under the old one.
    #[test]
    fn under_no_shape_of_a_limit_more_is_admitted_than_it_allows(steps in histories(3, 200)) {
        let mut cluster = Cluster::new(&[0, 0, 0], &limits(), 1_000_000_000);
        run(&mut cluster, &steps, change);
        prop_assert_eq!(violation_of_a_shape(&cluster), None);
    }

    #[test]
    fn what_was_spent_before_a_change_stays_spent_after_it(steps in histories(3, 200)) {
        let mut cluster = Cluster::new(&[0, 0, 0], &limits(), 1_000_000_000);
        run(&mut cluster, &steps, change_known_to_all);
        prop_assert_eq!(overflow_of_a_bucket(&cluster), None);
    }
}
