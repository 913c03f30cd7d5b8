//! Servers that answer as a test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A server of HTTP that remembers what it was asked.
pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What a server answers, one after the other and then always the last: a status, and a body or a `Name: value` before it.
#[derive(Clone)]
struct Script {
    answers: Arc<Vec<(u16, String)>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// What it was asked, in order.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// The bodies that it got, in order.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.seen().iter().map(|seen| serde_json::from_slice(&seen.body).expect("JSON")).collect()
    }
}

/// A server that gives these answers. `retry-after: 7` for a body is a header.
pub(super) async fn answering(answers: &[(u16, &str)]) -> Server {
    let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let script = Script { answers: Arc::new(answers), seen: Arc::default() };
    let seen = Arc::clone(&script.seen);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let router = Router::new().fallback(answer).with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { url, seen }
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let mut seen = script.seen.lock().expect("no test panics while it holds this");
    // What an Alertmanager is asked for before it is told something is not of interest.
    if method == Method::GET {
        return (StatusCode::OK, HeaderMap::new(), "[]".to_owned());
    }
    let (status, said) = script.answers[seen.len().min(script.answers.len() - 1)].clone();
    seen.push(Seen { path: uri.path().to_owned(), headers, body: body.to_vec() });
    let mut headers = HeaderMap::new();
    let said = match said.split_once("retry-after: ") {
        Some((_, pause)) => {
            headers.insert("retry-after", pause.parse().expect("a header"));
            String::new()
        }
        None => said,
    };
    (StatusCode::from_u16(status).expect("a status"), headers, said)
}

/// What a server does with a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Hangs up at once.
    HangUp,
    /// Reads the request and hangs up.
    ReadAndHangUp,
    /// Reads the request and says nothing.
    SayNothing,
    /// Reads the request and says this, and no more.
    Say(&'static str),
    /// Reads the request and answers with this status and a body that never ends.
    Stream(&'static str),
    /// Reads the request, answers with this status and the beginning of a body, and says nothing more.
    Stall(&'static str),
    /// Answers with this status and all that the request said.
    Echo(&'static str),
}

/// A server that does this with each connection.
pub(super) async fn acting(act: Act) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move { act_on(connection, act).await });
        }
    });
    format!("http://{address}")
}

async fn act_on(mut connection: TcpStream, act: Act) -> std::io::Result<()> {
    if matches!(act, Act::HangUp) {
        return Ok(());
    }
    let request = read_request(&mut connection).await?;
    match act {
        Act::HangUp | Act::ReadAndHangUp => Ok(()),
        Act::SayNothing => std::future::pending().await,
        Act::Say(words) => connection.write_all(words.as_bytes()).await,
        Act::Stream(status) => {
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            connection.write_all(head.as_bytes()).await?;
            loop {
                connection.write_all(&[b'z'; 4096]).await?;
            }
        }
        Act::Stall(status) => {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 9\r\n\r\nok");
            connection.write_all(head.as_bytes()).await?;
            std::future::pending().await
        }
        Act::Echo(status) => {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", request.len());
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(&request).await
        }
    }
}

/// Reads the head of a request and as much of a body as it announces.
async fn read_request(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        connection.read_buf(&mut request).await?;
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Ok(request);
            }
        }
    }
}
