//! The seam between nodes.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{HelloRefusal, Instance, NodeId};

/// Sends frames to other nodes: one way, at most once or, on some networks, more often, in any order, or not at all.
///
/// Whoever needs more builds it above: see [`Calls`](crate::Calls).
pub trait Transport: Send + Sync + 'static {
    /// Hands `frame` over for delivery and returns at once. A frame to an unknown node, or larger than
    /// [`max_frame_bytes`](Self::max_frame_bytes), is dropped; so are the oldest ones to a node that does not keep up.
    fn send(&self, to: NodeId, frame: Bytes);

    /// The largest frame that can be delivered, in bytes.
    fn max_frame_bytes(&self) -> usize;

    /// Says where a node is and, once known, which data it has; connects to it. Said again with another address, it
    /// moves, and what waits for it goes there; said again without an instance, the one said before holds.
    fn connect(&self, peer: NodeId, peer_address: PeerAddress);

    /// Gives up the connection to a node and makes another: nothing comes back over the one there is, though it seems open.
    fn reconnect(&self, peer: NodeId);

    /// Forgets a node, closes the connections to it and from it, and refuses its next ones until it is known again or
    /// introduces itself as new, which means with other data.
    fn forget(&self, peer: NodeId);

    /// Why the node refused us when we last tried to connect; `None` when it did not or was not reached.
    fn refusal(&self, peer: NodeId) -> Option<HelloRefusal>;
}

/// Where a node is, and which one is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// `host:port`; looked up anew for each connection.
    pub address: String,
    /// The data of the node: a node of the same number with other data is refused. `None` while it is not known: then
    /// any is taken, but only one at a time.
    pub instance: Option<Instance>,
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
