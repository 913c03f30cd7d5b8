//! A rolling restart: every node is told to stop and started anew, one after the other, and no client notices.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, patient_places};
use crate::history::{Outcome, Record, now_ns};
use crate::load::Load;

/// Within how long a node stops.
const STOP: Duration = Duration::from_secs(10);

/// What happened to a node, and when.
#[derive(Clone, Copy, Debug)]
struct Restart {
    node: usize,
    told: u64,
    ended: u64,
    ready: u64,
}

/// What may not become of a request in a rolling restart; `None`: it is all right.
fn fault(record: &Record, restarts: &[Restart]) -> Option<&'static str> {
    let during = |from: fn(&Restart) -> u64, until: fn(&Restart) -> u64| {
        let own = restarts.iter().filter(|restart| restart.node == record.node);
        own.into_iter().any(|restart| record.overlaps((from(restart), until(restart))))
    };
    let (is_down, is_starting) = (during(|it| it.told, |it| it.ready), during(|it| it.ended, |it| it.ready));
    match &record.outcome {
        _ if record.degraded => Some("degraded"),
        Outcome::Failed(_) if !is_starting => Some("failed"),
        Outcome::NotAsked if !is_down => Some("refused by a node that is up"),
        Outcome::NoAnswer(_) if !is_down => Some("not answered by a node that is up"),
        Outcome::Admitted | Outcome::Denied | Outcome::Failed(_) | Outcome::NotAsked | Outcome::NoAnswer(_) => None,
    }
}

#[tokio::test]
async fn a_rolling_restart_fails_no_request_and_loses_no_token() {
    let mut cluster = Cluster::of(&patient_places(3)).await;
    let saved = json!({"match": {"endpoint": "saved"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": 100});
    cluster.put_limit(1, "saved", saved).await;
    let load = Load::start(&cluster).await;
    cluster.exact().await;
    let mut restarts = Vec::new();
    let mut spent = 0;
    for node in cluster.numbers() {
        for turn in 0..9 {
            let answer = cluster.acquire(turn % 3 + 1, "saved", "a").await;
            assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
            spent += 1;
        }
        let told = now_ns();
        let (code, took) = cluster.stop(node, STOP).await;
        let ended = now_ns();
        eprintln!("node {node} stopped within {took:?}");
        assert_eq!(code, Some(0), "node {node}: {}", cluster.log(node));
        cluster.start(node);
        cluster.ready().await;
        restarts.push(Restart { node, told, ended, ready: now_ns() });
        load.answers_resume(&[1, 2, 3]).await;
    }
    for node in cluster.numbers() {
        assert_eq!(cluster.remaining(node, "saved", "a").await, json!(100 - spent), "at node {node}");
    }
    let records = load.checked().await;
    let faults: Vec<_> = records.iter().filter_map(|record| Some((fault(record, &restarts)?, record))).collect();
    assert!(
        faults.is_empty(),
        "{} faults, {restarts:?}, the first: {:#?}",
        faults.len(),
        &faults[..faults.len().min(8)]
    );
}
