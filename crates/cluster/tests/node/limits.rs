//! Limits that change while they are in use.

use std::collections::BTreeMap;

use tollgate_cluster::ChangeError;
use tollgate_limiter::{Algorithm, LimitName};

use crate::harness::{Fixture, SECOND, limit, quota, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

#[tokio::test]
async fn a_change_holds_from_the_next_decision_up_and_down() {
    // (before, units spent, after, units left at once)
    let cases = [
        (token_bucket(1, HOUR, 10), 10, token_bucket(1, HOUR, 15), 5),
        (token_bucket(1, HOUR, 10), 4, token_bucket(1, HOUR, 5), 1),
        (token_bucket(1, HOUR, 10), 10, token_bucket(10, HOUR, 10), 0),
        (token_bucket(10, SECOND, 10), 10, token_bucket(1, HOUR, 12), 2),
        (Algorithm::SlidingWindow(quota(10, HOUR)), 10, Algorithm::SlidingWindow(quota(12, HOUR)), 2),
        (Algorithm::SlidingWindow(quota(10, HOUR)), 4, Algorithm::SlidingWindow(quota(3, HOUR)), 0),
        (Algorithm::FixedWindow(quota(10, HOUR), None), 10, Algorithm::FixedWindow(quota(12, HOUR), None), 2),
        (
            Algorithm::Concurrency { permits: 3, ttl_ns: HOUR },
            3,
            Algorithm::Concurrency { permits: 5, ttl_ns: HOUR },
            2,
        ),
    ];
    for (before, spent, after, left) in cases {
        let fixture = Fixture::start(vec![limit("only", before)]).await;
        for _ in 0..spent {
            assert!(fixture.acquire("a", 1).await.allowed);
        }
        fixture.node.put_limit(limit("only", after)).await.expect("committed");
        assert_eq!(fixture.admitted("a").await, left, "{before:?}, {spent} spent, then {after:?}");
    }
}

#[tokio::test]
async fn a_faster_pace_refills_faster_at_once() {
    let fixture = Fixture::start(vec![limit("only", token_bucket(1, HOUR, 10))]).await;
    assert_eq!(fixture.admitted("a").await, 10);
    fixture.node.put_limit(limit("only", token_bucket(10, SECOND, 10))).await.expect("committed");
    fixture.clock.pass(SECOND / 2);
    assert_eq!(fixture.admitted("a").await, 5);
}

#[tokio::test]
async fn a_limit_that_is_gone_limits_nobody_and_one_made_anew_starts_afresh() {
    let fixture = Fixture::start(vec![limit("only", token_bucket(1, HOUR, 2))]).await;
    assert_eq!(fixture.admitted("a").await, 2);
    let name = LimitName::new("only").expect("a valid name");
    fixture.node.delete_limit(name.clone()).await.expect("committed");
    let verdict = fixture.acquire("a", 1).await;
    assert!(verdict.allowed && verdict.limits.is_empty());
    assert_eq!(fixture.node.delete_limit(name).await, Err(ChangeError::UnknownLimit));
    fixture.node.put_limit(limit("only", token_bucket(1, HOUR, 2))).await.expect("committed");
    assert_eq!(fixture.admitted("a").await, 2);
}

#[tokio::test]
async fn a_bucket_that_is_reset_is_whole_even_after_a_crash() {
    let fixture = Fixture::start(vec![limit("only", token_bucket(1, HOUR, 5))]).await;
    assert_eq!(fixture.admitted("a").await, 5);
    let labels = BTreeMap::from([("user".to_owned(), "a".to_owned())]);
    assert_eq!(fixture.node.reset_bucket("only", "app", &labels).await, Ok(true));
    let standing = fixture.node.bucket("only", "app", &labels).await.expect("it is read").expect("the limit is there");
    assert_eq!(standing.remaining, 5);
    let fixture = fixture.crash_and_restart(|_| {}).await;
    fixture.clock.pass(3 * SECOND);
    assert_eq!(fixture.admitted("a").await, 5);
}
