//! Frames between the nodes of a cluster.
//!
//! Below is [`Transport`]: one way, in no promised order, and lossy, so that a simulated network can take its place.
//! [`TcpTransport`] is the production one and the only code that opens sockets between nodes; [`MemoryNetwork`] joins
//! nodes of one process. Above is [`Calls`]: requests with answers and deadlines, and notices, over any transport.

mod address;
mod calls;
mod frame;
mod hello;
mod memory;
mod message;
mod node;
mod question;
mod refusal;
mod tcp;
mod transport;

pub use address::AddressError;
pub use calls::{CallError, Calls, CallsOptions, Handler};
pub use hello::PROTOCOL_VERSION;
pub use memory::{MemoryNetwork, MemoryTransport};
pub use node::{ClusterId, Instance, Introduction, NodeId};
pub use question::Introduced;
pub use refusal::HelloRefusal;
pub use tcp::{BindError, TcpOptions, TcpTransport, WhoError, who_is_there};
pub use transport::{Inbound, PeerAddress, Received, Transport};
