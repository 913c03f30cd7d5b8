//! Requests with answers, over any transport.
//!
//! A transport may lose, repeat and reorder frames. So every call has a number and a deadline; the first answer to a call
//! that still waits counts, and every other is ignored. A request may be handled more than once, if the network repeats
//! it, or not at all, whatever the caller hears: handlers must bear both, as Raft does.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::message::{CallId, Kind, MESSAGE_HEADER_BYTES, Message};
use crate::{Inbound, NodeId, Received, Transport};

/// Limits of [`Calls`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsOptions {
    /// Calls to one node that may wait for their answer. Further ones fail at once.
    pub outstanding_per_peer: usize,
    /// Requests of other nodes that are handled at a time. Further ones are refused at once.
    pub handled_at_once: usize,
}

impl Default for CallsOptions {
    fn default() -> Self {
        Self { outstanding_per_peer: 1024, handled_at_once: 4096 }
    }
}

/// Why a call has no answer. None of them tells whether the request was handled, except the first two.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// As many calls to the node wait as may; the request was not sent.
    #[error("{limit} calls to node {to} wait for an answer already")]
    TooManyOutstanding {
        /// The node that was to be called.
        to: NodeId,
        /// How many may wait.
        limit: usize,
    },
    /// The request does not fit in a frame; it was not sent.
    #[error("a request of {bytes} bytes is larger than the {limit_bytes} bytes that one may have")]
    RequestTooLarge {
        /// Size of the request.
        bytes: usize,
        /// The largest one possible.
        limit_bytes: usize,
    },
    /// The other node handles as many requests as it may; it did not look at this one.
    #[error("node {to} is too busy")]
    Busy {
        /// The node that was called.
        to: NodeId,
    },
    /// The request was handled, and its answer does not fit in a frame.
    #[error("the answer of node {to} is too large to be sent")]
    AnswerTooLarge {
        /// The node that was called.
        to: NodeId,
    },
    /// No answer came in time. The request, or the answer, may be lost or late.
    #[error("node {to} did not answer within {deadline:?}")]
    DeadlinePassed {
        /// The node that was called.
        to: NodeId,
        /// The time it had.
        deadline: Duration,
    },
    /// This node closes, or its transport has ended.
    #[error("this node takes no more answers")]
    Closed,
}

/// Calls other nodes and answers their calls. Dropping it ends both; requests that are being handled are abandoned.
pub struct Calls {
    shared: Arc<Shared>,
    receiving: AbortHandle,
}

struct Shared {
    transport: Arc<dyn Transport>,
    options: CallsOptions,
    incarnation: u64,
    waiting: Mutex<Waiting>,
}

/// The calls that have no answer yet.
#[derive(Default)]
struct Waiting {
    next_number: u64,
    calls: BTreeMap<CallId, WaitingCall>,
    per_peer: BTreeMap<NodeId, usize>,
    /// Set when no answer can come any more.
    is_closed: bool,
}

struct WaitingCall {
    to: NodeId,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
}

impl Calls {
    /// Starts to answer requests that come in through `inbound` with `handler`, and to make calls. Must be called within a
    /// tokio runtime.
    ///
    /// `incarnation` must differ between runs of the same node, as a random number does: answers to an earlier run may
    /// still be under way.
    pub fn start<Handler, Answer>(
        transport: Arc<dyn Transport>,
        inbound: Inbound,
        incarnation: u64,
        options: CallsOptions,
        handler: Handler,
    ) -> Self
    where
        Handler: Fn(NodeId, Bytes) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Bytes> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(options.handled_at_once.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared { transport, options, incarnation, waiting: Mutex::default() });
        let receiver = Receiver { shared: Arc::clone(&shared), handler, permits, handling: JoinSet::new() };
        let receiving = tokio::spawn(receiver.run(inbound)).abort_handle();
        Self { shared, receiving }
    }

    /// Sends `request` to the node and waits for its answer, at most for `deadline`. Dropping the future gives the call up.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, to: NodeId, request: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let limit_bytes = self.shared.max_body_bytes();
        if request.len() > limit_bytes {
            return Err(CallError::RequestTooLarge { bytes: request.len(), limit_bytes });
        }
        let (registered, answer) = self.shared.register(to)?;
        let message = Message { kind: Kind::Request, call: registered.call, body: request };
        self.shared.transport.send(to, message.encode());
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::DeadlinePassed { to, deadline }),
        }
    }

    /// How many calls to the node wait for their answer.
    pub fn outstanding(&self, to: NodeId) -> usize {
        self.shared.waiting().per_peer.get(&to).copied().unwrap_or_default()
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.receiving.abort();
        self.shared.close();
    }
}

/// A call that waits. Dropping it forgets the call, so that none is left behind when its caller gives up.
struct Registered {
    call: CallId,
    shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(self.shared.waiting().remove(self.call));
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_body_bytes(&self) -> usize {
        self.transport.max_frame_bytes().saturating_sub(MESSAGE_HEADER_BYTES)
    }

    fn register(
        self: &Arc<Self>,
        to: NodeId,
    ) -> Result<(Registered, oneshot::Receiver<Result<Bytes, CallError>>), CallError> {
        let (answer, receiver) = oneshot::channel();
        let call =
            self.waiting().add(self.incarnation, WaitingCall { to, answer }, self.options.outstanding_per_peer)?;
        Ok((Registered { call, shared: Arc::clone(self) }, receiver))
    }

    /// Hands an answer to the call that waits for it. One that nobody waits for, or that comes from another node than was
    /// called, is ignored.
    fn answer(&self, from: NodeId, call: CallId, answer: Result<Bytes, CallError>) {
        let mut waiting = self.waiting();
        let is_awaited = waiting.calls.get(&call).is_some_and(|waiting| waiting.to == from);
        if let Some(waiting_call) = is_awaited.then(|| waiting.remove(call)).flatten() {
            drop(waiting_call.answer.send(answer));
        }
    }

    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        waiting.per_peer.clear();
        waiting.calls.clear();
    }

    fn reply(&self, to: NodeId, call: CallId, answer: Bytes) {
        let message = if answer.len() > self.max_body_bytes() {
            Message { kind: Kind::AnswerTooLarge, call, body: Bytes::new() }
        } else {
            Message { kind: Kind::Answer, call, body: answer }
        };
        self.transport.send(to, message.encode());
    }
}

impl Waiting {
    fn add(&mut self, incarnation: u64, waiting_call: WaitingCall, limit: usize) -> Result<CallId, CallError> {
        if self.is_closed {
            return Err(CallError::Closed);
        }
        let to = waiting_call.to;
        let outstanding = self.per_peer.entry(to).or_default();
        if *outstanding >= limit {
            return Err(CallError::TooManyOutstanding { to, limit });
        }
        *outstanding += 1;
        let call = CallId { incarnation, number: self.next_number };
        self.next_number += 1;
        self.calls.insert(call, waiting_call);
        Ok(call)
    }

    fn remove(&mut self, call: CallId) -> Option<WaitingCall> {
        let removed = self.calls.remove(&call)?;
        if let Some(outstanding) = self.per_peer.get_mut(&removed.to) {
            *outstanding -= 1;
            if *outstanding == 0 {
                self.per_peer.remove(&removed.to);
            }
        }
        Some(removed)
    }
}

/// Takes what comes in apart: answers go to their calls, requests to the handler.
struct Receiver<Handler> {
    shared: Arc<Shared>,
    handler: Handler,
    permits: Arc<Semaphore>,
    /// The requests being handled. Dropping it abandons them.
    handling: JoinSet<()>,
}

impl<Handler, Answer> Receiver<Handler>
where
    Handler: Fn(NodeId, Bytes) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Bytes> + Send + 'static,
{
    async fn run(mut self, mut inbound: Inbound) {
        loop {
            tokio::select! {
                received = inbound.recv() => match received {
                    Some(received) => self.receive(received),
                    None => break,
                },
                Some(handled) = self.handling.join_next() => {
                    if let Err(error) = handled {
                        tracing::error!(%error, "the handler of a request ended without an answer");
                    }
                }
            }
        }
        self.shared.close();
    }

    fn receive(&mut self, Received { from, frame }: Received) {
        let Some(Message { kind, call, body }) = Message::decode(frame) else {
            tracing::warn!(%from, "a frame that is no message was ignored");
            return;
        };
        match kind {
            Kind::Request => self.handle(from, call, body),
            Kind::Answer => self.shared.answer(from, call, Ok(body)),
            Kind::Busy => self.shared.answer(from, call, Err(CallError::Busy { to: from })),
            Kind::AnswerTooLarge => self.shared.answer(from, call, Err(CallError::AnswerTooLarge { to: from })),
        }
    }

    fn handle(&mut self, from: NodeId, call: CallId, request: Bytes) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let message = Message { kind: Kind::Busy, call, body: Bytes::new() };
            return self.shared.transport.send(from, message.encode());
        };
        let answer = (self.handler)(from, request);
        self.handling.spawn(reply_when_done(Arc::clone(&self.shared), from, call, answer, permit));
    }
}

async fn reply_when_done(
    shared: Arc<Shared>,
    from: NodeId,
    call: CallId,
    answer: impl Future<Output = Bytes>,
    permit: OwnedSemaphorePermit,
) {
    let answer = answer.await;
    shared.reply(from, call, answer);
    drop(permit);
}
