//! Why a replay could not be reported.

use std::io;
use std::path::Path;

use super::log_line::LineProblem;
use crate::config::ConfigError;

/// Why a replay could not be reported. Displayed, it is one line that names what is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A label of the command line is one that no request could have.
    #[error("{field}: {problem}")]
    Label {
        /// The label.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The log cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The log, as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The log holds nothing.
    #[error("{file}: it is empty")]
    Empty {
        /// The log, as it was given.
        file: String,
    },
    /// The log holds something else.
    #[error("{file}: not an access log: none of its {lines} lines is a request (line {line}: {problem})")]
    NotALog {
        /// The log, as it was given.
        file: String,
        /// How many lines were read.
        lines: u64,
        /// Number of the first line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The log is gzip and ends, or is damaged, before its first line.
    #[error("{file}: damaged before its first request: {problem}")]
    Damaged {
        /// The log, as it was given.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[from] io::Error),
}

impl ReplayError {
    /// A label of the command line that cannot be.
    pub(super) fn label(name: &str, problem: &str) -> Self {
        Self::Label { field: format!("label {name}"), problem: problem.to_owned() }
    }

    /// The file of a log that the system does not give.
    pub(super) fn unreadable(file: &Path, source: io::Error) -> Self {
        Self::Unreadable { file: file.display().to_string(), source }
    }

    /// A log of which the first line is not a request, and no other is.
    pub(super) fn not_a_log(file: String, lines: u64, line: u64, problem: &LineProblem) -> Self {
        Self::NotALog { file, lines, line, problem: problem.to_string() }
    }
}
