//! Requests that meet several limits: all are charged, or none.

use tollgate_limiter::{Algorithm, Limit};

use crate::harness::{Fixture, SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

fn remaining(verdict: &tollgate_cluster::Verdict) -> Vec<(String, u64)> {
    verdict.limits.iter().map(|limit| (limit.limit.name.to_string(), limit.standing.remaining)).collect()
}

fn shared(name: &str, algorithm: Algorithm) -> Limit {
    Limit { by: Vec::new(), ..limit(name, algorithm) }
}

#[tokio::test]
async fn a_denied_request_consumes_none_of_its_limits() {
    let limits = vec![
        limit("user", token_bucket(1, HOUR, 3)),
        shared("global", token_bucket(1, HOUR, 100)),
        shared("jobs", Algorithm::Concurrency { permits: 50, ttl_ns: HOUR }),
    ];
    let fixture = Fixture::start(limits).await;
    assert_eq!(fixture.admitted("a").await, 3);
    for _ in 0..20 {
        assert!(!fixture.acquire("a", 1).await.allowed);
    }
    let verdict = fixture.acquire("b", 0).await;
    let expected = [("global".to_owned(), 97), ("jobs".to_owned(), 47), ("user".to_owned(), 3)];
    assert_eq!(remaining(&verdict), expected);
}

#[tokio::test]
async fn a_limit_in_shadow_counts_and_reports_but_never_denies() {
    let shadow = Limit { shadow: true, ..limit("shadow", token_bucket(1, HOUR, 2)) };
    let fixture = Fixture::start(vec![shadow, limit("real", token_bucket(1, HOUR, 5))]).await;
    let mut verdicts = Vec::new();
    for _ in 0..6 {
        verdicts.push(fixture.acquire("a", 1).await);
    }
    let allowed: Vec<_> = verdicts.iter().map(|verdict| verdict.allowed).collect();
    assert_eq!(allowed, [true, true, true, true, true, false]);
    let in_shadow: Vec<_> = verdicts.iter().map(|verdict| verdict.limits[1].allowed).collect();
    assert_eq!(in_shadow[..5], [true, true, false, false, false]);
}

#[tokio::test]
async fn a_cost_that_never_fits_a_limit_in_shadow_passes() {
    let shadow = Limit { shadow: true, ..limit("shadow", token_bucket(1, HOUR, 2)) };
    let fixture = Fixture::start(vec![shadow, limit("real", token_bucket(1, HOUR, 5))]).await;
    let verdict = fixture.acquire("a", 4).await;
    assert!(verdict.allowed);
    assert_eq!(remaining(&verdict), [("real".to_owned(), 1), ("shadow".to_owned(), 2)]);
    assert!(!verdict.limits[1].allowed, "it reports that it would have denied");
}

#[tokio::test]
async fn a_reservation_over_several_limits_is_settled_in_all() {
    let limits = vec![
        limit("user", token_bucket(1, HOUR, 10)),
        shared("global", token_bucket(1, HOUR, 100)),
        shared("jobs", Algorithm::Concurrency { permits: 50, ttl_ns: HOUR }),
    ];
    let fixture = Fixture::start(limits).await;
    let verdict = fixture.acquire("a", 8).await;
    let token = fixture.node.reservation(&verdict);
    fixture.node.settle(&token, 9).await.expect("settled");
    let verdict = fixture.acquire("a", 0).await;
    let expected = [("global".to_owned(), 91), ("jobs".to_owned(), 50), ("user".to_owned(), 1)];
    assert_eq!(remaining(&verdict), expected, "one unit more is charged, and the permits are back");
}
