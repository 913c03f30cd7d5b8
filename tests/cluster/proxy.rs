//! A TCP proxy in front of a node, which delays what goes through it, or falls silent without closing anything.
#![expect(clippy::disallowed_types, reason = "a proxy is made of sockets")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Chunks on their way through one direction of a connection; beyond it the sender waits.
const IN_FLIGHT: usize = 1_024;

/// Ends, with all its connections, when it is dropped.
pub(crate) struct Proxy {
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

/// What is wrong with the link.
#[derive(Debug, Default)]
struct Faults {
    delay_ms: AtomicU64,
    /// Nothing goes through.
    silent: AtomicBool,
    /// Counts how often connections were made useless: those of an earlier era never carry anything again.
    era: AtomicU64,
    /// Counts how often connections were closed.
    closings: AtomicU64,
}

impl Proxy {
    /// Listens at `front`, and forwards to `behind`.
    pub(crate) async fn start(front: &str, behind: String) -> Self {
        let listener = TcpListener::bind(front).await.expect("its address is free");
        let faults = Arc::new(Faults::default());
        let accepting = tokio::spawn(accept(listener, behind, Arc::clone(&faults)));
        Self { faults, accepting }
    }

    /// Everything arrives that much later, in either direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.faults.delay_ms.store(u64::try_from(delay.as_millis()).expect("a short time"), Ordering::Relaxed);
    }

    /// Swallows all that is sent. Connections stay open, and can be opened.
    pub(crate) fn fall_silent(&self) {
        self.faults.silent.store(true, Ordering::Relaxed);
    }

    /// Connections that are opened from now on work. The others stay as they are: open, and of no use.
    pub(crate) fn speak(&self) {
        self.faults.era.fetch_add(1, Ordering::Relaxed);
        self.faults.silent.store(false, Ordering::Relaxed);
    }

    /// Closes all connections.
    pub(crate) fn drop_connections(&self) {
        self.faults.closings.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, behind: String, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (behind, faults) = (behind.clone(), Arc::clone(&faults));
        connections.spawn(async move {
            // A node that is not there is as if its own address were asked: the connection is closed.
            if let Ok(node) = TcpStream::connect(behind).await {
                connect(client, node, faults).await;
            }
        });
    }
}

async fn connect(client: TcpStream, node: TcpStream, faults: Arc<Faults>) {
    for stream in [&client, &node] {
        stream.set_nodelay(true).expect("it is a socket");
    }
    let (era, closings) = (faults.era.load(Ordering::Relaxed), faults.closings.load(Ordering::Relaxed));
    let ((from_client, to_client), (from_node, to_node)) = (client.into_split(), node.into_split());
    let closed = async {
        while faults.closings.load(Ordering::Relaxed) == closings {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = forward(from_client, to_node, &faults, era) => {}
        () = forward(from_node, to_client, &faults, era) => {}
        () = closed => {}
    }
}

/// Forwards one direction until either side closes.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, faults: &Faults, era: u64) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let reading = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let is_lost = faults.silent.load(Ordering::Relaxed) || faults.era.load(Ordering::Relaxed) != era;
            let due = Instant::now() + Duration::from_millis(faults.delay_ms.load(Ordering::Relaxed));
            if !is_lost && sender.send((due, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
