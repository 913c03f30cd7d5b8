//! Secrets that stand in files of their own, so that the configuration can be shown to anyone.
//!
//! Wherever a key is a secret, the same key with `_file` names a file that holds it. That is resolved in the tree, before
//! it is read into types, so no type needs to know.

use std::path::PathBuf;

use tollgate_api::FieldError;

use super::deserializer;
use super::error::ConfigError;
use super::node::{Node, Value, within};
use super::text_file;

const SUFFIX: &str = "_file";

/// Largest file of a secret: many times the longest key or URL.
const MAX_BYTES: u64 = 64 * 1024;

/// What a file of secrets holds.
#[derive(Clone, Copy)]
enum Holds {
    /// One secret; a line break at its end is not part of it.
    One,
    /// A secret in each line that is not empty.
    Lines,
}

/// Every key that is a secret.
const SECRETS: [(&[&str], Holds); 8] = [
    (&["redis", "url"], Holds::One),
    (&["redis", "failover_urls"], Holds::Lines),
    (&["alerts", "receivers", "slack", "url"], Holds::One),
    (&["alerts", "receivers", "pagerduty", "routing_key"], Holds::One),
    (&["alerts", "receivers", "email", "smtp"], Holds::One),
    (&["alerts", "receivers", "webhook", "url"], Holds::One),
    (&["alerts", "receivers", "webhook", "secret"], Holds::One),
    (&["alerts", "receivers", "alertmanager", "url"], Holds::One),
];

/// Whether the keys say the same thing in two ways: one as it is, the other by a file.
pub(super) fn are_alternatives(left: &str, right: &str) -> bool {
    left.strip_suffix(SUFFIX) == Some(right) || right.strip_suffix(SUFFIX) == Some(left)
}

/// Puts what the files say in place of the keys that name them.
///
/// # Errors
/// A file that cannot be read, and a secret that is given in both ways. The file's name is not told, since it might be
/// the secret itself under the wrong key.
pub(super) fn read_all(tree: &mut Node) -> Result<(), ConfigError> {
    SECRETS.into_iter().try_for_each(|(path, holds)| read_one(tree, path, holds))
}

fn read_one(tree: &mut Node, path: &[&str], holds: Holds) -> Result<(), ConfigError> {
    let Some((key, section)) = path.split_last() else { return Ok(()) };
    let file_key = format!("{key}{SUFFIX}");
    let file_path = [section, &[file_key.as_str()]].concat();
    let Some(node) = tree.take(&file_path) else { return Ok(()) };
    let place = node.place.clone();
    let secret = if tree.at(path).is_some() {
        Err(FieldError::new("", format!("is given beside `{key}`: keep one of them")))
    } else {
        secret_node(node, holds)
    };
    secret
        .map_err(|error| within(&file_path.join("."), error))
        .and_then(|secret| tree.set(path, secret))
        .map_err(|error| ConfigError::of_key(place, error))
}

fn secret_node(node: Node, holds: Holds) -> Result<Node, FieldError> {
    let file: PathBuf = deserializer::read(&node)?;
    let text = text_file::read(&file, MAX_BYTES)
        .map_err(|error| FieldError::new("", format!("names a file that {}", error.problem)))?;
    let text_node = |text: &str| Node { place: node.place.clone(), value: Value::Text(text.to_owned()) };
    Ok(match holds {
        Holds::One => text_node(text.trim_end_matches(['\n', '\r'])),
        Holds::Lines => {
            let lines = text.lines().filter(|line| !line.is_empty()).map(text_node).collect();
            Node { value: Value::List(lines), place: node.place }
        }
    })
}
