//! What a client was told is not contradicted: a reservation is settled once.
//!
//! One that was given without the group, and says so, is remembered by nobody: it may be settled as often as one likes, and nothing
//! comes back.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Answer, Ask, History};
use crate::kernel::Ms;

/// Every promise to a client that was broken.
pub(super) fn judge(history: &History) -> Vec<Violation> {
    let is_exact = |acquired: usize| history.operations[acquired].verdict().is_some_and(|(_, told)| !told.degraded);
    let mut settled: BTreeMap<usize, Vec<(Ms, Ms)>> = BTreeMap::new();
    for operation in &history.operations {
        if let (Ask::Settle { acquired, .. }, Some((received, Answer::Settled))) = (&operation.ask, &operation.answered)
        {
            settled.entry(*acquired).or_default().push((operation.sent, *received));
        }
    }
    let twice = settled.into_iter().filter(|(acquired, times)| is_exact(*acquired) && times.len() > 1);
    twice
        .map(|(acquired, times)| Violation {
            promise: "a reservation is settled once",
            how: format!("what #{acquired} reserved was settled {} times: {times:?}", times.len()),
        })
        .collect()
}
