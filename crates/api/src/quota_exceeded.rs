//! A denial as a problem document.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AcquireAnswer;

/// The kind of problem that a denial is, as registered with IANA.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The body of a 429: the answer, and the same as problem details (RFC 9457).
///
/// Whoever reads it as the answer to an acquire finds all its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a denied answer")]
pub struct QuotaExceeded {
    /// Always `https://iana.org/assignments/http-problem-types#quota-exceeded`.
    #[serde(rename = "type")]
    #[schema(value_type = String, format = "uri-reference")]
    pub kind: Cow<'static, str>,
    /// The kind of problem in words.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// Always 429.
    #[schema(minimum = 429, maximum = 429)]
    pub status: u16,
    /// Which limits denied, and when to ask again.
    pub detail: String,
    /// Names of the limits that denied.
    #[serde(rename = "violated-policies")]
    pub violated_policies: Vec<String>,
    /// The answer, whose fields stand beside the others.
    #[serde(flatten)]
    pub answer: AcquireAnswer,
}

impl From<AcquireAnswer> for QuotaExceeded {
    fn from(answer: AcquireAnswer) -> Self {
        let violated_policies = violated_policies(&answer);
        Self {
            kind: Cow::Borrowed(QUOTA_EXCEEDED),
            title: Cow::Borrowed("Quota exceeded"),
            status: 429,
            detail: detail(&violated_policies, answer.retry_after_ms),
            violated_policies,
            answer,
        }
    }
}

/// A shadow may be over its limit too, but it did not deny.
fn violated_policies(answer: &AcquireAnswer) -> Vec<String> {
    let denying = answer.limits.iter().filter(|limit| !limit.allowed && !limit.shadow);
    denying.map(|limit| limit.name.clone()).collect()
}

fn detail(violated_policies: &[String], retry_after_ms: u64) -> String {
    match violated_policies {
        [] => format!("The request was denied; ask again in {retry_after_ms} ms."),
        names => format!("The request was denied by {}; ask again in {retry_after_ms} ms.", names.join(", ")),
    }
}
