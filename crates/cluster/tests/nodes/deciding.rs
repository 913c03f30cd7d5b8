//! Decisions on any node.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tollgate_limiter::Algorithm;

use crate::cluster::Cluster;
use crate::harness::{SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

#[tokio::test]
async fn any_node_answers_and_all_together_admit_the_burst_and_no_more() {
    let cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 12))]).await;
    for user in 0..20 {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 12, "user {user}");
    }
    cluster.pass(HOUR / 10);
    assert_eq!(cluster.admitted("user0").await, 1, "what has refilled");
}

#[tokio::test]
async fn leaders_are_spread_over_the_nodes() {
    let cluster = Cluster::start(3, vec![]).await;
    cluster.until_led().await;
    cluster
        .until("every node leads", |cluster| {
            let status = cluster.nodes[&1].cluster_status();
            let leaders: BTreeSet<_> = status.shards.iter().filter_map(|shard| shard.leader).collect();
            leaders.len() == 3
        })
        .await;
}

#[tokio::test]
async fn several_limits_are_charged_all_or_none_wherever_their_shards_are() {
    let wide = limit("wide", token_bucket(10, HOUR, 100));
    let narrow = limit("narrow", token_bucket(10, HOUR, 5));
    let cluster = Cluster::start(3, vec![wide, narrow]).await;
    for user in 0..12 {
        let user = format!("user{user}");
        assert_eq!(cluster.admitted(&user).await, 5, "{user}");
        for node in 1..=3 {
            assert!(!cluster.acquire(node, &user, 1).await.allowed);
        }
        // What another node holds is given back a moment after the answer.
        until_left(&cluster, &user, [0, 95]).await;
    }
}

#[tokio::test]
async fn what_is_denied_is_charged_nowhere_however_many_ask_at_once() {
    let wide = limit("wide", token_bucket(10, HOUR, 1_000));
    let narrow = limit("narrow", token_bucket(10, HOUR, 5));
    let cluster = Cluster::start(3, vec![wide, narrow]).await;
    cluster.until_led().await;
    for user in 0..6 {
        let user = format!("user{user}");
        let asked = (0..60).map(|number| cluster.acquire(1 + number % 3, &user, 1));
        let verdicts = futures::future::join_all(asked).await;
        assert!(verdicts.iter().all(|verdict| !verdict.degraded), "{user}: all nodes are there");
        let allowed = verdicts.iter().filter(|verdict| verdict.allowed).count() as u64;
        assert!((1..=5).contains(&allowed), "{user}: {allowed} of 5");
        until_left(&cluster, &user, [5 - allowed, 1_000 - allowed]).await;
    }
}

#[tokio::test]
async fn what_is_denied_is_charged_nowhere_while_shards_are_handed_over() {
    let wide = limit("wide", token_bucket(10, HOUR, 1_000));
    let narrow = limit("narrow", token_bucket(10, HOUR, 20));
    let slots = limit("slots", Algorithm::Concurrency { permits: 1_000, ttl_ns: HOUR });
    let cluster = Cluster::start(3, vec![wide, narrow, slots]).await;
    cluster.until_led().await;
    let done = AtomicBool::new(false);
    let ask = async |user: &str| {
        let mut allowed = 0;
        let mut node = 0;
        while !done.load(Ordering::Relaxed) {
            node = node % 3 + 1;
            let verdict = cluster.acquire(node, user, 1).await;
            assert!(!verdict.degraded, "{user}: all nodes are there");
            allowed += u64::from(verdict.allowed);
        }
        allowed
    };
    let hand_over = async {
        for node in [1, 2, 3] {
            for draining in [true, false] {
                cluster.nodes[&1].set_draining(node, draining).await.expect("it can be told");
                for _millisecond in 0..400 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    cluster.pass(SECOND / 1_000);
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let users: Vec<String> = (0..16).map(|user| format!("user{user}")).collect();
    let (allowed, ()) = tokio::join!(futures::future::join_all(users.iter().map(|user| ask(user))), hand_over);
    cluster.until_led().await;
    for (user, allowed) in users.iter().zip(allowed) {
        assert_eq!(allowed, 20, "{user}");
        until_left(&cluster, user, [0, 980, 980]).await;
    }
}

async fn until_left<const N: usize>(cluster: &Cluster, user: &str, expected: [u64; N]) {
    let mut left = Vec::new();
    for _ in 0..500 {
        let verdict = cluster.acquire(1, user, 0).await;
        left = verdict.limits.iter().map(|limit| limit.standing.remaining).collect();
        if left == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{user}: left is {left:?} instead of {expected:?}");
}

#[tokio::test]
async fn a_killed_leader_costs_refill_and_never_lets_more_through() {
    let mut cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 12))]).await;
    for user in 0..12 {
        for node in 1..=3 {
            assert!(cluster.acquire(node, &format!("user{user}"), 2).await.allowed);
        }
    }
    cluster.kill(2).await;
    cluster.until_led().await;
    for user in 0..12 {
        let admitted = cluster.admitted(&format!("user{user}")).await;
        assert!((3..=6).contains(&admitted), "user {user}: {admitted} after 6 of 12");
    }
}

#[tokio::test]
async fn a_node_that_stops_in_order_loses_no_token() {
    let mut cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 12))]).await;
    for id in [1, 2, 3] {
        for user in 0..12 {
            assert!(cluster.acquire(id, &format!("user{user}"), 3).await.allowed);
        }
        cluster.stop(id).await;
        cluster.until_led().await;
        cluster.start_nodes(&[id]).await;
    }
    for user in 0..12 {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 3, "user {user}, after 9 of 12");
    }
}
