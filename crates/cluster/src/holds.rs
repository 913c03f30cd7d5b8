//! What was taken of a bucket for a request that takes from several shards, until all of them have said yes.
//!
//! The node that coordinates such a request confirms its holds when every limit lets it pass, and gives them back when one does
//! not. A hold that hears nothing, because that node has crashed or was cut off, runs out and is given back. A confirmation is
//! answered, and the request is admitted only if all of them were in time: so nothing is given back that was admitted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_limiter::{Planted, Receipt, ShardTime};

/// How long a hold waits for its confirmation: several times the deadline of a decision.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

/// Identifies a hold: the run of the node that coordinates, and its number there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct HoldId {
    pub(crate) run: u64,
    pub(crate) number: u64,
}

/// The holds of one shard: as many as requests of several shards come within [`HOLD`].
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: BTreeMap<HoldId, (Receipt, ShardTime)>,
    /// When each runs out, the first first: all last equally long. Of those that are held no more some are left.
    ends: VecDeque<(ShardTime, HoldId)>,
}

impl Holds {
    /// Holds what was taken until `until`.
    pub(crate) fn hold(&mut self, id: HoldId, receipt: Receipt, until: ShardTime) {
        self.held.insert(id, (receipt, until));
        self.ends.push_back((until, id));
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// It is spent for good; `false` when it has run out, or was never held.
    pub(crate) fn confirm(&mut self, id: HoldId, now: ShardTime) -> bool {
        let is_in_time = self.held.get(&id).is_some_and(|(_, until)| *until > now);
        is_in_time && self.held.remove(&id).is_some()
    }

    /// It is not wanted any more: what was taken, to be given back; `None` when it has run out.
    pub(crate) fn release(&mut self, id: HoldId) -> Option<Receipt> {
        if Planted::HoldNeverReleased.is_made() {
            return None;
        }
        self.held.remove(&id).map(|(receipt, _)| receipt)
    }

    /// Takes out what has run out.
    pub(crate) fn take_expired(&mut self, now: ShardTime) -> Vec<Receipt> {
        let mut expired = Vec::new();
        while let Some((_, id)) = self.ends.pop_front_if(|(until, _)| *until <= now) {
            expired.extend(self.release(id));
        }
        expired
    }

    /// When the next one runs out.
    pub(crate) fn next_end(&mut self) -> Option<ShardTime> {
        while self.ends.pop_front_if(|(_, id)| !self.held.contains_key(id)).is_some() {}
        self.ends.front().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_limiter::{Key, LimitId, SpentAt};

    use super::*;
    use crate::codec::{decode, encode};

    /// A receipt, as it travels: only a leader can make one.
    fn receipt(units: u64) -> Receipt {
        let (at, leadership, generation) = (ShardTime::from_nanos(0), 1_u64, 0_u32);
        let parts = (LimitId(0), Key::from_bits(1), units, SpentAt::Nothing, at, leadership, generation);
        decode(&encode(&parts)).expect("its parts in their order")
    }

    #[test]
    fn a_hold_is_confirmed_released_or_runs_out_and_each_only_once() {
        let at = ShardTime::from_nanos;
        let id = |number| HoldId { run: 7, number };
        let mut holds = Holds::default();
        for number in 1..=4 {
            holds.hold(id(number), receipt(number), at(100 + number as i64));
        }
        assert_eq!(holds.next_end(), Some(at(101)));
        assert!(holds.confirm(id(1), at(50)) && !holds.confirm(id(1), at(50)), "once");
        assert!(!holds.confirm(id(2), at(102)), "not when its time is over");
        assert_eq!(holds.release(id(4)), Some(receipt(4)));
        assert_eq!(holds.release(id(4)), None);
        assert_eq!(holds.next_end(), Some(at(102)));
        assert_eq!(holds.take_expired(at(102)), [receipt(2)]);
        assert_eq!(holds.take_expired(at(1_000)), [receipt(3)]);
        assert!(holds.is_empty() && holds.next_end().is_none());
    }
}
