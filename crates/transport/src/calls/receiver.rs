//! What comes in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shared::Shared;
use super::{CallError, Handler};
use crate::message::{CallId, Kind, Message};
use crate::{Inbound, NodeId, Received};

/// Takes what comes in apart: answers go to their calls, requests and notices to the handler.
pub(super) struct Receiver<H> {
    shared: Arc<Shared>,
    handler: Arc<H>,
    permits: Arc<Semaphore>,
    /// The requests being handled. Dropping it abandons them.
    handling: JoinSet<()>,
}

impl<H: Handler> Receiver<H> {
    pub(super) fn new(shared: Arc<Shared>, handler: H) -> Self {
        let permits = Arc::new(Semaphore::new(shared.options.handled_at_once.min(Semaphore::MAX_PERMITS)));
        Self { shared, handler: Arc::new(handler), permits, handling: JoinSet::new() }
    }

    /// Runs until the transport ends, and ends all calls then.
    pub(super) async fn run(mut self, mut inbound: Inbound) {
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
        self.shared.waiting().close();
    }

    fn receive(&mut self, Received { from, frame }: Received) {
        self.shared.last_heard().insert(from, Instant::now());
        let Some(Message { kind, call, body }) = Message::decode(frame) else {
            tracing::warn!(%from, "a frame that is no message was ignored");
            return;
        };
        match kind {
            Kind::Request => self.handle(from, call, body),
            Kind::Answer => self.shared.answer(from, call, Ok(body)),
            Kind::Busy => self.shared.answer(from, call, Err(CallError::Busy { to: from })),
            Kind::AnswerTooLarge => self.shared.answer(from, call, Err(CallError::AnswerTooLarge { to: from })),
            Kind::Notice => self.notice(from, body),
        }
    }

    fn handle(&mut self, from: NodeId, call: CallId, request: Bytes) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let message = Message { kind: Kind::Busy, call, body: Bytes::new() };
            return self.shared.transport.send(from, message.encode());
        };
        let (shared, handler) = (Arc::clone(&self.shared), Arc::clone(&self.handler));
        self.handling.spawn(async move {
            let answer = handler.request(from, request).await;
            shared.reply(from, call, answer);
            drop(permit);
        });
    }

    /// A panic here would end the receiving of everything else.
    fn notice(&self, from: NodeId, notice: Bytes) {
        if catch_unwind(AssertUnwindSafe(|| self.handler.notice(from, notice))).is_err() {
            tracing::error!(%from, "the handler of a notice panicked");
        }
    }
}
