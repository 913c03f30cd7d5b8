//! The way of one call through a cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use tokio::time::Instant;

use super::shard_memory::RequestKey;
use super::view::View;
use crate::Error;
use crate::reply::Reply;
use crate::route::Route;

/// A view that all calls of a client share. Every step leaves it whole, so a panic elsewhere does not spoil it.
#[derive(Clone, Debug)]
pub(super) struct SharedView(Arc<Mutex<View>>);

impl SharedView {
    pub(super) fn new(view: View) -> Self {
        Self(Arc::new(Mutex::new(view)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way of a call that is to go to the leader of the shard of `key`, or to any node.
    pub(super) fn plan(&self, key: Option<RequestKey>) -> Plan {
        let nodes = self.lock().plan(key, Instant::now());
        Plan { view: self.clone(), nodes, tried: 0 }
    }
}

/// Nodes to try one after the other, and then again from the first. Never empty.
#[derive(Debug)]
pub(super) struct Plan {
    view: SharedView,
    nodes: Vec<Arc<Url>>,
    tried: usize,
}

impl Route for Plan {
    fn next(&mut self) -> Arc<Url> {
        let node = Arc::clone(&self.nodes[self.tried % self.nodes.len()]);
        self.tried += 1;
        node
    }

    fn has_other(&self) -> bool {
        self.tried < self.nodes.len()
    }

    fn observe(&mut self, node: &Arc<Url>, outcome: &Result<Reply, Error>) {
        self.view.lock().observe(node, outcome, Instant::now());
    }
}
