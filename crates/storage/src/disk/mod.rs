//! The production engine: raft-engine for the logs, sled for the snapshots, three threads.
//!
//! ```text
//! <data>/lock       held for as long as the storage is open; names the process
//! <data>/format     what this directory is, and the version of its layout
//! <data>/raft-log/  raft-engine: entries and metadata of all groups       thread tollgate-log writes, tollgate-read reads
//! <data>/state/     sled: snapshots of all groups                         thread tollgate-snap
//! ```

mod data_directory;
mod disk_storage;
mod log_encoding;
mod log_engine;
mod log_reader;
mod log_record;
mod log_scan;
mod log_writer;
mod notice;
mod one_byte;
mod open_error;
mod options;
mod shared;
mod snapshot_keeper;
mod snapshot_store;
mod worker;

pub use disk_storage::DiskStorage;
pub use notice::Notice;
pub use open_error::OpenError;
pub use options::DiskOptions;
