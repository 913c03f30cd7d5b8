//! Reads a request's body, up to a size and for a time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tollgate_api::{Problem, parse_json};

use super::respond::{ProblemResponse, problem};

/// The largest body that is read.
const MAX_BYTES: usize = 1 << 20;

/// How much of a body that is too large is thrown away before the answer: a client that only reads once it has written still
/// sees the answer, and one that never ends does not keep us.
const MAX_DISCARDED_BYTES: usize = 32 << 20;

/// How long a body may take. A client that is slower holds a connection for nothing.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long the rest of a body that is too large is read before it is refused.
const DISCARD_DEADLINE: Duration = Duration::from_secs(1);

/// A body that is JSON of type `T`, whatever its content type: `curl -d` sends none that fits.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ProblemResponse> {
        let body = read(request).await.map_err(ProblemResponse)?;
        parse_json(&body).map(Self).map_err(|error| ProblemResponse(error.into()))
    }
}

/// A body as it came.
pub(super) struct Raw(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ProblemResponse> {
        read(request).await.map(Self).map_err(ProblemResponse)
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let request_waits = request.headers().contains_key(EXPECT);
    let body = request.into_body();
    if announced.is_some_and(|announced: usize| announced > MAX_BYTES) {
        // Who waits for a word before sending it gets this one; who sends it at once has it read first, or would not see the answer.
        if !request_waits {
            tokio::time::timeout(DISCARD_DEADLINE, discard(body, 0)).await.ok();
        }
        return Err(too_large());
    }
    match tokio::time::timeout(DEADLINE, collect(body, announced.unwrap_or(0))).await {
        Ok(result) => result,
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", DEADLINE.as_secs());
            Err(problem(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("a body may have {MAX_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE.as_u16(), "Content Too Large", detail)
}

async fn collect(mut body: Body, announced: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::with_capacity(announced.min(MAX_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| problem(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BYTES {
            discard(body, bytes.len() + data.len()).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

async fn discard(mut body: Body, mut read: usize) {
    while read < MAX_DISCARDED_BYTES {
        let Some(Ok(frame)) = body.frame().await else { return };
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
