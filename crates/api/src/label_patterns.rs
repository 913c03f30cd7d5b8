//! The values of one label that a limit matches.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// One pattern or several, of which one must match; in each, `*` stands for any text. Never empty.
///
/// One is written as a text, several as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPatterns(Vec<String>);

impl LabelPatterns {
    /// These patterns; `None` if there are none.
    pub fn new(patterns: Vec<String>) -> Option<Self> {
        (!patterns.is_empty()).then_some(Self(patterns))
    }

    /// The patterns, of which there is at least one, as they were written.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl From<String> for LabelPatterns {
    fn from(pattern: String) -> Self {
        Self(vec![pattern])
    }
}

impl fmt::Display for LabelPatterns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("|"))
    }
}

impl Serialize for LabelPatterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [pattern] => serializer.serialize_str(pattern),
            patterns => patterns.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LabelPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternsVisitor)
    }
}

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = LabelPatterns;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text such as `search` or \"42\", or a list of such texts")
    }

    fn visit_str<E: de::Error>(self, pattern: &str) -> Result<LabelPatterns, E> {
        Ok(pattern.to_owned().into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<LabelPatterns, A::Error> {
        let mut patterns = Vec::new();
        while let Some(pattern) = texts.next_element()? {
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err(de::Error::invalid_length(0, &"at least one text, for an empty list would match nothing"));
        }
        Ok(LabelPatterns(patterns))
    }
}

impl PartialSchema for LabelPatterns {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        OneOfBuilder::new()
            .description(Some("One pattern or several, of which one must match; `*` stands for any text."))
            .item(text.clone())
            .item(ArrayBuilder::new().items(text).min_items(Some(1)))
            .into()
    }
}

impl ToSchema for LabelPatterns {}
