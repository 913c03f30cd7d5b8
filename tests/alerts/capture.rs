//! A server in the place of all receivers: it answers as a test says, and remembers what it was sent.
#![expect(clippy::disallowed_types, reason = "a server is made of sockets")]

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answering {
    /// What the receiver says when all is well.
    Fine,
    /// The same, this much later.
    Late(Duration),
    /// This status, these headers, each with its line break, and this body.
    Says(u16, &'static str, &'static str),
    /// This status, and all that it was sent.
    Echoes(u16),
    /// Nothing, for as long as the sender waits.
    Holds,
    /// Closes the connection.
    HangsUp,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// The node that sent it.
    pub(crate) node: usize,
    /// The receiver that it was for, by its name in the configuration.
    pub(crate) receiver: String,
    pub(crate) head: String,
    pub(crate) body: Value,
    /// Whether the sender was answered that it arrived.
    pub(crate) is_taken: bool,
}

/// Paths begin with `/n<node>/<receiver>`, so each request says by whom it was sent and for whom. Ends when it is dropped.
pub(crate) struct Capture {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// What each receiver does, one after the other and then always the last.
    answers: Mutex<BTreeMap<String, VecDeque<Answering>>>,
    is_deaf: AtomicBool,
    /// How many connections were accepted of which nothing is read.
    unread: AtomicUsize,
}

impl Capture {
    /// Listens on all addresses, so that nodes in other network namespaces reach it.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    /// What a receiver does from now on, one after the other and then always the last.
    pub(crate) fn answers(&self, receiver: &str, answers: &[Answering]) {
        self.shared.answers().insert(receiver.to_owned(), answers.iter().copied().collect());
    }

    /// Takes connections and reads nothing of them, as long as this is so; what came meanwhile is never read.
    pub(crate) fn is_deaf(&self, is_deaf: bool) {
        self.shared.is_deaf.store(is_deaf, Ordering::Relaxed);
    }

    /// How many connections were taken of which nothing is read.
    pub(crate) fn unread(&self) -> usize {
        self.shared.unread.load(Ordering::Relaxed)
    }

    /// What was sent, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// What was sent to one receiver, in order.
    pub(crate) fn seen_by(&self, receiver: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.receiver == receiver).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<Answering>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_answer(&self, receiver: &str) -> Answering {
        let mut answers = self.answers();
        let Some(answers) = answers.get_mut(receiver) else { return Answering::Fine };
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        next.unwrap_or(Answering::Fine)
    }

    /// Remembers a request and returns its number.
    fn remember(&self, seen: Seen) -> usize {
        let mut all = self.seen();
        all.push(seen);
        all.len() - 1
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            if shared.is_deaf.load(Ordering::Relaxed) {
                shared.unread.fetch_add(1, Ordering::Relaxed);
                pending::<()>().await;
            }
            // A sender that goes away while it is served is what some tests are about.
            drop(serve(connection, &shared).await);
        });
    }
}

/// Serves one request; each connection has only one.
async fn serve(mut connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (head, body) = read_request(&mut connection).await?;
    let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut parts = path.trim_start_matches("/n").split('/');
    let node = parts.next().and_then(|node| node.parse().ok()).unwrap_or(0);
    let receiver = parts.next().unwrap_or_default().to_owned();
    // What an Alertmanager is asked for before it is told of an end is no message.
    if head.starts_with("GET ") {
        return write(&mut connection, 200, "", b"[]").await;
    }
    let answering = shared.next_answer(&receiver);
    let echo = [head.as_bytes(), &body].concat();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let number =
        shared.remember(Seen { at: Instant::now(), node, receiver: receiver.clone(), head, body, is_taken: false });
    let (status, said) = if receiver == "pagerduty" { (202, "{}") } else { (200, "ok") };
    match answering {
        Answering::Holds => pending().await,
        Answering::HangsUp => return Ok(()),
        Answering::Says(status, headers, body) => {
            return write(&mut connection, status, headers, body.as_bytes()).await;
        }
        Answering::Echoes(status) => return write(&mut connection, status, "", &echo).await,
        Answering::Late(pause) => sleep(pause).await,
        Answering::Fine => {}
    }
    write(&mut connection, status, "", said.as_bytes()).await?;
    shared.seen()[number].is_taken = true;
    Ok(())
}

async fn write(connection: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    connection.write_all(&[head.as_bytes(), body].concat()).await
}

/// Reads the head of a request and as much of a body as it announces.
async fn read_request(connection: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut request = Vec::new();
    loop {
        if connection.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if request.len() >= end + 4 + length {
            return Ok((head, request[end + 4..].to_vec()));
        }
    }
}
