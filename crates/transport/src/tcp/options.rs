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
    /// How long sent bytes may stay unacknowledged until the connection counts as dead and is made anew; likewise how long
    /// a peer may take nothing, being overloaded, while frames wait for it. Where the system knows `TCP_USER_TIMEOUT`.
    pub unacknowledged_timeout: Duration,
    /// How long a connection says nothing before the other end is probed, in whole seconds.
    pub keepalive_idle: Duration,
    /// How long after an unanswered probe the next one is sent, in whole seconds.
    pub keepalive_interval: Duration,
    /// Unanswered probes after which a connection counts as dead. Where `unacknowledged_timeout` works it counts as dead at
    /// the first probe that is not answered within that.
    pub keepalive_probes: u32,
    /// How long connecting and introducing may take, each way.
    pub handshake_timeout: Duration,
    /// Nodes that may be known at once. Further ones that introduce themselves are refused; for those that are told with
    /// [`connect`](crate::Transport::connect) there is always room.
    pub known_nodes: usize,
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
            reconnect_last: Duration::from_millis(500),
            unacknowledged_timeout: Duration::from_secs(2),
            keepalive_idle: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(1),
            keepalive_probes: 3,
            handshake_timeout: Duration::from_secs(2),
            known_nodes: 128,
            accepted_connections: 256,
        }
    }
}
