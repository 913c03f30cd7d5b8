//! The transport that callers hold.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::TcpOptions;
use super::accept::Acceptor;
use super::connect::Connector;
use super::peer_queue::PeerQueue;
use crate::frame::LARGEST_PAYLOAD_BYTES;
use crate::hello::Hello;
use crate::{ClusterId, Inbound, NodeId, PROTOCOL_VERSION, Received, Transport};

/// A [`Transport`] over TCP. Dropping it closes all connections.
#[derive(Debug)]
pub struct TcpTransport {
    cluster: ClusterId,
    node: NodeId,
    local_address: SocketAddr,
    options: TcpOptions,
    /// For frames to this node itself.
    inbound: mpsc::Sender<Received>,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
    undeliverable: AtomicU64,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    queue: Arc<PeerQueue>,
    connecting: AbortHandle,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connecting.abort();
    }
}

/// The transport cannot listen.
#[derive(Debug, Error)]
#[error("cannot listen for other nodes on {address}: {source}")]
pub struct BindError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl TcpTransport {
    /// Listens on `address` as `node` of `cluster`. Port 0 lets the system choose one: see
    /// [`local_address`](Self::local_address). Must be called within a tokio runtime with IO and time.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        cluster: ClusterId,
        node: NodeId,
        address: SocketAddr,
        mut options: TcpOptions,
    ) -> Result<(Self, Inbound), BindError> {
        let bind_error = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let local_address = listener.local_addr().map_err(bind_error)?;
        options.max_frame_bytes = options.max_frame_bytes.min(LARGEST_PAYLOAD_BYTES);
        let (inbound, received) = mpsc::channel(options.inbound_frames.max(1));
        let acceptor = Acceptor { cluster, node, options: options.clone(), inbound: inbound.clone() };
        let accepting = tokio::spawn(acceptor.run(listener)).abort_handle();
        let peers = Mutex::default();
        let undeliverable = AtomicU64::new(0);
        let transport = Self { cluster, node, local_address, options, inbound, peers, undeliverable, accepting };
        Ok((transport, received))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Says where a node is, and connects to it. What waits for a node that moved is dropped.
    pub fn set_peer(&self, peer: NodeId, address: SocketAddr) {
        let mut peers = self.peers();
        if peers.get(&peer).is_some_and(|known| known.address == address) {
            return;
        }
        let queue = Arc::new(PeerQueue::new(self.options.queued_frames_per_peer, self.options.queued_bytes_per_peer));
        let hello = Hello { protocol: PROTOCOL_VERSION, cluster: self.cluster, from: self.node, to: peer };
        let connector = Connector { hello, address, queue: Arc::clone(&queue), options: self.options.clone() };
        let connecting = tokio::spawn(connector.run()).abort_handle();
        peers.insert(peer, Peer { address, queue, connecting });
    }

    /// Forgets a node and closes the connection to it.
    pub fn remove_peer(&self, peer: NodeId) {
        self.peers().remove(&peer);
    }

    /// Frames to the node that were dropped because too many waited, since it was last set.
    pub fn dropped_frames(&self, peer: NodeId) -> u64 {
        self.peers().get(&peer).map(|peer| peer.queue.dropped()).unwrap_or_default()
    }

    /// Frames that were dropped because their node is unknown or they are too large.
    pub fn undeliverable_frames(&self) -> u64 {
        self.undeliverable.load(Ordering::Relaxed)
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_undeliverable(&self) {
        self.undeliverable.fetch_add(1, Ordering::Relaxed);
    }
}

impl Transport for TcpTransport {
    fn send(&self, to: NodeId, frame: Bytes) {
        if frame.len() > self.options.max_frame_bytes {
            tracing::error!(%to, bytes = frame.len(), limit_bytes = self.options.max_frame_bytes, "dropped a frame that is too large");
            return self.count_undeliverable();
        }
        if to == self.node {
            // As on the way to any node, a frame is lost when its receiver does not keep up.
            return drop(self.inbound.try_send(Received { from: to, frame }));
        }
        match self.peers().get(&to) {
            Some(peer) => peer.queue.push(frame),
            None => self.count_undeliverable(),
        }
    }

    fn max_frame_bytes(&self) -> usize {
        self.options.max_frame_bytes
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
