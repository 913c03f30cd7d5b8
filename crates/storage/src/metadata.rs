//! The small values that a Raft group keeps beside its log.

/// Names a value beside the log of a group. Their meaning is Raft's; the storage only keeps the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetadataKey {
    /// The term and candidate that the replica last voted for. Must be synced before the vote is answered.
    Vote,
    /// The last log position known to be committed. Losing its latest value costs a longer replay, nothing else.
    Committed,
    /// The last log position that was purged.
    Purged,
    /// Who the node is; of group 0 alone.
    Identity,
}

impl MetadataKey {
    /// Every key there is.
    pub const ALL: [Self; 4] = [Self::Vote, Self::Committed, Self::Purged, Self::Identity];

    /// The byte that stands for the key on disk: never reuse or change one.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::Committed => 2,
            Self::Purged => 3,
            Self::Identity => 4,
        }
    }
}
