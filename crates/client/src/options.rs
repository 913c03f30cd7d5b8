//! How patient and how persistent a client is.

use std::time::Duration;

/// Settings of a [`Client`](crate::Client) or a [`ClusterClient`](crate::ClusterClient).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a call may take in all, repeats included, besides the time that a request itself
    /// asks to queue (`wait_ms`).
    pub deadline: Duration,
    /// How often a call is tried at most; 1 never repeats, 0 is taken as 1. To pass over a node that cannot be reached is
    /// no try, as long as there is another.
    pub attempts: u32,
    /// Longest pause before the first repeat; it doubles for each further one. The pause is random
    /// below that.
    pub backoff: Duration,
}

impl Default for Options {
    /// Five seconds outlast an election with room to spare; three attempts with 50 and 100 ms reach
    /// across a restart of the connection, not of the node.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), attempts: 3, backoff: Duration::from_millis(50) }
    }
}
