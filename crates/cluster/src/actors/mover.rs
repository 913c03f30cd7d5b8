//! Moves shards to the nodes that should keep them: one step at a time, told by the leader of group 0.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use ractor::ActorRef;
use tollgate_limiter::ShardId;

use super::SupervisorMsg;
use super::meta::propose;
use crate::consensus::{Group, NodeId};
use crate::messages::Request;
use crate::meta::{ClusterState, Command, Duty};
use crate::peers::Peers;
use crate::routes::Routes;
use crate::view::View;

/// How long a step may take: a new replica of a large shard has to be sent its state.
const STEP_DEADLINE: Duration = Duration::from_secs(60);

/// How long the leader of a shard may take to answer before it is looked anew what is to be done: its answer may be lost. Asked again
/// while it is at it, it answers when it is done.
const ANSWER: Duration = Duration::from_secs(5);

/// How often it is looked whether the node that takes a step is alive.
const LOOK: Duration = Duration::from_millis(100);

/// The next thing to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Group 0's own members, voters and those that follow.
    MoveMeta { voters: BTreeSet<NodeId>, learners: BTreeSet<NodeId> },
    /// This node is to lead group 0 no longer.
    LeaveMeta { to: NodeId },
    /// A shard's replicas, changed by the node that leads it.
    MoveShard { shard: ShardId, leader: NodeId, replicas: BTreeSet<NodeId> },
    /// All that a leaving node kept is elsewhere.
    Forget(NodeId),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MoveMeta { voters, learners } => write!(f, "group 0 to voters {voters:?} and learners {learners:?}"),
            Self::LeaveMeta { to } => write!(f, "node {to} is to lead group 0"),
            Self::MoveShard { shard, leader, replicas } => {
                write!(f, "node {leader} moves shard {shard} to {replicas:?}")
            }
            Self::Forget(node) => write!(f, "node {node} has left"),
        }
    }
}

/// The first thing that is not as it should be; `None` when all is.
pub(super) fn next_step(
    view: &View,
    group: &Group<ClusterState>,
    routes: &Routes,
    is_alive: impl Fn(NodeId) -> bool,
) -> Option<Step> {
    let (voters, learners) = (view.meta_voters(), view.meta_learners());
    let members: BTreeSet<NodeId> = voters.union(&learners).copied().collect();
    // A leaving node follows group 0 to the end, so that it knows that it leaves; it only does not vote.
    let leaving: BTreeSet<NodeId> =
        view.nodes.iter().filter(|(_, member)| member.duty == Duty::Leaving).map(|(node, _)| *node).collect();
    let learners: BTreeSet<NodeId> = learners.union(&leaving).copied().collect();
    let leads = group.leader().unwrap_or_default();
    if !voters.contains(&leads) {
        let may = |node: NodeId| (voters.contains(&node) && is_alive(node)).then_some(node);
        if let Some(to) = group.successor(may) {
            return Some(Step::LeaveMeta { to });
        }
    }
    let wanted: BTreeSet<NodeId> = members.union(&learners).copied().collect();
    if group.voters() != voters || group.members() != wanted {
        let newcomers_answer = wanted.difference(&group.members()).all(|node| is_alive(*node));
        if newcomers_answer {
            return Some(Step::MoveMeta { voters, learners });
        }
    }
    if let Some(step) = next_shard(view, routes, &is_alive) {
        return Some(step);
    }
    let is_kept = |node: NodeId| {
        (0..view.placement.shards())
            .any(|shard| routes.led(shard).is_none_or(|(led, _)| led.members.contains(&node) || !led.settled))
    };
    leaving.into_iter().find(|node| !is_kept(*node)).map(Step::Forget)
}

fn next_shard(view: &View, routes: &Routes, is_alive: impl Fn(NodeId) -> bool) -> Option<Step> {
    (0..view.placement.shards()).find_map(|shard| {
        let (led, leader) = routes.led(shard)?;
        let wanted: BTreeSet<NodeId> = view.placement.replicas(shard).iter().copied().collect();
        let present: BTreeSet<NodeId> = led.members.iter().copied().collect();
        // A leader that is to go stays until another leads, so that the leadership is handed over without a loss.
        let replicas: BTreeSet<NodeId> = wanted.iter().copied().chain([leader]).collect();
        let newcomers_answer = replicas.difference(&present).all(|node| is_alive(*node));
        (replicas != present && newcomers_answer && is_alive(leader)).then_some(Step::MoveShard {
            shard,
            leader,
            replicas,
        })
    })
}

/// Takes a step. One that fails is taken again when it is still the next.
pub(super) async fn take(step: Step, group: &Group<ClusterState>, peers: &Peers, supervisor: &ActorRef<SupervisorMsg>) {
    let taken = tokio::time::timeout(STEP_DEADLINE, async {
        match step {
            Step::MoveMeta { voters, learners } => {
                group.change_members(&voters, &learners).await.map_err(|error| error.to_string())
            }
            Step::LeaveMeta { to } => {
                group.transfer(to).await;
                Ok(())
            }
            Step::MoveShard { shard, leader, replicas } => move_shard(shard, leader, replicas, peers, supervisor).await,
            Step::Forget(node) => {
                propose(group, Command::Forget(node)).await.map(drop).map_err(|error| error.to_string())
            }
        }
    });
    match taken.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error, "a step of a change of the cluster was not taken"),
        Err(_) => tracing::warn!("a step of a change of the cluster takes longer than {STEP_DEADLINE:?}"),
    }
}

async fn move_shard(
    shard: ShardId,
    leader: NodeId,
    replicas: BTreeSet<NodeId>,
    peers: &Peers,
    supervisor: &ActorRef<SupervisorMsg>,
) -> Result<(), String> {
    if leader == peers.me() {
        let (reply, moved) = tokio::sync::oneshot::channel();
        drop(supervisor.cast(SupervisorMsg::Move(shard, replicas, reply)));
        return moved.await.unwrap_or_else(|_| Err("the node is stopping".to_owned()));
    }
    let request = Request::Move(shard, replicas);
    tokio::select! {
        moved = peers.call::<Result<(), String>>(leader, &request, ANSWER) => moved.map_err(|error| error.to_string())?,
        () = death(peers, leader) => Err(format!("node {leader}, which was to move shard {shard}, has died")),
    }
}

/// Waits until nothing is heard of a node.
async fn death(peers: &Peers, node: NodeId) {
    while peers.is_alive(node) {
        tokio::time::sleep(LOOK).await;
    }
}
