//! What callers and the receiver share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::waiting::{Waiting, WaitingCall};
use super::{CallError, CallsOptions};
use crate::message::{CallId, Kind, MESSAGE_HEADER_BYTES, Message};
use crate::{NodeId, Transport};

pub(super) struct Shared {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) incarnation: u64,
    pub(super) options: CallsOptions,
    waiting: Mutex<Waiting>,
    last_heard: Mutex<BTreeMap<NodeId, Instant>>,
}

/// A call that waits. Dropping it forgets the call, so that none is left behind when its caller gives up.
pub(super) struct Registered {
    pub(super) call: CallId,
    shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(self.shared.waiting().remove(self.call.number));
    }
}

impl Shared {
    pub(super) fn new(transport: Arc<dyn Transport>, incarnation: u64, options: CallsOptions) -> Self {
        Self { transport, incarnation, options, waiting: Mutex::default(), last_heard: Mutex::default() }
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last_heard(&self) -> MutexGuard<'_, BTreeMap<NodeId, Instant>> {
        self.last_heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn max_body_bytes(&self) -> usize {
        self.transport.max_frame_bytes().saturating_sub(MESSAGE_HEADER_BYTES)
    }

    pub(super) fn register(
        self: &Arc<Self>,
        to: NodeId,
    ) -> Result<(Registered, oneshot::Receiver<Result<Bytes, CallError>>), CallError> {
        let (answer, receiver) = oneshot::channel();
        let number = self.waiting().add(WaitingCall { to, answer }, self.options.outstanding_per_peer)?;
        let call = CallId { incarnation: self.incarnation, number };
        Ok((Registered { call, shared: Arc::clone(self) }, receiver))
    }

    /// Hands an answer to the call that waits for it. One that nobody waits for, that answers an earlier run, or that comes
    /// from another node than was called, is ignored.
    pub(super) fn answer(&self, from: NodeId, call: CallId, answer: Result<Bytes, CallError>) {
        if call.incarnation != self.incarnation {
            return;
        }
        let waiting_call = self.waiting().take(call.number, from);
        if let Some(waiting_call) = waiting_call {
            // Its caller may have given up by now.
            drop(waiting_call.answer.send(answer));
        }
    }

    pub(super) fn reply(&self, to: NodeId, call: CallId, answer: Bytes) {
        let message = if answer.len() > self.max_body_bytes() {
            Message { kind: Kind::AnswerTooLarge, call, body: Bytes::new() }
        } else {
            Message { kind: Kind::Answer, call, body: answer }
        };
        self.transport.send(to, message.encode());
    }
}
