//! What a request's path and query name.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

use super::respond::{ProblemResponse, bad_request};

/// The name at the end of a path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|error| bad_request(format!("the path: {}", error.body_text())))
    }
}

/// The names and values of a query, in its order.
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| bad_request(format!("the query: {}", error.body_text())))?;
        // What is no UTF-8 is decoded to this character, and would be one label value for many.
        let is_odd = |(name, value): &&(String, String)| [name, value].iter().any(|text| text.contains('\u{fffd}'));
        match pairs.iter().find(is_odd) {
            None => Ok(Self(pairs)),
            Some((name, _)) => Err(bad_request(format!("the query: {name:?} is not UTF-8"))),
        }
    }
}
