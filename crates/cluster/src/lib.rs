//! The shards of a node: one Raft group each, and the actors that answer.
//!
//! A request goes through [`Node::acquire`] to the router, which finds the limits it meets and asks the bucket actor of
//! each one's shard. A bucket actor decides from memory (`tollgate_limiter`) and has its group grant what it may spend.
//! Time, chance, disk and observers come from outside, as an [`Environment`], and the network as a [`Link`].

mod actors;
mod alerts;
mod change;
mod codec;
mod consensus;
mod denials;
mod environment;
mod forming;
mod heartbeat;
mod holds;
mod hosting;
mod identity;
mod inbox;
mod lease;
mod messages;
mod meta;
mod node;
mod outbox;
mod peers;
mod placement;
mod reception;
mod reservation;
mod router;
mod routes;
mod samples;
mod seen;
mod share;
mod span;
mod status;
mod view;

pub use alerts::{AlertOptions, Attempt, Courier, Delivery};
pub use change::ChangeError;
pub use consensus::{NodeId, SNAPSHOT_LOG_BYTES};
pub use environment::{Clock, Entropy, Environment, Event, Events, Fate};
pub use forming::Forming;
pub use identity::{IdentityError, NodeIdentity, cluster_of};
pub use meta::{Duty, MAX_LIMITS, MAX_NODES};
pub use node::{Link, MAX_SHARDS, Node, NodeOptions, StartError};
pub use router::{AcquireError, LimitVerdict, Request, SettleReservationError, Settled, Verdict};
pub use status::{ClusterStatus, Fingerprint, NodeStatus, ShardStatus};
