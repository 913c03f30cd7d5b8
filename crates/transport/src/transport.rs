//! The seam between nodes.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::NodeId;

/// Sends frames to other nodes: one way, at most once or, on some networks, more often, in any order, or not at all.
///
/// Whoever needs more builds it above: see [`Calls`](crate::Calls).
pub trait Transport: Send + Sync + 'static {
    /// Hands `frame` over for delivery and returns at once. A frame to an unknown node, or larger than
    /// [`max_frame_bytes`](Self::max_frame_bytes), is dropped; so are the oldest ones to a node that does not keep up.
    fn send(&self, to: NodeId, frame: Bytes);

    /// The largest frame that can be delivered, in bytes.
    fn max_frame_bytes(&self) -> usize;
}

/// A frame that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The node that sent it, as it introduced itself.
    pub from: NodeId,
    /// What it sent.
    pub frame: Bytes,
}

/// The frames that arrive at a node, in a bounded queue. Reading too slowly slows the senders down.
pub type Inbound = mpsc::Receiver<Received>;
