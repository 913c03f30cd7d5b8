//! Wall clocks that step by an hour on machines that fail and boot anew, under load.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::cluster::{Cluster, patient_places};
use crate::load::Load;
use crate::machine::Machine;

const HOUR_S: i64 = 3_600;

/// Within how long a node has seen its clock step.
const SEEN: Duration = Duration::from_secs(2);

/// Buckets that are empty before the clocks step: enough for nearly every shard to have one.
const USERS: usize = 48;

async fn check_nothing_refilled(cluster: &Cluster, event: &str) {
    for user in 0..USERS {
        let answer = cluster.acquire(user % 3 + 1, "hourly", &user.to_string()).await;
        assert_eq!((answer.status, &answer.body["degraded"]), (429, &json!(false)), "{event}, user {user}: {answer:?}");
    }
}

/// A node goes by the clock that it was given, to be seen in how it dates its answers. (While a clock is behind what it was, the date
/// stands still, so this is asked of nodes that have just been started.)
async fn expect_step(cluster: &Cluster, node: usize, step_s: i64) {
    let ahead_s = cluster.date(node).await - Timestamp::now().as_second();
    assert!((ahead_s - step_s).abs() < HOUR_S / 2, "node {node} is {ahead_s} s ahead");
}

#[tokio::test]
async fn wall_clocks_that_step_by_an_hour_refill_nobody_whoever_fails_and_boots_anew() {
    let Some(machines) = (0..3).map(|_| Machine::make()).collect::<Option<Vec<_>>>() else { return };
    let places: Vec<_> =
        patient_places(3).into_iter().zip(&machines).map(|(place, machine)| machine.place(place)).collect();
    let mut cluster = Cluster::of(&places).await;
    let load = Load::start(&cluster).await;
    // Twelve units an hour: one that is there too early is a step that was believed.
    let hourly = json!({"match": {"endpoint": "hourly"}, "by": ["user"], "rate": 12, "per": "1h", "burst_limit": 12,
        "on_unavailable": "deny"});
    cluster.put_limit(1, "hourly", hourly).await;
    for user in 0..USERS {
        let all = json!({"endpoint": "hourly", "labels": {"user": user.to_string()}, "cost": 12});
        let answer = cluster.call(1, Method::POST, "/v1/acquire", all).await;
        assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
    }
    for (node, step_s) in [(1, HOUR_S), (2, -HOUR_S), (3, HOUR_S)] {
        machines[node - 1].step_wall(step_s);
        tokio::time::sleep(SEEN).await;
        check_nothing_refilled(&cluster, &format!("the clock of node {node} has stepped")).await;
        cluster.kill(node);
        machines[node - 1].boot();
        let left = cluster.started();
        load.answers_resume(&left).await;
        cluster.start(node);
        cluster.ready().await;
        expect_step(&cluster, node, step_s).await;
        cluster.exact().await;
        check_nothing_refilled(&cluster, &format!("node {node} has failed and booted anew")).await;
        machines[node - 1].step_wall(-step_s);
    }
    // All boot anew at once, so that none has seen the time pass, and all clocks are an hour behind.
    for (node, machine) in (1..).zip(&machines) {
        cluster.kill(node);
        machine.step_wall(-HOUR_S);
        machine.boot();
    }
    cluster.start_all().await;
    cluster.exact().await;
    check_nothing_refilled(&cluster, "all have booted anew with clocks that are behind").await;
    load.checked().await;
}
