//! A load of requests over connections that stay open.
#![expect(clippy::disallowed_types, reason = "a load generator connects and takes real time")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::routing::post;
use axum::{Json, Router};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::process::Server;

/// How much is asked.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Connections at once, each with one request under way, spread evenly over the targets.
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
}

/// Who is asked, and for what.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Gives the body of each next request.
    pub(crate) body: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The bodies of requests of these users, one after the other.
pub(crate) fn bodies_of(endpoint: &'static str, users: Vec<u64>) -> Arc<dyn Fn() -> String + Send + Sync> {
    let next = AtomicU64::new(0);
    Arc::new(move || body(endpoint, users[next.fetch_add(1, Ordering::Relaxed) as usize % users.len()]))
}

/// The bodies of requests of users of whom each asks once, from `first` on.
pub(crate) fn bodies_of_strangers(endpoint: &'static str, first: u64) -> Arc<dyn Fn() -> String + Send + Sync> {
    let next = AtomicU64::new(first);
    Arc::new(move || body(endpoint, next.fetch_add(1, Ordering::Relaxed)))
}

/// The body of a user's request.
pub(crate) fn body(endpoint: &str, user: u64) -> String {
    format!(r#"{{"endpoint":"{endpoint}","labels":{{"user":"user{user:010}","tier":"enterprise"}}}}"#)
}

/// What came of it.
pub(crate) struct Measured {
    latency_micros: Histogram<u64>,
    elapsed: Duration,
    cpu_micros: u64,
}

impl Measured {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.latency_micros.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn micros(&self, quantile: f64) -> u64 {
        self.latency_micros.value_at_quantile(quantile)
    }

    pub(crate) fn cpu_micros_per_request(&self) -> f64 {
        self.cpu_micros as f64 / self.latency_micros.len().max(1) as f64
    }
}

impl Load {
    /// Asks, until the time is over. The servers' CPU time is measured, whoever of them is asked.
    pub(crate) fn run(&self, targets: &[Target], servers: &[&Server]) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let before = cpu_micros(servers)?;
        let started = Instant::now();
        let latency_micros = runtime.block_on(self.ask_all(targets))?;
        Ok(Measured { latency_micros, elapsed: started.elapsed(), cpu_micros: cpu_micros(servers)? - before })
    }

    async fn ask_all(&self, targets: &[Target]) -> Result<Histogram<u64>> {
        let until = Instant::now() + self.duration;
        let mut connections = Vec::new();
        for target in targets.iter().cycle().take(self.connections) {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            connections.push(tokio::spawn(ask(stream, Arc::clone(&target.body), until)));
        }
        let mut all = Histogram::new(3)?;
        for connection in connections {
            all.add(connection.await??)?;
        }
        Ok(all)
    }
}

fn cpu_micros(servers: &[&Server]) -> Result<u64> {
    servers.iter().map(|server| server.cpu_micros()).sum()
}

/// One connection, one request after the other.
async fn ask(
    mut stream: TcpStream,
    body: Arc<dyn Fn() -> String + Send + Sync>,
    until: Instant,
) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < until {
        let body = body();
        let length = body.len();
        let head = format!(
            "POST /v1/acquire HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let asked = Instant::now();
        stream.write_all((head + &body).as_bytes()).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latency.record(asked.elapsed().as_micros() as u64)?;
    }
    Ok(latency)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let text = std::str::from_utf8(&buffer[..filled])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer without a length")?.parse()?;
        if body.len() >= length {
            return check_status(head);
        }
    }
}

fn check_status(head: &str) -> Result<()> {
    match head.get(9..12) {
        Some("200" | "429") => Ok(()),
        status => bail!("an answer of status {status:?}"),
    }
}

/// The handler that decides nothing.
pub(crate) async fn serve_bare_axum() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let answer = || async |Json(request): Json<serde_json::Value>| Json(bare_answer(&request));
    let router = Router::new().route("/v1/acquire", post(answer()));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await?;
    Ok(())
}

fn bare_answer(request: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "allowed": request.get("endpoint").is_some(), "remaining": 199, "retry_after_ms": 0, "reset_after_ms": 60,
        "degraded": false,
        "limits": [{"name": "enterprise", "allowed": true, "limit": 200, "remaining": 199, "retry_after_ms": 0,
                    "reset_after_ms": 60}],
    })
}
