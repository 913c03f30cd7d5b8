//! Why a command could not be carried out.

use std::io;

use crate::Error;

/// Why a command could not be carried out; its text, made one line, is what standard error shows.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The node gave no answer, or refused.
    #[error(transparent)]
    Call(#[from] Error),
    /// `--label` named the same label twice.
    #[error("the label `{name}` is given twice")]
    RepeatedLabel {
        /// The label.
        name: String,
    },
    /// The file of a limit could not be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a limit holds something else.
    #[error("{file}: {problem}")]
    NotALimit {
        /// The file as it was given.
        file: String,
        /// What is wrong with it, and where.
        problem: String,
    },
}
