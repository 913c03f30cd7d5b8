//! Why a call fails.

use std::time::Duration;

use thiserror::Error;

use crate::NodeId;

/// Why a call has no answer. None of them tells whether the request was handled, except the first two.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// As many calls to the node wait as may; the request was not sent.
    #[error("{limit} calls to node {to} wait for an answer already")]
    TooManyOutstanding {
        /// The node that was to be called.
        to: NodeId,
        /// How many may wait.
        limit: usize,
    },
    /// The request or notice does not fit in a frame; it was not sent.
    #[error("a request or notice of {bytes} bytes is larger than the {limit_bytes} bytes that one may have")]
    RequestTooLarge {
        /// Its size.
        bytes: usize,
        /// The largest one possible.
        limit_bytes: usize,
    },
    /// The other node handles as many requests as it may; it did not look at this one.
    #[error("node {to} is too busy")]
    Busy {
        /// The node that was called.
        to: NodeId,
    },
    /// The request was handled, and its answer does not fit in a frame.
    #[error("the answer of node {to} is too large to be sent")]
    AnswerTooLarge {
        /// The node that was called.
        to: NodeId,
    },
    /// No answer came in time. The request, or the answer, may be lost or late.
    #[error("node {to} did not answer within {deadline:?}")]
    DeadlinePassed {
        /// The node that was called.
        to: NodeId,
        /// The time it had.
        deadline: Duration,
    },
    /// This node closes, or its transport has ended.
    #[error("this node takes no more answers")]
    Closed,
}
