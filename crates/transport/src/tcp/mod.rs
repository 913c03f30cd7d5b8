//! The production transport: one connection per peer and direction.
//!
//! Each node connects to each peer it knows and sends over that connection; what it receives comes over the connections
//! that peers made to it. A connection starts with a hello and a verdict on it (`hello`, `refusal`) and carries frames one
//! way from then on. Who connects is known from then on as well, so that answers find their way.

#![expect(clippy::disallowed_types, reason = "this is the crate that owns the sockets between nodes")]

mod accept;
mod connect;
mod failures;
mod options;
mod peer_queue;
mod peers;
mod refusal_log;
mod roster;
mod socket;
mod stream;
mod tcp_transport;
mod who;

pub use options::TcpOptions;
pub use tcp_transport::{BindError, TcpTransport};
pub use who::{WhoError, who_is_there};
