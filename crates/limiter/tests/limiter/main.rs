//! The limiter as a whole: scripts of its behaviour, naive models beside it, and histories of many leaders of one log.

mod changes;
mod cluster;
mod extremes;
mod handover;
mod history;
mod in_flight;
mod memory;
mod models;
mod replicas;
mod scripts;
mod shard;
mod takeover;
