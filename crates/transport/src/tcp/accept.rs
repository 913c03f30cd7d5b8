//! The connections that others make to this node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::peers::{Guest, Peers};
use super::socket::set_options;
use super::stream::{ConnectionError, FrameReader, write_frames};
use crate::hello::Hello;
use crate::question::{encode_answer, is_question};
use crate::refusal::encode_verdict;
use crate::{HelloRefusal, NodeId, Received};

/// The largest frame that a stranger may send: a hello, with room for what later versions say in it.
const MAX_HELLO_BYTES: usize = 1024;
/// How long to wait when the system refuses to accept, as it does when this process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and passes on what comes over them.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) peers: Arc<Peers>,
    pub(super) inbound: mpsc::Sender<Received>,
}

/// What became of a connection.
enum Met {
    /// It only asked who this is.
    Asker,
    /// A node, and what it sends. The writing half is kept open: closing it would end the connection.
    Node(Guest, FrameReader<OwnedReadHalf>, OwnedWriteHalf),
}

impl Acceptor {
    /// Runs until it is aborted, and its connections with it.
    pub(super) async fn run(self, listener: TcpListener) {
        let limit = self.peers.options().accepted_connections.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(limit));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.accept(stream, address, &permits, &mut connections),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn accept(&self, stream: TcpStream, address: SocketAddr, permits: &Arc<Semaphore>, connections: &mut JoinSet<()>) {
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            let limit = self.peers.options().accepted_connections;
            tracing::warn!(%address, limit, "too many connections: closed a new one");
            return;
        };
        let acceptor = self.clone();
        connections.spawn(async move {
            acceptor.serve(stream, address).await;
            drop(permit);
        });
    }

    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        let met = tokio::time::timeout(self.peers.options().handshake_timeout, self.meet(stream, address));
        let (guest, reader, _writer) = match met.await.unwrap_or(Err(ConnectionError::HandshakeTimeout)) {
            Ok(Met::Node(guest, reader, writer)) => (guest, reader, writer),
            Ok(Met::Asker) => return tracing::debug!(%address, "told someone who this is"),
            // It was logged with its reason, if that was new.
            Err(ConnectionError::RefusedHere(_)) => return,
            Err(error) => return self.peers.log_stranger(address.ip(), &error),
        };
        match self.receive(guest, reader).await {
            ConnectionError::ClosedByPeer => tracing::info!(%address, "a peer closed its connection"),
            error => tracing::warn!(%address, %error, "closed a connection"),
        }
    }

    /// Lets the other side introduce itself, or tells it who this is if that is what it asks.
    async fn meet(&self, stream: TcpStream, address: SocketAddr) -> Result<Met, ConnectionError> {
        set_options(&stream, self.peers.options())?;
        let (read_half, mut writer) = stream.into_split();
        let mut reader = FrameReader::new(read_half, MAX_HELLO_BYTES);
        let first = reader.next().await?;
        if is_question(&first) {
            write_frames(&mut writer, [encode_answer(self.peers.own())]).await?;
            return Ok(Met::Asker);
        }
        let admitted = self.admit(first, address);
        let verdict = admitted.as_ref().map(|_| ()).map_err(|error| *error);
        write_frames(&mut writer, [encode_verdict(verdict)]).await?;
        let guest = admitted.map_err(ConnectionError::RefusedHere)?;
        reader.set_max_frame_bytes(self.peers.options().max_frame_bytes);
        Ok(Met::Node(guest, reader, writer))
    }

    fn admit(&self, first: Bytes, address: SocketAddr) -> Result<Guest, HelloRefusal> {
        let hello = Hello::decode(first);
        let from = hello.as_ref().ok().map(|hello| hello.from);
        let admitted = hello.and_then(|hello| self.peers.admit(&hello));
        match &admitted {
            Ok(guest) => self.peers.end_refusals(address.ip(), guest.node),
            Err(refusal) => self.peers.log_refusal((address.ip(), from), *refusal),
        }
        admitted
    }

    async fn receive(&self, mut guest: Guest, reader: FrameReader<OwnedReadHalf>) -> ConnectionError {
        tokio::select! {
            biased;
            _ = &mut guest.closed => ConnectionError::SentAway,
            error = self.pass_on(guest.node, reader) => error,
        }
    }

    /// Passes frames on until the connection ends. When nobody reads them fast enough it stops reading, and the sender
    /// notices.
    async fn pass_on(&self, from: NodeId, mut reader: FrameReader<OwnedReadHalf>) -> ConnectionError {
        loop {
            let frame = match reader.next().await {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            if self.inbound.send(Received { from, frame }).await.is_err() {
                return ConnectionError::ClosedByPeer;
            }
        }
    }
}
