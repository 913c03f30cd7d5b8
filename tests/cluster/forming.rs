//! How nodes come together, and whom they refuse.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, HEALED, Place, READY, list, places};
use crate::load::put_limits;
use crate::wait::until;

#[tokio::test]
async fn three_processes_form_a_cluster_whatever_starts_first() {
    for order in [[1, 2, 3], [3, 1, 2]] {
        let mut cluster = Cluster::at(&places(3)).await;
        order.into_iter().for_each(|node| cluster.start(node));
        eprintln!("started in the order {order:?}, ready after {:?}", cluster.ready().await);
        put_limits(&cluster).await;
        cluster.exact().await;
    }
}

#[tokio::test]
async fn two_of_three_form_a_cluster_and_the_third_takes_part_later() {
    let mut cluster = Cluster::at(&places(3)).await;
    cluster.start(2);
    cluster.start(3);
    eprintln!("two of three, ready after {:?}", cluster.ready().await);
    put_limits(&cluster).await;
    cluster.exact().await;
    cluster.put_limit(2, "only", json!({"match": {"endpoint": "only"}, "rate": 3, "per": "1h"})).await;
    assert_eq!(cluster.acquire(3, "only", "a").await.status, 200);
    cluster.start(1);
    eprintln!("the third, ready after {:?}", cluster.ready().await);
    cluster.exact().await;
    assert_eq!(cluster.remaining(1, "only", "a").await, json!(null), "the limit has one bucket, without a user");
    assert_eq!(cluster.get(1, "/v1/buckets/only").await.body["remaining"], json!(2));
    let led = until("the third leads some shards", HEALED, async || cluster.leads(1).await > 0).await;
    eprintln!("it leads some after {led:?}");
}

fn words(options: &str, value: &str) -> Vec<String> {
    options.split(' ').chain([value]).map(str::to_owned).collect()
}

/// A node whose arguments do not fit a running cluster is refused with a message that holds `words`, and the cluster goes on. The
/// arguments are made of where the three nodes are, and where the new one would be.
async fn check_refused(arguments: impl Fn(&[Place], &str) -> Vec<String>, words: &[&str]) {
    let places = places(4);
    let (three, fourth) = places.split_at(3);
    let mut cluster = Cluster::at(three).await;
    cluster.start_all().await;
    put_limits(&cluster).await;
    let arguments = arguments(three, &fourth[0].peer);
    let stranger = cluster.add(&fourth[0], &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    cluster.start(stranger);
    let code = cluster.ended(stranger, READY).await;
    let log = cluster.log(stranger);
    assert!(code.is_some_and(|code| code != 0), "exit code {code:?}: {log}");
    let told = log.lines().find(|line| line.starts_with("tollgate:")).unwrap_or_else(|| panic!("no message: {log}"));
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    cluster.exact().await;
}

#[tokio::test]
async fn a_second_node_of_one_number_is_refused_and_the_others_go_on() {
    check_refused(|three, _| words("--node 2 --nodes", &list(three)), &["number"]).await;
}

#[tokio::test]
async fn a_node_with_another_list_is_refused_and_the_others_go_on() {
    let other_list =
        |three: &[Place], fourth: &str| words("--node 4 --nodes", &format!("{},4={fourth}", list(&three[..2])));
    check_refused(other_list, &["cluster.nodes"]).await;
}

#[tokio::test]
async fn a_node_that_would_join_the_node_of_its_own_number_is_refused() {
    check_refused(|three, _| words("--node 1 --join", &three[0].peer), &["number", "cluster.node"]).await;
}

#[tokio::test]
async fn a_node_that_joins_takes_part() {
    let places = places(4);
    let (three, fourth) = places.split_at(3);
    let mut cluster = Cluster::at(three).await;
    cluster.start_all().await;
    put_limits(&cluster).await;
    let joining = cluster.add(&fourth[0], &["--node", "4", "--join", &three[1].peer]);
    cluster.start(joining);
    eprintln!("joined, ready after {:?}", cluster.ready().await);
    cluster.exact().await;
    tokio::time::timeout(
        Duration::from_secs(30),
        until("it leads some shards", HEALED, async || cluster.leads(4).await > 0),
    )
    .await
    .expect("it is in time or has failed");
}
