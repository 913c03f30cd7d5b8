//! The cluster's own state, replicated by group 0: its identity, its nodes and its limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};
use tollgate_feedback::alert::{Applied as Ledgered, Entry, Ledger, Silence};
use tollgate_limiter::{Limit, LimitName, Limits};

use crate::consensus::{self, NodeId};

/// The most limits that a cluster may have. Every request is matched against all of them.
pub const MAX_LIMITS: usize = 10_000;

/// The most nodes that a cluster may have. Each talks to all others.
pub const MAX_NODES: usize = 64;

/// So many changes back one that is asked for again is known: more than can be under way at once.
const REMEMBERED_CHANGES: usize = 4_096;

/// What a cluster is known by. Made once, when it is founded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Identity {
    /// Tells this cluster from all others.
    pub(crate) cluster: u128,
    /// Signs reservations.
    pub(crate) secret: [u8; 32],
    /// How many shards the buckets are spread over, for ever.
    pub(crate) shards: u32,
    /// On how many nodes each shard is kept.
    pub(crate) replication: u32,
    /// The nodes that founded it: the first members of every group are chosen among them, by each alike.
    pub(crate) founders: BTreeMap<NodeId, String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Member {
    /// Where the other nodes reach it.
    pub(crate) peer: String,
    /// Where its HTTP API is; `None` until it has said so.
    pub(crate) http: Option<String>,
    /// Tells its data from any other's; `None` until it has said so.
    pub(crate) instance: Option<u128>,
    /// What it does.
    pub(crate) duty: Duty,
}

/// What a node does in the cluster.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Duty {
    /// It keeps shards and leads some.
    #[default]
    Serving,
    /// It keeps shards and is to lead none: an operator wants it quiet.
    Draining,
    /// Its shards are moving away; then it is no part of the cluster any more.
    Leaving,
}

/// A change of the cluster's own state, as it stands in the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Command {
    /// Gives the cluster its identity and its first nodes; void when it has them.
    Found(Identity),
    /// What somebody asked for, by the number that whoever asks has given it: asked again, it is not made again.
    Change(u128, Change),
    /// The shards of a node that leaves have all moved.
    Forget(NodeId),
    /// What its leader writes down of alerts.
    Alerts(Box<Entry>),
}

/// A change that can be asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Change {
    /// Creates or replaces a limit.
    PutLimit(Limit),
    /// Removes a limit.
    DeleteLimit(LimitName),
    /// The limits of a node's configuration file. Only what differs from the file as that node applied it last takes effect, so that a
    /// limit that was changed by a call survives restarts with an unchanged file, and an old file on one node does not undo a new one
    /// on another. The first file of a node adds what is missing and changes nothing.
    ApplyFile(NodeId, Vec<Limit>),
    /// A node says where it is and which data it has. One that is unknown joins.
    Introduce { node: NodeId, peer: String, http: String, instance: u128 },
    /// An operator expects a node, which will introduce itself.
    AddNode(NodeId, String),
    /// An operator wants a node to leave.
    RemoveNode(NodeId),
    /// An operator wants a node to lead nothing, or to lead again.
    SetDraining(NodeId, bool),
    /// Somebody wants nobody to be told of some alerts for a while; when that was asked for, in Unix milliseconds.
    PutSilence(Silence, i64),
    /// The silence of this number is to end; when that was asked for, in Unix milliseconds.
    EndSilence(u64, i64),
}

impl Change {
    /// Whether it changes what requests are matched with and counted by.
    pub(crate) fn is_of_limits(&self) -> bool {
        match self {
            Self::PutLimit(_) | Self::DeleteLimit(_) | Self::ApplyFile(..) => true,
            Self::Introduce { .. }
            | Self::AddNode(..)
            | Self::RemoveNode(_)
            | Self::SetDraining(..)
            | Self::PutSilence(..)
            | Self::EndSilence(..) => false,
        }
    }
}

/// What applying a [`Command`] did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Applied {
    /// It holds.
    Done,
    /// A new limit or node was made.
    Created,
    /// There is no limit of this name.
    UnknownLimit,
    /// There are [`MAX_LIMITS`] already.
    TooManyLimits,
    /// There is no node of this number.
    UnknownNode,
    /// There are [`MAX_NODES`] already.
    TooManyNodes,
    /// A node of this number has other data.
    OtherData,
    /// Another node has this address.
    AddressTaken,
    /// The node has said itself that it is elsewhere.
    ElsewhereAlready,
    /// No other node serves.
    LastNode,
    /// What came of an entry of the alerts, a silence among them.
    Alerts(Ledgered),
}

/// The replicated state of group 0.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ClusterState {
    identity: Option<Identity>,
    nodes: BTreeMap<NodeId, Member>,
    limits: Limits,
    /// Each node's configuration file's limits as they were applied last.
    files: BTreeMap<NodeId, BTreeMap<LimitName, Limit>>,
    /// What came of the latest changes. A network may repeat what was asked for, and who was not answered asks again.
    made: VecDeque<(u128, Applied)>,
    alerts: Ledger,
}

impl ClusterState {
    /// The cluster's identity; `None` until it is founded.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> &BTreeMap<NodeId, Member> {
        &self.nodes
    }

    /// The nodes that keep shards, or will.
    pub(crate) fn staying(&self) -> BTreeSet<NodeId> {
        let stays = |(_, member): &(&NodeId, &Member)| member.duty != Duty::Leaving;
        self.nodes.iter().filter(stays).map(|(node, _)| *node).collect()
    }

    /// The limits that hold.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is agreed on about alerts.
    pub(crate) fn alerts(&self) -> &Ledger {
        &self.alerts
    }

    /// Whether this change is among the latest that were made.
    pub(crate) fn has_made(&self, id: u128) -> bool {
        self.made.iter().rev().any(|(made, _)| *made == id)
    }

    fn apply(&mut self, command: &Command) -> Applied {
        match command {
            Command::Found(identity) => self.found(identity),
            Command::Change(id, change) => self.change_once(*id, change),
            Command::Forget(node) => self.forget(*node),
            Command::Alerts(entry) => Applied::Alerts(self.alerts.apply(entry)),
        }
    }

    fn change_once(&mut self, id: u128, change: &Change) -> Applied {
        if let Some((_, applied)) = self.made.iter().find(|(made, _)| *made == id) {
            return *applied;
        }
        let applied = self.change(change);
        if self.made.len() >= REMEMBERED_CHANGES {
            self.made.pop_front();
        }
        self.made.push_back((id, applied));
        applied
    }

    fn change(&mut self, change: &Change) -> Applied {
        match change {
            Change::PutLimit(limit) => self.put(limit),
            Change::DeleteLimit(name) if self.limits.remove(name) => Applied::Done,
            Change::DeleteLimit(_) => Applied::UnknownLimit,
            Change::ApplyFile(node, limits) => self.apply_file(*node, limits),
            Change::Introduce { node, peer, http, instance } => self.introduce(*node, peer, http, *instance),
            Change::AddNode(node, peer) => self.add_node(*node, peer),
            Change::RemoveNode(node) => self.set_duty(*node, Duty::Leaving),
            Change::SetDraining(node, true) => self.set_duty(*node, Duty::Draining),
            Change::SetDraining(node, false) => self.set_duty(*node, Duty::Serving),
            Change::PutSilence(silence, at_ms) => {
                let entry = Entry::Silence { silence: silence.clone(), at_ms: *at_ms };
                Applied::Alerts(self.alerts.apply(&entry))
            }
            Change::EndSilence(silence, at_ms) => {
                Applied::Alerts(self.alerts.apply(&Entry::EndSilence { silence: *silence, at_ms: *at_ms }))
            }
        }
    }

    fn found(&mut self, identity: &Identity) -> Applied {
        if self.identity.is_none() {
            self.identity = Some(identity.clone());
            for (node, peer) in &identity.founders {
                self.nodes.insert(*node, Member { peer: peer.clone(), ..Member::default() });
            }
        }
        Applied::Done
    }

    fn introduce(&mut self, node: NodeId, peer: &str, http: &str, instance: u128) -> Applied {
        let applied = match self.nodes.get(&node) {
            Some(member) if member.instance.is_some_and(|known| known != instance) => return Applied::OtherData,
            Some(_) => Applied::Done,
            None if self.nodes.len() >= MAX_NODES => return Applied::TooManyNodes,
            None => Applied::Created,
        };
        let member = self.nodes.entry(node).or_default();
        member.peer = peer.to_owned();
        member.http = Some(http.to_owned());
        member.instance = Some(instance);
        applied
    }

    /// One that has introduced itself is where it said.
    fn add_node(&mut self, node: NodeId, peer: &str) -> Applied {
        if self.nodes.iter().any(|(other, member)| *other != node && member.peer == peer) {
            return Applied::AddressTaken;
        }
        if let Some(member) = self.nodes.get_mut(&node) {
            if member.instance.is_some() && member.peer != peer {
                return Applied::ElsewhereAlready;
            }
            member.peer = peer.to_owned();
            return Applied::Done;
        }
        if self.nodes.len() >= MAX_NODES {
            return Applied::TooManyNodes;
        }
        self.nodes.insert(node, Member { peer: peer.to_owned(), ..Member::default() });
        Applied::Created
    }

    fn set_duty(&mut self, node: NodeId, duty: Duty) -> Applied {
        let others = self.staying().into_iter().any(|other| other != node);
        match self.nodes.get_mut(&node) {
            None => Applied::UnknownNode,
            Some(_) if duty == Duty::Leaving && !others => Applied::LastNode,
            Some(member) => {
                // Nobody stays because somebody else wants it to lead again.
                let leaves = member.duty == Duty::Leaving;
                member.duty = if leaves { Duty::Leaving } else { duty };
                Applied::Done
            }
        }
    }

    fn forget(&mut self, node: NodeId) -> Applied {
        self.files.remove(&node);
        if self.nodes.remove(&node).is_some() { Applied::Done } else { Applied::UnknownNode }
    }

    fn put(&mut self, limit: &Limit) -> Applied {
        match self.limits.get(limit.name.as_str()) {
            Some((_, present)) if **present == *limit => return Applied::Done,
            Some(_) => {
                self.limits.put(limit.clone());
                return Applied::Done;
            }
            None => {}
        }
        if self.limits.len() >= MAX_LIMITS {
            return Applied::TooManyLimits;
        }
        self.limits.put(limit.clone());
        Applied::Created
    }

    fn apply_file(&mut self, node: NodeId, limits: &[Limit]) -> Applied {
        let file: BTreeMap<_, _> = limits.iter().map(|limit| (limit.name.clone(), limit.clone())).collect();
        let before = self.files.insert(node, file.clone());
        let is_first = before.is_none();
        let before = before.unwrap_or_default();
        for name in before.keys().filter(|name| !file.contains_key(name)) {
            self.limits.remove(name);
        }
        let exists = |limits: &Limits, name: &LimitName| limits.get(name.as_str()).is_some();
        let mut full = false;
        for limit in file.into_values().filter(|limit| before.get(&limit.name) != Some(limit)) {
            if !(is_first && exists(&self.limits, &limit.name)) {
                full |= self.put(&limit) == Applied::TooManyLimits;
            }
        }
        if full { Applied::TooManyLimits } else { Applied::Done }
    }
}

impl consensus::Machine for ClusterState {
    fn apply(&mut self, command: &consensus::Command) -> consensus::Applied {
        match command {
            consensus::Command::Cluster(command) => consensus::Applied::Cluster(self.apply(command)),
            consensus::Command::Shard(_) => consensus::Applied::Nothing,
        }
    }

    fn encoded_bytes(&self) -> usize {
        /// Names, patterns and figures.
        const BYTES_A_LIMIT: usize = 256;
        self.limits().len() * BYTES_A_LIMIT + self.alerts.encoded_bytes()
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(_) => f.write_str("found the cluster"),
            Self::Change(_, change) => write!(f, "{change}"),
            Self::Forget(node) => write!(f, "forget node {node}"),
            Self::Alerts(_) => f.write_str("write down alerts"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutLimit(limit) => write!(f, "put limit {}", limit.name),
            Self::DeleteLimit(name) => write!(f, "delete limit {name}"),
            Self::ApplyFile(node, limits) => write!(f, "apply the {} limits of node {node}'s file", limits.len()),
            Self::Introduce { node, .. } => write!(f, "introduce node {node}"),
            Self::AddNode(node, _) => write!(f, "add node {node}"),
            Self::RemoveNode(node) => write!(f, "remove node {node}"),
            Self::SetDraining(node, true) => write!(f, "drain node {node}"),
            Self::SetDraining(node, false) => write!(f, "end the drain of node {node}"),
            Self::PutSilence(..) => f.write_str("put a silence"),
            Self::EndSilence(silence, _) => write!(f, "end silence {silence}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_limiter::{Algorithm, Consistency, OnUnavailable, Pace};

    use super::*;

    fn limit(name: &str, burst: u64) -> Limit {
        Limit {
            name: LimitName::new(name).expect("a valid name"),
            prefix: None,
            selectors: Vec::new(),
            by: Vec::new(),
            algorithm: Algorithm::TokenBucket(Pace::new(1, 1_000, burst).expect("a legal pace")),
            consistency: Consistency::Exact,
            on_unavailable: OnUnavailable::Local,
            shadow: false,
            reservation_ttl_ns: 1,
        }
    }

    fn bursts(state: &ClusterState) -> Vec<(String, u64)> {
        state.limits().iter().map(|(_, limit)| (limit.name.to_string(), limit.algorithm.capacity())).collect()
    }

    /// A change that nobody asked for before.
    fn new(change: Change) -> Command {
        Command::Change(fastrand::u128(..), change)
    }

    fn file(node: NodeId, limits: &[Limit]) -> Command {
        new(Change::ApplyFile(node, limits.to_vec()))
    }

    fn put(limit: Limit) -> Command {
        new(Change::PutLimit(limit))
    }

    fn delete(name: &str) -> Command {
        new(Change::DeleteLimit(LimitName::new(name).expect("a valid name")))
    }

    fn introduce(node: NodeId, instance: u128) -> Command {
        let (peer, http) = (format!("host{node}:9101"), format!("host{node}:8080"));
        new(Change::Introduce { node, peer, http, instance })
    }

    fn founded(nodes: impl IntoIterator<Item = NodeId>) -> ClusterState {
        let mut state = ClusterState::default();
        let founders = nodes.into_iter().map(|node| (node, format!("host{node}:9101"))).collect();
        state.apply(&Command::Found(Identity { cluster: 1, secret: [0; 32], shards: 16, replication: 3, founders }));
        state
    }

    #[test]
    fn a_limit_that_a_call_changed_survives_a_restart_with_the_same_file() {
        let mut state = ClusterState::default();
        let limits = [limit("a", 1), limit("b", 1)];
        state.apply(&file(1, &limits));
        assert_eq!(state.apply(&put(limit("a", 5))), Applied::Done);
        assert_eq!(state.apply(&delete("b")), Applied::Done);
        assert_eq!(state.apply(&put(limit("c", 3))), Applied::Created);
        state.apply(&file(1, &limits));
        assert_eq!(bursts(&state), [("a".to_owned(), 5), ("c".to_owned(), 3)]);
    }

    #[test]
    fn what_changes_in_the_file_takes_effect() {
        let mut state = ClusterState::default();
        state.apply(&file(1, &[limit("a", 1), limit("b", 1), limit("c", 1)]));
        state.apply(&put(limit("a", 5)));
        state.apply(&file(1, &[limit("a", 2), limit("c", 1), limit("d", 4)]));
        let expected = [("a".to_owned(), 2), ("c".to_owned(), 1), ("d".to_owned(), 4)];
        assert_eq!(bursts(&state), expected);
    }

    #[test]
    fn an_old_file_on_one_node_does_not_undo_a_new_one_on_another() {
        let mut state = ClusterState::default();
        let old = [limit("a", 1), limit("b", 1)];
        for node in 1..=3 {
            state.apply(&file(node, &old));
        }
        state.apply(&file(1, &[limit("a", 9)]));
        state.apply(&file(2, &old));
        assert_eq!(bursts(&state), [("a".to_owned(), 9)]);
        state.apply(&file(2, &[limit("a", 9)]));
        assert_eq!(bursts(&state), [("a".to_owned(), 9)]);
    }

    #[test]
    fn the_file_of_a_node_that_joins_adds_what_is_missing_and_changes_nothing() {
        let mut state = ClusterState::default();
        state.apply(&file(1, &[limit("a", 1)]));
        state.apply(&put(limit("a", 5)));
        let version = state.limits().version();
        state.apply(&file(2, &[limit("a", 1)]));
        assert_eq!(state.limits().version(), version, "nothing has changed");
        state.apply(&file(3, &[limit("a", 1), limit("b", 2)]));
        assert_eq!(bursts(&state), [("a".to_owned(), 5), ("b".to_owned(), 2)]);
    }

    #[test]
    fn an_identity_is_given_once() {
        let mut state = founded([1, 2, 3]);
        let before = state.identity().cloned();
        let founders = BTreeMap::new();
        state.apply(&Command::Found(Identity { cluster: 2, secret: [1; 32], shards: 4, replication: 1, founders }));
        assert_eq!(state.identity(), before.as_ref());
        assert_eq!(state.staying(), BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn a_number_belongs_to_the_data_that_had_it_first_until_its_node_is_forgotten() {
        let mut state = founded([1, 2]);
        let steps = [
            (introduce(1, 10), Applied::Done),
            (introduce(1, 10), Applied::Done),
            (introduce(1, 11), Applied::OtherData),
            (introduce(3, 30), Applied::Created),
            (new(Change::RemoveNode(3)), Applied::Done),
            (introduce(3, 31), Applied::OtherData),
            (Command::Forget(3), Applied::Done),
            (introduce(3, 31), Applied::Created),
        ];
        for (step, (command, expected)) in steps.into_iter().enumerate() {
            assert_eq!(state.apply(&command), expected, "step {step}: {command}");
        }
    }

    #[test]
    fn an_operator_says_where_a_node_will_be_and_the_node_where_it_is() {
        let mut state = founded([1]);
        let add = |peer: &str| new(Change::AddNode(2, peer.to_owned()));
        let peer = |state: &ClusterState| state.nodes()[&2].peer.clone();
        assert_eq!(state.apply(&add("wrong:1")), Applied::Created);
        assert_eq!(state.apply(&add("right:1")), Applied::Done);
        assert_eq!(peer(&state), "right:1");
        state.apply(&introduce(2, 20));
        assert_eq!(state.apply(&add("wrong:1")), Applied::ElsewhereAlready);
        assert_eq!(state.apply(&add("host2:9101")), Applied::Done);
        assert_eq!(state.apply(&add("host1:9101")), Applied::AddressTaken);
        assert_eq!(peer(&state), "host2:9101");
    }

    #[test]
    fn the_last_node_cannot_leave_and_one_that_leaves_does_not_stay() {
        let mut state = founded([1, 2]);
        let steps = [
            (new(Change::RemoveNode(7)), Applied::UnknownNode),
            (new(Change::SetDraining(1, true)), Applied::Done),
            (new(Change::RemoveNode(2)), Applied::Done),
            (new(Change::SetDraining(2, false)), Applied::Done),
            (new(Change::RemoveNode(1)), Applied::LastNode),
        ];
        for (step, (command, expected)) in steps.into_iter().enumerate() {
            assert_eq!(state.apply(&command), expected, "step {step}: {command}");
        }
        assert_eq!(state.staying(), BTreeSet::from([1]));
    }

    #[test]
    fn a_change_that_is_asked_for_again_is_not_made_again_and_answered_alike() {
        let mut state = ClusterState::default();
        let (first, delete) = (Command::Change(1, Change::PutLimit(limit("a", 1))), delete("a"));
        assert_eq!(state.apply(&first), Applied::Created);
        state.apply(&put(limit("a", 2)));
        assert_eq!(state.apply(&first), Applied::Created);
        assert_eq!(bursts(&state), [("a".to_owned(), 2)], "what came later holds");
        assert_eq!([state.apply(&delete), state.apply(&delete)], [Applied::Done; 2]);
        for _ in 0..2 * REMEMBERED_CHANGES {
            state.apply(&put(limit("a", 2)));
        }
        assert_eq!(state.made.len(), REMEMBERED_CHANGES);
    }

    #[test]
    fn removing_a_limit_that_is_not_there_is_told() {
        assert_eq!(ClusterState::default().apply(&delete("a")), Applied::UnknownLimit);
    }
}
