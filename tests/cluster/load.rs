//! Many clients at once, over all nodes, that record everything they are answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::checker::{self, Rule, Violation};
use crate::cluster::Cluster;
use crate::harness::{Answer, call};
use crate::history::{Outcome, Record, now_ns};
use crate::wait::until;

/// Clients at once.
const CLIENTS: usize = 8;

/// The pause of a client between two requests: 8 clients then ask some hundred times a second, which leaves the nodes time to work
/// in a debug build.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a client waits for an answer: longer than a node's deadline and any commit, so that silence is one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a client keeps away from a node that took no connection, in nanoseconds.
const AVOID_NS: u64 = 100_000_000;

/// How long a permit lives, in nanoseconds.
const PERMIT_NS: u64 = 3_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// A limit that the load spends, and what it promises.
struct Spent {
    name: &'static str,
    /// Users that half of the requests are for, and those that the others are for.
    hot: u32,
    cold: u32,
    rule: Rule,
}

/// A hot token bucket, one of a fraction of a unit a second, a window and permits.
const SPENT: [Spent; 4] = [
    Spent { name: "paced", hot: 3, cold: 300, rule: Rule::Paced { burst: 10, rate: 20, per_ns: SECOND_NS } },
    Spent { name: "slow", hot: 3, cold: 100, rule: Rule::Paced { burst: 5, rate: 3, per_ns: 7 * SECOND_NS } },
    Spent { name: "window", hot: 2, cold: 20, rule: Rule::Window { quota: 10, length_ns: 2 * SECOND_NS } },
    Spent { name: "permits", hot: 2, cold: 5, rule: Rule::Permits(3) },
];

/// The limit of a rule, which denies while its shard cannot be reached.
fn document(endpoint: &str, rule: Rule) -> Value {
    let mut limit = match rule {
        Rule::Paced { burst, rate, per_ns } => json!({"rate": rate, "per": seconds(per_ns), "burst_limit": burst}),
        Rule::Window { quota, length_ns } => {
            json!({"algorithm": "sliding_window", "rate": quota, "per": seconds(length_ns)})
        }
        Rule::Permits(permits) => {
            json!({"algorithm": "concurrency", "burst_limit": permits, "ttl": seconds(PERMIT_NS)})
        }
    };
    limit["match"] = json!({"endpoint": endpoint});
    limit["by"] = json!(["user"]);
    limit["on_unavailable"] = json!("deny");
    limit
}

fn seconds(ns: u64) -> String {
    format!("{}s", ns / SECOND_NS)
}

/// Puts the limits that a load spends, and that by which [`Cluster::exact`] asks.
pub(crate) async fn put_limits(cluster: &Cluster) {
    let node = *cluster.started().first().expect("some node runs");
    for spent in &SPENT {
        cluster.put_limit(node, spent.name, document(spent.name, spent.rule)).await;
    }
    let probe = Rule::Paced { burst: 10_000, rate: 10_000, per_ns: SECOND_NS };
    cluster.put_limit(node, "probe", document("probe", probe)).await;
}

/// Clients that ask until they are told to stop.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    client: Client,
    urls: Vec<String>,
    stopping: AtomicBool,
    /// Of each node, until when clients keep away from it.
    avoided_until: Vec<AtomicU64>,
    records: Mutex<Vec<Record>>,
}

impl Load {
    /// Puts the limits and sets the clients to work on all nodes.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        put_limits(cluster).await;
        // Each request has a connection of its own: that one broke is then never because it was idle.
        let client = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).no_proxy().build();
        let urls = cluster.urls();
        let shared = Arc::new(Shared {
            client: client.expect("a client can be made"),
            avoided_until: urls.iter().map(|_| AtomicU64::new(0)).collect(),
            urls,
            stopping: AtomicBool::new(false),
            records: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        (0..CLIENTS).for_each(|_| drop(clients.spawn(Arc::clone(&shared).ask_on())));
        let load = Self { shared, clients };
        load.answers_resume(&cluster.started()).await;
        load
    }

    /// Waits until from now on every one of these nodes has admitted something exactly.
    pub(crate) async fn answers_resume(&self, nodes: &[usize]) -> Duration {
        let since = now_ns();
        let resumed = async || {
            let records = self.shared.records();
            let admits = |node: &usize| {
                let fresh = records.iter().rev().take_while(|record| record.received >= since);
                let exact = fresh.filter(|record| record.sent >= since && record.is_exact());
                exact.filter(|record| record.outcome == Outcome::Admitted).any(|record| record.node == *node)
            };
            nodes.iter().all(admits)
        };
        until("answers resume", crate::cluster::HEALED, resumed).await
    }

    /// Clients keep away from a node from now on.
    pub(crate) fn keep_away(&self, node: usize) {
        self.shared.avoided_until[node - 1].store(u64::MAX, Ordering::Relaxed);
    }

    /// Clients ask a node again.
    pub(crate) fn come_back(&self, node: usize) {
        self.shared.avoided_until[node - 1].store(0, Ordering::Relaxed);
    }

    /// Stops the clients, checks that no limit was exceeded, and returns what was recorded.
    pub(crate) async fn checked(self) -> Vec<Record> {
        let (records, violations) = self.judged().await;
        assert!(violations.is_empty(), "more was admitted than the limits say: {violations:#?}");
        records
    }

    /// Stops the clients; returns what was recorded, and the windows in which a limit was exceeded.
    pub(crate) async fn judged(self) -> (Vec<Record>, Vec<Violation>) {
        let (shared, mut clients) = (self.shared, self.clients);
        shared.stopping.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client does not fail");
        }
        let records = std::mem::take(&mut *shared.records());
        let rules: BTreeMap<_, _> = SPENT.iter().map(|spent| (spent.name, spent.rule)).collect();
        eprintln!("{}", summary(&records));
        let violations = checker::violations(&records, &rules);
        (records, violations)
    }
}

fn summary(records: &[Record]) -> String {
    let count = |holds: &dyn Fn(&Record) -> bool| records.iter().filter(|record| holds(record)).count();
    format!(
        "{} requests: {} admitted, {} denied, {} degraded, {} failed, {} not asked, {} without an answer",
        records.len(),
        count(&|record| record.outcome == Outcome::Admitted),
        count(&|record| record.outcome == Outcome::Denied),
        count(&|record| record.degraded),
        count(&|record| matches!(record.outcome, Outcome::Failed(_))),
        count(&|record| record.outcome == Outcome::NotAsked),
        count(&|record| matches!(record.outcome, Outcome::NoAnswer(_))),
    )
}

impl Shared {
    fn records(&self) -> std::sync::MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_on(self: Arc<Self>) {
        while !self.stopping.load(Ordering::Relaxed) {
            if let Some(node) = self.pick() {
                self.ask(node).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A node that is not avoided.
    fn pick(&self) -> Option<usize> {
        let now = now_ns();
        let open = (1..=self.urls.len()).filter(|node| self.avoided_until[node - 1].load(Ordering::Relaxed) < now);
        fastrand::choice(open.collect::<Vec<_>>())
    }

    async fn ask(&self, node: usize) {
        let spent = &SPENT[fastrand::usize(..SPENT.len())];
        let user = if fastrand::bool() { fastrand::u32(..spent.hot) } else { fastrand::u32(spent.hot..spent.cold) };
        let body = json!({"endpoint": spent.name, "labels": {"user": user.to_string()}}).to_string();
        let sent = now_ns();
        let answer = call(&self.client, Method::POST, format!("{}/v1/acquire", self.urls[node - 1]), body).await;
        let received = now_ns();
        let degraded = answer.as_ref().is_ok_and(|answer| answer.body["degraded"] == json!(true));
        let reservation =
            answer.as_ref().ok().and_then(|answer| answer.body["reservation"].as_str().map(str::to_owned));
        let outcome = outcome(answer);
        if outcome == Outcome::NotAsked {
            self.avoided_until[node - 1].store(received + AVOID_NS, Ordering::Relaxed);
        }
        let held_until = match reservation {
            Some(reservation) => self.hold_and_settle(&reservation).await.min(sent + PERMIT_NS),
            None => 0,
        };
        let (limit, units) = (spent.name, 1);
        self.records().push(Record { limit, user, node, units, sent, received, outcome, degraded, held_until });
    }

    /// Keeps a permit for a while and gives it back at some node; returns when that was asked for.
    async fn hold_and_settle(&self, reservation: &str) -> u64 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..100))).await;
        let settled = now_ns();
        if let Some(node) = self.pick() {
            let body = json!({"reservation": reservation, "actual": 1}).to_string();
            // Whether it is answered or not, from now on the permit may be out no more.
            drop(call(&self.client, Method::POST, format!("{}/v1/settle", self.urls[node - 1]), body).await);
        }
        settled
    }
}

fn outcome(answer: reqwest::Result<Answer>) -> Outcome {
    match answer {
        Ok(Answer { status: 200, .. }) => Outcome::Admitted,
        Ok(Answer { status: 429, .. }) => Outcome::Denied,
        Ok(Answer { status, .. }) => Outcome::Failed(status),
        Err(error) if error.is_connect() => Outcome::NotAsked,
        Err(error) => Outcome::NoAnswer(format!("{error:?}")),
    }
}
