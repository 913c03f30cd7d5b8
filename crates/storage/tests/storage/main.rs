//! The production storage on real files: what it promises, what outlives it, and what it does with bad disks.

mod contract;
mod crash;
mod damage;
mod data_directory;
mod failed_disk;
mod full_disk;
mod small_disk;
mod snapshots;
mod support;
