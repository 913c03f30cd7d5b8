//! What a node keeps on disk: Raft logs, their metadata, and snapshots. Bytes only: what they mean is known elsewhere.
//!
//! Everything that touches a disk or owns a thread is in this crate, behind [`Storage`], so that a simulation can put a
//! simulated disk in its place. [`DiskStorage`] is the production engine, [`MemoryStorage`] keeps nothing;
//! [`contract`] is what all of them promise, as checks that can be run.

mod batch;
mod completion;
pub mod contract;
mod disk;
mod error;
mod group;
mod health;
mod log_bounds;
mod log_view;
mod memory;
mod metadata;
mod snapshot;
mod storage;

pub use batch::LogBatch;
pub use completion::{Completion, Promise};
pub use disk::{DiskOptions, DiskStorage, Notice, OpenError};
pub use error::{LogConflict, StorageError};
pub use group::GroupId;
pub use health::StorageHealth;
pub use memory::MemoryStorage;
pub use metadata::MetadataKey;
pub use snapshot::Snapshot;
pub use storage::Storage;
