//! The heartbeats of all groups that are led here, at one beat.
//!
//! Openraft has a timer for each group. Seventeen timers wake a node seventeen times for what one could do, and send seventeen
//! packets to each peer where one would hold them all. So they are off, and all groups beat together.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::consensus::Group;
use crate::meta::ClusterState;
use crate::node::OpenShards;

/// How often leaders tell their followers that they live: several times in the shortest election timeout.
const BEAT: Duration = Duration::from_millis(100);

/// Beats as long as it lives.
pub(crate) struct Heartbeat(AbortHandle);

impl Heartbeat {
    /// Begins to beat for group 0 and for the shards' groups that are `open`.
    pub(crate) fn start(meta: Arc<Group<ClusterState>>, open: OpenShards) -> Self {
        let beating = tokio::spawn(async move {
            let mut beat = interval(BEAT);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                meta.beat().await;
                for group in open.load_full().values() {
                    group.beat().await;
                }
            }
        });
        Self(beating.abort_handle())
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
