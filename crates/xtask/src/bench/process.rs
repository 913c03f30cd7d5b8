//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A server that stops when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    _data: Option<TempDir>,
}

impl Server {
    /// Starts a server and reads from its first line where it listens.
    pub(crate) fn start(command: Command, data: Option<TempDir>) -> Result<Self> {
        Starting::spawn(command, data)?.started()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that it has used, in microseconds.
    pub(crate) fn cpu_micros(&self) -> Result<u64> {
        let ticks: u64 = self.stat()?.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let pages = self.stat()?.get(21).and_then(|field| field.parse::<u64>().ok()).context("no resident size")?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// The fields of `/proc/<pid>/stat` after the command's name (proc(5), from the third on).
    fn stat(&self) -> Result<Vec<String>> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no command in stat")?;
        Ok(fields.split_whitespace().map(str::to_owned).collect())
    }
}

/// A server that does not say yet where it listens.
pub(crate) struct Starting {
    child: Child,
    data: Option<TempDir>,
}

impl Starting {
    /// Starts a server.
    pub(crate) fn spawn(mut command: Command, data: Option<TempDir>) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).spawn().context("the server cannot be started")?;
        Ok(Self { child, data })
    }

    /// Reads from its first line where it listens.
    pub(crate) fn started(mut self) -> Result<Server> {
        let output = self.child.stdout.take().context("the server's output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().rsplit("http://").next().unwrap_or_default().parse();
        let address = address.with_context(|| format!("the server does not say where it listens: {line:?}"))?;
        Ok(Server { child: self.child, address, _data: self.data })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
