//! Crashes and restarts: what was admitted stays admitted, and what was promised is kept.

use tollgate_cluster::Settled;
use tollgate_limiter::Algorithm;

use crate::harness::{Fixture, SECOND, limit, quota, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

#[tokio::test]
async fn no_crash_gives_a_bucket_more_than_its_burst() {
    let algorithms = [
        token_bucket(1, HOUR, 10),
        token_bucket(10, SECOND, 10),
        Algorithm::SlidingWindow(quota(10, HOUR)),
        Algorithm::FixedWindow(quota(10, HOUR), None),
        Algorithm::Concurrency { permits: 10, ttl_ns: HOUR },
    ];
    for algorithm in algorithms {
        let mut fixture = Fixture::start(vec![limit("only", algorithm)]).await;
        let mut admitted = 0;
        for _ in 0..5 {
            for _ in 0..3 {
                admitted += u64::from(fixture.acquire("a", 1).await.allowed);
            }
            fixture = fixture.crash_and_restart(|_| {}).await;
        }
        admitted += fixture.admitted("a").await;
        assert!(admitted <= 10, "{algorithm:?} admitted {admitted}");
    }
}

#[tokio::test]
async fn a_crash_costs_at_most_the_horizon() {
    let fixture = Fixture::start(vec![limit("fast", token_bucket(10, SECOND, 100))]).await;
    assert!(fixture.acquire("a", 5).await.allowed);
    let fixture = fixture.crash_and_restart(|_| {}).await;
    let left = fixture.acquire("a", 0).await.limits[0].standing.remaining;
    assert!((75..=95).contains(&left), "{left} of 95 are left: at most 2 s of refill, 20 units, may be lost");
}

#[tokio::test]
async fn stopping_in_order_loses_nothing() {
    let cases = [
        (token_bucket(10, SECOND, 100), 5, 95),
        (token_bucket(10, SECOND, 100), 60, 40),
        (token_bucket(100, HOUR, 100), 60, 40),
        (Algorithm::SlidingWindow(quota(100, HOUR)), 5, 95),
        (Algorithm::FixedWindow(quota(100, HOUR), None), 5, 95),
        (Algorithm::Concurrency { permits: 100, ttl_ns: HOUR }, 5, 95),
    ];
    for (algorithm, spent, left) in cases {
        let fixture = Fixture::start(vec![limit("only", algorithm)]).await;
        for _ in 0..spent {
            assert!(fixture.acquire("a", 1).await.allowed);
        }
        let fixture = fixture.stop_and_restart().await;
        let remaining = fixture.acquire("a", 0).await.limits[0].standing.remaining;
        assert_eq!(remaining, left, "{algorithm:?} after {spent}");
    }
}

#[tokio::test]
async fn no_step_of_the_wall_clock_refills_or_starves() {
    for step in [HOUR, -HOUR] {
        let fixture = Fixture::start(vec![limit("slow", token_bucket(10, HOUR, 10))]).await;
        assert_eq!(fixture.admitted("a").await, 10);
        fixture.clock.step_wall(step);
        assert_eq!(fixture.admitted("a").await, 0, "stepped by {step}");
        let fixture = fixture.crash_and_restart(|clock| clock.step_wall(step)).await;
        assert_eq!(fixture.admitted("a").await, 0, "stepped by {step} while it was down");
        fixture.clock.pass(HOUR / 10 + 2 * SECOND);
        assert_eq!(fixture.admitted("a").await, 1, "true time refills, after a step by {step}");
    }
}

#[tokio::test]
async fn time_away_counts_after_a_reboot_and_never_backwards() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(10, HOUR, 10))]).await;
    assert_eq!(fixture.admitted("a").await, 10);
    let fixture = fixture
        .crash_and_restart(|clock| {
            clock.reboot();
            clock.step_wall(HOUR / 2 + 2 * SECOND);
        })
        .await;
    assert_eq!(fixture.admitted("a").await, 5);
    let fixture = fixture
        .crash_and_restart(|clock| {
            clock.reboot();
            clock.step_wall(-24 * HOUR);
        })
        .await;
    assert_eq!(fixture.admitted("a").await, 0);
}

#[tokio::test]
async fn a_limit_that_a_call_made_survives_a_crash() {
    let fixture = Fixture::start(vec![limit("file", token_bucket(1, HOUR, 3))]).await;
    assert!(fixture.node.put_limit(limit("call", token_bucket(1, HOUR, 2))).await.expect("committed"));
    assert!(!fixture.node.put_limit(limit("file", token_bucket(1, HOUR, 9))).await.expect("committed"));
    let fixture = fixture.crash_and_restart(|_| {}).await;
    let limits = fixture.node.limits();
    let capacity = |name| limits.get(name).map(|(_, limit)| limit.algorithm.capacity());
    assert_eq!((capacity("call"), capacity("file")), (Some(2), Some(9)));
}

#[tokio::test]
async fn a_reservation_is_settled_once_whatever_happens_in_between() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    let verdict = fixture.acquire("a", 8).await;
    let token = fixture.node.reservation(&verdict);
    assert_eq!(fixture.node.settle(&token, 3).await, Ok(Settled { reserved: 8, returned: 5 }));
    assert_eq!(fixture.acquire("a", 0).await.limits[0].standing.remaining, 7);
    assert!(fixture.node.settle(&token, 3).await.is_err());
    let fixture = fixture.crash_and_restart(|_| {}).await;
    assert!(fixture.node.settle(&token, 0).await.is_err(), "it is remembered");
    assert!(fixture.admitted("a").await <= 7);
}

#[tokio::test]
async fn a_reservation_of_before_a_crash_gives_nothing_back_and_says_so() {
    let fixture = Fixture::start(vec![limit("slow", token_bucket(1, HOUR, 10))]).await;
    let token = fixture.node.reservation(&fixture.acquire("a", 6).await);
    let fixture = fixture.crash_and_restart(|_| {}).await;
    let left = fixture.acquire("a", 0).await.limits[0].standing.remaining;
    assert_eq!(fixture.node.settle(&token, 0).await, Ok(Settled { reserved: 6, returned: 0 }));
    assert_eq!(fixture.acquire("a", 0).await.limits[0].standing.remaining, left);
}
