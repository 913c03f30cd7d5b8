//! Decisions on permits: concurrency.

use super::{Decision, Desk, Refusal, Standing};
use crate::permits::{reset_ns, units_out, wait_ns};
use crate::{PermitId, SpentAt, Unreplicated};

impl Desk<'_> {
    pub(super) fn decide_permit(&mut self, capacity: u64, ttl_ns: i64) -> Decision {
        if let Some(permit) = self.ask.permit.filter(|permit| self.is_out(*permit)) {
            return self.permitted(capacity, ttl_ns, permit);
        }
        if let Some(permit) = self.ask.permit.filter(|permit| self.wanted.is_permit_pending(*permit)) {
            return self.pending(capacity, ttl_ns, permit);
        }
        let taken = self.taken().saturating_add(self.ask.ahead);
        if self.ask.cost == 0 {
            let one_ns = if taken < capacity { 0 } else { self.permit_wait_ns(capacity, ttl_ns, 1) };
            return self.admitted(self.permit_standing(capacity, ttl_ns, one_ns), 0, SpentAt::Nothing);
        }
        let units = self.units();
        if units > capacity.saturating_sub(taken) {
            let wait_ns = self.permit_wait_ns(capacity, ttl_ns, units);
            return Decision::Denied(self.permit_standing(capacity, ttl_ns, wait_ns));
        }
        if taken == 0 {
            if !self.options.budget.has_room() {
                return Decision::Refused(Refusal::NoRoom);
            }
            self.claim_room();
            self.wanted.count_new_bucket();
        }
        let permit = self.wanted.permit(self.ask.limit, self.ask.key, units, self.now.plus(ttl_ns));
        if self.needs_grant() { Decision::Wait(Some(permit)) } else { self.permitted(capacity, ttl_ns, permit) }
    }

    /// A permit that was asked for: to be waited for, or to be given without its commit if this node decides alone and its share
    /// allows it.
    fn pending(&self, capacity: u64, ttl_ns: i64, permit: PermitId) -> Decision {
        match self.unreplicated {
            None => Decision::Wait(Some(permit)),
            Some(Unreplicated { nodes }) if self.taken().saturating_mul(nodes) <= capacity => {
                self.permitted(capacity, ttl_ns, permit)
            }
            Some(_) => Decision::Denied(self.permit_standing(capacity, ttl_ns, ttl_ns.max(1))),
        }
    }

    fn is_out(&self, permit: PermitId) -> bool {
        self.granted.permits(self.ask.key).iter().any(|out| out.id == permit && out.expires > self.now)
    }

    fn permitted(&self, capacity: u64, ttl_ns: i64, permit: PermitId) -> Decision {
        self.admitted(self.permit_standing(capacity, ttl_ns, 0), self.units(), SpentAt::Permit(permit))
    }

    /// Units that are out, and those that will be when the entry in flight commits.
    fn taken(&self) -> u64 {
        let pending = self.wanted.pending_permits(self.ask.limit, self.ask.key);
        units_out(self.granted.permits(self.ask.key), self.now).saturating_add(pending)
    }

    /// When enough permits will have returned by themselves; those in flight do in one lifetime.
    fn permit_wait_ns(&self, capacity: u64, ttl_ns: i64, units: u64) -> i64 {
        let (limit, key) = (self.ask.limit, self.ask.key);
        let units = units.saturating_add(self.ask.ahead);
        let pending = self.wanted.pending_permits(limit, key);
        let wait_ns = wait_ns(self.granted.permits(key), capacity, pending, units, self.now);
        if pending > 0 { wait_ns.max(ttl_ns) } else { wait_ns.max(1) }
    }

    fn permit_standing(&self, capacity: u64, ttl_ns: i64, retry_after_ns: i64) -> Standing {
        let is_pending = self.wanted.pending_permits(self.ask.limit, self.ask.key) > 0;
        let pending_ns = if is_pending { ttl_ns } else { 0 };
        Standing {
            limit: capacity,
            remaining: capacity.saturating_sub(self.taken()).saturating_sub(self.ask.ahead),
            retry_after_ns,
            reset_after_ns: reset_ns(self.granted.permits(self.ask.key), self.now).max(pending_ns),
        }
    }
}
