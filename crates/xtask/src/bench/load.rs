//! A load of requests over connections that stay open.
#![expect(clippy::disallowed_types, reason = "a load generator connects and takes real time")]

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
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// Users that the requests are of, one after the other.
    pub(crate) users: u64,
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
    /// Asks, until the time is over.
    pub(crate) fn run(&self, server: &Server) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let before = server.cpu_micros()?;
        let started = Instant::now();
        let latency_micros = runtime.block_on(self.ask_all(server))?;
        Ok(Measured { latency_micros, elapsed: started.elapsed(), cpu_micros: server.cpu_micros()? - before })
    }

    async fn ask_all(&self, server: &Server) -> Result<Histogram<u64>> {
        let (user, until) = (Arc::new(AtomicU64::new(0)), Instant::now() + self.duration);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let stream = TcpStream::connect(server.address()).await?;
            stream.set_nodelay(true)?;
            connections.push(tokio::spawn(ask(stream, Arc::clone(&user), self.users, until)));
        }
        let mut all = Histogram::new(3)?;
        for connection in connections {
            all.add(connection.await??)?;
        }
        Ok(all)
    }
}

/// One connection, one request after the other.
async fn ask(mut stream: TcpStream, user: Arc<AtomicU64>, users: u64, until: Instant) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < until {
        let user = user.fetch_add(1, Ordering::Relaxed) % users;
        let body = format!(r#"{{"endpoint":"users","labels":{{"user":"user{user:010}","tier":"enterprise"}}}}"#);
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
