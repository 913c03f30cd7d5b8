//! The cap on buckets, and what waits for what.

use tollgate_limiter::{
    Algorithm, Ask, Budget, Decision, Key, LeaderOptions, LimitId, LimitName, Pace, Quota, Refusal,
};

use crate::cluster::key;
use crate::shard::{Shard, ask, at};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;

fn capped(most: u64, algorithm: Algorithm) -> Shard {
    let options = LeaderOptions { horizon_lead_ns: 2 * SECOND, commit_ns: MS, budget: Budget::new(most) };
    let mut shard = Shard::new(options, at(SECOND));
    shard.set_limit(LimitId(0), algorithm);
    shard
}

fn algorithms() -> [Algorithm; 4] {
    [
        Algorithm::TokenBucket(Pace::new(2, SECOND, 2).expect("a legal pace")),
        Algorithm::SlidingWindow(Quota::new(2, SECOND).expect("a legal quota")),
        Algorithm::FixedWindow(Quota::new(2, SECOND).expect("a legal quota"), None),
        Algorithm::Concurrency { permits: 2, ttl_ns: SECOND },
    ]
}

fn bucket(number: u64) -> Key {
    Key::of_bucket("app", &LimitName::new("pro").expect("a valid name"), [Some(number.to_string().as_str())])
}

#[test]
fn a_full_node_refuses_new_buckets_and_goes_on_with_those_it_holds() {
    for algorithm in algorithms() {
        let mut shard = capped(3, algorithm);
        for number in 1..=3 {
            assert!(shard.acquire(bucket(number), 1).is_ok(), "{algorithm:?}");
        }
        for number in 4..40 {
            let (decision, _) = shard.decide(ask(bucket(number)));
            assert_eq!(decision, Decision::Refused(Refusal::NoRoom), "{algorithm:?}");
        }
        while shard.commit() {}
        assert!(shard.state.granted_buckets() <= 3, "a refused bucket is granted nothing: {algorithm:?}");
        for number in 1..=3 {
            let spent_once = shard.acquire(bucket(number), 2);
            assert!(spent_once.is_err(), "a spent bucket was forgotten: {algorithm:?}");
            assert!(shard.acquire(bucket(number), 1).is_ok(), "{algorithm:?}");
        }
        let (peek, _) = shard.decide(Ask { cost: 0, ..ask(bucket(4)) });
        assert!(matches!(peek, Decision::Admitted(..)), "a peek needs no room");
    }
}

#[test]
fn room_comes_back_when_buckets_refill() {
    for algorithm in algorithms() {
        let mut shard = capped(3, algorithm);
        for number in 1..=3 {
            assert!(shard.acquire(bucket(number), 1).is_ok());
        }
        shard.now = shard.now.plus(10 * SECOND);
        shard.leader.forget(&shard.state, shard.now, 100);
        // The state forgets with each entry; this one is for a bucket that is known.
        shard.leader.reset(LimitId(0), bucket(1), shard.now);
        assert!(shard.commit());
        shard.leader.forget(&shard.state, shard.now, 100);
        shard.leader.report(&shard.state);
        assert_eq!(shard.options.budget.held(), 0, "{algorithm:?}");
        assert!(shard.acquire(bucket(7), 1).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_leader_that_ends_gives_its_room_back() {
    let mut shard = capped(3, algorithms()[0]);
    assert!(shard.acquire(bucket(1), 1).is_ok());
    assert_eq!(shard.options.budget.held(), 1);
    shard.crash();
    assert_eq!(shard.options.budget.held(), 0);
}

#[test]
fn full_buckets_are_forgotten_a_few_at_a_time() {
    let mut shard = capped(u64::MAX, Algorithm::TokenBucket(Pace::new(100, SECOND, 100).expect("a legal pace")));
    for number in 1..=1_000 {
        assert!(shard.acquire(bucket(number), 1).is_ok());
    }
    shard.leader.report(&shard.state);
    let mut held = shard.options.budget.held();
    shard.now = shard.now.plus(10 * SECOND);
    let mut rounds = 0;
    while held > 0 {
        shard.leader.forget(&shard.state, shard.now, 50);
        shard.leader.report(&shard.state);
        let left = shard.options.budget.held();
        assert!(held.saturating_sub(left) <= 150, "{} buckets in one step", held - left);
        held = left;
        rounds += 1;
        assert!(rounds < 200, "{held} full buckets are never forgotten");
    }
    assert!(rounds > 5, "all in {rounds} steps");
}

#[test]
fn a_request_that_waits_is_decided_by_the_commit_it_waits_for_however_time_passes() {
    let pace = |rate, per_ns, burst| Algorithm::TokenBucket(Pace::new(rate, per_ns, burst).expect("a legal pace"));
    let sliding = |units, window_ns| Algorithm::SlidingWindow(Quota::new(units, window_ns).expect("a legal quota"));
    let fixed = |units, window_ns| Algorithm::FixedWindow(Quota::new(units, window_ns).expect("a legal quota"), None);
    let algorithms = [
        pace(1, 3_600 * SECOND, 10),
        pace(1, 3 * SECOND, 3),
        pace(10, SECOND, 100),
        sliding(5, SECOND),
        sliding(5, 100 * MS),
        fixed(5, 20 * MS),
    ];
    for algorithm in algorithms {
        let mut shard = Shard::of(algorithm, at(SECOND));
        shard.commit_takes_ns = 3 * MS;
        for round in 0..200 {
            let cost = if round % 7 == 0 { algorithm.capacity().min(3) } else { 1 };
            let (decision, commits) = shard.decide(Ask { cost, ..ask(key(0)) });
            assert!(commits <= 1, "{algorithm:?}: {decision:?} after {commits} commits at {}", shard.now);
            shard.now = shard.now.plus(if round % 3 == 0 { 4_000 * SECOND } else { 333_333 });
        }
    }
}

#[test]
fn a_bucket_in_steady_use_waits_for_nothing() {
    let mut shard = Shard::of(Algorithm::TokenBucket(Pace::new(100, SECOND, 1_000).expect("a legal pace")), at(SECOND));
    let mut waits = 0;
    for _ in 0..5_000 {
        let (decision, commits) = shard.decide(ask(key(0)));
        assert!(!matches!(decision, Decision::Refused(_)));
        waits += commits;
        shard.commit();
        shard.now = shard.now.plus(5 * MS);
    }
    assert!(waits <= 1, "{waits} waits for a commit");
}

#[test]
fn a_trimmed_ceiling_leaves_a_bucket_what_it_had() {
    let mut shard = Shard::of(Algorithm::TokenBucket(Pace::new(1, 6 * SECOND, 5).expect("a legal pace")), at(SECOND));
    shard.commit_takes_ns = MS;
    for number in 1..=2_000 {
        assert!(shard.acquire(bucket(number), 1).is_ok());
        shard.leader.forget(&shard.state, shard.now, 4);
    }
    for number in 1..=2_000 {
        assert!(shard.acquire(bucket(number), 5).is_err(), "a unit came back");
        assert!(shard.acquire(bucket(number), 4).is_ok(), "a unit was lost");
    }
}
