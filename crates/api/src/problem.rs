//! Errors as they go over the wire: problem details, RFC 9457.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BodyError, FieldError};

/// `type` of a problem that says no more than its status does.
const ABOUT_BLANK: &str = "about:blank";

/// Why a call was not carried out; the body of every answer from 400 up, in
/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "a problem document")]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` when the status says it all.
    #[serde(rename = "type", default = "about_blank")]
    #[schema(required, value_type = String, format = "uri-reference")]
    pub kind: Cow<'static, str>,
    /// The kind of problem in a few words, the same for every problem of the kind.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// The HTTP status of the answer, 400 to 599.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong this time.
    #[serde(default)]
    #[schema(required)]
    pub detail: String,
    /// The field of the request at fault, such as `labels.user`; absent when it is not one field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// Media type of a body that holds a problem.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem of the kind `about:blank`.
    pub fn new(status: u16, title: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { kind: about_blank(), title: title.into(), status, detail: detail.into(), field: None }
    }

    /// The same problem, of the kind that the URI `kind` names.
    #[must_use]
    pub fn with_kind(self, kind: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// The same problem, with `field` at fault.
    #[must_use]
    pub fn with_field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    fn bad_request(detail: String, field: Option<String>) -> Self {
        Self { field, ..Self::new(400, "Bad Request", detail) }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::bad_request(error.to_string(), Some(error.field))
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let detail = error.to_string();
        let (BodyError::NotJson { field, .. } | BodyError::WrongShape { field, .. }) = error;
        Self::bad_request(detail, field)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.status, self.title)?;
        if self.detail.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.detail) }
    }
}

fn about_blank() -> Cow<'static, str> {
    Cow::Borrowed(ABOUT_BLANK)
}
