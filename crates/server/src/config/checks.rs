//! Checks that several sections need. An error names the key in `field` and never its value.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use tollgate_api::FieldError;

use super::Secret;

/// Expects `value` to be in `range`.
pub(super) fn in_range<T: PartialOrd + Debug>(
    field: &str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), FieldError> {
    if range.contains(value) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("must be from {:?} to {:?}", range.start(), range.end())))
    }
}

/// Expects `url` to be one, with one of `schemes` (`https://`).
pub(super) fn url(field: &str, url: &str, schemes: &[&str]) -> Result<(), FieldError> {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    if has_host && !url.contains(|character: char| character.is_whitespace() || character.is_control()) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("must be a URL that begins with one of {}", schemes.join(", "))))
    }
}

/// Expects `secret` to be a URL with one of `schemes`.
pub(super) fn secret_url(field: &str, secret: &Secret, schemes: &[&str]) -> Result<(), FieldError> {
    url(field, secret.expose(), schemes)
}

/// Expects `secret` to say something.
pub(super) fn not_empty(field: &str, secret: &Secret) -> Result<(), FieldError> {
    if secret.expose().is_empty() { Err(FieldError::new(field, "must not be empty")) } else { Ok(()) }
}
