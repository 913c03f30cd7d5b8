//! The other nodes: calls and notices to them, typed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tollgate_transport::{CallError, Calls, CallsOptions, Inbound, PeerAddress, Transport};

use crate::codec::{decode, encode};
use crate::consensus::{NodeId, RaftRefusal};
use crate::messages::{Notice, Request};
use crate::reception::{Door, Reception};

/// A node that has said nothing for so long is taken for dead. Nodes tell each other of themselves four times a second.
const ALIVE: Duration = Duration::from_millis(1_000);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the answer is none: {0}")]
    Garbled(String),
    #[error(transparent)]
    Refused(RaftRefusal),
    #[error("this node says nothing: it leads, and no quorum answers")]
    Silent,
}

/// The way to all other nodes.
pub(crate) struct Peers {
    me: NodeId,
    /// Tells this run of the node from all others.
    run: u64,
    transport: Arc<dyn Transport>,
    calls: Calls,
}

impl Peers {
    /// Begins to take what other nodes say, in `reception`.
    pub(crate) fn start(
        me: NodeId,
        run: u64,
        transport: Arc<dyn Transport>,
        inbound: Inbound,
        reception: Arc<Reception>,
    ) -> Self {
        let calls = Calls::start(Arc::clone(&transport), inbound, run, CallsOptions::default(), Door(reception));
        Self { me, run, transport, calls }
    }

    /// This node's number.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Tells this run of the node from all others.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    /// Says where a node is, and which data it has, once that is known.
    pub(crate) fn connect(&self, peer: NodeId, address: PeerAddress) {
        if peer != self.me {
            self.transport.connect(tollgate_transport::NodeId(peer), address);
        }
    }

    /// Nothing comes from a node over the connections that there are: makes the one to it anew.
    pub(crate) fn reconnect(&self, peer: NodeId) {
        self.transport.reconnect(tollgate_transport::NodeId(peer));
    }

    /// Takes no more part with a node.
    pub(crate) fn forget(&self, peer: NodeId) {
        self.transport.forget(tollgate_transport::NodeId(peer));
    }

    /// Why a node does not talk to this one, if it said so.
    pub(crate) fn refusal(&self, peer: NodeId) -> Option<String> {
        self.transport.refusal(tollgate_transport::NodeId(peer)).map(|refusal| refusal.to_string())
    }

    /// Asks a node and waits for its answer.
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        to: NodeId,
        request: &Request,
        deadline: Duration,
    ) -> Result<A, PeerError> {
        let request = Bytes::from(encode(request));
        let answer = self.calls.call(tollgate_transport::NodeId(to), request, deadline).await?;
        decode(&answer).map_err(|error| PeerError::Garbled(error.to_string()))
    }

    /// Tells a node something. It may be lost.
    pub(crate) fn tell(&self, to: NodeId, notice: &Notice) {
        if let Err(error) = self.calls.tell(tollgate_transport::NodeId(to), Bytes::from(encode(notice))) {
            tracing::error!(to, %error, "a notice was not sent");
        }
    }

    /// Whether the node has said something lately; this one always has.
    pub(crate) fn is_alive(&self, peer: NodeId) -> bool {
        let heard = || self.calls.last_heard(tollgate_transport::NodeId(peer));
        peer == self.me || heard().is_some_and(|at| at + ALIVE > Instant::now())
    }

    /// Of these nodes, the ones that are alive.
    pub(crate) fn alive(&self, nodes: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        nodes.into_iter().filter(|node| self.is_alive(*node)).collect()
    }
}
