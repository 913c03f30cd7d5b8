//! Whether the storage still does its work.

/// What `/health` tells about the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageHealth {
    /// Writes go through.
    Healthy,
    /// The disk is full. Writes wait, in order, and go on by themselves when there is space; reads work.
    Full {
        /// What did not fit, for a person.
        reason: String,
    },
    /// The disk failed. Every further write is refused until the node restarts; reads may still work.
    Failed {
        /// What failed, for a person.
        reason: String,
    },
}

impl StorageHealth {
    /// Whether writes go through.
    pub fn is_healthy(&self) -> bool {
        *self == Self::Healthy
    }
}
