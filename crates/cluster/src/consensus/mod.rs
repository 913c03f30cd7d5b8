//! Raft, by openraft. Nothing outside this module knows it.
//!
//! Three settings are not openraft's defaults, and each closes a hole:
//! - `enable_leader_restore: false`: else a leader that lost power comes back as leader of the same term, with empty memory,
//!   and reuses log positions that a follower may hold already.
//! - `enable_pre_vote: true`: else a node that was cut off deposes a healthy leader when it returns.
//! - every proposal of a bucket actor names the leadership it was made under (`with_leader`), so none slips into another's.

mod endpoint;
mod group;
mod heartbeats;
mod log_store;
mod network;
mod rpc;
mod silence;
mod state_machine;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tollgate_limiter as limiter;

use crate::meta;

pub(crate) use endpoint::GroupEndpoint;
pub use group::SNAPSHOT_LOG_BYTES;
pub(crate) use group::{Founding, Group, GroupOptions, GroupStartError, LeadershipWatch, ProposeError};
pub(crate) use heartbeats::{HeartbeatAnswer, Heartbeats};
pub(crate) use rpc::{RaftRefusal, RaftRequest};
pub(crate) use state_machine::Machine;

/// A node's number in its cluster.
pub type NodeId = u64;

openraft::declare_raft_types!(
    /// The types of all our Raft groups.
    pub(crate) Raft:
        D = Command,
        R = Applied,
        NodeId = NodeId,
        Node = openraft::BasicNode,
);

/// What a leadership is known by: no two leaders of a group have the same.
pub(crate) type LeaderId = openraft::alias::CommittedLeaderIdOf<Raft>;

/// The term of a leadership.
pub(crate) fn term_of(leadership: LeaderId) -> u64 {
    leadership.term
}

/// A leadership of node 1.
#[cfg(test)]
pub(crate) fn leadership(term: u64) -> LeaderId {
    openraft::vote::RaftLeaderId::new(term, 1)
}

pub(crate) type LogId = openraft::alias::LogIdOf<Raft>;
pub(crate) type Entry = openraft::alias::EntryOf<Raft>;
pub(crate) type Vote = openraft::alias::VoteOf<Raft>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Raft>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Raft>;
/// What a leader sends its followers.
pub(crate) type AppendEntries = openraft::raft::AppendEntriesRequest<Raft>;
/// A snapshot's state, encoded.
pub(crate) type SnapshotData = Bytes;

/// A command in the log of any group. Boxed, because openraft's rings of thousands of commands hold it in place.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Command {
    /// Of a shard's group.
    Shard(Box<limiter::Command>),
    /// Of group 0.
    Cluster(Box<meta::Command>),
}

/// What applying a command did.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Applied {
    /// Raft's own entries do nothing of ours.
    Nothing,
    /// In a shard's group.
    Shard(limiter::Applied),
    /// In group 0.
    Cluster(meta::Applied),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(command) => match command.as_ref() {
                limiter::Command::TakeOver { .. } => f.write_str("take over"),
                limiter::Command::Grant { .. } => f.write_str("grant"),
                limiter::Command::Reshape { version, .. } => write!(f, "reshape to version {version}"),
                limiter::Command::HandOver { .. } => f.write_str("hand over"),
            },
            Self::Cluster(command) => write!(f, "{command}"),
        }
    }
}
