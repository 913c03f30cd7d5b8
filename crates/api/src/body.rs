//! From the bytes of a body to a value, with errors that say which field is wrong.
//!
//! Almost every body is right, so the first pass only reads. A body that is wrong is read a second
//! time by a parser that remembers where it is, which the first pass would pay for on every
//! request.

use serde::Deserialize;

use crate::object::Object;

/// Longest text that an error quotes, in bytes: it may hold a key or value of the body, which can
/// be a megabyte.
const MAX_QUOTED_BYTES: usize = 512;

/// Why a body could not be read. Both are the sender's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes are not JSON, or are followed by something else.
    #[error("the body is not JSON: {}{problem}", lead(field.as_deref()))]
    NotJson {
        /// The field whose value is not JSON, such as `cost` for `{"cost":NaN}`; `None` if it is not in a value.
        field: Option<String>,
        /// What the parser met and where, as line and column.
        problem: String,
    },
    /// The bytes are JSON, but not what the call takes.
    #[error("{}{problem}", lead(field.as_deref()))]
    WrongShape {
        /// The field at fault, such as `requests[3].cost`; `None` if it is the body as a whole.
        field: Option<String>,
        /// What was met and what was expected.
        problem: String,
    },
}

/// Reads `body` as the JSON object that `T` is made from.
///
/// # Errors
/// [`BodyError`], which names the field if it is one field that is wrong. Its text is short whatever the body holds.
pub fn parse_json<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BodyError> {
    match serde_json::from_slice(body) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(locate::<T>(body).unwrap_or_else(|| describe(None, &error))),
    }
}

/// The error of reading `body` again while keeping track of the path; `None` if what is wrong comes after the object.
fn locate<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Option<BodyError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let error = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer).err()?;
    Some(describe(known_path(error.path()), error.inner()))
}

/// The path without the `?` that stands for a key that could not be read; `None` for the body as a whole.
fn known_path(path: &serde_path_to_error::Path) -> Option<String> {
    let path = path.to_string();
    let known = path.strip_suffix('?').unwrap_or(&path).trim_end_matches('.');
    (!known.is_empty()).then(|| known.to_owned())
}

fn describe(path: Option<String>, error: &serde_json::Error) -> BodyError {
    let problem = error.to_string();
    let field = field_at_fault(path, &problem).map(clip);
    // A number such as `1e400` is JSON, only beyond what the parser can hold.
    if error.is_data() || problem.starts_with("number out of range") {
        return BodyError::WrongShape { field, problem: clip(problem) };
    }
    BodyError::NotJson { field, problem: clip(problem) }
}

/// The path ends at the object that lacks a field or has it twice, not at the field; the message then knows its name.
fn field_at_fault(path: Option<String>, problem: &str) -> Option<String> {
    let starts = ["missing field `", "duplicate field `", "duplicate label `"];
    let rest = starts.into_iter().find_map(|start| problem.strip_prefix(start));
    let Some(name) = rest.and_then(|rest| rest.split('`').next()) else { return path };
    Some(path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}")))
}

fn lead(field: Option<&str>) -> String {
    field.map(|field| format!("{field}: ")).unwrap_or_default()
}

fn clip(mut text: String) -> String {
    if text.len() > MAX_QUOTED_BYTES {
        text.truncate(text.floor_char_boundary(MAX_QUOTED_BYTES));
        text.push('…');
    }
    text
}
