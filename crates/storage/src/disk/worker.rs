//! A thread that serves a bounded queue of requests, and ends with it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::{io, mem};

use super::log_engine::guarded;
use super::shared::{Part, Shared};
use crate::{StorageError, StorageHealth};

/// How long a thread may take to end: below the time that a node has to stop in. One that takes longer hangs in a system call or
/// in sled, and what it did not do has not been acknowledged.
const END_DEADLINE: Duration = Duration::from_secs(4);

/// The sending side of a thread. Dropping it lets the thread serve what is queued, and waits for it.
#[derive(Debug)]
pub(super) struct Worker<Request> {
    queue: Option<SyncSender<Request>>,
    /// Dropped when the storage closes, which ends the wait for a full disk.
    stopping: Option<mpsc::Sender<()>>,
    /// Disconnected when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// Tells a thread that waits for a full disk when the storage closes.
#[derive(Debug)]
pub(super) struct StopSignal(Receiver<()>);

/// The storage closes, and what was waited for did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopping;

impl StopSignal {
    /// Waits this long, or until the storage closes.
    pub(super) fn wait(&self, duration: Duration) -> Result<(), Stopping> {
        match self.0.recv_timeout(duration) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopping),
        }
    }
}

impl<Request: Send + 'static> Worker<Request> {
    /// Starts a thread that runs `serve` until the queue ends. Should it panic, `part` has failed, and the requests that
    /// it leaves behind resolve by being dropped.
    pub(super) fn start(
        name: &str,
        queue_limit: usize,
        part: Part,
        shared: Arc<Shared>,
        serve: impl FnOnce(Receiver<Request>, StopSignal) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, requests) = mpsc::sync_channel(queue_limit);
        let (stopping, stop_signal) = mpsc::channel();
        let (running, ended) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _running: mpsc::Sender<()> = running;
            if let Err(reason) = guarded(move || serve(requests, StopSignal(stop_signal))) {
                shared.set_health(part, StorageHealth::Failed { reason });
            }
        })?;
        Ok(Self { queue: Some(queue), stopping: Some(stopping), ended: Mutex::new(ended) })
    }

    /// Queues the request, or gives it back with the reason.
    pub(super) fn send(&self, request: Request) -> Result<(), (Request, Refusal)> {
        let Some(queue) = &self.queue else {
            return Err((request, Refusal::Ended));
        };
        queue.try_send(request).map_err(|error| match error {
            TrySendError::Full(request) => (request, Refusal::Full),
            TrySendError::Disconnected(request) => (request, Refusal::Ended),
        })
    }
}

/// Why a request was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many wait as may.
    Full,
    /// The thread is gone.
    Ended,
}

impl Refusal {
    /// The error for the caller.
    pub(super) fn to_error(self, part: Part, shared: &Shared, waiting_bytes: usize) -> StorageError {
        match self {
            Self::Full => StorageError::Overloaded { waiting_bytes },
            Self::Ended => shared.refusal(part),
        }
    }
}

impl<Request> Drop for Worker<Request> {
    fn drop(&mut self) {
        drop(mem::take(&mut self.queue));
        drop(mem::take(&mut self.stopping));
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(END_DEADLINE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a thread of the storage does not end: what it had not acknowledged is not done");
        }
    }
}
