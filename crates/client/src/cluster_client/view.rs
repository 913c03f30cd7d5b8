//! What a client knows of a cluster, and where it therefore sends a request: decisions without clock or network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio::time::Instant;
use tollgate_api::ClusterAnswer;

use super::shard_map::ShardMap;
use super::shard_memory::{RequestKey, ShardMemory};
use crate::Error;
use crate::reply::Reply;

/// Age at which the map is asked for again though nothing speaks against it: leaderships move silently, and a request that
/// goes to a former leader only takes one hop more.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Pause after which the map is asked for again when it proved wrong: less than an election takes.
const SUSPECT_AGE: Duration = Duration::from_millis(500);
/// How long a node that cannot be reached is passed over: about as long as a restart takes.
const UNREACHABLE: Duration = Duration::from_secs(5);
/// How long a node that did not answer in time or did not serve a call is passed over, unless it asks for longer.
const UNSERVED: Duration = Duration::from_secs(1);

/// What a client knows of a cluster.
#[derive(Debug)]
pub(super) struct View {
    seeds: Vec<Arc<Url>>,
    map: ShardMap,
    memory: ShardMemory,
    /// When the map was asked for last; `None` if never.
    asked: Option<Instant>,
    /// Whether something happened that the map does not tell.
    is_suspect: bool,
    /// Nodes that are tried last, each until when.
    avoided: BTreeMap<Arc<Url>, Instant>,
    /// Counts the requests, so that each begins with another node.
    turn: usize,
}

impl View {
    /// A view that knows no more than some addresses, of which there must be one at least.
    pub(super) fn new(seeds: Vec<Arc<Url>>) -> Self {
        let map = ShardMap::of_seeds(&seeds);
        let (memory, avoided) = (ShardMemory::default(), BTreeMap::new());
        Self { seeds, map, memory, asked: None, is_suspect: true, avoided, turn: 0 }
    }

    /// All nodes in the order in which to try them: the leader of the request's shard if it is known, the others in turn,
    /// and those that failed lately last.
    pub(super) fn plan(&mut self, key: Option<RequestKey>, now: Instant) -> Vec<Arc<Url>> {
        let leader = key.and_then(|key| self.leader(key, now));
        self.turn = self.turn.wrapping_add(1);
        let nodes = &self.map.nodes;
        let (before, after) = nodes.split_at(self.turn % nodes.len().max(1));
        let others = after.iter().chain(before).chain(&self.map.spare).filter(|node| Some(*node) != leader.as_ref());
        let mut plan: Vec<Arc<Url>> = leader.iter().chain(others).cloned().collect();
        plan.sort_by_key(|node| self.is_avoided(node, now));
        plan
    }

    /// The leader of the shard to which such a request went. If that is known but the leader is not, or has failed, the map
    /// is suspect.
    fn leader(&mut self, key: RequestKey, now: Instant) -> Option<Arc<Url>> {
        let shard = self.memory.shard(key)?;
        let leader = self.map.leaders.get(&shard).cloned();
        self.is_suspect |= leader.as_ref().is_none_or(|leader| self.is_avoided(leader, now));
        leader
    }

    fn is_avoided(&self, node: &Arc<Url>, now: Instant) -> bool {
        self.avoided.get(node).is_some_and(|until| now < *until)
    }

    /// Whether the map is to be asked for now. Says so once; who is told has to do it.
    pub(super) fn take_refresh(&mut self, now: Instant) -> bool {
        let pause = if self.is_suspect { SUSPECT_AGE } else { MAX_AGE };
        let is_due = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= pause);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// Takes over what a node says of the cluster, unless it is cut off: the map of such a node would send all requests to it.
    pub(super) fn learn_map(&mut self, answer: &ClusterAnswer, now: Instant) {
        self.asked = Some(now);
        self.is_suspect = !answer.ready;
        if answer.ready {
            self.map = ShardMap::new(answer, &self.seeds);
        }
        self.avoided.retain(|_, until| now < *until);
    }

    /// Remembers that such a request went to `shard`.
    pub(super) fn learn_shard(&mut self, key: RequestKey, shard: u32) {
        self.memory.learn(key, shard);
    }

    /// Draws conclusions from how an attempt at `node` ended.
    pub(super) fn observe(&mut self, node: &Arc<Url>, outcome: &Result<Reply, Error>, now: Instant) {
        match outcome {
            Ok(reply) if reply.status == StatusCode::SERVICE_UNAVAILABLE => {
                self.avoid(node, now + reply.retry_after.clamp(UNSERVED, UNREACHABLE));
            }
            Ok(_) => drop(self.avoided.remove(node)),
            Err(Error::Connect { .. }) => self.avoid(node, now + UNREACHABLE),
            Err(Error::Deadline { .. }) => self.avoid(node, now + UNSERVED),
            Err(Error::Interrupted { .. }) => self.is_suspect = true,
            Err(
                Error::InvalidUrl { .. }
                | Error::Setup { .. }
                | Error::InvalidName { .. }
                | Error::Refused(_)
                | Error::Garbled { .. },
            ) => {}
        }
    }

    fn avoid(&mut self, node: &Arc<Url>, until: Instant) {
        self.avoided.insert(Arc::clone(node), until);
        self.is_suspect = true;
    }
}

#[cfg(test)]
mod tests;
