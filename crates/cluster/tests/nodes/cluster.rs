//! Nodes that form a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tollgate_cluster::{
    AlertOptions, Clock, Entropy, Environment, Events, Forming, Link, Node, NodeId, NodeIdentity, NodeOptions, Request,
    SNAPSHOT_LOG_BYTES, Verdict,
};
use tollgate_limiter::Limit;
use tollgate_storage::Storage;
use tollgate_transport::MemoryNetwork;

use crate::harness::{Letters, Numbers, Recorder, StickyStorage, TestClock};

/// How long whatever is waited for may take: debug builds on busy machines elect slowly.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a request waits for its shard: long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(1);

/// Shards of the clusters under test.
pub(crate) const SHARDS: u32 = 4;

/// What a node keeps when it is killed.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) clock: Arc<TestClock>,
    storage: StickyStorage,
    entropy: Arc<Numbers>,
}

/// Nodes, and the network between them.
pub(crate) struct Cluster {
    network: MemoryNetwork,
    limits: Vec<Limit>,
    founders: BTreeMap<NodeId, String>,
    machines: BTreeMap<NodeId, Machine>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<Node>>,
    alerts: AlertOptions,
    /// What is told of alerts, by any node.
    pub(crate) letters: Letters,
}

impl Machine {
    fn new(id: NodeId) -> Self {
        let clock = TestClock::new();
        // Machines that were booted at different times, whose monotonic clocks have nothing in common.
        (0..id).for_each(|_| clock.reboot());
        clock.pass(id as i64 * 1_000_000_007);
        Self { clock, storage: StickyStorage::new(), entropy: Arc::new(Numbers(AtomicU64::new(id << 32))) }
    }
}

impl Cluster {
    /// Starts as many nodes, which form a cluster.
    pub(crate) async fn start(nodes: NodeId, limits: Vec<Limit>) -> Self {
        Self::start_with(nodes, limits, AlertOptions::default()).await
    }

    /// Starts as many nodes, which form a cluster and raise alarms.
    pub(crate) async fn start_with(nodes: NodeId, limits: Vec<Limit>, alerts: AlertOptions) -> Self {
        let founders: BTreeMap<_, _> = (1..=nodes).map(|id| (id, format!("memory:{id}"))).collect();
        let machines = founders.keys().map(|id| (*id, Machine::new(*id))).collect();
        let network = MemoryNetwork::new();
        let letters = Letters::default();
        let mut cluster = Self { network, limits, founders, machines, nodes: BTreeMap::new(), alerts, letters };
        let ids: Vec<NodeId> = cluster.founders.keys().copied().collect();
        cluster.start_nodes(&ids).await;
        cluster
    }

    /// Starts these nodes, together, and waits until all that run are ready.
    pub(crate) async fn start_nodes(&mut self, ids: &[NodeId]) {
        let forming = Forming::Founders(self.founders.clone());
        let starting = ids.iter().map(|id| self.start_node(*id, forming.clone()));
        let started = futures::future::join_all(starting).await;
        self.nodes.extend(ids.iter().copied().zip(started));
        self.until("every node is ready", |cluster| cluster.nodes.values().all(|node| node.is_ready())).await;
    }

    /// Has a new node join.
    pub(crate) async fn join(&mut self, id: NodeId) {
        self.machines.insert(id, Machine::new(id));
        let contact = *self.nodes.keys().next().expect("a node runs");
        let node = self.start_node(id, Forming::Join { contact, address: format!("memory:{contact}") }).await;
        self.nodes.insert(id, node);
    }

    async fn start_node(&self, id: NodeId, forming: Forming) -> Arc<Node> {
        let machine = self.machines[&id].clone();
        let entropy = Arc::clone(&machine.entropy) as Arc<dyn Entropy>;
        let identity = NodeIdentity::of_data(&machine.storage, id, &*entropy).await.expect("the data is this node's");
        let options = NodeOptions {
            identity,
            forming,
            cluster: 7,
            peer: format!("memory:{id}"),
            http: format!("http:{id}"),
            shards: SHARDS,
            replication: 3,
            horizon_lead: Duration::from_secs(2),
            deadline: DEADLINE,
            max_buckets: 1_000_000,
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            limits: self.limits.clone(),
            alerts: self.alerts.clone(),
        };
        let environment = Environment {
            clock: Arc::clone(&machine.clock) as Arc<dyn Clock>,
            entropy,
            events: Arc::new(Recorder::default()) as Arc<dyn Events>,
            storage: Arc::new(machine.storage) as Arc<dyn Storage>,
            courier: Arc::new(self.letters.clone()),
        };
        let (transport, inbound) = self.network.join(tollgate_transport::NodeId(id));
        let link = Link { transport: Arc::new(transport), inbound };
        tokio::time::timeout(PATIENCE, Node::start(options, environment, link))
            .await
            .unwrap_or_else(|_| panic!("node {id} does not start"))
            .unwrap_or_else(|error| panic!("node {id}: {error}"))
    }

    /// A node's clocks.
    pub(crate) fn clock(&self, id: NodeId) -> &TestClock {
        &self.machines[&id].clock
    }

    /// Lets time pass everywhere.
    pub(crate) fn pass(&self, span_ns: i64) {
        self.machines.values().for_each(|machine| machine.clock.pass(span_ns));
    }

    /// Cuts a node off from the network; it runs on.
    pub(crate) fn cut_off(&self, id: NodeId) {
        self.network.leave(tollgate_transport::NodeId(id));
    }

    /// Kills a node, with nothing handed over.
    pub(crate) async fn kill(&mut self, id: NodeId) {
        self.cut_off(id);
        if let Some(node) = self.nodes.remove(&id) {
            node.crash().await;
        }
    }

    /// Stops a node in order.
    pub(crate) async fn stop(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.remove(&id) {
            node.drain().await;
            node.stop().await;
        }
        self.cut_off(id);
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let late = Instant::now() + PATIENCE;
        while !holds(self) {
            let status: Vec<_> = self.nodes.values().map(|node| node.cluster_status()).collect();
            assert!(Instant::now() < late, "not so in time: {what}; {status:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every node that runs knows a leader, among those that run, for every shard.
    pub(crate) async fn until_led(&self) {
        self.until("every shard is led", |cluster| {
            let runs = |leader: Option<NodeId>| leader.is_some_and(|leader| cluster.nodes.contains_key(&leader));
            let is_led = |node: &Arc<Node>| node.cluster_status().shards.iter().all(|shard| runs(shard.leader));
            cluster.nodes.values().all(is_led) && cluster.nodes.values().all(|node| node.is_ready())
        })
        .await;
    }

    /// Asks one node for units of a user's bucket.
    pub(crate) async fn acquire(&self, node: NodeId, user: &str, cost: u64) -> Verdict {
        let labels = BTreeMap::from([("user".to_owned(), user.to_owned())]);
        let request = Request { prefix: "app", endpoint: "test", labels: &labels, cost, patience: Duration::ZERO };
        self.nodes[&node].acquire(&request).await.expect("the request is decided")
    }

    /// How many requests of one unit pass until one is denied, asked of all nodes in turn; none of them may be degraded.
    pub(crate) async fn admitted(&self, user: &str) -> u64 {
        for (asked, node) in self.nodes.keys().cycle().enumerate() {
            let verdict = self.acquire(*node, user, 1).await;
            assert!(!verdict.degraded, "node {node} is cut off: {verdict:?}");
            if !verdict.allowed {
                return asked as u64;
            }
        }
        unreachable!("a cycle of nodes does not end")
    }
}
