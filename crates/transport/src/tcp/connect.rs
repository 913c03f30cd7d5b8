//! The way to one peer: a connection that is made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::TcpOptions;
use super::failures::Failures;
use super::peer_queue::PeerQueue;
use super::socket::set_options;
use super::stream::{ConnectionError, FrameReader, write_frames};
use crate::hello::Hello;
use crate::refusal::decode_verdict;

/// The largest frame that a peer answers over a connection that we made: the verdict on our hello, with room for more.
const MAX_ANSWER_BYTES: usize = 64;

/// Keeps a connection to one peer and sends what waits for it.
pub(super) struct Connector {
    pub(super) hello: Hello,
    /// `host:port`.
    pub(super) address: String,
    pub(super) queue: Arc<PeerQueue>,
    pub(super) failures: Failures,
    pub(super) options: TcpOptions,
}

type Connection = (FrameReader<OwnedReadHalf>, OwnedWriteHalf);

impl Connector {
    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut delay = self.options.reconnect_first;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    self.failures.end();
                    tracing::info!(peer = %self.hello.to, address = self.address, "connected to a peer");
                    delay = self.options.reconnect_first;
                    let error = self.send_all(connection).await;
                    tracing::info!(peer = %self.hello.to, address = self.address, %error, "lost the connection to a peer");
                }
                Err(error) => self.failures.add(self.hello.to, &self.address, &error),
            }
            tokio::time::sleep(delay).await;
            delay = next_delay(delay, self.options.reconnect_last);
        }
    }

    async fn connect(&self) -> Result<Connection, ConnectionError> {
        let introduced = tokio::time::timeout(self.options.handshake_timeout, self.introduce());
        introduced.await.unwrap_or(Err(ConnectionError::HandshakeTimeout))
    }

    async fn introduce(&self) -> Result<Connection, ConnectionError> {
        let stream = TcpStream::connect(&self.address).await?;
        set_options(&stream, &self.options)?;
        let (read_half, mut write_half) = stream.into_split();
        write_frames(&mut write_half, [self.hello.encode()]).await?;
        let mut reader = FrameReader::new(read_half, MAX_ANSWER_BYTES);
        decode_verdict(&reader.next().await?).map_err(ConnectionError::RefusedThere)?;
        Ok((reader, write_half))
    }

    /// Sends until the connection is lost, and returns why it was. The peer says nothing more over it, so reading only
    /// tells when it ends.
    async fn send_all(&self, (mut reader, mut writer): Connection) -> ConnectionError {
        let sending = async {
            loop {
                let frames = self.queue.take_all().await;
                if let Err(error) = write_frames(&mut writer, frames).await {
                    return ConnectionError::Io(error);
                }
            }
        };
        let watching = async {
            loop {
                if let Err(error) = reader.next().await {
                    return error;
                }
            }
        };
        tokio::select! {
            error = sending => error,
            error = watching => error,
        }
    }
}

fn next_delay(delay: Duration, last: Duration) -> Duration {
    delay.saturating_mul(2).min(last)
}
