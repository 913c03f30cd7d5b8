//! Reads a file that should hold text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file gives no text. Says nothing of what is in it.
pub(super) struct TextFileError {
    /// Line and column, counted from 1, of the first byte that is not text, if that is the problem.
    pub(super) position: Option<(u64, u64)>,
    pub(super) problem: String,
}

impl TextFileError {
    fn new(problem: impl Into<String>) -> Self {
        Self { position: None, problem: problem.into() }
    }
}

impl From<io::Error> for TextFileError {
    fn from(error: io::Error) -> Self {
        Self::new(format!("cannot be read: {error}"))
    }
}

/// The text of the file at `path`, of which no more than `max_bytes` are read.
///
/// # Errors
/// A file that is a directory, cannot be read, is larger, or is not UTF-8.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<String, TextFileError> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(TextFileError::new("is a directory, not a file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(TextFileError::new(format!("is larger than {} KiB", max_bytes / 1024)));
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))
}

fn not_utf8(bytes: &[u8], valid_bytes: usize) -> TextFileError {
    let before = String::from_utf8_lossy(&bytes[..valid_bytes]);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) as u64 + 1;
    TextFileError { position: Some((line, column)), problem: "is not UTF-8".to_owned() }
}
