//! Wall clocks that step, on machines that fail.

use crate::cluster::Cluster;
use crate::harness::{SECOND, limit, token_bucket};

const HOUR: i64 = 3_600 * SECOND;

/// How many users' buckets are looked at: enough for every shard to have one.
const USERS: u64 = 12;

async fn spent(nodes: u64) -> Cluster {
    let cluster = Cluster::start(nodes, vec![limit("slow", token_bucket(10, HOUR, 10))]).await;
    spend(&cluster).await;
    cluster
}

async fn spend(cluster: &Cluster) {
    for user in 0..USERS {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 10);
    }
}

async fn check_nothing_refilled(cluster: &Cluster, claim: &str) {
    for user in 0..USERS {
        assert_eq!(cluster.admitted(&format!("user{user}")).await, 0, "user {user}, {claim}");
    }
}

#[tokio::test]
async fn no_step_of_a_wall_clock_refills_a_bucket_when_its_leader_is_killed() {
    for step in [HOUR, -HOUR] {
        let mut cluster = spent(3).await;
        for id in 1..=3 {
            cluster.clock(id).step_wall(step * id as i64);
        }
        check_nothing_refilled(&cluster, "stepped").await;
        cluster.kill(1).await;
        cluster.until_led().await;
        check_nothing_refilled(&cluster, "stepped, and led by others").await;
        cluster.pass(HOUR / 10 + 3 * SECOND);
        assert_eq!(cluster.admitted("user0").await, 1, "true time refills");
    }
}

#[tokio::test]
async fn no_step_of_a_wall_clock_refills_a_bucket_when_all_processes_are_killed_and_no_machine_boots() {
    let mut cluster = spent(3).await;
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.clock(id).step_wall(HOUR);
    }
    cluster.start_nodes(&[1, 2, 3]).await;
    cluster.until_led().await;
    check_nothing_refilled(&cluster, "all processes are new").await;
    cluster.pass(HOUR / 10 + 3 * SECOND);
    assert_eq!(cluster.admitted("user0").await, 1, "true time refills");
}

#[tokio::test]
async fn a_node_that_has_booted_anew_with_a_wrong_clock_asks_those_who_saw_the_time_pass() {
    let mut cluster = spent(3).await;
    for id in [2, 3] {
        cluster.kill(id).await;
        cluster.clock(id).reboot();
        cluster.clock(id).step_wall(HOUR);
    }
    // Node 1 saw the time pass. The others lead some of its shards when they are back.
    cluster.start_nodes(&[2, 3]).await;
    cluster.until_led().await;
    check_nothing_refilled(&cluster, "two of three have booted anew").await;
}

#[tokio::test]
async fn while_one_that_may_have_seen_it_is_silent_no_time_has_passed() {
    let mut cluster = spent(3).await;
    for id in [2, 3] {
        cluster.kill(id).await;
        cluster.clock(id).reboot();
        cluster.clock(id).step_wall(HOUR);
    }
    cluster.cut_off(1);
    let silent = cluster.nodes.remove(&1);
    cluster.start_nodes(&[2, 3]).await;
    cluster.until_led().await;
    check_nothing_refilled(&cluster, "and the third is cut off").await;
    drop(silent);
}

#[tokio::test]
async fn when_all_have_booted_anew_their_wall_clocks_tell_how_long_that_took() {
    let mut cluster = spent(3).await;
    lose_power_for_three_units(&mut cluster).await;
    check_three_refilled(&cluster, "all had everything").await;
}

#[tokio::test]
async fn who_is_sent_the_last_stamp_by_a_later_leader_has_not_seen_time_pass_since() {
    let mut cluster = Cluster::start(3, vec![limit("slow", token_bucket(10, HOUR, 10))]).await;
    cluster.kill(1).await;
    cluster.until_led().await;
    spend(&cluster).await;
    lose_power_for_three_units(&mut cluster).await;
    check_three_refilled(&cluster, "one lacked what was spent").await;
}

/// All machines lose power, and boot anew when three units have refilled.
async fn lose_power_for_three_units(cluster: &mut Cluster) {
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    cluster.pass(3 * HOUR / 10);
    for id in 1..=3 {
        cluster.clock(id).reboot();
    }
    cluster.start_nodes(&[1, 2, 3]).await;
    cluster.until_led().await;
}

async fn check_three_refilled(cluster: &Cluster, claim: &str) {
    for user in 0..USERS {
        // A failover costs no more than one and two seconds.
        let admitted = cluster.admitted(&format!("user{user}")).await;
        assert!((1..=3).contains(&admitted), "user {user}: {admitted} when three have refilled, {claim}");
    }
}
