//! Nodes that join, drain and leave.

use tollgate_cluster::{ChangeError, NodeId};

use crate::cluster::Cluster;
use crate::harness::{SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

/// Whether a node keeps some shard, or keeps none; neither while nobody says who keeps one of them.
fn replicas_hold(cluster: &Cluster, node: NodeId, holds: bool) -> bool {
    let asked = cluster.nodes.values().next().expect("a node runs");
    let shards = asked.cluster_status().shards;
    let is_known = shards.iter().all(|shard| shard.leader.is_some());
    is_known && shards.iter().any(|shard| shard.replicas.contains(&node)) == holds
}

#[tokio::test]
async fn a_node_that_joins_takes_over_shards_and_one_that_leaves_gives_them_up_without_a_loss() {
    let mut cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 12))]).await;
    for user in 0..12 {
        assert!(cluster.acquire(1, &format!("user{user}"), 5).await.allowed);
    }
    cluster.join(4).await;
    cluster.until("node 4 keeps shards", |cluster| replicas_hold(cluster, 4, true)).await;
    cluster
        .until("node 4 leads", |cluster| {
            cluster.nodes[&4].cluster_status().shards.iter().any(|shard| shard.leader == Some(4))
        })
        .await;
    cluster.nodes[&2].remove_node(1).await.expect("it may leave");
    let leaving = cluster.nodes[&1].clone();
    cluster
        .until("node 1 keeps nothing", |cluster| {
            !cluster.nodes[&2].cluster_status().shards.iter().any(|shard| shard.replicas.contains(&1))
        })
        .await;
    tokio::time::timeout(std::time::Duration::from_secs(20), leaving.left()).await.expect("it hears of it");
    cluster.kill(1).await;
    cluster.until_led().await;
    assert!(!cluster.nodes[&2].cluster_status().nodes.iter().any(|node| node.id == 1), "it is forgotten");
    for user in 0..12 {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 7, "user {user}, after 5 of 12");
    }
}

#[tokio::test]
async fn a_node_that_drains_leads_nothing_and_leads_again_when_that_ends() {
    let cluster = Cluster::start(3, vec![]).await;
    cluster.until_led().await;
    let leads = |cluster: &Cluster, id: NodeId| {
        let status = cluster.nodes[&3].cluster_status();
        status.shards.iter().filter(|shard| shard.leader == Some(id)).count()
    };
    cluster.nodes[&1].set_draining(2, true).await.expect("it may drain");
    cluster.until("node 2 leads nothing", |cluster| leads(cluster, 2) == 0).await;
    cluster.until_led().await;
    cluster.nodes[&1].set_draining(2, false).await.expect("it may lead again");
    cluster.until("node 2 leads again", |cluster| leads(cluster, 2) > 0).await;
}

#[tokio::test]
async fn nodes_that_fail_while_shards_move_stop_no_move_for_ever() {
    let mut cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 12))]).await;
    for user in 0..12 {
        assert!(cluster.acquire(1, &format!("user{user}"), 5).await.allowed);
    }
    cluster.join(4).await;
    // In the midst of its first shards.
    cluster.until("node 4 keeps a shard", |cluster| replicas_hold(cluster, 4, true)).await;
    cluster.stop(4).await;
    cluster.start_nodes(&[4]).await;
    cluster.nodes[&1].remove_node(2).await.expect("it may leave");
    cluster.until("node 2 keeps nothing", |cluster| replicas_hold(cluster, 2, false)).await;
    cluster.kill(2).await;
    cluster.kill(3).await;
    cluster.until_led().await;
    cluster.nodes[&1].remove_node(3).await.expect("it may leave, though it is dead");
    cluster.until("node 3 keeps nothing", |cluster| replicas_hold(cluster, 3, false)).await;
    cluster.until_led().await;
    for user in 0..12 {
        let admitted = cluster.admitted(&format!("user{user}")).await;
        assert!((4..=7).contains(&admitted), "user {user}: {admitted} after 5 of 12, and a crash");
    }
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let cluster = Cluster::start(1, vec![]).await;
    assert_eq!(cluster.nodes[&1].remove_node(7).await, Err(ChangeError::UnknownNode));
    assert_eq!(cluster.nodes[&1].remove_node(1).await, Err(ChangeError::LastNode));
    assert_eq!(cluster.nodes[&1].set_draining(9, true).await, Err(ChangeError::UnknownNode));
}
