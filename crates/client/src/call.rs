//! The calls of the HTTP API, as values.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Serialize;
use tollgate_api::{
    AcquireManyRequest, AcquireRequest, AddNodeRequest, LimitDocument, SettleRequest, SilenceRequest, TestAlertRequest,
};

use crate::BucketQuery;

/// How long a receiver of alerts may take to answer, in milliseconds.
const RECEIVER_MS: u64 = 20_000;

/// One call: what to send, and what may be concluded when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Segments of the path, not yet encoded.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    /// JSON; `None` for a call without a body.
    pub(crate) body: Option<Vec<u8>>,
    /// How long the node may let the request queue before it answers, in milliseconds.
    pub(crate) wait_ms: u64,
    /// Whether carrying it out twice is the same as once, so that it may be repeated when it is
    /// unknown if it was.
    pub(crate) is_idempotent: bool,
    /// Whether a 503 is what was asked for, and not a reason to ask again.
    pub(crate) reports_unavailable: bool,
}

impl Call {
    /// A call that reads or that sets something to a given state.
    fn new<const N: usize>(method: Method, path: [&str; N]) -> Self {
        Self {
            method,
            path: path.map(str::to_owned).into(),
            query: Vec::new(),
            body: None,
            wait_ms: 0,
            is_idempotent: true,
            reports_unavailable: false,
        }
    }

    /// A call that takes or gives units, and would again if it were repeated.
    fn post(path: &str, body: &impl Serialize) -> Self {
        Self { body: Some(json(body)), is_idempotent: false, ..Self::new(Method::POST, ["v1", path]) }
    }

    pub(crate) fn acquire(request: &AcquireRequest) -> Self {
        Self { wait_ms: request.wait_ms, is_idempotent: request.cost == 0, ..Self::post("acquire", request) }
    }

    pub(crate) fn acquire_many(request: &AcquireManyRequest) -> Self {
        let wait_ms = request.requests.iter().map(|request| request.wait_ms).max().unwrap_or(0);
        Self { wait_ms, ..Self::post("acquire_many", request) }
    }

    pub(crate) fn reserve(request: &AcquireRequest) -> Self {
        Self { wait_ms: request.wait_ms, ..Self::post("reserve", request) }
    }

    pub(crate) fn settle(request: &SettleRequest) -> Self {
        Self::post("settle", request)
    }

    pub(crate) fn limits() -> Self {
        Self::new(Method::GET, ["v1", "limits"])
    }

    pub(crate) fn limit(name: &str) -> Self {
        Self::new(Method::GET, ["v1", "limits", name])
    }

    pub(crate) fn put_limit(limit: &LimitDocument) -> Self {
        Self { body: Some(json(limit)), ..Self::new(Method::PUT, ["v1", "limits", &limit.name]) }
    }

    /// Not repeated blindly: if the first was carried out, the second is told that there is no such
    /// limit.
    pub(crate) fn delete_limit(name: &str) -> Self {
        Self { is_idempotent: false, ..Self::new(Method::DELETE, ["v1", "limits", name]) }
    }

    pub(crate) fn bucket(bucket: &BucketQuery) -> Self {
        Self { query: query(bucket), ..Self::new(Method::GET, ["v1", "buckets", &bucket.limit]) }
    }

    /// Not repeated blindly: what was spent since the first would be forgotten by the second.
    pub(crate) fn reset_bucket(bucket: &BucketQuery) -> Self {
        Self { method: Method::DELETE, is_idempotent: false, ..Self::bucket(bucket) }
    }

    pub(crate) fn cluster() -> Self {
        Self::new(Method::GET, ["v1", "cluster"])
    }

    pub(crate) fn add_node(node: &AddNodeRequest) -> Self {
        Self { body: Some(json(node)), ..Self::new(Method::POST, ["v1", "cluster", "nodes"]) }
    }

    /// Not repeated blindly: once it has left, there is no such node.
    pub(crate) fn remove_node(id: u64) -> Self {
        Self { is_idempotent: false, ..Self::new(Method::DELETE, ["v1", "cluster", "nodes", &id.to_string()]) }
    }

    pub(crate) fn drain_node(id: u64) -> Self {
        Self::new(Method::POST, ["v1", "cluster", "nodes", &id.to_string(), "drain"])
    }

    pub(crate) fn undrain_node(id: u64) -> Self {
        Self { method: Method::DELETE, ..Self::drain_node(id) }
    }

    pub(crate) fn stats(endpoint: Option<&str>) -> Self {
        let query = endpoint.map(|endpoint| ("endpoint".to_owned(), endpoint.to_owned())).into_iter().collect();
        Self { query, ..Self::new(Method::GET, ["v1", "stats"]) }
    }

    pub(crate) fn alerts() -> Self {
        Self::new(Method::GET, ["v1", "alerts"])
    }

    /// Not repeated blindly: the receiver would get it twice. It may take as long as a receiver may.
    pub(crate) fn test_alert(request: &TestAlertRequest) -> Self {
        let call = Self::new(Method::POST, ["v1", "alerts", "test"]);
        Self { body: Some(json(request)), is_idempotent: false, wait_ms: RECEIVER_MS, ..call }
    }

    pub(crate) fn explain_alert(rule: &str, labels: &BTreeMap<String, String>) -> Self {
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        let query = std::iter::once(("rule".to_owned(), rule.to_owned())).chain(labels).collect();
        Self { query, ..Self::new(Method::GET, ["v1", "alerts", "explain"]) }
    }

    pub(crate) fn silences() -> Self {
        Self::new(Method::GET, ["v1", "silences"])
    }

    pub(crate) fn add_silence(request: &SilenceRequest) -> Self {
        Self::post("silences", request)
    }

    /// Not repeated blindly: if the first was carried out, the second is told that there is no such silence.
    pub(crate) fn end_silence(id: u64) -> Self {
        Self { is_idempotent: false, ..Self::new(Method::DELETE, ["v1", "silences", &id.to_string()]) }
    }

    pub(crate) fn health() -> Self {
        Self { reports_unavailable: true, ..Self::new(Method::GET, ["health"]) }
    }

    pub(crate) fn ready() -> Self {
        Self { reports_unavailable: true, ..Self::new(Method::GET, ["ready"]) }
    }
}

fn query(bucket: &BucketQuery) -> Vec<(String, String)> {
    let prefix = bucket.prefix.iter().map(|prefix| ("prefix".to_owned(), prefix.clone()));
    let labels = bucket.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    prefix.chain(labels).collect()
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("the types of the API have text keys and no failing serializers")
}
