//! The configuration as a tree in which every value knows where it was written.

use std::mem::discriminant;

use tollgate_api::FieldError;

use super::error::Place;
use super::{secret_file, yaml};

/// A value of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where its key was written; where it was itself if it has none.
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing: `key:` or `key: null`.
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    /// The text of a variable or flag, of which only the key that reads it knows whether it means text or YAML.
    Unparsed(String),
    List(Vec<Node>),
    /// In the order of the source, each key once.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A map without keys.
    pub(super) fn empty(place: Place) -> Self {
        Self { place, value: Value::Map(Vec::new()) }
    }

    /// The text of a variable or flag.
    pub(super) fn unparsed(place: Place, text: impl Into<String>) -> Self {
        Self { place, value: Value::Unparsed(text.into()) }
    }

    /// The value of `key`, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value at `path`, if there is one.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Puts `node` at `path` in place of whatever is there; the maps on the way are made where they are missing.
    ///
    /// A key and the same key with `_file` say the same thing in two ways, so one takes the place of the other from a
    /// layer below.
    ///
    /// # Errors
    /// Something on the way that is not a map, which this would silently throw away.
    pub(super) fn set(&mut self, path: &[&str], node: Self) -> Result<(), FieldError> {
        let Some((key, rest)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        self.parse();
        let Value::Map(entries) = &mut self.value else {
            return Err(FieldError::new("", format!("must be a map of keys, since {} sets one of them", node.place)));
        };
        if rest.is_empty() {
            entries.retain(|(name, other)| !(secret_file::are_alternatives(name, key) && other.yields_to(&node)));
        }
        let index = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            entries.push(((*key).to_owned(), Self::empty(node.place.clone())));
            entries.len() - 1
        });
        entries[index].1.set(rest, node).map_err(|error| within(key, error))
    }

    /// Takes the value of the last key of `path` out of the tree.
    pub(super) fn take(&mut self, path: &[&str]) -> Option<Self> {
        let (key, rest) = path.split_first()?;
        self.parse();
        let Value::Map(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|(name, _)| name == key)?;
        if rest.is_empty() { Some(entries.remove(index).1) } else { entries[index].1.take(rest) }
    }

    /// Makes a map of a variable's text that is one, now that a key of it is asked for.
    fn parse(&mut self) {
        if let Value::Unparsed(text) = &self.value
            && let Ok(parsed) = yaml::read_value(&self.place, text)
            && let Value::Map(_) = parsed.value
        {
            *self = parsed;
        }
    }

    /// Whether this is of a layer below that of `node`.
    fn yields_to(&self, node: &Self) -> bool {
        discriminant(&self.place) != discriminant(&node.place)
    }

    /// Where the value at `path` (`limits[2].rate`) was written; if it is missing, where the nearest above it was.
    pub(super) fn place_of(&self, path: &str) -> &Place {
        let below = match &self.value {
            Value::Map(entries) => {
                let fitting = entries.iter().filter_map(|(key, node)| Some((node, below_key(path, key)?)));
                // A key may hold a dot: `a.b` fits better than `a`.
                fitting.min_by_key(|(_, rest)| rest.len())
            }
            Value::List(elements) => below_index(path).and_then(|(index, rest)| Some((elements.get(index)?, rest))),
            _ => None,
        };
        below.map_or(&self.place, |(node, rest)| node.place_of(rest))
    }
}

/// What follows `key` in `path`, if the path begins with that whole key.
fn below_key<'a>(path: &'a str, key: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(key)?;
    rest.strip_prefix('.').or((rest.is_empty() || rest.starts_with('[')).then_some(rest))
}

/// The index with which `path` begins, and what follows it.
fn below_index(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// The same error as seen from the map that has the faulty value under `key`, or the list that has it at `[index]`.
pub(super) fn within(key: &str, error: FieldError) -> FieldError {
    let FieldError { field, problem } = error;
    let separator = if field.is_empty() || field.starts_with('[') { "" } else { "." };
    FieldError { field: format!("{key}{separator}{field}"), problem }
}
