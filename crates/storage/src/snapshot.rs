//! The state of a group at some log position.

use bytes::Bytes;

/// A snapshot: opaque bytes, kept and returned as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What the snapshot is of: its log position, membership, format.
    pub meta: Vec<u8>,
    /// The state itself.
    pub data: Bytes,
}
