//! Reading a limit from a file or from standard input.

use std::io;

use tollgate_api::LimitDocument;

use super::Failure;

/// Stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Reads the limit in `file`. One parser reads both notations: YAML 1.2 contains JSON.
///
/// # Errors
/// [`Failure::Unreadable`] and [`Failure::NotALimit`].
pub(super) fn read(file: &str) -> Result<LimitDocument, Failure> {
    let text = read_text(file).map_err(|source| Failure::Unreadable { file: file.to_owned(), source })?;
    let not_a_limit = |problem: String| Failure::NotALimit { file: file.to_owned(), problem };
    let limit: LimitDocument =
        serde_saphyr::from_str(&text).map_err(|error| not_a_limit(error.without_snippet().to_string()))?;
    if limit.name.is_empty() {
        return Err(not_a_limit("the limit needs a `name`".to_owned()));
    }
    Ok(limit)
}

fn read_text(file: &str) -> io::Result<String> {
    if file == STANDARD_INPUT { io::read_to_string(io::stdin().lock()) } else { std::fs::read_to_string(file) }
}
