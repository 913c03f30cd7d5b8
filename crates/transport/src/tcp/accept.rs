//! The connections that peers make to this node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::TcpOptions;
use super::stream::{ConnectionError, FrameReader, write_frames};
use crate::hello::{self, Hello};
use crate::{ClusterId, HelloRefusal, NodeId, Received};

/// The largest frame that a stranger may send: a hello, with room for what later versions say in it.
const MAX_HELLO_BYTES: usize = 1024;
/// How long to wait when the system refuses to accept, as it does when this process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and passes on what comes over them.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) options: TcpOptions,
    pub(super) inbound: mpsc::Sender<Received>,
}

impl Acceptor {
    /// Runs until it is aborted, and its connections with it.
    pub(super) async fn run(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(self.options.accepted_connections.min(Semaphore::MAX_PERMITS)));
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
            tracing::warn!(%address, limit = self.options.accepted_connections, "too many connections: closed a new one");
            return;
        };
        let acceptor = self.clone();
        connections.spawn(async move {
            acceptor.serve(stream, address).await;
            drop(permit);
        });
    }

    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        let timeout = self.options.handshake_timeout;
        let introduced = tokio::time::timeout(timeout, self.meet(stream)).await;
        let ended = match introduced.unwrap_or(Err(ConnectionError::HandshakeTimeout)) {
            Ok((from, reader, _writer)) => self.receive(from, reader).await,
            Err(error) => error,
        };
        match ended {
            ConnectionError::ClosedByPeer => tracing::info!(%address, "a peer closed its connection"),
            error => tracing::error!(%address, %error, "closed a connection"),
        }
    }

    /// Lets the other side introduce itself. The writing half is kept open: closing it would end the connection.
    async fn meet(
        &self,
        stream: TcpStream,
    ) -> Result<(NodeId, FrameReader<OwnedReadHalf>, tokio::net::tcp::OwnedWriteHalf), ConnectionError> {
        stream.set_nodelay(true)?;
        let (read_half, mut writer) = stream.into_split();
        let mut reader = FrameReader::new(read_half, MAX_HELLO_BYTES);
        let verdict = self.judge(Hello::decode(reader.next().await?));
        let answer = hello::encode_verdict(verdict.map(|_| ()));
        write_frames(&mut writer, [answer]).await?;
        let from = verdict.map_err(ConnectionError::RefusedHere)?;
        reader.set_max_frame_bytes(self.options.max_frame_bytes);
        Ok((from, reader, writer))
    }

    fn judge(&self, hello: Result<Hello, HelloRefusal>) -> Result<NodeId, HelloRefusal> {
        let hello = hello?;
        hello.check(self.cluster, self.node)?;
        Ok(hello.from)
    }

    /// Passes frames on until the connection ends. When nobody reads them fast enough it stops reading, and the sender
    /// notices.
    async fn receive(&self, from: NodeId, mut reader: FrameReader<OwnedReadHalf>) -> ConnectionError {
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
