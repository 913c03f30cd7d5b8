//! Clusters of real processes: crashes, pauses, restarts, partitions and slow links, under load. What clients were answered is
//! then checked by [`checker`]: never more than `burst + rate × time`.

mod checker;
mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod load;
mod member;
mod namespaces;
mod peaks;
mod proxy;
mod wait;

mod agreement;
mod changes;
mod crashes;
mod forming;
mod links;
mod membership;
mod no_quorum;
mod partitions;
mod pauses;
mod reservations;
mod resets;
mod rolling;
