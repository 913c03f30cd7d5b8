//! Permits of a concurrency limit. They are committed before they are given, so every leader knows all that are out.

use serde::{Deserialize, Serialize};

use crate::ShardTime;

/// Identifies a permit in its shard for ever: the leadership that gave it, and its number there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PermitId {
    pub(crate) leadership: u64,
    pub(crate) serial: u64,
}

/// A permit that is out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Permit {
    pub(crate) id: PermitId,
    pub(crate) units: u64,
    /// When it returns by itself.
    pub(crate) expires: ShardTime,
}

/// Units that are out at `now`.
pub(crate) fn units_out(permits: &[Permit], now: ShardTime) -> u64 {
    permits.iter().filter(|permit| permit.expires > now).fold(0, |sum, permit| sum.saturating_add(permit.units))
}

/// Nanoseconds until `units` more fit beside those that are out, if nobody releases any.
pub(crate) fn wait_ns(permits: &[Permit], capacity: u64, pending: u64, units: u64, now: ShardTime) -> i64 {
    let mut out: Vec<_> = permits.iter().filter(|permit| permit.expires > now).collect();
    out.sort_unstable_by_key(|permit| permit.expires);
    let wanted = units_out(permits, now).saturating_add(pending).saturating_add(units);
    let mut excess = wanted.saturating_sub(capacity);
    let mut wait_ns = 0;
    for permit in out {
        if excess == 0 {
            break;
        }
        wait_ns = permit.expires.since(now);
        excess = excess.saturating_sub(permit.units);
    }
    wait_ns
}

/// Nanoseconds until the last permit that is out returns by itself.
pub(crate) fn reset_ns(permits: &[Permit], now: ShardTime) -> i64 {
    permits.iter().map(|permit| permit.expires.since(now)).max().unwrap_or(0).max(0)
}
