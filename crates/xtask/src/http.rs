//! One HTTP request, for what a task asks of a node beside a measurement.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a GET answers, whatever its status.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Value> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: task\r\nconnection: close\r\n\r\n"))
}

/// What a POST answers, whatever its status.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Result<Value> {
    let length = body.len();
    ask(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: task\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

fn ask(address: SocketAddr, request: &str) -> Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    Ok(serde_json::from_str(body)?)
}
