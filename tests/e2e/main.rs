//! The real binary, driven from outside as its users drive it.

#[path = "../harness/mod.rs"]
mod harness;
mod node;
#[path = "../../crates/storage/tests/storage/small_disk.rs"]
mod small_disk;

mod alerts;
mod bad_input;
mod command_line;
mod contract;
mod crashes;
mod data_directory;
mod disks;
mod first_minutes;
mod metrics;
mod reload;
mod reservations;
