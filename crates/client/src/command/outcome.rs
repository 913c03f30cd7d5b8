//! What a command comes to.

use super::Failure;

/// What a command prints, and what it comes to.
#[derive(Debug)]
pub struct Outcome {
    /// For standard output: empty, or whole lines.
    pub text: String,
    /// The exit code's meaning.
    pub verdict: Result<Verdict, Failure>,
}

/// What a node's answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed, done or healthy; exit code 0.
    Yes,
    /// Denied, or not able to serve; exit code 1.
    No,
}

impl Outcome {
    pub(super) fn failed(failure: impl Into<Failure>) -> Self {
        Self { text: String::new(), verdict: Err(failure.into()) }
    }

    /// The same outcome with `body` to print, ended by a line break. A refusal prints it too: a
    /// script that asked for JSON gets the problem document.
    pub(super) fn with_raw(self, body: &[u8]) -> Self {
        let mut text = String::from_utf8_lossy(body).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { text, ..self }
    }
}

impl Verdict {
    /// Yes if it `holds`.
    pub(super) fn from_bool(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
