//! Limits that change while nodes come, go and are cut off.

use tollgate_limiter::{Limit, OnUnavailable};

use crate::cluster::Cluster;
use crate::harness::{SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

fn of_burst(burst: u64) -> Limit {
    Limit { on_unavailable: OnUnavailable::Deny, ..limit("slow", token_bucket(10, HOUR, burst)) }
}

#[tokio::test]
async fn a_change_made_on_one_node_holds_on_all_from_the_next_decision() {
    let cluster = Cluster::start(3, vec![of_burst(10)]).await;
    for (round, burst) in [3, 30, 7, 100, 1].into_iter().enumerate() {
        let node = 1 + round as u64 % 3;
        cluster.nodes[&node].put_limit(of_burst(burst)).await.expect("the change is made");
        for user in 0..8 {
            let user = format!("{round}-{user}");
            assert_eq!(cluster.admitted(&user).await, burst, "put on node {node}");
        }
    }
}

#[tokio::test]
async fn a_remembered_denial_is_forgotten_when_the_limit_or_the_bucket_changes() {
    let cluster = Cluster::start(3, vec![of_burst(2)]).await;
    for user in 0..8 {
        let user = format!("user{user}");
        assert_eq!(cluster.admitted(&user).await, 2);
        for node in 1..=3 {
            assert!(!cluster.acquire(node, &user, 1).await.allowed, "now every node has heard of it");
        }
        let labels = [("user".to_owned(), user.clone())].into();
        cluster.nodes[&3].reset_bucket("slow", "app", &labels).await.expect("it is reset");
        assert_eq!(cluster.admitted(&user).await, 2, "{user} after a reset");
    }
    cluster.nodes[&2].put_limit(of_burst(5)).await.expect("the change is made");
    for user in 0..8 {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 3, "user {user} after a change");
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_does_not_count_by_the_limits_of_before_a_change() {
    let cluster = Cluster::start(3, vec![of_burst(1_000)]).await;
    cluster.until_led().await;
    cluster.cut_off(3);
    let change = cluster.nodes[&1].put_limit(of_burst(1));
    let passing = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            cluster.pass(10_000_000);
        }
    };
    tokio::select! {
        changed = change => assert_eq!(changed, Ok(false)),
        () = passing => unreachable!("time passes for ever"),
    }
    for user in 0..8 {
        let verdict = cluster.acquire(3, &format!("user{user}"), 1).await;
        assert!(verdict.degraded && !verdict.allowed, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_remembered_denial_is_forgotten_when_something_is_given_back() {
    let cluster = Cluster::start(3, vec![of_burst(4)]).await;
    for user in 0..8 {
        let user = format!("user{user}");
        let reserved = cluster.acquire(1, &user, 4).await;
        assert!(reserved.allowed);
        let token = cluster.nodes[&1].reservation(&reserved);
        for node in 1..=3 {
            assert!(!cluster.acquire(node, &user, 1).await.allowed, "now every node has heard of it");
        }
        let settled = cluster.nodes[&2].settle(&token, 1).await.expect("it is settled");
        assert_eq!(settled.returned, 3, "{user}");
        // Whoever remembers the denial hears of it a moment later.
        let late = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
        let mut admitted = 0;
        while admitted < 3 && tokio::time::Instant::now() < late {
            for node in 1..=3 {
                admitted += u64::from(cluster.acquire(node, &user, 1).await.allowed);
            }
        }
        assert_eq!(admitted, 3, "{user}");
    }
}
