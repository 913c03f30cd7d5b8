//! Requests that wait for their turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_cluster::{AcquireError, Verdict};
use tollgate_limiter::Algorithm;

use crate::harness::{Fixture, SECOND, leaky_bucket, limit, quota, token_bucket};

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
    let fixture = Arc::new(Fixture::start(vec![limit("queue", leaky_bucket(10, SECOND, 5))]).await);
    let (passed, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for number in 0..4 {
        let (waiting, passed) = (Arc::clone(&fixture), passed.clone());
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
    let fixture = Arc::new(Fixture::start(vec![limit("queue", leaky_bucket(1, SECOND, 2))]).await);
    assert!(fixture.acquire("a", 1).await.allowed);
    for _ in 0..2 {
        let fixture = Arc::clone(&fixture);
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
    let fixture = Arc::new(Fixture::start(vec![limit("bucket", token_bucket(10, SECOND, 3))]).await);
    assert_eq!(fixture.admitted("a").await, 3);
    let waiting = {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.try_acquire("a", 1, Duration::from_secs(1)).await })
    };
    pass(&fixture, Duration::from_millis(110)).await;
    assert!(waiting.await.expect("no panic").expect("decided").allowed);
}

/// A request that waits in a task of its own.
fn waiting(fixture: &Arc<Fixture>, patience: Duration) -> JoinHandle<Result<Verdict, AcquireError>> {
    let fixture = Arc::clone(fixture);
    tokio::spawn(async move { fixture.try_acquire("a", 1, patience).await })
}

#[tokio::test(start_paused = true)]
async fn more_may_wait_than_the_bucket_holds() {
    let second = Duration::from_secs(1);
    let algorithms = [
        token_bucket(10, SECOND, 1),
        Algorithm::SlidingWindow(quota(1, SECOND / 10)),
        Algorithm::FixedWindow(quota(1, SECOND / 10), None),
    ];
    for algorithm in algorithms {
        let fixture = Arc::new(Fixture::start(vec![limit("one", algorithm)]).await);
        let mut requests: VecDeque<_> = (0..6).map(|_| waiting(&fixture, second)).collect();
        for _ in 0..100 {
            pass(&fixture, second / 100).await;
            while requests.front().is_some_and(JoinHandle::is_finished) {
                let passed = requests.pop_front().expect("there is one").await.expect("no panic").expect("decided");
                assert!(passed.allowed, "{algorithm:?}");
            }
            assert!(requests.iter().all(|request| !request.is_finished()), "out of order: {algorithm:?}");
        }
        assert!(requests.is_empty(), "{} still wait: {algorithm:?}", requests.len());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_permit_gets_it_when_another_is_settled() {
    let permits = Algorithm::Concurrency { permits: 1, ttl_ns: 3_600 * SECOND };
    let fixture = Arc::new(Fixture::start(vec![limit("permits", permits)]).await);
    let held = fixture.acquire("a", 1).await;
    let patience = Duration::from_secs(10);
    let (first, second) = (waiting(&fixture, patience), waiting(&fixture, patience));
    pass(&fixture, Duration::from_millis(50)).await;
    assert!(!first.is_finished() && !second.is_finished());
    for (holds, next) in [(held, first)] {
        fixture.node.settle(&fixture.node.reservation(&holds), 1).await.expect("settled");
        pass(&fixture, Duration::from_millis(50)).await;
        assert!(next.is_finished(), "it waits on");
        assert!(next.await.expect("no panic").expect("decided").allowed);
    }
    pass(&fixture, patience).await;
    assert!(!second.await.expect("no panic").expect("decided").allowed, "nobody settled for the second");
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_others_is_answered_when_its_own_patience_ends() {
    let permits = Algorithm::Concurrency { permits: 1, ttl_ns: 3_600 * SECOND };
    let fixture = Arc::new(Fixture::start(vec![limit("permits", permits)]).await);
    assert!(fixture.acquire("a", 1).await.allowed);
    let patient = waiting(&fixture, Duration::from_secs(60));
    pass(&fixture, Duration::from_millis(10)).await;
    let impatient = waiting(&fixture, Duration::from_millis(200));
    pass(&fixture, Duration::from_millis(250)).await;
    assert!(impatient.is_finished() && !patient.is_finished());
    assert!(!impatient.await.expect("no panic").expect("decided").allowed);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_waited_for_beside_other_limits_too() {
    let permits = limit("permits", Algorithm::Concurrency { permits: 1, ttl_ns: 3_600 * SECOND });
    let fixture = Arc::new(Fixture::start(vec![limit("fast", token_bucket(1_000, SECOND, 1_000)), permits]).await);
    let held = fixture.acquire("a", 1).await;
    let request = waiting(&fixture, Duration::from_secs(5));
    pass(&fixture, Duration::from_millis(50)).await;
    fixture.node.settle(&fixture.node.reservation(&held), 1).await.expect("settled");
    pass(&fixture, Duration::from_millis(50)).await;
    assert!(request.is_finished());
    assert!(request.await.expect("no panic").expect("decided").allowed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_while_it_waits_is_charged_nothing() {
    let limits = vec![limit("every", token_bucket(1, SECOND, 1)), limit("other", token_bucket(1_000, SECOND, 1_000))];
    for limits in [limits[..1].to_vec(), limits] {
        let fixture = Arc::new(Fixture::start(limits).await);
        assert!(fixture.acquire("a", 1).await.allowed);
        let request = waiting(&fixture, Duration::from_secs(60));
        pass(&fixture, Duration::from_millis(100)).await;
        request.abort();
        pass(&fixture, Duration::from_millis(1_000)).await;
        assert!(fixture.acquire("a", 1).await.allowed, "{} limits", fixture.node.limits().iter().count());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_a_queued_request_that_waits_for_its_grant() {
    let fixture = Arc::new(Fixture::start(vec![limit("bucket", token_bucket(10, SECOND, 100))]).await);
    assert!(fixture.acquire("a", 100).await.allowed);
    let large = {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.try_acquire("a", 100, Duration::from_secs(11)).await })
    };
    let mut passed = 0;
    for _ in 0..1_050 {
        pass(&fixture, Duration::from_millis(10)).await;
        passed += u64::from(!large.is_finished() && fixture.acquire("a", 1).await.allowed);
    }
    assert_eq!(passed, 0);
    assert!(large.await.expect("no panic").expect("decided").allowed);
}

#[tokio::test(start_paused = true)]
async fn who_has_just_the_patience_that_it_takes_passes_before_those_behind() {
    let fixture = Arc::new(Fixture::start(vec![limit("bucket", token_bucket(10, SECOND, 1))]).await);
    assert!(fixture.acquire("a", 1).await.allowed);
    let first = waiting(&fixture, Duration::from_millis(100));
    tokio::task::yield_now().await;
    let second = waiting(&fixture, Duration::from_secs(1));
    pass(&fixture, Duration::from_millis(110)).await;
    assert!(first.is_finished() && !second.is_finished());
    assert!(first.await.expect("no panic").expect("decided").allowed);
}
