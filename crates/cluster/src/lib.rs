//! The shards of a node: one Raft group each, and the actors that answer.
//!
//! A request goes through [`Node::acquire`] to the router, which finds the limits it meets and asks the bucket actor of
//! each one's shard. A bucket actor decides from memory (`tollgate_limiter`) and has its group grant what it may spend.
//! Time, chance, disk and observers come from outside, as an [`Environment`].

mod actors;
mod codec;
mod consensus;
mod environment;
mod inbox;
mod meta;
mod node;
mod reservation;
mod router;
mod span;

pub use actors::LimitChangeError;
pub use consensus::NodeId;
pub use environment::{Clock, Entropy, Environment, Event, Events};
pub use meta::MAX_LIMITS;
pub use node::{MAX_SHARDS, Node, NodeOptions, ShardStatus, StartError};
pub use router::{AcquireError, LimitVerdict, Request, SettleReservationError, Settled, Verdict};
