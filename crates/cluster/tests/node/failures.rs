//! Actors that fail, and a disk that takes no writes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_limiter::{Limit, OnUnavailable};

use crate::harness::{Fixture, SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

#[tokio::test]
async fn a_bucket_actor_that_fails_is_started_anew_from_committed_state() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    for _ in 0..4 {
        assert!(fixture.acquire("a", 1).await.allowed);
    }
    fixture.recorder.panic_next.store(true, Ordering::SeqCst);
    assert!(
        fixture.try_acquire("a", 1, Duration::ZERO).await.is_err(),
        "the request that met the failure has no answer"
    );
    let admitted = loop {
        // Until the new actor has taken over, nobody answers.
        if let Ok(verdict) = fixture.try_acquire("a", 1, Duration::ZERO).await {
            break u64::from(verdict.allowed) + fixture.admitted("a").await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(admitted <= 6, "{admitted} after 4 of 10");
    assert!(admitted >= 4, "{admitted}: no more is lost than what might have been spent");
    assert_eq!(fixture.recorder.restarted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_commits_each_limit_answers_as_it_says_and_comes_back_by_itself() {
    let cases = [(OnUnavailable::Local, true), (OnUnavailable::Deny, false), (OnUnavailable::Allow, true)];
    for (on_unavailable, allowed) in cases {
        let slow = Limit { on_unavailable, ..limit("slow", token_bucket(1, HOUR, 10)) };
        let fixture = Fixture::start(vec![slow]).await;
        assert!(fixture.acquire("a", 1).await.allowed);
        fixture.storage.set_stuck(true);
        fixture.clock.pass(10 * SECOND);
        let ticking = tick(&fixture);
        let verdict = tokio::select! {
            verdict = fixture.acquire("a", 1) => verdict,
            () = ticking => unreachable!("the clock is turned for ever"),
        };
        assert_eq!((verdict.allowed, verdict.degraded), (allowed, true), "{on_unavailable:?}");
        fixture.storage.set_stuck(false);
        let verdict = fixture.acquire("b", 1).await;
        assert_eq!((verdict.allowed, verdict.degraded), (true, false), "{on_unavailable:?} is exact again");
    }
}

/// Turns the test's clock as real time passes.
async fn tick(fixture: &Fixture) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        fixture.clock.pass(1_000_000);
    }
}
