//! Takes connections and serves HTTP/1 on them.
//!
//! hyper is driven directly, because `axum::serve` leaves Nagle's algorithm on, which costs 40 ms stalls, and sets no time for
//! a request's head to arrive.
#![expect(clippy::disallowed_types, reason = "this is where the server owns its listener")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// The most connections at once. Beyond it new ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 10_000;

/// How long a request's head may take, and a connection may be idle: longer than clients keep theirs (90 s in reqwest and Go), so
/// that a client never writes to one that is being closed here.
const HEAD_DEADLINE: Duration = Duration::from_secs(120);

/// The pause after an error that concerns more than one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound address.
pub(crate) struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Listens on `address`.
    ///
    /// # Errors
    /// An address that is taken, or is not this machine's.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens: the port that was picked, if it was asked to pick one.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves, then takes no more connections, and lets those that are under way finish for at most `grace`. Each
    /// connection is answered by the router that there is when it begins.
    pub(crate) async fn serve(self, router: watch::Receiver<Router>, stop: impl Future<Output = ()>, grace: Duration) {
        let connections = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        tokio::pin!(stop);
        loop {
            let accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
                (self.listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = connections.watch(connection(stream, &router.borrow()));
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection broke off");
                        }
                        drop(permit);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in time and are cut off");
        }
    }
}

type Connection =
    http1::Connection<TokioIo<TcpStream>, TowerToHyperService<axum::routing::RouterIntoService<hyper::body::Incoming>>>;

fn connection(stream: TcpStream, router: &Router) -> Connection {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "Nagle's algorithm stays on for a connection");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service(router))
}

fn service(router: &Router) -> TowerToHyperService<axum::routing::RouterIntoService<hyper::body::Incoming>> {
    TowerToHyperService::new(router.clone().into_service())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
