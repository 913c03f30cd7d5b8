//! A real HTTP server on loopback that answers from a script and remembers what it was asked.
#![expect(clippy::disallowed_types, reason = "the tests need a server, and a client's crate has none of its own")]
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod fake_node;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// One answer of the script.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    header: Option<(&'static str, String)>,
    body: String,
}

/// The answer `status` with `body`; without one if it is null.
pub(crate) fn answer(status: u16, body: &Value) -> Answer {
    Answer::text(status, &if body.is_null() { String::new() } else { body.to_string() })
}

impl Answer {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, header: None, body: body.to_owned() }
    }

    pub(crate) fn with_header(self, name: &'static str, value: &str) -> Self {
        Self { header: Some((name, value.to_owned())), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("the script has statuses");
        (status, AppendHeaders(self.header), self.body).into_response()
    }
}

type Seen = Arc<Mutex<Vec<String>>>;

/// The server; it stops with the test's runtime.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) url: String,
    seen: Seen,
}

impl Scripted {
    /// A server that gives these answers in turn, and then 500.
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let (listener, url) = listen().await;
        let seen = Seen::default();
        let script: VecDeque<Answer> = script.into_iter().collect();
        let state = (Arc::new(Mutex::new(script)), seen.clone());
        let router = Router::new().fallback(respond).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// A server that takes requests and never answers.
    pub(crate) async fn silent() -> Self {
        let (listener, url) = listen().await;
        let router = Router::new().fallback(std::future::pending::<Response>);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen: Seen::default() }
    }

    /// A server that reads from each connection and then hangs up.
    pub(crate) async fn hanging_up() -> Self {
        let (listener, url) = listen().await;
        let seen = Seen::default();
        tokio::spawn(hang_up_on_everyone(listener, seen.clone()));
        Self { url, seen }
    }

    /// What was asked, in order: method, path and query, and the body if there is one, as JSON
    /// without spaces and with sorted keys.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no handler panics").clone()
    }
}

/// An address where nobody listens: port 1 is never given out to those who ask for any free port.
pub(crate) fn refusing_url() -> String {
    "http://127.0.0.1:1".to_owned()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    (listener, url)
}

type Script = Arc<Mutex<VecDeque<Answer>>>;

async fn respond(State((script, seen)): State<(Script, Seen)>, method: Method, uri: Uri, body: Bytes) -> Answer {
    seen.lock().expect("no handler panics").push(describe(&method, &uri, &body));
    let next = script.lock().expect("no handler panics").pop_front();
    next.unwrap_or_else(|| Answer::text(500, "the script is over"))
}

fn describe(method: &Method, uri: &Uri, body: &[u8]) -> String {
    if body.is_empty() {
        return format!("{method} {uri}");
    }
    let body: Value = serde_json::from_slice(body).expect("clients send JSON");
    format!("{method} {uri} {body}")
}

async fn hang_up_on_everyone(listener: TcpListener, seen: Seen) {
    while let Ok((connection, _)) = listener.accept().await {
        seen.lock().expect("nothing panics").push("a connection".to_owned());
        read_some(&connection).await;
    }
}

async fn read_some(connection: &TcpStream) {
    let _ = connection.readable().await;
    let _ = connection.try_read(&mut [0; 4096]);
}
