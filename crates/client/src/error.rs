//! Why a call has no answer.

use tollgate_api::Problem;

/// Why a call has no answer. A denial is not an error but an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address of the node cannot be used.
    #[error("`{url}` is not the address of a node: {problem}")]
    InvalidUrl {
        /// The address as it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The client could not be made, whatever the address.
    #[error("cannot set up the HTTP client: {problem}")]
    Setup {
        /// What the system said.
        problem: String,
    },
    /// A limit's name cannot stand in a path.
    #[error("`{name}` cannot be the name of a limit")]
    InvalidName {
        /// The name as it was given.
        name: String,
    },
    /// No connection could be made, so the node has not seen the call.
    #[error("cannot connect to {url}: {problem}")]
    Connect {
        /// Address of the node.
        url: String,
        /// What the system said.
        problem: String,
    },
    /// The connection broke before the answer was complete. The call may or may not have been
    /// carried out.
    #[error("lost the connection to {url}: {problem}")]
    Interrupted {
        /// Address of the node.
        url: String,
        /// What the system said.
        problem: String,
    },
    /// The deadline passed before the answer was complete. The call may or may not have been
    /// carried out.
    #[error("no answer from {url} within {deadline_ms} ms")]
    Deadline {
        /// Address of the node.
        url: String,
        /// How long the client waited, in milliseconds.
        deadline_ms: u128,
    },
    /// The node answered that it did not carry out the call.
    #[error("{0}")]
    Refused(Problem),
    /// Something answered, but not as a node does.
    #[error("the answer, with status {status}, is not one of Tollgate's: {problem}")]
    Garbled {
        /// Status of the answer.
        status: u16,
        /// Where it differs from what a node answers.
        problem: String,
    },
}
