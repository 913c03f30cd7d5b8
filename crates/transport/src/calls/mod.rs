//! Requests with answers, and notices, over any transport.
//!
//! A transport may lose, repeat and reorder frames. So every call has a number and a deadline; the first answer to a call
//! that still waits counts, and every other is ignored. A request may be handled more than once, if the network repeats
//! it, or not at all, whatever the caller hears: handlers must bear both, as Raft does. A notice is what the transport
//! makes of it.

mod call_error;
mod handler;
mod receiver;
mod shared;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use call_error::CallError;
pub use handler::Handler;

use self::receiver::Receiver;
use self::shared::Shared;
use crate::message::{CallId, Kind, Message};
use crate::{Inbound, NodeId, Transport};

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

/// Calls other nodes and answers their calls. Dropping it ends both; requests that are being handled are abandoned.
pub struct Calls {
    shared: Arc<Shared>,
    receiving: AbortHandle,
}

impl Calls {
    /// Starts to give what comes in through `inbound` to `handler`, and to make calls. Must be called within a tokio
    /// runtime.
    ///
    /// `incarnation` must differ between runs of the same node, as a random number does: answers to an earlier run may
    /// still be under way.
    pub fn start(
        transport: Arc<dyn Transport>,
        inbound: Inbound,
        incarnation: u64,
        options: CallsOptions,
        handler: impl Handler,
    ) -> Self {
        let shared = Arc::new(Shared::new(transport, incarnation, options));
        let receiver = Receiver::new(Arc::clone(&shared), handler);
        let receiving = tokio::spawn(receiver.run(inbound)).abort_handle();
        Self { shared, receiving }
    }

    /// Sends `request` to the node and waits for its answer, at most for `deadline`. Dropping the future gives the call up.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, to: NodeId, request: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        self.check_size(&request)?;
        let (registered, answer) = self.shared.register(to)?;
        let message = Message { kind: Kind::Request, call: registered.call, body: request };
        self.shared.transport.send(to, message.encode());
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::DeadlinePassed { to, deadline }),
        }
    }

    /// Sends a notice to the node, as reliably as the transport does, and returns at once.
    ///
    /// # Errors
    /// [`CallError::RequestTooLarge`], and no other.
    pub fn tell(&self, to: NodeId, body: Bytes) -> Result<(), CallError> {
        self.check_size(&body)?;
        let call = CallId { incarnation: self.shared.incarnation, number: 0 };
        self.shared.transport.send(to, Message { kind: Kind::Notice, call, body }.encode());
        Ok(())
    }

    /// The largest request, answer or notice, in bytes.
    pub fn max_body_bytes(&self) -> usize {
        self.shared.max_body_bytes()
    }

    /// How many calls to the node wait for their answer.
    pub fn outstanding(&self, to: NodeId) -> usize {
        self.shared.waiting().outstanding(to)
    }

    /// When the last frame of the node was taken; `None` when none was in this run.
    pub fn last_heard(&self, from: NodeId) -> Option<Instant> {
        self.shared.last_heard().get(&from).copied()
    }

    fn check_size(&self, body: &Bytes) -> Result<(), CallError> {
        let limit_bytes = self.max_body_bytes();
        if body.len() > limit_bytes {
            return Err(CallError::RequestTooLarge { bytes: body.len(), limit_bytes });
        }
        Ok(())
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.receiving.abort();
        self.shared.waiting().close();
    }
}
