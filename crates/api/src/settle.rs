//! Settling a reservation: telling what was really spent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FieldError, integer};

/// Longest name of a reservation, in bytes; those that nodes give are shorter.
pub const MAX_RESERVATION_BYTES: usize = 16 << 10;

/// The body of `POST /v1/settle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SettleRequest {
    /// The `reservation` of the answer to a reserve.
    #[schema(pattern = "^[!-~]{1,16384}$")]
    pub reservation: String,
    /// Units really spent; what was reserved beyond it is given back, what is missing is charged.
    #[serde(deserialize_with = "integer::whole")]
    #[schema(format = "uint64")]
    pub actual: u64,
}

impl SettleRequest {
    /// Checks that the reservation could be one: 1 to [`MAX_RESERVATION_BYTES`] of printable ASCII
    /// without spaces.
    ///
    /// # Errors
    /// Names the field `reservation`.
    pub fn validate(&self) -> Result<(), FieldError> {
        let name = self.reservation.as_bytes();
        if (1..=MAX_RESERVATION_BYTES).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic) {
            return Ok(());
        }
        Err(FieldError::new("reservation", "must be the `reservation` that a reserve answered with"))
    }
}

/// The answer to `POST /v1/settle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the answer to a settle")]
pub struct SettleAnswer {
    /// The reservation that is now settled.
    pub reservation: String,
    /// Units that were reserved.
    pub reserved: u64,
    /// Units that were spent.
    pub actual: u64,
    /// Units that came back to the bucket, of several limits' buckets to the one that got the fewest. Fewer than were not spent
    /// where the bucket has refilled meanwhile, and none where what it gave counts as spent since a crash.
    pub returned: u64,
    /// Units that were spent beyond the reservation, and now count.
    pub charged: u64,
}

impl SettleAnswer {
    /// The answer for `reserved` units of which `actual` were spent and `returned` came back.
    pub fn new(reservation: impl Into<String>, reserved: u64, actual: u64, returned: u64) -> Self {
        Self { reservation: reservation.into(), reserved, actual, returned, charged: actual.saturating_sub(reserved) }
    }
}
