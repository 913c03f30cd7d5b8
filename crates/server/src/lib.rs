//! A node: HTTP, configuration, telemetry.

mod config;
mod rules;
