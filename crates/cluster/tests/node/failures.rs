//! Actors that fail, and a disk that takes no writes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_cluster::{SettleReservationError, Settled};
use tollgate_limiter::{Algorithm, Limit, OnUnavailable};

use crate::harness::{Fixture, SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

#[tokio::test]
async fn a_bucket_actor_that_fails_is_started_anew_from_committed_state() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    for _ in 0..4 {
        assert!(fixture.acquire("a", 1).await.allowed);
    }
    fixture.recorder.panic_next.store(true, Ordering::SeqCst);
    // The request that met the failure is asked again of the new actor.
    let admitted = fixture.admitted("a").await;
    assert!(admitted <= 6, "{admitted} after 4 of 10");
    assert!(admitted >= 4, "{admitted}: no more is lost than what might have been spent");
    assert_eq!(fixture.recorder.restarted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_node_whose_supervisor_fails_says_so() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    let failed = async |within| tokio::time::timeout(within, fixture.node.failed()).await.is_ok();
    assert!(!failed(Duration::from_millis(50)).await);
    fixture.recorder.panic_at_restart.store(true, Ordering::SeqCst);
    fixture.recorder.panic_next.store(true, Ordering::SeqCst);
    assert!(fixture.acquire("a", 1).await.degraded, "nobody is left to decide");
    assert!(failed(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn without_commits_each_limit_answers_as_it_says_and_comes_back_by_itself() {
    let says = [(OnUnavailable::Local, true), (OnUnavailable::Deny, false), (OnUnavailable::Allow, true)];
    let algorithms = [token_bucket(1, HOUR, 10), Algorithm::Concurrency { permits: 10, ttl_ns: HOUR }];
    for ((on_unavailable, allowed), algorithm) in
        says.into_iter().flat_map(|says| algorithms.map(|algorithm| (says, algorithm)))
    {
        let slow = Limit { on_unavailable, ..limit("slow", algorithm) };
        let fixture = Fixture::start(vec![slow]).await;
        assert!(fixture.acquire("a", 1).await.allowed);
        fixture.storage.set_stuck(true);
        fixture.clock.pass(10 * SECOND);
        let ticking = tick(&fixture);
        let verdict = tokio::select! {
            // More than the leader may have asked for ahead of need.
            verdict = fixture.acquire("a", 3) => verdict,
            () = ticking => unreachable!("the clock is turned for ever"),
        };
        assert_eq!((verdict.allowed, verdict.degraded), (allowed, true), "{on_unavailable:?}");
        fixture.storage.set_stuck(false);
        let verdict = fixture.acquire("b", 1).await;
        assert_eq!((verdict.allowed, verdict.degraded), (true, false), "{on_unavailable:?} is exact again");
    }
}

#[tokio::test]
async fn without_commits_a_settlement_is_neither_promised_nor_waited_for() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    let token = fixture.node.reservation(&fixture.acquire("a", 8).await);
    fixture.storage.set_stuck(true);
    let settle_twice = async {
        let first = fixture.node.settle(&token, 3).await;
        (first, fixture.node.settle(&token, 3).await)
    };
    let answers = tokio::select! {
        answers = settle_twice => answers,
        () = tick(&fixture) => unreachable!("the clock is turned for ever"),
    };
    let unavailable = Err(SettleReservationError::Unavailable);
    assert_eq!(answers, (unavailable, unavailable), "it is not settled before it is committed");
    fixture.storage.set_stuck(false);
    let settled = fixture.node.settle(&token, 3).await;
    assert!(!matches!(settled, Ok(Settled { returned: 6.., .. })), "{settled:?}");
    assert_eq!(fixture.acquire("a", 0).await.limits[0].standing.remaining, 7, "once, and only once");
}

/// Turns the test's clock as real time passes.
async fn tick(fixture: &Fixture) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        fixture.clock.pass(1_000_000);
    }
}
