//! The metrics of the cluster as this node sees it, and of what its groups do.

use metrics::{Counter, Gauge};
use tollgate_cluster::{ClusterStatus, Event, NodeId};
use tollgate_feedback::sample::{Disk, LATENCY_BOUNDS_US};

use super::histogram::{Histogram, Scale};
use super::maker::Maker;
use crate::metric_names as names;

/// Times in nanoseconds, served as seconds in the classes of samples.
pub(super) static SECONDS: Scale = Scale { unit: 1e-9, bounds: &LATENCY_BOUNDS_NS };

const LATENCY_BOUNDS_NS: [u64; LATENCY_BOUNDS_US.len()] = {
    let mut bounds = LATENCY_BOUNDS_US;
    let mut class = 0;
    while class < bounds.len() {
        bounds[class] *= 1_000;
        class += 1;
    }
    bounds
};

/// The metrics of the cluster.
pub(super) struct ClusterMetrics {
    commits: Counter,
    commit_seconds: Histogram,
    store_write_seconds: Histogram,
    forwarded: Counter,
    denials_recalled: Counter,
    takeovers: Counter,
    late: Counter,
    restarts: Counter,
    failed: Counter,
    snapshots: Counter,
    snapshot_bytes: Gauge,
    leaderless: Gauge,
    term: Gauge,
    leads: Gauge,
    nodes: Gauge,
    nodes_alive: Gauge,
    disk_fill: Gauge,
}

impl ClusterMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            commits: make.counter(&names::COMMITS),
            commit_seconds: Histogram::new(&SECONDS),
            store_write_seconds: Histogram::new(&SECONDS),
            forwarded: make.counter(&names::FORWARDED),
            denials_recalled: make.counter(&names::DENIAL_CACHE_HITS),
            takeovers: make.counter(&names::TAKEOVERS),
            late: make.counter(&names::CLOCKS_LATE),
            restarts: make.counter(&names::ACTOR_RESTARTS),
            failed: make.counter(&names::GROUPS_FAILED),
            snapshots: make.counter(&names::SNAPSHOTS),
            snapshot_bytes: make.gauge(&names::SNAPSHOT_BYTES),
            leaderless: make.gauge(&names::SHARDS_LEADERLESS),
            term: make.gauge(&names::RAFT_TERM),
            leads: make.gauge(&names::RAFT_LEADER),
            nodes: make.gauge(&names::NODES),
            nodes_alive: make.gauge(&names::NODES_ALIVE),
            disk_fill: make.gauge(&names::DISK_FILL),
        }
    }

    /// Counts what happened.
    pub(super) fn on(&self, event: Event) {
        match event {
            Event::Committed { took_ns, .. } => {
                self.commits.increment(1);
                self.commit_seconds.record(took_ns.max(0).unsigned_abs());
            }
            Event::Stored { took_ns, .. } => self.store_write_seconds.record(took_ns.max(0).unsigned_abs()),
            Event::Forwarded { .. } => self.forwarded.increment(1),
            Event::DenialRecalled { .. } => self.denials_recalled.increment(1),
            Event::TookOver { .. } => self.takeovers.increment(1),
            Event::ClockLate { .. } => self.late.increment(1),
            Event::ActorRestarted { .. } => self.restarts.increment(1),
            Event::GroupFailed { .. } => self.failed.increment(1),
            Event::SnapshotSaved { bytes, .. } => {
                self.snapshots.increment(1);
                self.snapshot_bytes.set(bytes as f64);
            }
            Event::Deciding { .. }
            | Event::Proposed { .. }
            | Event::Voting { .. }
            | Event::Voted { .. }
            | Event::HandedOver { .. }
            | Event::Degraded { .. }
            | Event::Overlooked { .. }
            | Event::Alerting
            | Event::Alerted
            | Event::Claimed { .. }
            | Event::Delivering { .. }
            | Event::Delivered { .. } => {}
        }
    }

    /// Shows how the cluster is as the node of this number sees it.
    pub(super) fn show(&self, me: NodeId, status: &ClusterStatus) {
        let leaderless = status.shards.iter().filter(|shard| shard.leader.is_none()).count();
        self.leaderless.set(leaderless as f64);
        self.term.set(status.term as f64);
        self.leads.set(f64::from(u8::from(status.leader == Some(me))));
        self.nodes.set(status.nodes.len() as f64);
        self.nodes_alive.set(status.nodes.iter().filter(|node| node.alive).count() as f64);
    }

    /// Shows how full the disk is.
    pub(super) fn show_disk(&self, disk: &Disk) {
        self.disk_fill.set(disk.fill.unwrap_or(0.0));
    }

    /// Appends what the exporter does not show.
    pub(super) fn render(&self, text: &mut String) {
        self.commit_seconds.render(&names::COMMIT_SECONDS, text);
        self.store_write_seconds.render(&names::STORE_WRITE_SECONDS, text);
    }
}
