//! What is wrong with one field of a request or of a limit.

use std::fmt;

/// A field whose value is of the right type but not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// Where the field is, from the outermost object inwards: `cost`, `labels.user`,
    /// `requests[3].prefix`.
    pub field: String,
    /// What is wrong with it and what would be right, without the field's name.
    pub problem: String,
}

impl FieldError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same error about a field of an object that itself sits at `parent`.
    #[must_use]
    pub fn within(self, parent: impl fmt::Display) -> Self {
        Self { field: format!("{parent}.{}", self.field), problem: self.problem }
    }
}
