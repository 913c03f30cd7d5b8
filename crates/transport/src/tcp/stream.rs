//! Reading and writing frames on a connection.

use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::HelloRefusal;
use crate::frame::{self, FrameError};

/// Bytes read at a time, unless a frame is larger.
const READ_BYTES: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("the other side sent no valid frame: {0}")]
    Frame(#[from] FrameError),
    #[error("the connection was closed by the other side")]
    ClosedByPeer,
    #[error("connecting and introducing took too long")]
    HandshakeTimeout,
    #[error("refused, and the other side was told: {0}")]
    RefusedHere(HelloRefusal),
    #[error("refused by the other node: {0}")]
    RefusedThere(HelloRefusal),
    #[error("the other node was forgotten, or turned out to have other data than it should")]
    SentAway,
}

/// Frames out of a stream of bytes.
pub(super) struct FrameReader<Stream> {
    stream: Stream,
    buffer: BytesMut,
    max_frame_bytes: usize,
}

impl<Stream: AsyncRead + Unpin> FrameReader<Stream> {
    pub(super) fn new(stream: Stream, max_frame_bytes: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), max_frame_bytes }
    }

    /// The next frame, or an error when there will be none.
    pub(super) async fn next(&mut self) -> Result<Bytes, ConnectionError> {
        loop {
            if let Some(payload) = frame::decode(&mut self.buffer, self.max_frame_bytes)? {
                return Ok(payload);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ConnectionError::ClosedByPeer);
            }
        }
    }

    /// The largest frame from now on.
    pub(super) fn set_max_frame_bytes(&mut self, max_frame_bytes: usize) {
        self.max_frame_bytes = max_frame_bytes;
    }
}

/// Writes all frames at once.
pub(super) async fn write_frames(
    stream: &mut (impl AsyncWrite + Unpin),
    frames: impl IntoIterator<Item = Bytes>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    frames.into_iter().for_each(|payload| frame::encode(&payload, &mut buffer));
    stream.write_all(&buffer).await
}
