//! Requests that wait for their turn.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Fixture, SECOND, leaky_bucket, limit, token_bucket};

/// Turns the test's clock together with tokio's paused one.
async fn pass(fixture: &Fixture, span: Duration) {
    for _ in 0..span.as_millis() {
        fixture.clock.pass(1_000_000);
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaky_bucket_lets_requests_through_in_order_at_its_pace() {
    let fixture = std::sync::Arc::new(Fixture::start(vec![limit("queue", leaky_bucket(10, SECOND, 5))]).await);
    let (passed, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for number in 0..4 {
        let (waiting, passed) = (std::sync::Arc::clone(&fixture), passed.clone());
        tasks.push(tokio::spawn(async move {
            let verdict = waiting.try_acquire("a", 1, Duration::from_secs(10)).await.expect("it is decided");
            passed.send((number, verdict.allowed, Instant::now())).expect("the test listens");
        }));
        pass(&fixture, Duration::from_millis(2)).await;
    }
    pass(&fixture, Duration::from_millis(500)).await;
    let mut seen = Vec::new();
    while let Ok(one) = order.try_recv() {
        seen.push(one);
    }
    assert_eq!(
        seen.iter().map(|(number, allowed, _)| (*number, *allowed)).collect::<Vec<_>>(),
        [(0, true), (1, true), (2, true), (3, true)]
    );
    for pair in seen.windows(2) {
        let apart = pair[1].2 - pair[0].2;
        assert!(apart >= Duration::from_millis(95), "two passed {apart:?} apart");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_the_patience_is_told_at_once_how_long_it_takes() {
    let fixture = Fixture::start(vec![limit("queue", leaky_bucket(10, SECOND, 5))]).await;
    assert!(fixture.acquire("a", 1).await.allowed);
    let denied = fixture.try_acquire("a", 1, Duration::from_millis(50)).await.expect("it is decided");
    assert!(!denied.allowed);
    assert_eq!(denied.limits[0].standing.retry_after_ns, SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_nobody_more() {
    let fixture = std::sync::Arc::new(Fixture::start(vec![limit("queue", leaky_bucket(1, SECOND, 2))]).await);
    assert!(fixture.acquire("a", 1).await.allowed);
    for _ in 0..2 {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move { fixture.try_acquire("a", 1, Duration::from_secs(60)).await });
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    let denied = fixture.try_acquire("a", 1, Duration::from_secs(60)).await.expect("it is decided");
    assert!(!denied.allowed, "two wait already");
    assert!(!fixture.acquire("a", 1).await.allowed, "nobody passes those who wait");
}

#[tokio::test(start_paused = true)]
async fn a_token_bucket_lets_wait_too() {
    let fixture = std::sync::Arc::new(Fixture::start(vec![limit("bucket", token_bucket(10, SECOND, 3))]).await);
    assert_eq!(fixture.admitted("a").await, 3);
    let waiting = {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move { fixture.try_acquire("a", 1, Duration::from_secs(1)).await })
    };
    pass(&fixture, Duration::from_millis(110)).await;
    assert!(waiting.await.expect("no panic").expect("decided").allowed);
}
