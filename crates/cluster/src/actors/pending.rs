//! A request that a bucket actor has not answered yet.

use tollgate_limiter::{Algorithm, Ask, Key, Leader, LimitId, PermitId, Place, ShardTime, Standing, State};

use crate::inbox::{Acquire, Answer, Outcome, Reply};

/// The most requests that wait for their turn at one bucket; one more is denied at once. Each of them counts among those under
/// way in the shard, so that no bucket takes all the room.
const MAX_QUEUED: usize = 1_024;

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) acquire: Acquire,
    /// The permit that was asked for on its behalf.
    pub(super) permit: Option<PermitId>,
    /// It has queued for its turn, so nobody who comes now passes it.
    pub(super) has_queued: bool,
    /// Until when it may queue for its turn.
    pub(super) patient_until: ShardTime,
    /// Until when it may wait for a grant; set when it first has to.
    pub(super) grant_until: Option<ShardTime>,
    pub(super) reply: Reply<Answer>,
}

impl Pending {
    pub(super) fn bucket(&self) -> (LimitId, Key) {
        (self.acquire.limit, self.acquire.key)
    }

    pub(super) fn ask(&self, ahead: u64) -> Ask {
        let Acquire { limit, key, cost, consistency, .. } = self.acquire;
        Ask { limit, key, cost, consistency, ahead, permit: self.permit }
    }

    /// Whether the request waits for its turn, as the one in this `place`: it is patient enough, and there is room in the queue.
    pub(super) fn may_queue(&self, state: &State, standing: &Standing, place: Place, now: ShardTime) -> bool {
        let Acquire { limit, cost, patience_ns, .. } = self.acquire;
        if patience_ns == 0 || now >= self.patient_until || place.requests >= MAX_QUEUED {
            return false;
        }
        let in_time = now.plus(standing.retry_after_ns) <= self.patient_until;
        match state.algorithm(limit) {
            // The bucket is the queue.
            Some(Algorithm::LeakyBucket(_)) => in_time && place.units.saturating_add(cost) <= standing.limit,
            // A permit comes back when its holder is done, which nobody can foretell.
            Some(Algorithm::Concurrency { .. }) => true,
            _ => in_time,
        }
    }

    /// Gives back the permit that was asked for on its behalf.
    pub(super) fn release_permit(&self, leader: &mut Leader) {
        if let Some(permit) = self.permit {
            leader.release(self.acquire.limit, self.acquire.key, permit);
        }
    }

    pub(super) fn answer(self, outcome: Outcome, at: ShardTime) {
        self.answer_as(outcome, false, at);
    }

    pub(super) fn answer_as(self, outcome: Outcome, degraded: bool, at: ShardTime) {
        self.reply.send(Answer { outcome, degraded, at });
    }
}
