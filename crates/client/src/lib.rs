//! Speaks to Tollgate nodes: as a library, [`Client`], and as a command line, [`command`].
//!
//! Any node answers for the whole cluster, so a client needs the address of one. It repeats a call
//! only where that cannot charge a limit twice: when the connection was refused before anything was
//! sent, when the node said that it did not serve the call (503), or when the call changes nothing
//! by being made twice. Repeats are spread at random and paid from a small budget, so that clients
//! do not hold down a node that is coming back.
#![warn(missing_docs)]

mod bucket_query;
mod call;
mod client;
pub mod command;
mod error;
mod options;
mod reply;
mod retries;

pub use bucket_query::BucketQuery;
pub use client::Client;
pub use error::Error;
pub use options::Options;
