//! How much may wait for a batch.

use serde::Deserialize;
use tollgate_api::FieldError;

use super::checks::in_range;

/// `queue`: how much may wait for a batch.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of the settings of the queue")]
pub struct Queue {
    /// Most items that wait, 1 to 10000000; further ones are refused.
    pub max_size: u64,
    /// Items of the first batch, 1 to `max_size`.
    pub batch_size: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_size: 1000, batch_size: 10 }
    }
}

impl Queue {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        in_range("max_size", &self.max_size, &(1..=10_000_000))?;
        if (1..=self.max_size).contains(&self.batch_size) {
            Ok(())
        } else {
            Err(FieldError::new("batch_size", format!("must be from 1 to `max_size`, which is {}", self.max_size)))
        }
    }
}
