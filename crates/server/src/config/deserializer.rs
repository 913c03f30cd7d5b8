//! Reads nodes into types.
//!
//! A deserializer of our own, because of its errors: they speak of keys, lists and texts rather than of Rust's types,
//! suggest the key that was meant, carry the path, and never quote a value, which might be a secret.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use tollgate_api::FieldError;

use super::node::{Node, Value, within};
use super::yaml;

/// Reads the tree `node`.
///
/// # Errors
/// The path of the first value that is unknown, missing, or not of its type, and what it should be.
pub(super) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, FieldError> {
    T::deserialize(node).map_err(|Mistake(error)| error)
}

/// An error and the path of the value at fault, as seen from the node that is being read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Mistake(FieldError);

impl Mistake {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(FieldError::new(field, problem))
    }

    fn within(self, key: &str) -> Self {
        Self(within(key, self.0))
    }
}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new("", problem.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match unexpected {
            Unexpected::Unit => Self::new("", "has no value: give it one or leave the key out"),
            _ => Self::new("", format!("must be {}", in_plain_words(&expected.to_string()))),
        }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new("", format!("must be {}", in_plain_words(&expected.to_string())))
    }

    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::new("", format!("must have {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new("", one_of(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let problem = nearest(field, expected).map_or_else(
            || format!("is not a key here, where there are {}", expected.join(", ")),
            |meant| format!("is not a key: did you mean `{meant}`?"),
        );
        Self::new(field, problem)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(field, "is missing")
    }
}

fn one_of(variants: &[&str]) -> String {
    let quoted: Vec<_> = variants.iter().map(|variant| format!("`{variant}`")).collect();
    format!("must be one of {}", quoted.join(", "))
}

/// What serde calls the types that a configuration is made of, in words that people know.
fn in_plain_words(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "u32" | "u64" => "a whole number that is not negative",
        "f64" => "a number",
        other => other,
    }
}

/// The known name that was probably meant: at most a third of its letters are wrong.
pub(super) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |key: &str| strsim::osa_distance(written, key);
    let closest = known.iter().copied().min_by_key(|key| distance(key))?;
    (distance(closest) <= closest.len().div_ceil(3)).then_some(closest)
}

impl Node {
    /// Reads what the text of a variable or flag says in YAML.
    fn parsed(&self, text: &str) -> Result<Self, Mistake> {
        yaml::read_value(&self.place, text).map_err(|error| Mistake::new("", error.problem))
    }

    fn unexpected(&self) -> Unexpected<'_> {
        match &self.value {
            Value::Null => Unexpected::Unit,
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
            Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => Unexpected::Other("a scalar"),
            Value::Text(_) | Value::Unparsed(_) => Unexpected::Other("a text"),
        }
    }
}

impl<'de> Deserializer<'de> for &Node {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(number) => visitor.visit_u64(*number),
            Value::Signed(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::Unparsed(text) => self.parsed(text)?.deserialize_any(visitor),
            Value::List(elements) => visitor.visit_seq(Elements { rest: elements, index: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries, value: None }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Unparsed(text) => visitor.visit_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            Value::Unparsed(text) => self.parsed(text)?.deserialize_map(visitor),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    /// A struct is written as a map; serde would also read it from a list, by position.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Text(text) | Value::Unparsed(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Null => Err(de::Error::invalid_type(Unexpected::Unit, &visitor)),
            _ => Err(Mistake::new("", one_of(variants))),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        ignored_any
    }
}

/// The elements of a list that are still to be read.
struct Elements<'a> {
    rest: &'a [Node],
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some((node, rest)) = self.rest.split_first() else { return Ok(None) };
        let element = seed.deserialize(node).map_err(|error| error.within(&format!("[{}]", self.index)))?;
        *self = Self { rest, index: self.index + 1 };
        Ok(Some(element))
    }
}

/// The entries of a map that are still to be read.
struct Entries<'a> {
    rest: &'a [(String, Node)],
    /// The entry whose key has been read and whose value has not.
    value: Option<&'a (String, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((entry, rest)) = self.rest.split_first() else { return Ok(None) };
        *self = Self { rest, value: Some(entry) };
        let (key, node) = entry;
        let key_node = Node::unparsed(node.place.clone(), key.as_str());
        // An unknown key has been named already.
        let name = |error: Mistake| if error.0.field.is_empty() { error.within(key) } else { error };
        seed.deserialize(&key_node).map(Some).map_err(name)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mistake> {
        let (key, node) = self.value.take().expect("serde reads a value only after its key");
        seed.deserialize(node).map_err(|error| error.within(key))
    }
}
