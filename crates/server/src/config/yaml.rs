//! YAML text as a tree of nodes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use super::error::{ConfigError, Place};
use super::node::{Node, Value};

/// Deepest nesting; the configuration needs six levels, and the reading of one takes stack.
const MAX_DEPTH: usize = 32;
/// Most values, those that aliases repeat included: three times what fits in the largest file without aliases.
const MAX_NODES: usize = 1_000_000;
/// Most values that aliases may repeat, so that a short file cannot stand for a long one.
const MAX_REPEATED: usize = 100_000;

/// Up to here, 2⁵³, every whole number is a float of its own.
const TWO_POW_53: f64 = 9_007_199_254_740_992.0;

/// Why a text is not YAML.
pub(super) struct SyntaxError {
    /// Line and column, counted from 1, if they are known.
    position: Option<(u64, u64)>,
    /// One line without any value of the text.
    pub(super) problem: String,
}

/// The tree of the file's text; a text without any value is an empty map.
///
/// # Errors
/// What is not YAML, a key that is given twice, and aliases that repeat too much.
pub(super) fn read_file(file: &Arc<PathBuf>, text: &str) -> Result<Node, ConfigError> {
    let place = |position| Place::of_file(file, Some(position));
    let spanned = parse(text).map_err(|error| ConfigError::new(Place::of_file(file, error.position), error.problem))?;
    let position = (spanned.referenced.line().max(1), spanned.referenced.column().max(1));
    Ok(match spanned.value {
        Raw::Null => Node::empty(place(position)),
        raw => raw.at(position, &place),
    })
}

/// The tree of a piece of YAML that stands in a variable or flag, all of it at `place`.
///
/// # Errors
/// As [`read_file`].
pub(super) fn read_value(place: &Place, text: &str) -> Result<Node, SyntaxError> {
    Ok(parse(text)?.value.at((1, 1), &|_| place.clone()))
}

fn parse(text: &str) -> Result<Spanned<Raw>, SyntaxError> {
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| SyntaxError { position: error.location().map(position_of), problem: problem_of(&error) })
}

fn problem_of(error: &Error) -> String {
    match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => "the key is given twice in its map".to_owned(),
        Error::Budget { .. } => "is too large or nested too deeply".to_owned(),
        Error::AliasError { error, .. } => problem_of(error),
        Error::AliasReplayLimitExceeded { .. } => "repeats too much by aliases".to_owned(),
        other => format!("is not valid YAML: {}", UserMessageFormatter.format_message(other)),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED },
        strict_booleans: true,
        with_snippet: false,
    }
}

fn position_of(location: Location) -> (u64, u64) {
    (location.line(), location.column())
}

/// A value as the parser sees it.
enum Raw {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn at(self, position: (u64, u64), place: &impl Fn((u64, u64)) -> Place) -> Node {
        let value = match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Unsigned(number) => Value::Unsigned(number),
            Self::Signed(number) => Value::Signed(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Text(text),
            Self::List(elements) => {
                let node = |element: Spanned<Self>| element.value.at(position_of(element.referenced), place);
                Value::List(elements.into_iter().map(node).collect())
            }
            Self::Map(entries) => {
                let node =
                    |(key, raw): (Spanned<String>, Self)| (key.value, raw.at(position_of(key.referenced), place));
                Value::Map(entries.into_iter().map(node).collect())
            }
        };
        Node { place: place(position), value }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
        Ok(u64::try_from(number).map_or(Raw::Signed(number), Raw::Unsigned))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Raw, E> {
        // Whoever writes 1e6 means a whole number.
        let is_whole = (0.0..TWO_POW_53).contains(&number) && number.fract() == 0.0;
        Ok(if is_whole { Raw::Unsigned(number as u64) } else { Raw::Float(number) })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
