//! What was taken, so that it can be given back.

use serde::{Deserialize, Serialize};

use crate::{Key, LimitId, PermitId, ShardTime};

/// Proof of what a decision took from one bucket.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// The limit.
    pub limit: LimitId,
    /// The bucket.
    pub key: Key,
    /// Units taken.
    pub units: u64,
    /// Where they were taken.
    pub spent: SpentAt,
    /// When they were taken.
    pub(crate) taken: ShardTime,
    /// The leadership that gave them. Under a later one they count as spent for good: it cannot tell them from what its
    /// predecessor might have spent unseen.
    pub(crate) leadership: u64,
    /// How often the limit's algorithm had changed. After another change they count as spent for good.
    pub(crate) generation: u32,
}

/// Where units were taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum SpentAt {
    /// An interval of the virtual time axis, that ended here.
    Interval {
        /// Its end in nanoseconds of shard time, if nothing had ever been given back to the bucket. What was given back adds up, so
        /// this may lie beyond all time.
        end: i128,
    },
    /// A slice of a window, that begins here.
    Slice {
        /// Its start.
        start: ShardTime,
    },
    /// A permit.
    Permit(PermitId),
    /// Nothing was taken (a peek).
    Nothing,
}

/// Identifies the settlement of one bucket's part of a reservation: done once, whoever asks again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SettlementId(Key);

impl SettlementId {
    /// The settlement of `bucket`'s part of the reservation with this number.
    pub fn new(reservation: u128, bucket: Key) -> Self {
        Self(Key::from_bits(reservation ^ bucket.bits()))
    }

    pub(crate) fn key(self) -> Key {
        self.0
    }
}

/// One bucket's part of a settlement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settlement {
    /// Which one.
    pub id: SettlementId,
    /// What was reserved.
    pub receipt: Receipt,
    /// What it really cost.
    pub actual: u64,
    /// From when on the reservation can no longer be settled.
    pub expires: ShardTime,
}
