//! An answer that a bucket actor gives when a commit has made it true.

use tollgate_limiter::{SettleError, SettlementId, ShardTime, State};

use crate::inbox::{Reply, SettleFailure, Unavailable};

/// Somebody who waits for a commit.
pub(super) struct Ack {
    /// After this it may still commit, but nobody waits for it.
    pub(super) until: ShardTime,
    pub(super) promise: Promise,
}

/// What is promised when it is committed.
pub(super) enum Promise {
    /// A settlement that gave so many units back.
    Settled(u64, Reply<Result<u64, SettleFailure>>),
    /// That somebody else has settled it.
    SettledBefore(SettlementId, Reply<Result<u64, SettleFailure>>),
    Reset(Reply<Result<(), Unavailable>>),
}

impl Ack {
    /// Whether what was committed is not what it waits for.
    pub(super) fn waits_for_another(&self, state: &State) -> bool {
        match &self.promise {
            Promise::SettledBefore(id, _) => !state.is_settled(*id),
            Promise::Settled(..) | Promise::Reset(_) => false,
        }
    }

    /// Whether it is true by now, whatever has been committed.
    pub(super) fn is_true(&self, state: &State) -> bool {
        match &self.promise {
            Promise::SettledBefore(id, _) => state.is_settled(*id),
            Promise::Settled(..) | Promise::Reset(_) => false,
        }
    }

    pub(super) fn committed(self) {
        match self.promise {
            Promise::Settled(returned, reply) => reply.send(Ok(returned)),
            Promise::SettledBefore(_, reply) => reply.send(Err(SettleError::AlreadySettled.into())),
            Promise::Reset(reply) => reply.send(Ok(())),
        }
    }

    pub(super) fn lost(self) {
        match self.promise {
            Promise::Settled(_, reply) | Promise::SettledBefore(_, reply) => reply.send(Err(Unavailable.into())),
            Promise::Reset(reply) => reply.send(Err(Unavailable)),
        }
    }
}
