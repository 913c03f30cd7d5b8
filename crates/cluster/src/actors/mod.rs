//! The actors of a node. One a file, in one order: messages, arguments, state, the actor, then what its state can do.

mod ack;
mod alert;
mod bucket;
mod delivering;
mod denied;
mod elapsed;
mod ledger;
mod meta;
mod mover;
mod peer;
mod pending;
mod replica;
mod supervisor;

use tollgate_limiter as limiter;

use crate::consensus::{self, Group};

pub(crate) use alert::{AlertArgs, AlertMsg};
pub(crate) use bucket::{BucketArgs, BucketMsg, BucketSettings};
pub(crate) use meta::{CHANGE_DEADLINE, MetaActor, MetaArgs, MetaMsg, Spread, propose};
pub(crate) use peer::PeerMsg;
pub(crate) use replica::ReplicaMsg;
pub(crate) use supervisor::{SupervisorActor, SupervisorArgs, SupervisorMsg};

/// The group of one shard.
pub(crate) type ShardGroup = Group<limiter::State>;

impl consensus::Machine for limiter::State {
    fn apply(&mut self, command: &consensus::Command) -> consensus::Applied {
        match command {
            consensus::Command::Shard(command) => consensus::Applied::Shard(self.apply(command)),
            consensus::Command::Cluster(_) => consensus::Applied::Nothing,
        }
    }

    fn encoded_bytes(&self) -> usize {
        /// A key, a ceiling and the limit's share.
        const BYTES_A_BUCKET: usize = 32;
        self.granted_buckets() * BYTES_A_BUCKET
    }
}
