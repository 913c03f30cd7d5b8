//! The production transport: one connection per peer and direction.
//!
//! Each node connects to each peer it knows and sends over that connection; what it receives comes over the connections
//! that peers made to it. A connection starts with a hello each way (`hello`) and carries frames one way from then on.

#![expect(clippy::disallowed_types, reason = "this is the crate that owns the sockets between nodes")]

mod accept;
mod connect;
mod options;
mod peer_queue;
mod stream;
mod tcp_transport;

pub use options::TcpOptions;
pub use tcp_transport::{BindError, TcpTransport};
