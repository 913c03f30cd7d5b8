//! Who a node is and with whom it works.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tollgate_api::FieldError;
use tollgate_cluster::MAX_SHARDS;

use super::checks::in_range;
use super::{Address, duration};

/// Where nodes talk to each other if nothing else is said.
const DEFAULT_PEER: &str = "127.0.0.1:9101";

/// `cluster`: who this node is and with whom it works.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of the cluster")]
pub struct Cluster {
    /// This node's number, at least 1; its own for as long as its data lives.
    pub node: u64,
    /// Where this node listens for the others; see [`Cluster::listens_at`] for what `None` means.
    pub peer: Option<Address>,
    /// Every node that forms the cluster and where it is reached, the same on all of them; empty for a node alone.
    pub nodes: BTreeMap<u64, Address>,
    /// A node of a running cluster that this one joins.
    pub join: Option<Address>,
    /// Into how many shards the buckets are cut, 1 to 256; fixed once there is data.
    pub shards: u32,
    /// On how many nodes each shard is kept, 1 to 7; on all where there are fewer.
    pub replication: u32,
    /// How far ahead a shard's leader may spend without asking, and what a failover costs at most: 100 ms to 1 min.
    #[serde(deserialize_with = "duration::deserialize")]
    pub horizon_lead: Duration,
    /// How long a decision waits for its shard before `on_unavailable` decides: 1 ms to 10 s.
    #[serde(deserialize_with = "duration::deserialize")]
    pub deadline: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            node: 1,
            peer: None,
            nodes: BTreeMap::new(),
            join: None,
            shards: 16,
            replication: 3,
            horizon_lead: Duration::from_secs(2),
            deadline: Duration::from_millis(100),
        }
    }
}

impl Cluster {
    /// Where this node listens for the others: `peer`, or else its own entry in `nodes`, or else 127.0.0.1:9101.
    pub fn listens_at(&self) -> Address {
        let own = self.peer.as_ref().or_else(|| self.nodes.get(&self.node));
        own.cloned().unwrap_or_else(|| DEFAULT_PEER.parse().expect("the default is an address"))
    }

    pub(super) fn check(&self) -> Result<(), FieldError> {
        if self.node == 0 {
            return Err(FieldError::new("node", "must be at least 1"));
        }
        in_range("shards", &self.shards, &(1..=MAX_SHARDS))?;
        in_range("replication", &self.replication, &(1..=7))?;
        in_range("horizon_lead", &self.horizon_lead, &(Duration::from_millis(100)..=Duration::from_secs(60)))?;
        in_range("deadline", &self.deadline, &(Duration::from_millis(1)..=Duration::from_secs(10)))?;
        self.join.as_ref().map_or(Ok(()), |address| check_reachable("join", address))?;
        self.check_nodes()
    }

    fn check_nodes(&self) -> Result<(), FieldError> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        if self.join.is_some() {
            return Err(FieldError::new(
                "join",
                "is given beside `nodes`: form a cluster with one or join it with the other",
            ));
        }
        let mut taken = BTreeSet::new();
        for (node, address) in &self.nodes {
            let field = format!("nodes.{node}");
            check_reachable(&field, address)?;
            if *node == 0 {
                return Err(FieldError::new(field, "is no node: their numbers begin with 1"));
            }
            if !taken.insert(address) {
                return Err(FieldError::new(field, "has the address of another node"));
            }
        }
        if self.nodes.contains_key(&self.node) {
            Ok(())
        } else {
            Err(FieldError::new("nodes", format!("must hold this node, which is {}", self.node)))
        }
    }

    /// The keys in which `new` differs; a running node can change none of them.
    pub(super) fn changed_keys(&self, new: &Self) -> impl Iterator<Item = &'static str> {
        let changed = [
            ("cluster.node", self.node != new.node),
            ("cluster.peer", self.peer != new.peer),
            ("cluster.nodes", self.nodes != new.nodes),
            ("cluster.join", self.join != new.join),
            ("cluster.shards", self.shards != new.shards),
            ("cluster.replication", self.replication != new.replication),
            ("cluster.horizon_lead", self.horizon_lead != new.horizon_lead),
            ("cluster.deadline", self.deadline != new.deadline),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key)
    }
}

fn check_reachable(field: &str, address: &Address) -> Result<(), FieldError> {
    if address.port() == 0 { Err(FieldError::new(field, "must have a port other than 0")) } else { Ok(()) }
}
