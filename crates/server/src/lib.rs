//! A node: HTTP, configuration, telemetry, and the replay of access logs.

mod alerting;
pub mod config;
mod environment;
mod http;
mod metric_names;
mod peering;
mod receivers;
mod replay;
mod rules;
mod serve;
pub mod telemetry;

pub use peering::PeeringError;
pub use replay::{ReplayArgs, ReplayError, run as replay};
pub use serve::{ServeArgs, ServeError, serve};
