//! What was taken of a bucket for a request that takes from several shards, until all of them have said yes.
//!
//! The node that coordinates such a request confirms its holds when every limit lets it pass, and gives them back when one does
//! not. A hold that hears nothing, because that node has crashed or was cut off, runs out and is given back. A confirmation is
//! answered, and the request is admitted only if all of them were in time: so nothing is given back that was admitted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_limiter::{Receipt, ShardTime};

/// How long a hold waits for its confirmation: several times the deadline of a decision.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

/// Identifies a hold: the run of the node that coordinates, and its number there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct HoldId {
    pub(crate) run: u64,
    pub(crate) number: u64,
}

/// The holds of one shard.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: BTreeMap<HoldId, (Receipt, ShardTime)>,
}

impl Holds {
    /// Holds what was taken until `until`.
    pub(crate) fn hold(&mut self, id: HoldId, receipt: Receipt, until: ShardTime) {
        self.held.insert(id, (receipt, until));
    }

    /// It is spent for good; `false` when it has run out, or was never held.
    pub(crate) fn confirm(&mut self, id: HoldId, now: ShardTime) -> bool {
        let is_in_time = self.held.get(&id).is_some_and(|(_, until)| *until > now);
        is_in_time && self.held.remove(&id).is_some()
    }

    /// It is not wanted any more: what was taken, to be given back; `None` when it has run out.
    pub(crate) fn release(&mut self, id: HoldId) -> Option<Receipt> {
        self.held.remove(&id).map(|(receipt, _)| receipt)
    }

    /// Takes out what has run out.
    pub(crate) fn take_expired(&mut self, now: ShardTime) -> Vec<Receipt> {
        self.held.extract_if(.., |_, (_, until)| *until <= now).map(|(_, (receipt, _))| receipt).collect()
    }

    /// When the next one runs out.
    pub(crate) fn next_end(&self) -> Option<ShardTime> {
        self.held.values().map(|(_, until)| *until).min()
    }
}
