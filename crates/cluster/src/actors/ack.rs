//! An answer that a bucket actor gives when a commit has made it true.

use tollgate_limiter::ShardTime;

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
    Reset(Reply<Result<(), Unavailable>>),
}

impl Ack {
    pub(super) fn committed(self) {
        match self.promise {
            Promise::Settled(returned, reply) => reply.send(Ok(returned)),
            Promise::Reset(reply) => reply.send(Ok(())),
        }
    }

    pub(super) fn lost(self) {
        match self.promise {
            Promise::Settled(_, reply) => reply.send(Err(Unavailable.into())),
            Promise::Reset(reply) => reply.send(Err(Unavailable)),
        }
    }
}
