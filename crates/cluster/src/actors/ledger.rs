//! The ledger of alerts, for whoever leads group 0: its time, and how something is written down in it.

use std::sync::Arc;

use tokio::time::Instant;
use tollgate_feedback::alert::{Applied as Ledgered, Entry};

use crate::consensus::{self, Group, LeaderId};
use crate::environment::Clock;
use crate::meta::{Applied, ClusterState, Command};

/// Tells the ledger's time: Unix time as this node had it when it began to lead, or just after the last entry if that is later, and from
/// there on by the monotonic clock, so that no step of the wall clock ends a silence or gives up a message.
#[derive(Clone)]
pub(super) struct LedgerClock {
    clock: Arc<dyn Clock>,
    began: Instant,
    began_mono_ns: i64,
    began_ms: i64,
}

impl LedgerClock {
    /// Begins now, just after the latest entry if that is ahead.
    pub(super) fn begin(clock: Arc<dyn Clock>, latest_ms: i64) -> Self {
        let reading = clock.read();
        let began_ms = (reading.wall_ns / 1_000_000).max(latest_ms.saturating_add(1));
        Self { clock, began: Instant::now(), began_mono_ns: reading.mono_ns, began_ms }
    }

    /// What it shows now, in Unix milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        let since_ns = self.clock.mono_ns().saturating_sub(self.began_mono_ns);
        self.began_ms.saturating_add(since_ns / 1_000_000)
    }

    /// Milliseconds from its beginning to a moment.
    pub(super) fn mono_ms(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.began).as_millis().try_into().unwrap_or(i64::MAX)
    }
}

/// Writes an entry down under this leadership and no other; what came of it, `None` if it is not known to be written.
pub(super) async fn write(group: &Group<ClusterState>, leadership: LeaderId, entry: Entry) -> Option<Ledgered> {
    let command = consensus::Command::Cluster(Box::new(Command::Alerts(Box::new(entry))));
    match group.propose(leadership, command).await {
        Ok(consensus::Applied::Cluster(Applied::Alerts(ledgered))) => Some(ledgered),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "what is to be told could not be written down");
            None
        }
    }
}
