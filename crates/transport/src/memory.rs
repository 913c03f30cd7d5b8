//! A network within one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{HelloRefusal, Inbound, NodeId, PeerAddress, Received, Transport};

/// Frames that wait at a node; further ones are dropped, as on any network.
const QUEUE_LIMIT: usize = 1024;
/// As large as a frame over TCP may be by default.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// Joins nodes of one process. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    nodes: Arc<Mutex<BTreeMap<NodeId, mpsc::Sender<Received>>>>,
}

impl MemoryNetwork {
    /// A network without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node. Should it be there already, it has been restarted: frames go to the new one from now on.
    pub fn join(&self, node: NodeId) -> (MemoryTransport, Inbound) {
        let (sender, inbound) = mpsc::channel(QUEUE_LIMIT);
        self.nodes().insert(node, sender);
        (MemoryTransport { node, network: self.clone() }, inbound)
    }

    /// Cuts a node off: frames to it are dropped until it joins again.
    pub fn leave(&self, node: NodeId) {
        self.nodes().remove(&node);
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, mpsc::Sender<Received>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's side of a [`MemoryNetwork`].
#[derive(Clone, Debug)]
pub struct MemoryTransport {
    node: NodeId,
    network: MemoryNetwork,
}

impl Transport for MemoryTransport {
    fn send(&self, to: NodeId, frame: Bytes) {
        if frame.len() > MAX_FRAME_BYTES {
            return;
        }
        if let Some(receiver) = self.network.nodes().get(&to) {
            // A full queue or a node that is gone loses the frame.
            drop(receiver.try_send(Received { from: self.node, frame }));
        }
    }

    fn max_frame_bytes(&self) -> usize {
        MAX_FRAME_BYTES
    }
    /// Nothing: the network knows where its nodes are.
    fn connect(&self, _peer: NodeId, _peer_address: PeerAddress) {}

    /// Nothing: see [`MemoryNetwork::leave`].
    /// There is no connection to be made.
    fn reconnect(&self, _peer: NodeId) {}

    fn forget(&self, _peer: NodeId) {}

    fn refusal(&self, _peer: NodeId) -> Option<HelloRefusal> {
        None
    }
}
