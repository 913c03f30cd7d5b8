//! What is wrong with the configuration, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_api::FieldError;

/// Longest part of a key that is shown; a key can be as long as the file.
const MAX_KEY_CHARACTERS: usize = 200;

/// A mistake in the configuration. Displayed, it is one line that holds no value of the configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// Where it is.
    pub place: Place,
    /// What is wrong and what would be right, after the key's path if one key is at fault.
    pub problem: String,
}

/// Where a setting comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// It was not written anywhere.
    Default,
    /// A file as a whole.
    File(Arc<PathBuf>),
    /// A line and column of a file, both counted from 1.
    Line {
        /// The file.
        file: Arc<PathBuf>,
        /// The line.
        line: u64,
        /// The column, in characters.
        column: u64,
    },
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

impl Place {
    /// The line and column of `file`, if they are known.
    pub(super) fn of_file(file: &Arc<PathBuf>, position: Option<(u64, u64)>) -> Self {
        let file = Arc::clone(file);
        match position {
            Some((line, column)) => Self::Line { file, line, column },
            None => Self::File(file),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("defaults"),
            Self::File(file) => write!(formatter, "{}", file.display()),
            Self::Line { file, line, column } => write!(formatter, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}

impl ConfigError {
    /// A mistake that is not about one key.
    pub(super) fn new(place: Place, problem: impl Into<String>) -> Self {
        Self { place, problem: problem.into() }
    }

    /// A mistake in a key, which was written at `place`.
    pub(super) fn of_key(place: Place, error: FieldError) -> Self {
        let FieldError { field, problem } = error;
        let problem = if field.is_empty() { problem } else { format!("{}: {problem}", on_one_line(&field)) };
        Self { place, problem }
    }
}

/// A key's path without what could break the line it is shown in.
fn on_one_line(key: &str) -> String {
    let mut shown: String = key.chars().take(MAX_KEY_CHARACTERS).flat_map(visible).collect();
    if key.chars().nth(MAX_KEY_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let (escaped, plain) = if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        (Some(character.escape_default()), None)
    } else {
        (None, Some(character))
    };
    escaped.into_iter().flatten().chain(plain)
}
