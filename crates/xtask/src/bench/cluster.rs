//! `cargo xtask bench cluster`: what an answer of three nodes costs, beside one of a node alone in the same run.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a task waits for processes, in real time")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::load::{Load, Measured, Target, bodies_of, bodies_of_strangers, body};
use super::median;
use super::process::{Server, Starting};
use crate::command::{cargo, run};
use crate::http;
use crate::prepare::target;

/// Options of `cargo xtask bench cluster`.
#[derive(Args)]
pub(crate) struct ClusterArgs {
    /// Connections at once, each with one request under way: 32 for each of three nodes.
    #[arg(long, default_value_t = 96)]
    connections: usize,
    /// Seconds that each measurement lasts.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds: everything is measured once in each, and the median is shown.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Users whose buckets are warm.
    #[arg(long, default_value_t = 3_000)]
    users: u64,
}

/// One limit whose buckets refill within the horizon, one whose buckets each need a commit, and one for everybody.
const LIMITS: &str = "limits:
  - {name: fast, match: {endpoint: users}, by: [user], rate: 1000, per: 1s, burst_limit: 1000}
  - {name: slow, match: {endpoint: reports}, by: [user], rate: 10, per: 1h, burst_limit: 10}
  - {name: hot, match: {endpoint: search}, rate: 1000000, per: 1s, burst_limit: 1000000}
";

/// How long the cluster may take to form, and to have its leaders spread.
const FORMING: Duration = Duration::from_secs(20);

/// Measures one node and three in turns.
pub(crate) fn cluster(args: &ClusterArgs) -> Result<()> {
    run(cargo(["build", "--release", "--locked", "-p", "tollgate"]))?;
    let load = Load { connections: args.connections, duration: Duration::from_secs(args.seconds) };
    let mut measured: BTreeMap<(Kind, Place), Vec<Measured>> = BTreeMap::new();
    for round in 0..args.rounds {
        println!("round {} of {}", round + 1, args.rounds);
        for size in [1, 3] {
            let cluster = Cluster::start(size)?;
            for (kind, place) in cases(size) {
                let targets = cluster.targets(kind, place, args.users)?;
                let servers: Vec<&Server> = cluster.servers.iter().collect();
                let connections = if kind == Kind::Lone { 1 } else { load.connections };
                let load = Load { connections, ..load };
                Load { duration: load.duration / 5, ..load }.run(&targets, &servers)?;
                measured.entry((kind, place)).or_default().push(load.run(&targets, &servers)?);
            }
        }
    }
    print_table(measured);
    Ok(())
}

/// What is asked for.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Warm,
    Cold,
    /// Cold, one request at a time: what one commit adds.
    Lone,
    Hot,
}

/// Who is asked.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Place {
    Alone,
    Leader,
    Any,
    Wrong,
}

fn cases(size: usize) -> Vec<(Kind, Place)> {
    match size {
        1 => [Kind::Warm, Kind::Cold, Kind::Lone, Kind::Hot].map(|kind| (kind, Place::Alone)).into(),
        _ => vec![
            (Kind::Warm, Place::Leader),
            (Kind::Warm, Place::Any),
            (Kind::Warm, Place::Wrong),
            (Kind::Cold, Place::Any),
            (Kind::Lone, Place::Any),
            (Kind::Hot, Place::Any),
        ],
    }
}

/// Nodes that run, and who of them leads which shard.
struct Cluster {
    servers: Vec<Server>,
    leaders: BTreeMap<u64, SocketAddr>,
}

impl Cluster {
    fn start(size: usize) -> Result<Self> {
        let peers = free_ports(size)?;
        let nodes: Vec<String> =
            peers.iter().enumerate().map(|(id, port)| format!("{}=127.0.0.1:{port}", id + 1)).collect();
        let starting = (1..=size).map(|id| start_node(id, size, &nodes.join(",")));
        let starting: Vec<Starting> = starting.collect::<Result<_>>()?;
        let servers: Vec<Server> = starting.into_iter().map(Starting::started).collect::<Result<_>>()?;
        let leaders = spread_leaders(&servers)?;
        Ok(Self { servers, leaders })
    }

    /// Who is asked for what.
    fn targets(&self, kind: Kind, place: Place, users: u64) -> Result<Vec<Target>> {
        let endpoint = match kind {
            Kind::Warm => "users",
            Kind::Cold | Kind::Lone => "reports",
            Kind::Hot => "search",
        };
        if kind == Kind::Warm && place != Place::Any {
            return self.targets_by_leader(endpoint, place, users);
        }
        let addresses = self.servers.iter().map(Server::address);
        let target = |(number, address): (usize, SocketAddr)| {
            let body = match kind {
                // No two measurements may ask for the same stranger.
                Kind::Cold => bodies_of_strangers(endpoint, (number as u64 + 1) << 32),
                Kind::Lone => bodies_of_strangers(endpoint, (number as u64 + 101) << 32),
                Kind::Warm => bodies_of(endpoint, (0..users).collect()),
                Kind::Hot => bodies_of(endpoint, vec![0]),
            };
            Target { address, body }
        };
        Ok(addresses.enumerate().map(target).collect())
    }

    /// Asks each user's leader, or somebody else.
    fn targets_by_leader(&self, endpoint: &'static str, place: Place, users: u64) -> Result<Vec<Target>> {
        let mut users_of: BTreeMap<SocketAddr, Vec<u64>> = BTreeMap::new();
        for user in 0..users {
            let answer = http::post(self.servers[0].address(), "/v1/acquire", &body(endpoint, user))?;
            let shard =
                answer.pointer("/limits/0/shard").and_then(Value::as_u64).context("an answer names no shard")?;
            let leader = *self.leaders.get(&shard).context("a shard without a leader")?;
            users_of.entry(leader).or_default().push(user);
        }
        let is_asked = |leader: SocketAddr, asked: SocketAddr| (leader == asked) != (place == Place::Wrong);
        let target = |server: &Server| {
            let address = server.address();
            let users = users_of.iter().filter(|(leader, _)| is_asked(**leader, address));
            let users: Vec<u64> = users.flat_map(|(_, users)| users.iter().copied()).collect();
            Target { address, body: bodies_of(endpoint, users) }
        };
        Ok(self.servers.iter().map(target).collect())
    }
}

fn start_node(id: usize, size: usize, nodes: &str) -> Result<Starting> {
    let data = tempfile::tempdir_in(target())?;
    let config = data.path().join("tollgate.yaml");
    std::fs::write(&config, LIMITS)?;
    let mut command = Command::new(target().join("release/tollgate"));
    command.args(["serve", "--http", "127.0.0.1:0", "--config"]).arg(config);
    command.arg("--data").arg(Path::new(data.path()).join("data"));
    if size > 1 {
        command.args(["--node", &id.to_string(), "--nodes", nodes]);
    }
    Starting::spawn(command, Some(data))
}

/// Ports that are free now, to be taken a moment later.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect::<Result<_, _>>()?)
}

/// Waits until every node is ready and leads about as much as the others, and says who leads what.
fn spread_leaders(servers: &[Server]) -> Result<BTreeMap<u64, SocketAddr>> {
    let late = Instant::now() + FORMING;
    loop {
        let ready = servers
            .iter()
            .all(|server| http::get(server.address(), "/v1/cluster").is_ok_and(|status| status["ready"] == true));
        let status = http::get(servers[0].address(), "/v1/cluster");
        if ready
            && let Ok(status) = status
            && let Some(leaders) = leaders(&status)
            && leaders.values().collect::<std::collections::BTreeSet<_>>().len() == servers.len()
        {
            return Ok(leaders);
        }
        if Instant::now() > late {
            bail!("the nodes do not form a cluster within {FORMING:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Who leads each shard; `None` while some shard has no leader.
fn leaders(status: &Value) -> Option<BTreeMap<u64, SocketAddr>> {
    let nodes = status["nodes"].as_array()?.iter();
    let address = |node: &Value| Some((node["id"].as_u64()?, node["http"].as_str()?.parse().ok()?));
    let addresses: BTreeMap<u64, SocketAddr> = nodes.filter_map(address).collect();
    let shards = status["shards"].as_array()?.iter();
    shards.map(|shard| Some((shard["id"].as_u64()?, *addresses.get(&shard["leader"].as_u64()?)?))).collect()
}

fn print_table(measured: BTreeMap<(Kind, Place), Vec<Measured>>) {
    let measured: BTreeMap<_, _> = measured.into_iter().map(|(case, all)| (case, median(all))).collect();
    println!(
        "\n{:<34}{:>12}{:>10}{:>10}{:>16}{:>12}{:>10}",
        "", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "requests/s", "CPU"
    );
    println!("{:<34}{:>48}{:>22}", "", "(of all nodes)", "of one node alone");
    for ((kind, place), row) in &measured {
        let alone = &measured[&(*kind, Place::Alone)];
        println!(
            "{:<34}{:>12.0}{:>10}{:>10}{:>16.1}{:>11.0}%{:>10.2}",
            name(*kind, *place),
            row.requests_per_second(),
            row.micros(0.5),
            row.micros(0.99),
            row.cpu_micros_per_request(),
            100.0 * row.requests_per_second() / alone.requests_per_second(),
            row.cpu_micros_per_request() / alone.cpu_micros_per_request(),
        );
    }
}

fn name(kind: Kind, place: Place) -> String {
    let kind = match kind {
        Kind::Warm => "warm buckets",
        Kind::Cold => "cold buckets",
        Kind::Lone => "cold, one at a time",
        Kind::Hot => "one hot bucket",
    };
    let place = match place {
        Place::Alone => "one node",
        Place::Leader => "three, the leader",
        Place::Any => "three, any",
        Place::Wrong => "three, another",
    };
    format!("{kind}, {place}")
}
