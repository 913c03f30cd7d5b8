//! Alerts: from what one node measures to what is told, whoever leads.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;
use tollgate_cluster::{AlertOptions, ChangeError, Delivery, NodeId};
use tollgate_feedback::alert::{Content, DigestSchedule, Matcher, Policy, Rule, Severity, Signal, Silence, Status};
use tollgate_feedback::sample::Sample;

use crate::cluster::Cluster;
use crate::harness::SECOND;

/// A rule on the mode that fires and ends at once.
fn options() -> AlertOptions {
    let rule = Rule {
        name: "mode_change".to_owned(),
        signal: Signal::Mode,
        fire: 0.5,
        clear: 0.5,
        fires_after_ms: 0,
        keep_firing_for_ms: 0,
        severity: Severity::Warning,
        receivers: vec!["slack".to_owned()],
    };
    let policy = Policy { receivers: vec!["slack".to_owned()], routes: Vec::new() };
    AlertOptions { rules: vec![rule], policy, digest: None }
}

fn arrived(cluster: &Cluster) -> Vec<Delivery> {
    cluster.letters.0.lock().expect("nobody panics with it").clone()
}

/// What was told, each as `status of episode`.
fn told(cluster: &Cluster) -> Vec<String> {
    let said = |content: Content| match content {
        Content::Alerts(alerts) => format!("{:?} of {}", alerts.status, alerts.episode),
        Content::Digest(digest) => format!("digest of {}", digest.day),
        Content::Undelivered { .. } | Content::Test => "something else".to_owned(),
    };
    arrived(cluster).into_iter().map(|delivery| said(delivery.message.content)).collect()
}

/// Has the nodes measure a mode, each second, until so many messages were told.
async fn measure_until_told(cluster: &Cluster, modes: &BTreeMap<NodeId, u8>, messages: usize) {
    for _ in 0..60 {
        for (id, node) in &cluster.nodes {
            node.observe(Sample { mode: modes.get(id).copied().unwrap_or(0), ..Sample::default() });
        }
        sleep(Duration::from_millis(300)).await;
        if told(cluster).len() >= messages {
            return;
        }
    }
    panic!("told {:?}, not {messages} messages", told(cluster));
}

fn leader(cluster: &Cluster) -> NodeId {
    let node = cluster.nodes.values().next().expect("a node runs");
    node.cluster_status().leader.expect("somebody leads group 0")
}

fn silence(label: &str, until_ms: i64) -> Silence {
    Silence {
        matchers: vec![Matcher { label: label.to_owned(), any_of: vec!["mode_*".to_owned()] }],
        from_ms: 0,
        until_ms,
        author: "eve".to_owned(),
        comment: "known".to_owned(),
    }
}

#[tokio::test]
async fn what_one_node_measures_is_told_once_and_its_end_by_the_next_leader() {
    let mut cluster = Cluster::start_with(3, Vec::new(), options()).await;
    let first = leader(&cluster);
    let other = cluster.nodes.keys().copied().find(|id| *id != first).expect("there are three");
    measure_until_told(&cluster, &BTreeMap::from([(other, 1)]), 1).await;
    cluster.kill(first).await;
    cluster.until("another leads", |cluster| cluster.nodes[&other].cluster_status().leader != Some(first)).await;
    measure_until_told(&cluster, &BTreeMap::new(), 2).await;
    measure_until_told(&cluster, &BTreeMap::new(), 2).await;
    assert_eq!(told(&cluster), ["Firing of 1", "Resolved of 1"]);
    let ids: Vec<String> = arrived(&cluster).into_iter().map(|delivery| delivery.id).collect();
    let (own, number) = ids[0].rsplit_once('-').expect("the cluster's name and a number");
    assert!(own.len() == 32 && number == "2", "{ids:?}");
    assert_eq!(cluster.nodes[&other].read_alerts(|ledger| ledger.over().count()), 1);
}

#[tokio::test]
async fn what_is_silenced_by_any_node_is_told_when_the_silence_ends() {
    let cluster = Cluster::start_with(3, Vec::new(), options()).await;
    let node = cluster.nodes.values().find(|node| node.cluster_status().leader.is_some()).expect("one knows");
    let number = node.put_silence(silence("rule", i64::MAX)).await.expect("there is room");
    let all_on: BTreeMap<NodeId, u8> = cluster.nodes.keys().map(|id| (*id, 2)).collect();
    let stands = |cluster: &Cluster| {
        cluster.nodes.values().any(|node| node.read_alerts(|ledger| ledger.standing().count()) == 1)
    };
    for _ in 0..40 {
        cluster.nodes.iter().for_each(|(id, node)| node.observe(Sample { mode: all_on[id], ..Sample::default() }));
        sleep(Duration::from_millis(200)).await;
        if stands(&cluster) {
            break;
        }
    }
    assert!(stands(&cluster) && told(&cluster).is_empty(), "{:?}", told(&cluster));
    cluster.pass(SECOND);
    node.end_silence(number).await.expect("it lasts");
    assert_eq!(node.end_silence(number).await, Err(ChangeError::UnknownSilence));
    measure_until_told(&cluster, &all_on, 1).await;
    assert_eq!(told(&cluster), ["Firing of 2"]);
}

#[tokio::test]
async fn rules_that_are_configured_otherwise_end_what_they_would_not_say() {
    let cluster = Cluster::start_with(1, Vec::new(), options()).await;
    measure_until_told(&cluster, &BTreeMap::from([(1, 1)]), 1).await;
    cluster.nodes[&1].configure_alerts(AlertOptions { rules: Vec::new(), ..options() });
    measure_until_told(&cluster, &BTreeMap::from([(1, 1)]), 2).await;
    let last = arrived(&cluster).pop().expect("two were told").message.content;
    assert!(matches!(last, Content::Alerts(alerts) if alerts.status == Status::Resolved));
}

#[tokio::test]
async fn a_digest_is_sent_once_a_day_from_the_second_day_on() {
    let schedule = DigestSchedule {
        to: "slack".to_owned(),
        at: "00:00".parse().expect("a time of day"),
        time_zone: jiff::tz::TimeZone::UTC,
    };
    let mut cluster = Cluster::start_with(1, Vec::new(), AlertOptions { digest: Some(schedule), ..options() }).await;
    cluster
        .until("the first day is noted", |cluster| cluster.nodes[&1].read_alerts(|ledger| ledger.digested().is_some()))
        .await;
    assert_eq!(told(&cluster), [""; 0]);
    for days in 1..=2 {
        cluster.kill(1).await;
        cluster.pass(86_400 * SECOND);
        cluster.start_nodes(&[1]).await;
        measure_until_told(&cluster, &BTreeMap::new(), days).await;
    }
    assert_eq!(told(&cluster), ["digest of 2026-01-02", "digest of 2026-01-03"]);
}
