//! How a node comes to take part in a cluster: alone, with the others that found it, or by joining.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tollgate_transport::{Instance, PeerAddress};

use crate::actors::{CHANGE_DEADLINE, propose};
use crate::consensus::{Founding, Group, NodeId};
use crate::hosting::Hosting;
use crate::identity::NodeIdentity;
use crate::messages::{ChangeFailure, Pong, Request};
use crate::meta::{Applied, Change, ClusterState, Command, Identity};
use crate::node::{NodeOptions, START_DEADLINE, StartError};
use crate::peers::Peers;
use crate::view::meta_voters;

/// How long another node may take to answer while the cluster forms, and the pause between two questions.
const ANSWER: Duration = Duration::from_millis(200);

/// How long an introduction may wait for its answer. Then somebody else may lead, and is asked for the same.
const INTRODUCTION: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// How often it is said what the node waits for.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// After how long a founder founds a group that another was to: then that one is not there.
pub(crate) const SECOND_CHANCE: Duration = Duration::from_millis(700);

/// How a node that takes part in no cluster yet comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Forming {
    /// It is a cluster of its own, which others may join.
    Alone,
    /// It forms one with these, itself among them, each at its address.
    Founders(BTreeMap<NodeId, String>),
    /// It joins a running one.
    Join {
        /// A node of it.
        contact: NodeId,
        /// Where that is.
        address: String,
    },
}

/// What the node does about group 0, once it is clear that it may.
async fn founding(me: NodeId, forming: &Forming, peers: &Peers) -> Result<Founding, StartError> {
    match forming {
        Forming::Alone => Ok(Founding::Voters { voters: BTreeSet::from([me]), after: Duration::ZERO }),
        Forming::Join { contact, address } => {
            connect(peers, *contact, address);
            Ok(Founding::Joined)
        }
        Forming::Founders(founders) => {
            founders.iter().for_each(|(node, address)| connect(peers, *node, address));
            wait_for_quorum(me, founders, peers).await
        }
    }
}

fn connect(peers: &Peers, node: NodeId, address: &str) {
    peers.connect(node, PeerAddress { address: address.to_owned(), instance: None });
}

/// Waits until as many founders talk to each other as make a quorum.
async fn wait_for_quorum(
    me: NodeId,
    founders: &BTreeMap<NodeId, String>,
    peers: &Peers,
) -> Result<Founding, StartError> {
    let quorum = founders.len() / 2 + 1;
    let mut told = Instant::now();
    loop {
        let others: Vec<NodeId> = founders.keys().copied().filter(|node| *node != me).collect();
        let ask = |node: NodeId| async move { (node, peers.call::<Pong>(node, &Request::Ping, ANSWER).await) };
        let answers = futures::future::join_all(others.iter().copied().map(ask)).await;
        let met: Vec<Pong> = answers.iter().filter_map(|(_, pong)| pong.as_ref().ok().copied()).collect();
        if met.iter().any(|pong| pong.formed) {
            return Ok(Founding::Joined);
        }
        if met.len() + 1 >= quorum {
            let voters = meta_voters(&founders.keys().copied().collect());
            let after = if voters.first() == Some(&me) { Duration::ZERO } else { SECOND_CHANCE };
            return Ok(Founding::Voters { voters: voters.into_iter().collect(), after });
        }
        let refusals: BTreeMap<NodeId, String> =
            others.iter().filter_map(|node| Some((*node, peers.refusal(*node)?))).collect();
        if founders.len() - refusals.len() < quorum {
            return Err(StartError::Refused(refusals));
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let silent: Vec<_> = answers.iter().filter(|(_, pong)| pong.is_err()).map(|(node, _)| node).collect();
            tracing::warn!(?silent, ?refusals, "waiting for the other nodes of the cluster");
        }
        sleep(PAUSE).await;
    }
}

/// Opens group 0: founds it, joins it, or goes on in it.
pub(crate) async fn open_meta(
    options: &NodeOptions,
    hosting: &Hosting,
) -> Result<Arc<Group<ClusterState>>, StartError> {
    let Hosting { me, peers, .. } = hosting;
    if options.identity.cluster.is_none() {
        let founding = founding(*me, &options.forming, peers).await?;
        return Ok(hosting.open_meta(founding).await?);
    }
    let meta = hosting.open_meta(known_founding(options, peers)).await?;
    connect_known(&meta, peers);
    Ok(meta)
}

/// Takes part in the cluster: waits until it has an identity, and has it know this node.
pub(crate) async fn take_part(
    options: &NodeOptions,
    meta: &Group<ClusterState>,
    hosting: &Hosting,
) -> Result<Identity, StartError> {
    Newcomer { options, meta, hosting }.take_part().await
}

/// A node on its way into its cluster, for the first time or again.
struct Newcomer<'a> {
    options: &'a NodeOptions,
    meta: &'a Group<ClusterState>,
    hosting: &'a Hosting,
}

impl Newcomer<'_> {
    async fn take_part(&self) -> Result<Identity, StartError> {
        let NodeOptions { identity: known, forming, shards, .. } = self.options;
        let joins = matches!(forming, Forming::Join { .. });
        if joins && known.cluster.is_none() {
            self.introduce().await?;
        }
        let identity = self.identity().await?;
        if identity.shards != *shards && !joins {
            return Err(StartError::OtherShards { asked: *shards, created: identity.shards });
        }
        let storage = &*self.hosting.environment.storage;
        NodeIdentity { cluster: Some(identity.cluster), ..*known }.save(storage).await?;
        if !self.is_introduced() {
            self.introduce().await?;
        }
        Ok(identity)
    }

    /// Waits until the cluster has an identity; whoever leads group 0 of a new one gives it.
    async fn identity(&self) -> Result<Identity, StartError> {
        let late = Instant::now() + START_DEADLINE;
        let mut told = Instant::now();
        loop {
            if let Some(identity) = self.meta.state().read(|state| state.identity().cloned()) {
                return Ok(identity);
            }
            if let Some(founders) = founders(self.options)
                && self.meta.leadership().is_some()
                && let Err(ChangeFailure::Unavailable(reason)) =
                    propose(self.meta, Command::Found(self.new_identity(founders))).await
            {
                return Err(StartError::Group(reason));
            }
            if self.options.forming == Forming::Alone && Instant::now() > late {
                return Err(StartError::NoLeader("group 0".to_owned()));
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::warn!(
                    leader = self.meta.leader(),
                    "waiting to hear from the cluster: if this node was removed from it, start it with --join"
                );
            }
            sleep(PAUSE).await;
        }
    }

    fn new_identity(&self, founders: BTreeMap<NodeId, String>) -> Identity {
        let bits = || self.hosting.environment.entropy.bits().to_le_bytes();
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(&bits());
        secret[16..].copy_from_slice(&bits());
        let NodeOptions { cluster, shards, replication, .. } = *self.options;
        Identity { cluster, secret, shards, replication, founders }
    }

    /// What the node says of itself.
    fn introduction(&self) -> Change {
        let NodeOptions { identity, peer, http, .. } = self.options;
        let (peer, http) = (peer.clone(), http.clone());
        Change::Introduce { node: identity.node, peer, http, instance: identity.instance }
    }

    /// Whether the cluster knows the node as it is.
    fn is_introduced(&self) -> bool {
        let NodeOptions { identity, peer, http, .. } = self.options;
        self.meta.state().read(|state| {
            state.nodes().get(&identity.node).is_some_and(|member| {
                let same_places = member.peer == *peer && member.http.as_ref() == Some(http);
                same_places && member.instance == Some(identity.instance)
            })
        })
    }

    /// Has the node known in the cluster, with where it is and which data it has.
    async fn introduce(&self) -> Result<(), StartError> {
        let id = self.hosting.environment.entropy.bits();
        let mut told = Instant::now();
        // Of a leader that was deposed while it took this node in, this node may never hear that: then the one it knows knows.
        let mut believes = true;
        loop {
            let leader = self.meta.leader().filter(|_| believes);
            let asked = timeout(INTRODUCTION, self.ask_leader(leader, id, self.introduction())).await;
            let problem = match asked.unwrap_or_else(|_| Err(format!("no answer within {INTRODUCTION:?}"))) {
                // Known there, and soon here: before that the node would take itself for removed.
                Ok(Applied::Done | Applied::Created) if self.is_introduced() => return Ok(()),
                Ok(Applied::Done | Applied::Created) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Ok(Applied::OtherData) => return Err(StartError::OtherData(self.hosting.me)),
                Ok(applied) => return Err(StartError::NotTaken(format!("{applied:?}"))),
                Err(_) if self.is_introduced() => return Ok(()),
                Err(problem) => problem,
            };
            believes = !believes;
            if let Forming::Join { contact, .. } = &self.options.forming
                && let Some(refusal) = self.hosting.peers.refusal(*contact)
            {
                return Err(StartError::Refused(BTreeMap::from([(*contact, refusal)])));
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::warn!(problem, "waiting for the cluster to take this node");
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks the leader of group 0 for a change. A node that joins first has to find it, unless it is told who that is.
    async fn ask_leader(&self, leader: Option<NodeId>, id: u128, change: Change) -> Result<Applied, String> {
        let peers = &self.hosting.peers;
        let leader = match (leader, &self.options.forming) {
            (Some(leader), _) => leader,
            (None, Forming::Join { contact, .. }) => {
                let answer = peers.call::<Option<(NodeId, String)>>(*contact, &Request::Leader, ANSWER).await;
                let (leader, address) =
                    answer.map_err(|error| error.to_string())?.ok_or("the cluster has no leader just now")?;
                if leader != *contact {
                    connect(peers, leader, &address);
                }
                leader
            }
            (None, _) => return Err("group 0 has no leader".to_owned()),
        };
        if leader == self.hosting.me {
            return propose(self.meta, Command::Change(id, change)).await.map_err(|error| error.to_string());
        }
        let request = Request::Change(id, change);
        let answer = peers.call::<Result<Applied, ChangeFailure>>(leader, &request, CHANGE_DEADLINE).await;
        answer.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// A node that took part before knows the others; should all addresses have changed, the configuration may know them.
fn known_founding(options: &NodeOptions, peers: &Peers) -> Founding {
    if let Forming::Founders(founders) = &options.forming {
        founders.iter().for_each(|(node, address)| connect(peers, *node, address));
    }
    Founding::Joined
}

fn connect_known(meta: &Group<ClusterState>, peers: &Peers) {
    meta.state().read(|state| {
        for (node, member) in state.nodes() {
            let address = PeerAddress { address: member.peer.clone(), instance: member.instance.map(Instance) };
            peers.connect(*node, address);
        }
    });
}

/// Those who found the cluster, if this node is one of them.
fn founders(options: &NodeOptions) -> Option<BTreeMap<NodeId, String>> {
    match &options.forming {
        Forming::Alone => Some(BTreeMap::from([(options.identity.node, options.peer.clone())])),
        Forming::Founders(founders) => Some(founders.clone()),
        Forming::Join { .. } => None,
    }
}
