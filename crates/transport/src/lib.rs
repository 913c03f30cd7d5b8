//! Frames between the nodes of a cluster.
//!
//! Below is [`Transport`]: one way, in no promised order, and lossy, so that a simulated network can take its place.
//! [`TcpTransport`] is the production one and the only code that opens sockets between nodes; [`MemoryNetwork`] joins
//! nodes of one process. Above is [`Calls`]: requests with answers and deadlines, over any transport.

mod calls;
mod frame;
mod hello;
mod memory;
mod message;
mod node;
mod tcp;
mod transport;

pub use calls::{CallError, Calls, CallsOptions};
pub use hello::{HelloRefusal, PROTOCOL_VERSION};
pub use memory::{MemoryNetwork, MemoryTransport};
pub use node::{ClusterId, NodeId};
pub use tcp::{BindError, TcpOptions, TcpTransport};
pub use transport::{Inbound, Received, Transport};
