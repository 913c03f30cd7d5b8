//! Clients that each ask for one unit until they are answered exactly, and time how long that takes.
//!
//! A client of a service asks again, at another node, when it is not answered, or answered without the shard. So the gap that a fault
//! makes is the longest that any such client waited: it is as exact as the pause between two of them is short.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::harness::{Answer, call};
use crate::history::now_ns;

/// The pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a client waits for an answer before it asks another node: longer than a node's deadline of 100 ms.
const PATIENCE: Duration = Duration::from_millis(250);

/// The pause before another node is asked: one that takes no connections says so at once.
const AGAIN: Duration = Duration::from_millis(1);

/// How many shards a cluster has, if nothing else is configured.
const SHARDS: usize = 16;

/// Clients that ask for buckets that nobody has asked for yet.
const COLD_CLIENTS: usize = 4;

/// A new bucket of the limit `cold`: 10 units a second, at most 100.
const COLD_BURST: u64 = 100;

/// Which buckets a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bucket {
    /// One that its leader has in memory; each shard has a client with one.
    Warm,
    /// A new one each time.
    Cold,
}

/// How long a client waited to be answered exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    bucket: Bucket,
    begun: u64,
    ended: u64,
    /// What was left of the bucket.
    remaining: u64,
}

/// Clients at work.
pub(crate) struct Probes {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    client: Client,
    urls: Vec<String>,
    /// The nodes that are asked.
    asked: Mutex<Vec<usize>>,
    next_user: AtomicU32,
    stopping: AtomicBool,
    waits: Mutex<Vec<Wait>>,
}

impl Probes {
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let limit = |endpoint: &str, rate: u64, burst: u64| {
            json!({"match": {"endpoint": endpoint}, "by": ["user"], "rate": rate, "per": "1s", "burst_limit": burst,
                "on_unavailable": "deny"})
        };
        cluster.put_limit(1, "warm", limit("warm", 1_000, 10_000)).await;
        cluster.put_limit(1, "cold", limit("cold", 10, COLD_BURST)).await;
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client can be made");
        let shared = Arc::new(Shared {
            client,
            urls: cluster.urls(),
            asked: Mutex::new(cluster.started()),
            next_user: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            waits: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for user in users_of_all_shards(cluster).await {
            clients.spawn(Arc::clone(&shared).ask_on(Bucket::Warm, Some(user)));
        }
        (0..COLD_CLIENTS).for_each(|_| drop(clients.spawn(Arc::clone(&shared).ask_on(Bucket::Cold, None))));
        Self { shared, clients }
    }

    /// Only these nodes are asked from now on.
    pub(crate) fn ask_only(&self, nodes: &[usize]) {
        *self.shared.asked() = nodes.to_vec();
    }

    /// Stops the clients when each has its answer.
    pub(crate) async fn waits(mut self) -> Waits {
        self.shared.stopping.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client does not fail");
        }
        Waits(std::mem::take(&mut *self.shared.waits.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// One user for each shard, by which its bucket of the limit `warm` is there.
async fn users_of_all_shards(cluster: &Cluster) -> Vec<u32> {
    let mut users = BTreeMap::new();
    for user in 0.. {
        let answer = cluster.acquire(1, "warm", &user.to_string()).await;
        let shard = answer.body["limits"][0]["shard"].as_u64().expect("an answer names its shard");
        users.entry(shard).or_insert(user);
        if users.len() == SHARDS {
            break;
        }
    }
    users.into_values().collect()
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, Vec<usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the bucket of this user, or for that of a new one each time.
    async fn ask_on(self: Arc<Self>, bucket: Bucket, user: Option<u32>) {
        while !self.stopping.load(Ordering::Relaxed) {
            let user = user.unwrap_or_else(|| self.next_user.fetch_add(1, Ordering::Relaxed));
            let wait = self.wait(bucket, user).await;
            self.waits.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn wait(&self, bucket: Bucket, user: u32) -> Wait {
        let endpoint = if bucket == Bucket::Warm { "warm" } else { "cold" };
        let body = json!({"endpoint": endpoint, "labels": {"user": user.to_string()}}).to_string();
        let begun = now_ns();
        let mut last = 0;
        loop {
            let others: Vec<_> = self.asked().iter().copied().filter(|node| *node != last).collect();
            last = fastrand::choice(others).unwrap_or(last);
            let url = format!("{}/v1/acquire", self.urls[last - 1]);
            let answer = call(&self.client, Method::POST, url, body.clone()).await;
            if let Ok(Answer { status: 200 | 429, body }) = answer
                && body["degraded"] == json!(false)
            {
                let remaining = body["limits"][0]["remaining"].as_u64().unwrap_or(0);
                return Wait { bucket, begun, ended: now_ns(), remaining };
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// How long all clients waited.
pub(crate) struct Waits(Vec<Wait>);

impl Waits {
    /// The longest that a client waited within `[from, until]`.
    pub(crate) fn longest(&self, bucket: Bucket, (from, until): (u64, u64)) -> Duration {
        let waits = self.0.iter().filter(|wait| wait.bucket == bucket);
        let within = waits.map(|wait| wait.ended.min(until).saturating_sub(wait.begun.max(from)));
        Duration::from_nanos(within.max().unwrap_or(0))
    }

    /// The most units that were missing from a new bucket when its first unit was taken after `from`.
    pub(crate) fn most_lost(&self, from: u64) -> u64 {
        let new = self.0.iter().filter(|wait| wait.bucket == Bucket::Cold && wait.ended >= from);
        new.map(|wait| (COLD_BURST - 1).saturating_sub(wait.remaining)).max().unwrap_or(0)
    }
}
