//! What is counted.

use std::collections::BTreeMap;

use tollgate_limiter::ShardTime;

use super::harness::limits;
use crate::replay::logged_request::LoggedRequest;
use crate::replay::replayer::{NoRoom, Replayer, ReplayerOptions};
use crate::replay::tally::{MOST_KEYS, Tally};

fn request(user: &str) -> LoggedRequest {
    let labels = BTreeMap::from([("user".to_owned(), user.to_owned())]);
    LoggedRequest { endpoint: "a".to_owned(), labels }
}

fn at_s(second: i64) -> ShardTime {
    ShardTime::from_nanos(second * 1_000_000_000)
}

fn replayer(yaml: &str, max_buckets: u64) -> Replayer {
    Replayer::new(ReplayerOptions { limits: limits(yaml), shards: 4, horizon_lead_ns: 2_000_000_000, max_buckets })
}

/// The tally of requests, each a second and a user.
fn tally(yaml: &str, most_keys: usize, requests: &[(i64, &str)]) -> Tally {
    let mut replayer = replayer(yaml, 1_000);
    let mut tally = Tally::new(replayer.limits(), most_keys);
    for (second, user) in requests {
        let request = request(user);
        let ruling = replayer.decide(at_s(*second), &request);
        tally.count(&request, &ruling);
    }
    tally
}

#[test]
fn the_worst_minute_is_the_one_with_most_denials() {
    let yaml = "{rate_limits: {}, limits: [{name: l, by: [user], algorithm: fixed_window, rate: 1, per: 1d}]}";
    let seconds = [1, 2, 61, 62, 63, 119, 120, 121, 122, 123, 200];
    let requests: Vec<_> = seconds.iter().map(|second| (*second, "u")).collect();
    let tally = tally(yaml, MOST_KEYS, &requests);
    let limit = tally.limits.values().next().expect("there is one limit");
    let denials = limit.denied_keys().next().and_then(|key| key.denials.as_ref()).expect("the key was denied");
    assert_eq!((denials.count, denials.worst.start, denials.worst.denied), (10, at_s(60), 4), "the earlier of two");
}

#[test]
fn keys_beyond_the_most_are_summed_but_not_told_apart() {
    let yaml = "{rate_limits: {}, limits: [{name: l, by: [user], algorithm: fixed_window, rate: 1, per: 1d}]}";
    let tally = tally(yaml, 2, &[(0, "a"), (0, "b"), (0, "c"), (0, "c"), (0, "a")]);
    let limit = tally.limits.values().next().expect("there is one limit");
    assert_eq!((limit.matched, limit.denied, limit.keys.len(), limit.overflowed), (5, 2, 2, true));
}

#[test]
fn a_bucket_too_many_is_refused_as_on_a_node_and_charges_nothing() {
    let yaml = "{rate_limits: {}, limits: [
        {name: all, algorithm: fixed_window, rate: 2, per: 1d},
        {name: users, by: [user], algorithm: fixed_window, rate: 1, per: 1d}]}";
    let mut replayer = replayer(yaml, 2);
    let mut allowed = |user| replayer.decide(at_s(0), &request(user)).map(|ruling| ruling.allowed);
    assert_eq!([allowed("a"), allowed("b"), allowed("a")], [Ok(true), Err(NoRoom), Ok(false)]);
}

#[test]
fn a_limit_in_shadow_says_no_and_lets_pass() {
    let yaml = "{rate_limits: {}, limits: [
        {name: shade, algorithm: fixed_window, rate: 1, per: 1d, shadow: true},
        {name: users, by: [user], algorithm: fixed_window, rate: 2, per: 1d}]}";
    let tally = tally(yaml, MOST_KEYS, &[(0, "a"), (0, "a"), (0, "a")]);
    let denied: Vec<_> = tally.limits.values().map(|limit| (limit.matched, limit.denied)).collect();
    assert_eq!((tally.allowed, tally.denied, denied), (2, 1, vec![(3, 2), (3, 1)]));
}

#[test]
fn time_only_moves_forward() {
    let mut replayer = replayer("{rate_limits: {}, limits: [{name: l, rate: 1, per: 1s, burst_limit: 1}]}", 10);
    let mut decide = |second| {
        let ruling = replayer.decide(at_s(second), &request("a")).expect("there is room");
        (ruling.at, ruling.allowed)
    };
    assert_eq!(decide(10), (at_s(10), true));
    assert_eq!(decide(5), (at_s(10), false), "an hour that was reached does not come back");
    assert_eq!(decide(11), (at_s(11), true));
}
