//! A node of a cluster that exists only on paper: it answers calls, and says of the cluster what the test tells it.
#![expect(clippy::disallowed_types, reason = "the tests need a server, and a client's crate has none of its own")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Default)]
struct Played {
    /// Paths that were asked for.
    seen: Mutex<Vec<String>>,
    /// The answer to `GET /v1/cluster`.
    map: Mutex<Value>,
    /// The status that every other call gets; `None` for the answer of a node that is well.
    refusal: Mutex<Option<StatusCode>>,
}

/// The node; it stops with the test's runtime.
pub(crate) struct FakeNode {
    /// Where it listens, as `host:port`.
    pub(crate) http: String,
    played: Arc<Played>,
}

impl FakeNode {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let http = listener.local_addr().expect("it is bound").to_string();
        let played = Arc::new(Played::default());
        let router = Router::new().fallback(play).with_state(Arc::clone(&played));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { http, played }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Has the node say that the cluster is so.
    pub(crate) fn tell(&self, map: &Value) {
        *self.played.map.lock().expect("no handler panics") = map.clone();
    }

    /// Has the node answer every call but that for the map with `status`.
    pub(crate) fn refuse_with(&self, status: StatusCode) {
        *self.played.refusal.lock().expect("no handler panics") = Some(status);
    }

    /// How often `path` was asked for.
    pub(crate) fn seen(&self, path: &str) -> usize {
        self.played.seen.lock().expect("no handler panics").iter().filter(|seen| *seen == path).count()
    }
}

async fn play(State(played): State<Arc<Played>>, method: Method, uri: Uri, _body: Bytes) -> Response {
    played.seen.lock().expect("no handler panics").push(uri.path().to_owned());
    let refusal = *played.refusal.lock().expect("no handler panics");
    match (uri.path(), refusal) {
        ("/v1/cluster", _) => axum_json(&played.map.lock().expect("no handler panics")),
        (_, Some(status)) => {
            let title = status.canonical_reason();
            (status, json!({"title":title,"status":status.as_u16(),"detail":"told so"}).to_string()).into_response()
        }
        ("/v1/limits", None) => axum_json(&json!({"limits":[]})),
        ("/v1/acquire_many", None) => axum_json(&json!({"results":[]})),
        ("/v1/acquire" | "/v1/reserve", None) => axum_json(&allowed()),
        (path, None) => panic!("the test does not play {method} {path}"),
    }
}

fn axum_json(value: &Value) -> Response {
    value.to_string().into_response()
}

/// An answer whose limits are on the shards 0 and 1.
fn allowed() -> Value {
    let limit = |name: &str, shard: u32| json!({"name":name,"allowed":true,"limit":9,"remaining":8,"retry_after_ms":0,"reset_after_ms":6,"shard":shard});
    json!({"allowed":true,"remaining":8,"retry_after_ms":0,"reset_after_ms":6,"degraded":false,
        "limits":[limit("first", 0), limit("second", 1)]})
}

/// A cluster of nodes at these addresses, numbered from 1, of which number `leader` leads shard 0 and nobody shard 1.
pub(crate) fn map(addresses: &[&str], leader: u64) -> Value {
    let node = |(http, id): (&&str, u64)| json!({"id":id,"http":http,"peer":"127.0.0.1:1","alive":true,"leads":0,"duty":"serving"});
    let nodes: Vec<Value> = addresses.iter().zip(1..).map(node).collect();
    json!({"nodes":nodes,"ready":true,"shards":[
        {"id":0,"leader":leader,"replicas":[],"term":1},{"id":1,"leader":null,"replicas":[],"term":1}]})
}
