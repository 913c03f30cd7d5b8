//! Mistakes that the simulation plants to show that it would find them.
//!
//! Only the simulation turns the feature `planted` on, and then at most one mistake in a process. Without the feature
//! [`Planted::is_made`] is a constant, and nothing of them is compiled.

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Planted {
    /// A vote is told before it is durable.
    VoteNotSynced,
    /// The log is never synced.
    LogNotSynced,
    /// Entries are acknowledged while their sync is under way.
    AcknowledgedBeforeSync,
    /// What a leader before could have spent up to its horizon does not count as spent.
    TakeoverIgnoresHorizon,
    /// What a leader before could have spent up to its ceilings does not count as spent.
    TakeoverIgnoresCeilings,
    /// Units are given while the grant for them is under way.
    SpendsBeforeCommit,
    /// A node that led before it was restarted goes on without taking over.
    LeadsOnAfterRestart,
    /// Shard time follows the wall clock.
    WallClock,
    /// All that was reserved comes back, whatever has refilled meanwhile.
    NaiveRefund,
    /// What is held for a request of several limits never runs out, nor is it released.
    HoldNeverReleased,
    /// Whoever leads the cluster, or did, sends before its claim is committed.
    SendsBeforeClaim,
    /// A message that may have arrived does not say so.
    RepeatsUnmarked,
    /// Denials are remembered over a change of the limits.
    DenialsOutliveChange,
    /// What the network repeats is done again.
    RepeatsAreDone,
    /// A snapshot lacks the ceilings.
    SnapshotWithoutCeilings,
    /// The limit that is swept next comes out of a hash map.
    HashMapOrder,
    /// Openraft's default: a leader that restarts is leader again.
    LeaderRestored,
    /// A node that decides alone takes the whole limit for its share.
    ShareIsTheWhole,
    /// A node that decides alone lets everything pass.
    AloneAllows,
    /// A denial is remembered twice as long as it holds.
    DenialsOutliveWait,
    /// A settlement is remembered by the leader that did it, and by no other.
    SettledForgotten,
    /// Every request passes. The simulation plants it only for seeds that 100 divides.
    Canary,
}

impl Planted {
    /// All of them, each with its name.
    pub const ALL: [(Self, &str); 22] = [
        (Self::VoteNotSynced, "vote-not-synced"),
        (Self::LogNotSynced, "log-not-synced"),
        (Self::AcknowledgedBeforeSync, "acknowledged-before-sync"),
        (Self::TakeoverIgnoresHorizon, "takeover-ignores-horizon"),
        (Self::TakeoverIgnoresCeilings, "takeover-ignores-ceilings"),
        (Self::SpendsBeforeCommit, "spends-before-commit"),
        (Self::LeadsOnAfterRestart, "leads-on-after-restart"),
        (Self::WallClock, "wall-clock"),
        (Self::NaiveRefund, "naive-refund"),
        (Self::HoldNeverReleased, "hold-never-released"),
        (Self::DenialsOutliveChange, "denials-outlive-change"),
        (Self::RepeatsAreDone, "repeats-are-done"),
        (Self::SnapshotWithoutCeilings, "snapshot-without-ceilings"),
        (Self::HashMapOrder, "hash-map-order"),
        (Self::LeaderRestored, "leader-restored"),
        (Self::ShareIsTheWhole, "share-is-the-whole"),
        (Self::AloneAllows, "alone-allows"),
        (Self::DenialsOutliveWait, "denials-outlive-wait"),
        (Self::SettledForgotten, "settled-forgotten"),
        (Self::SendsBeforeClaim, "sends-before-claim"),
        (Self::RepeatsUnmarked, "repeats-unmarked"),
        (Self::Canary, "canary"),
    ];

    /// Whether this mistake is made.
    #[cfg(not(feature = "planted"))]
    #[inline]
    pub const fn is_made(self) -> bool {
        false
    }
}

#[cfg(feature = "planted")]
pub(crate) mod made {
    #![expect(clippy::disallowed_types, reason = "the random order of a hash map is one of the mistakes")]

    use std::collections::HashSet;
    use std::sync::OnceLock;

    use serde::{Serialize, Serializer};

    use super::Planted;
    use crate::{LimitId, ShardTime, Table};

    static MADE: OnceLock<Planted> = OnceLock::new();

    impl Planted {
        /// Makes this mistake from here on. The first that is planted stays.
        pub fn plant(self) {
            MADE.get_or_init(|| self);
        }

        /// Whether this mistake is made.
        pub fn is_made(self) -> bool {
            MADE.get() == Some(&self)
        }
    }

    /// One of these, whichever comes first out of a hash map.
    pub(crate) fn any_limit(ids: impl Iterator<Item = LimitId>) -> Option<LimitId> {
        ids.map(|id| id.0).collect::<HashSet<_>>().into_iter().next().map(LimitId)
    }

    /// Ceilings as a snapshot has them, or lacks them.
    pub(crate) fn ceilings<S: Serializer>(ceilings: &Table<ShardTime>, serializer: S) -> Result<S::Ok, S::Error> {
        if Planted::SnapshotWithoutCeilings.is_made() {
            Table::<ShardTime>::default().serialize(serializer)
        } else {
            ceilings.serialize(serializer)
        }
    }
}
