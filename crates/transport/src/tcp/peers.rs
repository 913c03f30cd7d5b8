//! The other nodes and the ways to them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::TcpOptions;
use super::connect::Connector;
use super::failures::{Failures, LastRefusal};
use super::peer_queue::PeerQueue;
use super::refusal_log::{Caller, RefusalLog};
use super::roster::Roster;
use super::stream::ConnectionError;
use crate::hello::Hello;
use crate::{HelloRefusal, Introduction, NodeId, PeerAddress};

/// Knows the other nodes, keeps a connector for each, and lets their connections in.
#[derive(Debug)]
pub(super) struct Peers {
    own: Introduction,
    options: TcpOptions,
    /// So that nodes can be connected to from any thread.
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    roster: Roster,
    /// The way to each known node.
    ways: BTreeMap<NodeId, Way>,
    refusals: RefusalLog,
}

#[derive(Debug)]
struct Way {
    queue: Arc<PeerQueue>,
    last_refusal: LastRefusal,
    connecting: AbortHandle,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.connecting.abort();
    }
}

impl Peers {
    /// Must be called within a tokio runtime.
    pub(super) fn new(own: Introduction, options: TcpOptions) -> Self {
        let roster = Roster::new(own.clone(), options.known_nodes);
        let state = State { roster, ways: BTreeMap::new(), refusals: RefusalLog::default() };
        Self { own, options, runtime: Handle::current(), state: Mutex::new(state) }
    }

    pub(super) fn own(&self) -> &Introduction {
        &self.own
    }

    pub(super) fn options(&self) -> &TcpOptions {
        &self.options
    }

    /// Whether there is a way to the node, and so the frame waits to be sent.
    pub(super) fn push(&self, to: NodeId, frame: Bytes) -> bool {
        let state = self.state();
        let way = state.ways.get(&to);
        way.inspect(|way| way.queue.push(frame)).is_some()
    }

    pub(super) fn dropped_frames(&self, peer: NodeId) -> u64 {
        self.state().ways.get(&peer).map(|way| way.queue.dropped()).unwrap_or_default()
    }

    pub(super) fn refusal(&self, peer: NodeId) -> Option<HelloRefusal> {
        self.state().ways.get(&peer)?.last_refusal.get()
    }

    pub(super) fn connect(&self, peer: NodeId, peer_address: PeerAddress) {
        if peer == self.own.node {
            return;
        }
        let mut state = self.state();
        let address = peer_address.address.clone();
        if state.roster.know(peer, peer_address) {
            self.lead(&mut state.ways, peer, address);
        }
    }

    pub(super) fn reconnect(&self, peer: NodeId) {
        let mut state = self.state();
        if let Some(address) = state.roster.address(peer) {
            self.lead(&mut state.ways, peer, address);
        }
    }

    pub(super) fn forget(&self, peer: NodeId) {
        let mut state = self.state();
        state.roster.forget(peer);
        state.ways.remove(&peer);
    }

    /// Lets a node in that said this, if it may.
    pub(super) fn admit(self: &Arc<Self>, hello: &Hello) -> Result<Guest, HelloRefusal> {
        let mut state = self.state();
        let admitted = state.roster.admit(hello)?;
        if admitted.has_moved {
            self.lead(&mut state.ways, hello.from, hello.address.clone());
        }
        Ok(Guest { node: hello.from, visit: admitted.visit, closed: admitted.closed, peers: Arc::clone(self) })
    }

    /// Logs a refusal, loudly if it is a new one.
    pub(super) fn log_refusal(&self, caller: Caller, refusal: HelloRefusal) {
        let (address, node) = (caller.0, caller.1.map(|node| node.0));
        if self.state().refusals.is_news(caller, refusal) {
            tracing::error!(%address, node, told = %refusal, "refused a connection, telling the other side why");
        } else {
            tracing::debug!(%address, node, told = %refusal, "still refuses a connection");
        }
    }

    /// Logs that somebody connected and did not introduce himself, loudly if it is the first from there.
    pub(super) fn log_stranger(&self, address: IpAddr, error: &ConnectionError) {
        if self.state().refusals.is_news((address, None), HelloRefusal::NotANode) {
            tracing::warn!(%address, %error, "closed the connection of a stranger");
        } else {
            tracing::debug!(%address, %error, "closed another connection of a stranger");
        }
    }

    /// Nobody from there who is this node is refused any more.
    pub(super) fn end_refusals(&self, address: IpAddr, node: NodeId) {
        let mut state = self.state();
        state.refusals.end((address, Some(node)));
        state.refusals.end((address, None));
    }

    /// Connects to a node at this address instead of any other. What waits for it goes there.
    fn lead(&self, ways: &mut BTreeMap<NodeId, Way>, peer: NodeId, address: String) {
        let queue = ways.get(&peer).map_or_else(|| Arc::new(self.new_queue()), |way| Arc::clone(&way.queue));
        let last_refusal = LastRefusal::default();
        let connector = Connector {
            hello: Hello::new(&self.own, peer),
            address,
            queue: Arc::clone(&queue),
            failures: Failures::new(last_refusal.clone()),
            options: self.options.clone(),
        };
        let connecting = self.runtime.spawn(connector.run()).abort_handle();
        ways.insert(peer, Way { queue, last_refusal, connecting });
    }

    fn new_queue(&self) -> PeerQueue {
        PeerQueue::new(self.options.queued_frames_per_peer, self.options.queued_bytes_per_peer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node that was let in, for as long as its connection is open.
pub(super) struct Guest {
    pub(super) node: NodeId,
    /// Ends when the connection is to be closed.
    pub(super) closed: oneshot::Receiver<()>,
    visit: u64,
    peers: Arc<Peers>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.peers.state().roster.leave(self.node, self.visit);
    }
}
