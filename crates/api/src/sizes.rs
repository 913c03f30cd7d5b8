//! The sizes and characters that names and values may have.
//!
//! Every request passes these checks, so they are plain byte loops that allocate only to describe
//! an error. The schemas of the OpenAPI document state the same rules as patterns.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::FieldError;

/// Most labels that a request may carry.
pub const MAX_LABELS: usize = 16;
/// Longest value of a label, in bytes of UTF-8.
pub const MAX_LABEL_VALUE_BYTES: usize = 256;

const MAX_PREFIX_BYTES: usize = 32;
const MAX_ENDPOINT_BYTES: usize = 128;
const MAX_LABEL_NAME_BYTES: usize = 64;

const LABEL_NAME_PATTERN: &str = "^[A-Za-z0-9_.-]{1,64}$";
const LABEL_VALUE_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// Checks a prefix, the namespace of a request: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
///
/// # Errors
/// Names the field `prefix`.
pub fn validate_prefix(prefix: &str) -> Result<(), FieldError> {
    let starts_well = prefix.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    let is_prefix = starts_well && is_made_of(prefix, MAX_PREFIX_BYTES, b"_-");
    check(is_prefix, "prefix", "must be 1 to 32 of A-Z a-z 0-9 _ - and start with a letter or digit")
}

/// Checks an endpoint: `[A-Za-z0-9._/-]{1,128}`, so never a colon.
///
/// # Errors
/// Names the field `endpoint`.
pub fn validate_endpoint(endpoint: &str) -> Result<(), FieldError> {
    let is_endpoint = is_made_of(endpoint, MAX_ENDPOINT_BYTES, b"._/-");
    check(is_endpoint, "endpoint", "must be 1 to 128 of A-Z a-z 0-9 . _ / -")
}

/// Checks labels: at most [`MAX_LABELS`], names `[A-Za-z0-9_.-]{1,64}`, values of at most
/// [`MAX_LABEL_VALUE_BYTES`] without control characters.
///
/// # Errors
/// Names the field `labels`, or `labels.NAME` where one label is at fault.
pub fn validate_labels(labels: &BTreeMap<String, String>) -> Result<(), FieldError> {
    if labels.len() > MAX_LABELS {
        return Err(FieldError::new(
            "labels",
            format!("has {} labels, at most {MAX_LABELS} are allowed", labels.len()),
        ));
    }
    labels.iter().try_for_each(|(name, value)| validate_label(name, value))
}

fn validate_label(name: &str, value: &str) -> Result<(), FieldError> {
    validate_label_name("labels", name)?;
    validate_label_value(value).map_err(|problem| FieldError::new(format!("labels.{name}"), problem))
}

/// Checks the name of a label that was given in the object or list `field`.
pub(crate) fn validate_label_name(field: &str, name: &str) -> Result<(), FieldError> {
    let is_label_name = is_made_of(name, MAX_LABEL_NAME_BYTES, b"_.-");
    check(is_label_name, field, "must have label names of 1 to 64 of A-Z a-z 0-9 _ . -")
}

/// Checks the value of a label, or a pattern for one; the error says what is wrong.
pub(crate) fn validate_label_value(value: &str) -> Result<(), &'static str> {
    if value.len() > MAX_LABEL_VALUE_BYTES {
        return Err("must be at most 256 bytes long");
    }
    if value.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(())
}

/// Checks a pattern for endpoints: one that no endpoint can match would make a limit that never holds.
pub(crate) fn validate_endpoint_pattern(pattern: &str) -> Result<(), &'static str> {
    let is_pattern = is_made_of(pattern, MAX_ENDPOINT_BYTES, b"._/-*");
    if is_pattern { Ok(()) } else { Err("must be 1 to 128 of A-Z a-z 0-9 . _ / - and *, for no endpoint has others") }
}

fn is_made_of(text: &str, max_bytes: usize, punctuation: &[u8]) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || punctuation.contains(&byte);
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn check(holds: bool, field: &str, problem: &str) -> Result<(), FieldError> {
    if holds { Ok(()) } else { Err(FieldError::new(field, problem)) }
}

/// The schema of a request's labels; derived, it could not state the rules for names and values.
pub(crate) fn labels_schema() -> Object {
    let value = string_schema(LABEL_VALUE_PATTERN).max_length(Some(MAX_LABEL_VALUE_BYTES)).build();
    ObjectBuilder::new()
        .description(Some("Names and values of the request's labels; values are at most 256 bytes of UTF-8."))
        .max_properties(Some(MAX_LABELS))
        .property_names(Some(Schema::from(string_schema(LABEL_NAME_PATTERN).build())))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(Schema::from(value)))))
        .build()
}

fn string_schema(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(check: fn(&str) -> Result<(), FieldError>, text: &str) -> bool {
        check(text).is_ok()
    }

    #[test]
    fn prefixes_are_short_names_that_start_with_a_letter_or_digit() {
        for good in ["a", "7", "app", "a_b-c", &"a".repeat(32)] {
            assert!(allowed(validate_prefix, good), "{good:?}");
        }
        for bad in ["", "_a", "-a", "a.b", "a:b", "a b", "é", "a\0", &"a".repeat(33)] {
            assert!(!allowed(validate_prefix, bad), "{bad:?}");
        }
    }

    #[test]
    fn endpoints_are_paths_without_a_colon() {
        for good in ["a", "/", "..", "users/list", "v1.2/a_b-c", &"a".repeat(128)] {
            assert!(allowed(validate_endpoint, good), "{good:?}");
        }
        for bad in ["", "a:b", "a*", "a b", "a?b", "ü", "a\n", &"a".repeat(129)] {
            assert!(!allowed(validate_endpoint, bad), "{bad:?}");
        }
    }

    fn labels_problem(labels: &[(&str, &str)]) -> Option<String> {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        validate_labels(&labels).err().map(|error| error.field)
    }

    #[test]
    fn a_label_error_names_the_label() {
        let (longest, too_long) = ("v".repeat(256), "é".repeat(129));
        for (labels, field) in [
            (vec![], None),
            (vec![("user", ""), ("a.b_c-d", "Zoë 🦀")], None),
            (vec![("user", longest.as_str())], None),
            (vec![("user", too_long.as_str())], Some("labels.user")),
            (vec![("a", "fine"), ("user", "a\u{7f}")], Some("labels.user")),
            (vec![("user", "a\u{85}b")], Some("labels.user")),
            (vec![("", "a")], Some("labels")),
            (vec![("us er", "a")], Some("labels")),
        ] {
            assert_eq!(labels_problem(&labels).as_deref(), field, "{labels:?}");
        }
    }

    #[test]
    fn seventeen_labels_are_too_many() {
        let names: Vec<String> = (0..17).map(|number| format!("l{number}")).collect();
        let labels: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(labels_problem(&labels[..16]), None);
        assert_eq!(labels_problem(&labels).as_deref(), Some("labels"));
    }
}
