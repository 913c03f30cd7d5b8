//! Any node answers any request, and all nodes answer as one.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::{Cluster, HEALED, patient_places};
use crate::harness::{Answer, call};
use crate::load::put_limits;
use crate::wait::until;

#[tokio::test]
async fn the_same_bucket_asked_at_all_nodes_in_turn_admits_exactly_its_burst() {
    let cluster = Cluster::of(&patient_places(3)).await;
    let documents = [
        json!({"rate": 1, "per": "1h", "burst_limit": 10}),
        json!({"algorithm": "sliding_window", "rate": 10, "per": "1h"}),
        json!({"algorithm": "fixed_window", "rate": 10, "per": "1mo", "calendar": "utc"}),
        json!({"algorithm": "concurrency", "burst_limit": 10, "ttl": "1h"}),
    ];
    for (index, mut document) in documents.into_iter().enumerate() {
        let name = format!("limit-{index}");
        document["match"] = json!({"endpoint": name});
        document["by"] = json!(["user"]);
        cluster.put_limit(1, &name, document).await;
        for user in 0..8 {
            let mut admitted = 0;
            for turn in 0..18 {
                let answer = cluster.acquire(turn % 3 + 1, &name, &user.to_string()).await;
                assert_eq!(answer.body["degraded"], json!(false), "{answer:?}");
                admitted += u64::from(answer.status == 200);
            }
            assert_eq!(admitted, 10, "{name}, user {user}");
        }
    }
}

/// Two limits that every request of the endpoint `pair` meets; their buckets are where their hashes say.
async fn put_pair(cluster: &Cluster) {
    let limit = |burst: u64| json!({"match": {"endpoint": "pair"}, "by": ["user"], "rate": 1, "per": "24h", "burst_limit": burst, "on_unavailable": "deny"});
    cluster.put_limit(1, "first", limit(12)).await;
    cluster.put_limit(2, "second", limit(7)).await;
}

const PAIR_USERS: usize = 12;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// When a node is killed after the first of many requests was sent: some are answered by then, and some are not.
const IN_THE_MIDST: Duration = Duration::from_millis(30);

/// What became of the requests for one user's pair of buckets.
#[derive(Clone, Debug, Default)]
struct Tally {
    admitted: u64,
    /// Neither admitted nor denied by both shards' leaders: what was answered instead.
    undecided: Vec<String>,
}

impl Tally {
    fn count(&mut self, answer: reqwest::Result<Answer>) {
        match answer {
            Ok(Answer { status: 200, .. }) => self.admitted += 1,
            Ok(Answer { status: 429, body }) if body["degraded"] == json!(false) => {}
            other => self.undecided.push(format!("{other:?}")),
        }
    }
}

/// Asks for both buckets of all users at all nodes at once.
async fn ask_for_pairs(urls: &[String], requests_a_user: usize) -> Vec<Tally> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
    let mut asking = JoinSet::new();
    for request in 0..requests_a_user * PAIR_USERS {
        let (user, client) = (request % PAIR_USERS, client.clone());
        let url = format!("{}/v1/acquire", urls[(request / PAIR_USERS) % urls.len()]);
        let body = json!({"endpoint": "pair", "labels": {"user": user.to_string()}}).to_string();
        asking.spawn(async move { (user, call(&client, Method::POST, url, body).await) });
    }
    let mut tallies = vec![Tally::default(); PAIR_USERS];
    while let Some(asked) = asking.join_next().await {
        let (user, answer) = asked.expect("a client does not fail");
        tallies[user].count(answer);
    }
    tallies
}

async fn left(cluster: &Cluster, node: usize, user: usize) -> (Value, Value) {
    let user = user.to_string();
    (cluster.remaining(node, "first", &user).await, cluster.remaining(node, "second", &user).await)
}

/// Waits until every node says that of a user's buckets as much is charged as was admitted: what a denied request held of one of
/// them is given back after its answer.
async fn expect_charged(cluster: &Cluster, user: usize, admitted: u64) {
    let expected = (json!(12 - admitted), json!(7 - admitted));
    for node in cluster.numbers() {
        let mut found = (Value::Null, Value::Null);
        let is_charged = async || {
            found = left(cluster, node, user).await;
            found == expected
        };
        let waited = timeout(HEALED, until("both are charged alike", HEALED * 2, is_charged)).await;
        assert!(
            waited.is_ok(),
            "user {user}, node {node}: {found:?} are left, not {expected:?}: {admitted} were admitted"
        );
    }
}

#[tokio::test]
async fn limits_on_different_shards_are_charged_all_or_none_whichever_node_is_asked() {
    // So patient that a debug build need not decide without the leaders when all is asked at once.
    let cluster = Cluster::of_three_with("TOLLGATE_CLUSTER__DEADLINE", "5s").await;
    put_pair(&cluster).await;
    put_limits(&cluster).await;
    cluster.exact().await;
    // At once, so that requests hold what others ask for. What is held may deny others, which are then not admitted though they could be.
    for (user, tally) in ask_for_pairs(&cluster.urls(), 15).await.into_iter().enumerate() {
        assert!(tally.undecided.is_empty() && tally.admitted <= 7, "user {user}: {tally:#?}");
        expect_charged(&cluster, user, tally.admitted).await;
        let mut admitted = tally.admitted;
        for turn in 0..10 {
            admitted += u64::from(cluster.acquire(turn % 3 + 1, "pair", &user.to_string()).await.status == 200);
        }
        assert_eq!(admitted, 7, "user {user}");
        expect_charged(&cluster, user, 7).await;
    }
}

#[tokio::test]
async fn limits_on_different_shards_admit_no_more_than_the_smallest_while_nodes_are_killed() {
    let mut cluster = Cluster::of_three().await;
    put_limits(&cluster).await;
    put_pair(&cluster).await;
    let mut admitted = vec![0; PAIR_USERS];
    let mut count = |tallies: Vec<Tally>| {
        admitted.iter_mut().zip(tallies).for_each(|(all, new)| *all += new.admitted);
    };
    for node in cluster.numbers() {
        let urls = cluster.urls();
        let kill = async {
            tokio::time::sleep(IN_THE_MIDST).await;
            cluster.kill(node);
        };
        let (round, ()) = tokio::join!(ask_for_pairs(&urls, 12), kill);
        count(round);
        cluster.start(node);
        cluster.ready().await;
        cluster.exact().await;
    }
    assert!(admitted.iter().all(|admitted| *admitted <= 7), "{admitted:?} were admitted, 7 are legal");
    assert!(admitted.iter().any(|admitted| *admitted > 0), "something was admitted");
}
