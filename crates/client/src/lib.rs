//! Speaks to Tollgate nodes: as a library, [`Client`] and [`ClusterClient`], and as a command line, [`command`].
//!
//! Any node answers for the whole cluster, so a [`Client`] needs the address of one: use it for a single node, behind a load
//! balancer, from beside a node on the same machine, and to ask how one particular node is. A [`ClusterClient`] knows
//! all nodes: use it where a service that asks often runs beside the cluster and can reach every node's HTTP address. It
//! saves the hop from the node that is asked to the one that decides, and when a node dies it costs no more than the
//! requests that were on their way to it.
//!
//! Both repeat a call only where that cannot charge a limit twice: when the connection was refused before anything was
//! sent, when the node said that it did not serve the call (503), or when the call changes nothing
//! by being made twice. Repeats are spread at random and paid from a small budget, so that clients
//! do not hold down a node that is coming back.
#![warn(missing_docs)]

mod bucket_query;
mod call;
mod client;
mod cluster_client;
pub mod command;
mod error;
mod options;
mod reply;
mod retries;
mod route;
mod sender;

pub use bucket_query::BucketQuery;
pub use client::Client;
pub use cluster_client::ClusterClient;
pub use error::Error;
pub use options::Options;
