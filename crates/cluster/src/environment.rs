//! What a node takes from outside, so that a simulation can give it something else.

use std::sync::Arc;

use tollgate_limiter::{ClockReading, ShardId};
use tollgate_storage::Storage;

use crate::alerts::Courier;
use crate::consensus::NodeId;

/// Tells the time. Durations and timers go through `tokio::time`, which a simulation pauses.
pub trait Clock: Send + Sync + 'static {
    /// What the node's clocks show now.
    fn read(&self) -> ClockReading;

    /// What the monotonic clock shows now, in nanoseconds.
    fn mono_ns(&self) -> i64 {
        self.read().mono_ns
    }
}

/// Gives unpredictable numbers: identities of clusters and reservations.
pub trait Entropy: Send + Sync + 'static {
    /// 128 bits that nobody can guess, and that were never given before.
    fn bits(&self) -> u128;
}

/// Hears what happens. In production these become metrics and log lines; in a simulation checkers listen, and may crash the
/// node at any of them.
pub trait Events: Send + Sync + 'static {
    /// Something happened. Called on hot paths: must not block.
    fn on(&self, event: Event);
}

/// Something that happened in a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A bucket actor is about to decide this many requests of a shard.
    Deciding {
        /// The shard.
        shard: ShardId,
        /// Requests in this batch; at least 1.
        requests: usize,
    },
    /// A bucket actor proposed what was due.
    Proposed {
        /// The shard.
        shard: ShardId,
    },
    /// What a bucket actor proposed is committed.
    Committed {
        /// The shard.
        shard: ShardId,
        /// From the proposal to here, in nanoseconds.
        took_ns: i64,
    },
    /// A bucket actor began a leadership.
    TookOver {
        /// The shard.
        shard: ShardId,
        /// The leadership's number.
        leadership: u64,
    },
    /// A leadership begins without knowing how much time has passed since the last: the shard's clock stays late by that much, and all
    /// buckets have not refilled meanwhile.
    ClockLate {
        /// The shard.
        shard: ShardId,
    },
    /// A bucket actor ended its leadership without a loss.
    HandedOver {
        /// The shard.
        shard: ShardId,
    },
    /// A request was answered without the group, as the limit's `on_unavailable` says.
    Degraded {
        /// The shard.
        shard: ShardId,
    },
    /// A request is sent to the node that leads its shard.
    Forwarded {
        /// The shard.
        shard: ShardId,
    },
    /// A request was denied without asking the node that leads its shard, because what that said last still holds.
    DenialRecalled {
        /// The shard.
        shard: ShardId,
    },
    /// An actor failed and is started anew from committed state.
    ActorRestarted {
        /// The shard.
        shard: ShardId,
    },
    /// A Raft group stopped for good: its disk failed. Only a restart of the node helps.
    GroupFailed {
        /// The group; 0 is the cluster's own, shard `n` is group `n + 1`.
        group: u32,
    },
    /// A vote is about to be kept, before anybody is told of it.
    Voting {
        /// The group.
        group: u32,
    },
    /// A vote is kept, and whoever asked for it may be told.
    Voted {
        /// The group.
        group: u32,
        /// The term of the vote.
        term: u64,
        /// Whom it is for.
        candidate: NodeId,
    },
    /// Entries of a group's log are durable here.
    Stored {
        /// The group.
        group: u32,
        /// From when they were given to the storage to here, in nanoseconds.
        took_ns: i64,
    },
    /// A group's snapshot is saved.
    SnapshotSaved {
        /// The group.
        group: u32,
        /// Size in bytes.
        bytes: usize,
    },
    /// More was to be watched by a rule than can be: this much is not.
    Overlooked {
        /// How much.
        subjects: u64,
    },
    /// What this node, which leads group 0, saw of alerts is about to be written down.
    Alerting,
    /// It is written down.
    Alerted,
    /// An attempt to deliver this message is written down, and about to be made.
    Claimed {
        /// The message's number.
        message: u64,
    },
    /// A receiver has answered an attempt, which is about to be written down.
    Delivering {
        /// The message's number.
        message: u64,
        /// What became of it.
        fate: Fate,
    },
    /// What became of the attempt is written down.
    Delivered {
        /// The message's number.
        message: u64,
    },
}

/// What became of an attempt to deliver a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It is tried again.
    Later,
    /// It is given up.
    GivenUp,
}

/// Everything that a node takes from outside.
#[derive(Clone)]
pub struct Environment {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable numbers.
    pub entropy: Arc<dyn Entropy>,
    /// Who hears what happens.
    pub events: Arc<dyn Events>,
    /// The disk.
    pub storage: Arc<dyn Storage>,
    /// Who carries what is said of alerts.
    pub courier: Arc<dyn Courier>,
}
