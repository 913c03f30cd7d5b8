//! The calls that have no answer yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::CallError;
use crate::NodeId;

/// The calls of this run that wait, by their number.
#[derive(Default)]
pub(super) struct Waiting {
    next_number: u64,
    calls: BTreeMap<u64, WaitingCall>,
    per_peer: BTreeMap<NodeId, usize>,
    /// Set when no answer can come any more.
    is_closed: bool,
}

/// A call that waits.
pub(super) struct WaitingCall {
    /// The node that was called.
    pub(super) to: NodeId,
    /// Where its answer goes.
    pub(super) answer: oneshot::Sender<Result<Bytes, CallError>>,
}

impl Waiting {
    /// Adds a call, unless `limit` calls to the node wait already, and returns its number.
    pub(super) fn add(&mut self, waiting_call: WaitingCall, limit: usize) -> Result<u64, CallError> {
        if self.is_closed {
            return Err(CallError::Closed);
        }
        let to = waiting_call.to;
        let outstanding = self.per_peer.entry(to).or_default();
        if *outstanding >= limit {
            return Err(CallError::TooManyOutstanding { to, limit });
        }
        *outstanding += 1;
        let number = self.next_number;
        self.next_number += 1;
        self.calls.insert(number, waiting_call);
        Ok(number)
    }

    /// Takes the call out, if it still waits for an answer of this node.
    pub(super) fn take(&mut self, number: u64, from: NodeId) -> Option<WaitingCall> {
        let is_awaited = self.calls.get(&number).is_some_and(|waiting_call| waiting_call.to == from);
        is_awaited.then(|| self.remove(number)).flatten()
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<WaitingCall> {
        let removed = self.calls.remove(&number)?;
        // The entry stays when it falls to none: there are as many as nodes, and it is needed again soon.
        if let Some(outstanding) = self.per_peer.get_mut(&removed.to) {
            *outstanding -= 1;
        }
        Some(removed)
    }

    pub(super) fn outstanding(&self, to: NodeId) -> usize {
        self.per_peer.get(&to).copied().unwrap_or_default()
    }

    /// Ends all calls, those to come as well.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.per_peer.clear();
        self.calls.clear();
    }
}
