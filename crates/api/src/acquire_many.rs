//! Many acquires in one call, each decided on its own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AcquireAnswer, AcquireRequest, FieldError, Problem, QuotaExceeded, object};

/// Most requests in one `acquire_many`.
pub const MAX_REQUESTS: usize = 1000;

/// The body of `POST /v1/acquire_many`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct AcquireManyRequest {
    /// At most 1000, answered in this order.
    #[serde(deserialize_with = "object::list")]
    #[schema(max_items = 1000)]
    pub requests: Vec<AcquireRequest>,
}

impl AcquireManyRequest {
    /// Checks how many requests there are. Each is checked by [`AcquireRequest::validate`] when its
    /// turn comes, so that one that is not allowed fails alone.
    ///
    /// # Errors
    /// Names the field `requests`.
    pub fn validate(&self) -> Result<(), FieldError> {
        let count = self.requests.len();
        if count <= MAX_REQUESTS {
            return Ok(());
        }
        Err(FieldError::new("requests", format!("has {count} requests, at most {MAX_REQUESTS} are allowed")))
    }
}

/// The answer to `POST /v1/acquire_many`; always a 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "the answer to an acquire_many")]
pub struct AcquireManyAnswer {
    /// One a request, in the order of the requests.
    pub results: Vec<AcquireResult>,
}

/// What became of one request of many. All kinds have a `status`, that of the same request sent
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "an answer to an acquire, or a problem document")]
pub enum AcquireResult {
    /// It may not pass now: status 429.
    Denied(QuotaExceeded),
    /// It may pass: status 200.
    Allowed(AnswerWithStatus),
    /// It could not be decided, and nothing was taken for it.
    Failed(Problem),
}

/// An answer with the HTTP status that it would have had alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerWithStatus {
    /// Always 200.
    pub status: u16,
    /// The answer, whose fields stand beside the status.
    #[serde(flatten)]
    pub answer: AcquireAnswer,
}

impl From<AcquireAnswer> for AcquireResult {
    fn from(answer: AcquireAnswer) -> Self {
        if answer.allowed {
            Self::Allowed(AnswerWithStatus { status: 200, answer })
        } else {
            Self::Denied(QuotaExceeded::from(answer))
        }
    }
}

impl From<Problem> for AcquireResult {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}
