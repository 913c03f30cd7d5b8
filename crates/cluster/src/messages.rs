//! What nodes say to each other. Frames and calls are `tollgate_transport`'s; this is what is in them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tollgate_feedback::sample::Sample;
use tollgate_limiter::{Key, LimitId, Receipt, Settlement, ShardId, ShardTime};

use crate::consensus::{AppendEntries, NodeId, RaftRequest};
use crate::holds::HoldId;
use crate::inbox::{Acquire, Answer, SettleFailure, Unavailable};
use crate::meta::Change;

/// What a node asks another and waits for. Each says what answers it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Request {
    /// Raft's own calls: `Result<…, RaftRefusal>`, whose `Ok` is the answer that Raft has for the call.
    Raft {
        /// The group; 0 is the cluster's own, shard `n` is group `n + 1`.
        group: u32,
        request: RaftRequest,
    },
    /// The heartbeats of the groups that the node leads: a `HeartbeatAnswer` for each, in their order.
    Heartbeats(Vec<(u32, AppendEntries)>),
    /// From a node that forms a cluster: [`Pong`].
    Ping,
    /// From a node that joins: `Option<(NodeId, String)>`, who leads group 0 and where that is.
    Leader,
    /// From any node to the leader of group 0: it counts by this version of the limits. `Option<LeaseGrant>`; `None` when this is
    /// not the leader, or the version is not the latest.
    Lease { version: u64 },
    /// From any node to the leader of group 0: a change and its number. `Result<meta::Applied, ChangeFailure>`.
    Change(u128, Change),
    /// From a node that begins to lead a shard and has not seen its clock run: `Option<ShardTime>`, what the clock shows where it
    /// was seen running; `None` where it was not, as after a restart.
    ShardTime(ShardId),
    /// From the leader of group 0 to the leader of a shard: these are to keep it. `Result<(), String>`, when they do.
    Move(ShardId, BTreeSet<NodeId>),
    /// From a node on which a bucket was reset: forget that it denied. `()`.
    Undeny(LimitId, Key),
}

/// The answer to [`Request::Ping`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Pong {
    /// The node takes part in a cluster that exists already, which a newcomer must not found again.
    pub(crate) formed: bool,
}

/// The right to count by the limits that a node has, for a while: see `lease`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct LeaseGrant {
    /// How long it lasts from when it was asked for, in nanoseconds.
    pub(crate) lasts_ns: i64,
}

/// Why a [`Change`] was not made, or is not known to be.
#[derive(Clone, Debug, Deserialize, Serialize, thiserror::Error)]
pub(crate) enum ChangeFailure {
    /// To be asked of the leader of group 0.
    #[error("this node does not lead group 0")]
    NotLeader,
    #[error("{0}")]
    Unavailable(String),
}

/// What a node tells another without waiting.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Notice {
    Mail(Mail),
    Status(Status),
    /// From the leader of a shard: something came back to a bucket that it had denied.
    Undeny(LimitId, Key),
    /// From any node to the leader of group 0: what it measured within a second, and how long ago that was.
    Sample {
        age_ms: u64,
        sample: Box<Sample>,
    },
}

/// Requests for buckets that the other node leads, and answers to requests of its own: all that waits for it.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Mail {
    /// The run of the sending node: numbers begin anew with each.
    pub(crate) run: u64,
    /// Counts the mails to this node, so that one that the network repeats is told apart.
    pub(crate) sequence: u64,
    pub(crate) asks: Vec<RemoteAsk>,
    pub(crate) answers: Vec<RemoteAnswer>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RemoteAsk {
    /// The asking run's number for it.
    pub(crate) number: u64,
    pub(crate) shard: ShardId,
    pub(crate) task: Task,
}

/// What a bucket actor is asked to do, as it travels.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Task {
    Acquire(Acquire),
    GiveBack(Receipt),
    Release(HoldId),
    Confirm(HoldId),
    Settle(Settlement),
    Return(Receipt, Option<HoldId>),
    Reset(LimitId, Key),
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RemoteAnswer {
    /// The run that asked.
    pub(crate) run: u64,
    /// Its number.
    pub(crate) number: u64,
    pub(crate) answer: Answered,
}

/// An answer of a bucket actor, as it travels.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Answered {
    Acquired(Answer),
    Confirmed(bool),
    Settled(Result<u64, SettleFailure>),
    Done(Result<(), Unavailable>),
}

/// How a node is. Told to all others several times a second, and at once when what it leads has changed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Status {
    /// Shards that are led and answered there.
    pub(crate) leads: Vec<Led>,
    /// It stops, or was told to lead nothing.
    pub(crate) draining: bool,
    /// Nodes that it has heard of lately. One that is not among them may be sending into a connection that only seems open.
    pub(crate) hears: BTreeSet<NodeId>,
}

/// A shard that is led.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Led {
    pub(crate) shard: ShardId,
    /// Of its leadership: a later one wins.
    pub(crate) term: u64,
    /// Who keeps the shard: voters, and nodes that are on their way to be.
    pub(crate) members: Vec<NodeId>,
    /// Every one of them knows that these are all.
    pub(crate) settled: bool,
}

/// What a replica knows of its shard's clock.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct SeenTime {
    /// The last stamp that is applied there; `None` before the first.
    pub(crate) stamped: Option<ShardTime>,
    /// What the shard's clock shows, if somebody there saw it run since then.
    pub(crate) now: Option<ShardTime>,
}
