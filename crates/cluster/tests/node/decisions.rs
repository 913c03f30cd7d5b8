//! Single requests on a node that runs undisturbed.

use std::sync::atomic::Ordering;

use tollgate_limiter::Algorithm;

use crate::harness::{Fixture, SECOND, limit, quota, token_bucket};

#[tokio::test]
async fn a_burst_passes_and_no_more() {
    let fixture = Fixture::start(vec![limit("fast", token_bucket(10, SECOND, 20))]).await;
    assert_eq!(fixture.admitted("a").await, 20);
    assert_eq!(fixture.admitted("b").await, 20, "another user has a bucket of its own");
    fixture.clock.pass(SECOND);
    assert_eq!(fixture.admitted("a").await, 10);
    fixture.clock.pass(3_600 * SECOND);
    assert_eq!(fixture.admitted("a").await, 20, "idling earns the burst and no more");
}

#[tokio::test]
async fn slow_buckets_pass_as_much_as_fast_ones() {
    let slow = limit("slow", token_bucket(5, 86_400 * SECOND, 5));
    let fixture = Fixture::start(vec![slow]).await;
    assert_eq!(fixture.admitted("a").await, 5);
}

#[tokio::test]
async fn every_algorithm_admits_its_limit_at_once() {
    let cases = [
        (Algorithm::SlidingWindow(quota(7, SECOND)), 7),
        (Algorithm::FixedWindow(quota(7, SECOND), None), 7),
        (Algorithm::FixedWindow(quota(7, SECOND), Some(tollgate_limiter::Calendar::Month)), 7),
        (Algorithm::Concurrency { permits: 7, ttl_ns: SECOND }, 7),
        (crate::harness::leaky_bucket(7, SECOND, 7), 1),
    ];
    for (algorithm, expected) in cases {
        let fixture = Fixture::start(vec![limit("only", algorithm)]).await;
        assert_eq!(fixture.admitted("a").await, expected, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_warm_decision_asks_nobody() {
    let fixture = Fixture::start(vec![limit("fast", token_bucket(1_000, SECOND, 100))]).await;
    assert!(fixture.acquire("a", 1).await.allowed);
    let before = fixture.recorder.proposed.load(Ordering::SeqCst);
    for _ in 0..50 {
        assert!(fixture.acquire("a", 1).await.allowed);
    }
    assert_eq!(fixture.recorder.proposed.load(Ordering::SeqCst), before, "nothing was proposed to the group");
}

#[tokio::test]
async fn an_honoured_retry_after_is_admitted() {
    let algorithms = [
        token_bucket(10, SECOND, 20),
        Algorithm::SlidingWindow(quota(7, SECOND)),
        Algorithm::FixedWindow(quota(7, SECOND), None),
        Algorithm::Concurrency { permits: 7, ttl_ns: SECOND },
        crate::harness::leaky_bucket(7, SECOND, 7),
    ];
    for algorithm in algorithms {
        let fixture = Fixture::start(vec![limit("only", algorithm)]).await;
        fixture.admitted("a").await;
        let denied = fixture.acquire("a", 1).await;
        let retry_after_ns = denied.limits[0].standing.retry_after_ns;
        fixture.clock.pass(retry_after_ns);
        assert!(fixture.acquire("a", 1).await.allowed, "{algorithm:?} after {retry_after_ns} ns");
    }
}

#[tokio::test]
async fn looking_takes_nothing() {
    let fixture = Fixture::start(vec![limit("fast", token_bucket(10, SECOND, 3))]).await;
    for _ in 0..10 {
        let verdict = fixture.acquire("a", 0).await;
        assert_eq!((verdict.allowed, verdict.limits[0].standing.remaining), (true, 3));
    }
    assert_eq!(fixture.node.buckets_held(), 0);
}

#[tokio::test]
async fn a_node_that_is_full_refuses_new_buckets_and_keeps_spent_ones() {
    let slow = limit("slow", token_bucket(1, 3_600 * SECOND, 1));
    let fixture = Fixture::start_with_room_for(10, vec![slow]).await;
    for user in 0..10 {
        assert!(fixture.acquire(&user.to_string(), 1).await.allowed, "user {user}");
    }
    let refused = fixture.try_acquire("one too many", 1, std::time::Duration::ZERO).await;
    assert_eq!(refused.err(), Some(tollgate_cluster::AcquireError::NoRoom));
    for user in 0..10 {
        assert!(!fixture.acquire(&user.to_string(), 1).await.allowed, "user {user} is remembered");
    }
    let labels = std::collections::BTreeMap::from([("user".to_owned(), "3".to_owned())]);
    assert_eq!(fixture.node.reset_bucket("slow", "app", &labels).await, Ok(true));
    assert!(fixture.acquire("one too many", 1).await.allowed, "a bucket that was reset leaves its room");
}
