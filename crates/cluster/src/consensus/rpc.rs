//! What replicas of a group say to each other, in a form that can be sent.

use openraft::raft::{AppendEntriesRequest, VoteRequest};
use serde::{Deserialize, Serialize};

use super::{Raft, SnapshotMeta, Vote};

/// A call from one replica to another.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum RaftRequest {
    /// From a leader: take these entries; none in a heartbeat.
    Append(AppendEntriesRequest<Raft>),
    /// From a candidate: vote for me.
    Vote(VoteRequest<Raft>),
    /// From a node that would be one: would you?
    PreVote(VoteRequest<Raft>),
    /// From a leader that ends its leadership: this one is to be the next.
    TransferLeader(openraft::raft::TransferLeaderRequest<Raft>),
    /// From a leader: a part of a snapshot.
    Snapshot(SnapshotPart),
}

/// A part of a snapshot on its way to a replica that the log cannot bring up to date. Parts come one after the other.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SnapshotPart {
    /// The leader that sends it.
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Where in the encoded state this part begins, in bytes; at 0 a new snapshot begins.
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
    /// Nothing follows.
    pub(crate) is_last: bool,
}

/// Why a replica did not answer a [`RaftRequest`] as one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
pub(crate) enum RaftRefusal {
    #[error("the node does not keep this group")]
    NotHosted,
    #[error("the group has stopped there: {0}")]
    Stopped(String),
    #[error("a part of the snapshot is missing")]
    PartMissing,
}
