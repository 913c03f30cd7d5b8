//! A cluster of processes on loopback, each of which may be killed, paused, stopped and started anew.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::DATE;
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::harness::{Answer, call};
use crate::member::{Launch, Member};
use crate::wait::until;

/// Tests take turns where there would be too many clusters at once.
static TURNS: Semaphore = Semaphore::const_new(crate::CLUSTERS_AT_ONCE);

/// How long a cluster may take to be ready, with a debug build on a machine that compiles beside it.
pub(crate) const READY: Duration = Duration::from_secs(10);

/// How long a cluster may take after a fault is over to answer exactly again.
pub(crate) const HEALED: Duration = Duration::from_secs(10);

/// How long any answer may take. Longer than a change of the limits waits for a node that is silent.
const ANSWER: Duration = Duration::from_secs(8);

/// Buckets that are asked to see whether all shards answer: so many that each of the 16 shards has some, but for one chance in 10⁵.
const PROBES: u32 = 256;

/// Nodes by their numbers, from 1.
pub(crate) struct Cluster {
    members: Vec<Member>,
    client: Client,
    folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// Where a node is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) http: String,
    /// Where it listens for the other nodes.
    pub(crate) peer: String,
    /// Where the others reach it.
    pub(crate) advertised: String,
    /// See [`Launch::prefix`].
    pub(crate) prefix: Vec<String>,
    /// Settings that only this node has.
    pub(crate) environment: Vec<(String, String)>,
    /// Where its data is; `None`: in a folder of the cluster's.
    pub(crate) data: Option<PathBuf>,
}

impl Place {
    /// The same place, with a setting from the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Free places on loopback whose nodes are so patient that nothing is degraded only because a debug build has little of a busy machine.
pub(crate) fn patient_places(nodes: usize) -> Vec<Place> {
    places(nodes).into_iter().map(|place| place.with("TOLLGATE_CLUSTER__DEADLINE", "900ms")).collect()
}

/// Free places on loopback: an address of this test's own, so that nobody else's outgoing connection takes a port of it while a
/// node is down, and ports that are free on it.
pub(crate) fn places(nodes: usize) -> Vec<Place> {
    let host = Ipv4Addr::new(127, fastrand::u8(1..255), fastrand::u8(..), fastrand::u8(1..255));
    let bind = |_| TcpListener::bind((host, 0)).expect("there is a free port");
    let listeners: Vec<TcpListener> = (0..2 * nodes).map(bind).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    let place = |pair: &[TcpListener]| Place {
        http: address(&pair[0]),
        peer: address(&pair[1]),
        advertised: address(&pair[1]),
        prefix: Vec::new(),
        environment: Vec::new(),
        data: None,
    };
    listeners.chunks(2).map(place).collect()
}

/// The list of nodes, as `--nodes` takes it.
pub(crate) fn list(places: &[Place]) -> String {
    let entry = |(index, place): (usize, &Place)| format!("{}={}", index + 1, place.advertised);
    places.iter().enumerate().map(entry).collect::<Vec<_>>().join(",")
}

fn launch(number: usize, place: &Place, nodes: &str, folder: &Path) -> Launch {
    let data = place.data.clone().unwrap_or_else(|| folder.join(format!("data-{number}"))).display().to_string();
    let number = number.to_string();
    let arguments =
        ["serve", "--http", &place.http, "--data", &data, "--node", &number, "--peer", &place.peer, "--nodes", nodes];
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    Launch { prefix: place.prefix.clone(), arguments, environment: place.environment.clone() }
}

impl Cluster {
    /// A cluster of which no node is started yet.
    pub(crate) async fn at(places: &[Place]) -> Self {
        let turn = TURNS.acquire().await.expect("nobody closes it");
        let folder = TempDir::new().expect("a temporary folder can be made");
        let nodes = list(places);
        let member = |(index, place): (usize, &Place)| {
            let launch = launch(index + 1, place, &nodes, folder.path());
            Member::new(place.http.clone(), launch, folder.path().join(format!("log-{}", index + 1)))
        };
        let members = places.iter().enumerate().map(member).collect();
        let client = Client::builder().timeout(ANSWER).no_proxy().build().expect("a client can be made");
        Self { members, client, folder, _turn: turn }
    }

    /// Three nodes that are ready.
    pub(crate) async fn of_three() -> Self {
        Self::of(&places(3)).await
    }

    /// Three nodes with a setting from the environment, ready.
    pub(crate) async fn of_three_with(name: &str, value: &str) -> Self {
        Self::of(&places(3).into_iter().map(|place| place.with(name, value)).collect::<Vec<_>>()).await
    }

    /// Nodes at these places, ready.
    pub(crate) async fn of(places: &[Place]) -> Self {
        let mut cluster = Self::at(places).await;
        cluster.start_all().await;
        cluster
    }

    pub(crate) async fn start_all(&mut self) {
        self.numbers().for_each(|node| self.start(node));
        self.ready().await;
    }

    /// Another process with its own data and log, that counts as one more node.
    pub(crate) fn add(&mut self, place: &Place, arguments: &[&str]) -> usize {
        let number = self.members.len() + 1;
        let data = self.folder.path().join(format!("data-{number}")).display().to_string();
        let all = ["serve", "--http", &place.http, "--data", &data, "--peer", &place.peer];
        let arguments = all.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let launch = Launch { prefix: place.prefix.clone(), arguments, environment: place.environment.clone() };
        self.members.push(Member::new(place.http.clone(), launch, self.folder.path().join(format!("log-{number}"))));
        number
    }

    pub(crate) fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.members.len()
    }

    fn member(&mut self, node: usize) -> &mut Member {
        &mut self.members[node - 1]
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.member(node).start();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, node: usize) {
        self.member(node).kill();
    }

    pub(crate) fn pause(&mut self, node: usize) {
        self.tell(node, Signal::STOP);
    }

    pub(crate) fn resume(&mut self, node: usize) {
        self.tell(node, Signal::CONT);
    }

    pub(crate) fn tell(&self, node: usize, signal: Signal) {
        self.members[node - 1].tell(signal);
    }

    /// SIGTERM; returns the exit code, and how long it took.
    pub(crate) async fn stop(&mut self, node: usize, deadline: Duration) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        self.tell(node, Signal::TERM);
        (self.member(node).ended(deadline).await, begun.elapsed())
    }

    /// Waits until a node has ended by itself.
    pub(crate) async fn ended(&mut self, node: usize, deadline: Duration) -> Option<i32> {
        self.member(node).ended(deadline).await
    }

    pub(crate) fn log(&self, node: usize) -> String {
        self.members[node - 1].log_text()
    }

    /// Where each node answers.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://{}", member.http)).collect()
    }

    /// The nodes that run, or are paused.
    pub(crate) fn started(&self) -> Vec<usize> {
        self.numbers().filter(|node| self.members[node - 1].is_started()).collect()
    }

    /// Waits until all nodes that were started are ready, and returns how long it took.
    pub(crate) async fn ready(&self) -> Duration {
        let is_ready = async |node| matches!(self.ask(node, Method::GET, "/ready", Value::Null).await, Ok(answer) if answer.status == 200);
        let all_are_ready = async || {
            for node in self.started() {
                if !is_ready(node).await {
                    return false;
                }
            }
            true
        };
        until("all nodes are ready", READY, all_are_ready).await
    }

    /// A call that may not be answered.
    pub(crate) async fn ask(&self, node: usize, method: Method, path: &str, body: Value) -> reqwest::Result<Answer> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let url = format!("http://{}{path}", self.members[node - 1].http);
        call(&self.client, method, url, body).await
    }

    /// A call that must be answered.
    pub(crate) async fn call(&self, node: usize, method: Method, path: &str, body: Value) -> Answer {
        let answer = self.ask(node, method.clone(), path, body).await;
        answer.unwrap_or_else(|error| panic!("node {node} does not answer {method} {path}: {error:?}"))
    }

    pub(crate) async fn get(&self, node: usize, path: &str) -> Answer {
        self.call(node, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, node: usize, path: &str, body: Value) -> Answer {
        self.call(node, Method::POST, path, body).await
    }

    pub(crate) async fn put_limit(&self, node: usize, name: &str, document: Value) {
        let answer = self.call(node, Method::PUT, &format!("/v1/limits/{name}"), document).await;
        assert!(matches!(answer.status, 200 | 201), "{name} at node {node}: {answer:?}");
    }

    /// Asks for one unit for a user of an endpoint.
    pub(crate) async fn acquire(&self, node: usize, endpoint: &str, user: &str) -> Answer {
        self.post(node, "/v1/acquire", json!({"endpoint": endpoint, "labels": {"user": user}})).await
    }

    /// How many units of a bucket are left, as a node says.
    pub(crate) async fn remaining(&self, node: usize, limit: &str, user: &str) -> Value {
        self.get(node, &format!("/v1/buckets/{limit}?user={user}")).await.body["remaining"].clone()
    }

    /// By which second since 1970 a node dates its answers.
    pub(crate) async fn date(&self, node: usize) -> i64 {
        let url = format!("http://{}/health", self.members[node - 1].http);
        let response = self.client.get(url).send().await.expect("it answers");
        let date = response.headers()[DATE].to_str().expect("a date is text");
        jiff::fmt::rfc2822::parse(date).expect("a date of HTTP").timestamp().as_second()
    }

    /// How many shards a node leads.
    pub(crate) async fn leads(&self, node: usize) -> usize {
        self.metric(node, "tollgate_shards_led").await as usize
    }

    /// What a metric without labels shows at a node; 0 if it does not answer.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> f64 {
        let text = self.metrics(node).await.unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
    }

    /// All metrics of a node.
    pub(crate) async fn metrics(&self, node: usize) -> reqwest::Result<String> {
        let url = format!("http://{}/metrics", self.members[node - 1].http);
        self.client.get(url).send().await?.text().await
    }

    /// The node that leads the most shards.
    pub(crate) async fn busiest(&self) -> usize {
        let mut busiest = (0, 0);
        for node in self.started() {
            busiest = busiest.max((self.leads(node).await, node));
        }
        busiest.1
    }

    /// Waits until every node that was started answers for every shard, not degraded; returns how long it took.
    pub(crate) async fn exact(&self) -> Duration {
        let begun = Instant::now();
        while let Some(problem) = self.inexact().await {
            assert!(
                begun.elapsed() < HEALED,
                "not every node answers exactly for every shard after {HEALED:?}: {problem}"
            );
        }
        begun.elapsed()
    }

    async fn inexact(&self) -> Option<String> {
        for node in self.started() {
            if let Some(problem) = self.inexact_at(node).await {
                return Some(format!("node {node}: {problem}"));
            }
        }
        None
    }

    /// What a node does not answer exactly. It is asked for the limit `probe`, which comes with those of the load.
    async fn inexact_at(&self, node: usize) -> Option<String> {
        let request = |user: u32| json!({"endpoint": "probe", "labels": {"user": user.to_string()}});
        let requests: Vec<_> = (0..PROBES).map(request).collect();
        let answer = self.ask(node, Method::POST, "/v1/acquire_many", json!({"requests": requests})).await;
        let Ok(Answer { status: 200, body }) = answer else { return Some(format!("{answer:?}")) };
        let results = body["results"].as_array().expect("a list");
        let is_exact = |result: &&Value| {
            matches!(result["status"].as_u64(), Some(200 | 429)) && result["degraded"] == json!(false)
        };
        let inexact: Vec<_> = results.iter().filter(|result| !is_exact(result)).collect();
        inexact.first().map(|first| format!("{} of {PROBES} answers, the first: {first}", inexact.len()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (index, member) in self.members.iter().enumerate() {
                eprintln!("--- the log of node {} ({}) ends:\n{}", index + 1, member.http, member.log_tail());
            }
        }
    }
}
