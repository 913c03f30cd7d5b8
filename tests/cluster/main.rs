//! Clusters of real processes: crashes, pauses, restarts, partitions and slow links, under load. What clients were answered is
//! then checked by [`checker`]: never more than `burst + rate × time`.

mod checker;
mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod load;
mod machine;
mod member;
mod namespaces;
mod peaks;
mod probes;
mod proxy;
#[path = "../../crates/storage/tests/storage/small_disk.rs"]
#[expect(dead_code, reason = "other tests make disks read-only")]
mod small_disk;
mod wait;

/// Clusters that run at once: each is three processes under load, and the machine may have two cores.
const CLUSTERS_AT_ONCE: usize = 2;

mod agreement;
mod changes;
mod chaos;
mod clocks;
mod crashes;
mod disks;
mod forming;
mod links;
mod membership;
mod no_quorum;
mod partitions;
mod pauses;
mod reservations;
mod resets;
mod rolling;
