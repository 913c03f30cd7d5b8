//! The transport that callers hold.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::TcpOptions;
use super::accept::Acceptor;
use super::peers::Peers;
use crate::address::host_and_port;
use crate::frame::LARGEST_PAYLOAD_BYTES;
use crate::{AddressError, HelloRefusal, Inbound, Introduction, NodeId, PeerAddress, Received, Transport};

/// A [`Transport`] over TCP. Dropping it closes all connections.
#[derive(Debug)]
pub struct TcpTransport {
    local_address: SocketAddr,
    /// For frames to this node itself.
    inbound: mpsc::Sender<Received>,
    peers: Arc<Peers>,
    undeliverable: AtomicU64,
    accepting: AbortHandle,
}

/// The transport cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// It cannot listen.
    #[error("cannot listen for other nodes on {listen}: {source}")]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Others could not reach it.
    #[error("others cannot reach this node: {0}")]
    Address(#[from] AddressError),
}

impl TcpTransport {
    /// Listens on `listen`, as the node that introduces itself like this. Port 0 lets the system choose one: see
    /// [`local_address`](Self::local_address). Must be called within a tokio runtime with IO and time.
    ///
    /// # Errors
    /// When `listen` cannot be listened on, or the address in the introduction is not `host:port` of at most 255 bytes.
    pub async fn bind(
        mut introduction: Introduction,
        listen: SocketAddr,
        mut options: TcpOptions,
    ) -> Result<(Self, Inbound), BindError> {
        // Before it listens, so that a mistake is told even when the port is taken.
        host_and_port(&introduction.address)?;
        let listen_error = |source| BindError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let local_address = listener.local_addr().map_err(listen_error)?;
        introduction.address = with_port(&introduction.address, local_address.port())?;
        options.max_frame_bytes = options.max_frame_bytes.min(LARGEST_PAYLOAD_BYTES);
        let (inbound, received) = mpsc::channel(options.inbound_frames.max(1));
        let peers = Arc::new(Peers::new(introduction, options));
        let acceptor = Acceptor { peers: Arc::clone(&peers), inbound: inbound.clone() };
        let accepting = tokio::spawn(acceptor.run(listener)).abort_handle();
        let transport = Self { local_address, inbound, peers, undeliverable: AtomicU64::new(0), accepting };
        Ok((transport, received))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Frames to the node that were dropped because too many waited, since it became known.
    pub fn dropped_frames(&self, peer: NodeId) -> u64 {
        self.peers.dropped_frames(peer)
    }

    /// Frames that were dropped because their node is unknown or they are too large.
    pub fn undeliverable_frames(&self) -> u64 {
        self.undeliverable.load(Ordering::Relaxed)
    }

    fn count_undeliverable(&self) {
        self.undeliverable.fetch_add(1, Ordering::Relaxed);
    }
}

impl Transport for TcpTransport {
    fn send(&self, to: NodeId, frame: Bytes) {
        let limit_bytes = self.max_frame_bytes();
        if frame.len() > limit_bytes {
            tracing::error!(%to, bytes = frame.len(), limit_bytes, "dropped a frame that is too large");
            return self.count_undeliverable();
        }
        if to == self.peers.own().node {
            // As on the way to any node, a frame is lost when its receiver does not keep up.
            return drop(self.inbound.try_send(Received { from: to, frame }));
        }
        if !self.peers.push(to, frame) {
            self.count_undeliverable();
        }
    }

    fn max_frame_bytes(&self) -> usize {
        self.peers.options().max_frame_bytes
    }

    /// Does nothing for this node itself.
    fn connect(&self, peer: NodeId, peer_address: PeerAddress) {
        self.peers.connect(peer, peer_address);
    }

    fn reconnect(&self, peer: NodeId) {
        self.peers.reconnect(peer);
    }

    fn forget(&self, peer: NodeId) {
        self.peers.forget(peer);
    }

    fn refusal(&self, peer: NodeId) -> Option<HelloRefusal> {
        self.peers.refusal(peer)
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        // Its connections hold the peers, and the peers the connections to them: all of them end with it.
        self.accepting.abort();
    }
}

/// The address with the port that is listened on, if it names none.
fn with_port(address: &str, local_port: u16) -> Result<String, AddressError> {
    let address = match host_and_port(address)? {
        (host, 0) => format!("{host}:{local_port}"),
        (_, _) => address.to_owned(),
    };
    host_and_port(&address)?;
    Ok(address)
}
