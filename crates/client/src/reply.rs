//! What came back, before it is understood.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::Error;

/// A complete answer of whatever answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// How long to stay away, from `Retry-After`; zero if it does not say.
    pub(crate) retry_after: Duration,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The answer of a call that is carried out or refused.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Garbled`].
    pub(crate) fn answer<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.succeeded()?;
        self.read()
    }

    /// The answer of a call that answers with its own document under the status `other` too.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Garbled`].
    pub(crate) fn answer_also_with<T: DeserializeOwned>(&self, other: StatusCode) -> Result<T, Error> {
        if self.status == other {
            return self.read().map_err(|_| self.refusal());
        }
        self.answer()
    }

    /// That the call was carried out.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Garbled`].
    pub(crate) fn succeeded(&self) -> Result<(), Error> {
        if self.status.is_success() { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(&self) -> Error {
        self.read().map_or_else(|garbled| garbled, Error::Refused)
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Garbled { status: self.status.as_u16(), problem: error.to_string() })
    }
}
