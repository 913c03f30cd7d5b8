//! Sizes and delays of the TCP transport.

use std::time::Duration;

/// How a [`TcpTransport`](crate::TcpTransport) uses memory and time. The defaults suit nodes in one data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// The largest frame, in bytes, sent or taken. At most 4 GiB less a few bytes.
    pub max_frame_bytes: usize,
    /// Frames that may wait for one peer. Beyond it the oldest are dropped: by then they are late anyway.
    pub queued_frames_per_peer: usize,
    /// Bytes of frames that may wait for one peer, likewise; the newest frame may always wait.
    pub queued_bytes_per_peer: usize,
    /// Frames that arrived and may wait to be read. Beyond it peers are made to wait.
    pub inbound_frames: usize,
    /// How long after a connection was lost or refused the next one is tried; doubles with each failure.
    pub reconnect_first: Duration,
    /// What that doubles to at most.
    pub reconnect_last: Duration,
    /// How long connecting and introducing may take, each way.
    pub handshake_timeout: Duration,
    /// Connections to this node that may be open at once. Further ones are closed at once.
    pub accepted_connections: usize,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            max_frame_bytes: 16 << 20,
            queued_frames_per_peer: 4096,
            queued_bytes_per_peer: 64 << 20,
            inbound_frames: 1024,
            reconnect_first: Duration::from_millis(50),
            reconnect_last: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(2),
            accepted_connections: 256,
        }
    }
}
