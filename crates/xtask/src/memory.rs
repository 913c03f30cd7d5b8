//! `cargo xtask bench memory`: what a bucket costs in a whole node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::bench::Server;
use crate::command::{cargo, run};
use crate::prepare::target;

/// Requests in one call.
const BATCH: u64 = 1_000;

/// Options of `cargo xtask bench memory`.
#[derive(Args)]
pub(crate) struct MemoryArgs {
    /// Buckets to make.
    #[arg(long, default_value_t = 1_000_000)]
    buckets: u64,
}

/// A limit whose buckets are spent within the horizon, and one whose buckets each need a grant of their own.
const LIMITS: [(&str, &str); 2] = [
    ("within the horizon", r#"{"by":["user"],"rate":1,"per":"1s","burst_limit":1000,"match":{"endpoint":"e"}}"#),
    ("each with a grant", r#"{"by":["user"],"rate":1,"per":"1h","burst_limit":10,"match":{"endpoint":"e"}}"#),
];

/// Fills a node with buckets of 14-byte users and measures what its memory grew by.
pub(crate) fn memory(args: &MemoryArgs) -> Result<()> {
    run(cargo(["build", "--release", "--locked", "-p", "tollgate"]))?;
    println!("{:<22}{:>12}{:>14}{:>14}{:>16}", "buckets", "count", "before MiB", "after MiB", "bytes/bucket");
    for (name, limit) in LIMITS {
        let data = tempfile::tempdir_in(target())?;
        let mut command = Command::new(target().join("release/tollgate"));
        command.args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(data.path());
        let server = Server::start(command, Some(data))?;
        let mut stream = TcpStream::connect(server.address())?;
        call(&mut stream, "PUT", "/v1/limits/memory", limit)?;
        let before = server.resident_bytes()?;
        for first in (0..args.buckets).step_by(BATCH as usize) {
            call(&mut stream, "POST", "/v1/acquire_many", &batch(first, args.buckets))?;
        }
        let after = server.resident_bytes()?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let each = (after - before) as f64 / args.buckets as f64;
        println!("{name:<22}{:>12}{:>14.1}{:>14.1}{each:>16.1}", args.buckets, mebibytes(before), mebibytes(after));
    }
    Ok(())
}

fn batch(first: u64, buckets: u64) -> String {
    let request = |user| format!(r#"{{"endpoint":"e","labels":{{"user":"user{user:010}"}}}}"#);
    let requests: Vec<_> = (first..buckets.min(first + BATCH)).map(request).collect();
    format!(r#"{{"requests":[{}]}}"#, requests.join(","))
}

fn call(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> Result<()> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the node closed the connection");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.context("an answer without a length")?.parse()? {
            ensure!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {head}\n{body:.300}");
            return Ok(());
        }
    }
}
