//! Heartbeats on their way: those of all groups to one node travel as one call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::sync::oneshot;

use super::rpc::RaftRefusal;
use super::{NodeId, Raft};
use crate::messages::Request;
use crate::peers::{PeerError, Peers};

/// How long the first heartbeat waits for the others of its beat.
const GATHER: Duration = Duration::from_millis(1);

/// What answers a heartbeat.
pub(crate) type HeartbeatAnswer = Result<AppendEntriesResponse<Raft>, RaftRefusal>;

/// Gathers the heartbeats of all groups.
pub(crate) struct Heartbeats {
    peers: Arc<Peers>,
    waiting: Mutex<BTreeMap<NodeId, Vec<Waiting>>>,
}

/// A heartbeat that waits for the others of its beat.
struct Waiting {
    group: u32,
    request: AppendEntriesRequest<Raft>,
    answer: oneshot::Sender<HeartbeatAnswer>,
}

impl Heartbeats {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self { peers, waiting: Mutex::default() }
    }

    /// Sends a heartbeat with those of the other groups, and waits for its answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        to: NodeId,
        group: u32,
        request: AppendEntriesRequest<Raft>,
        deadline: Duration,
    ) -> Result<AppendEntriesResponse<Raft>, PeerError> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting();
            let waiting = waiting.entry(to).or_default();
            waiting.push(Waiting { group, request, answer });
            waiting.len() == 1
        };
        if is_first {
            let gathering = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                gathering.flush(to, deadline).await;
            });
        }
        let no_answer = || PeerError::Garbled("a heartbeat has no answer".to_owned());
        answered.await.map_err(|_| no_answer())?.map_err(PeerError::Refused)
    }

    /// Sends what has gathered, and hands the answers on. Whoever has none hears that by its channel.
    async fn flush(&self, to: NodeId, deadline: Duration) {
        let waiting = self.waiting().remove(&to).unwrap_or_default();
        let (requests, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|waiting| ((waiting.group, waiting.request), waiting.answer)).unzip();
        let heard = self.peers.call::<Vec<HeartbeatAnswer>>(to, &Request::Heartbeats(requests), deadline).await;
        for (sender, answer) in answers.into_iter().zip(heard.unwrap_or_default()) {
            drop(sender.send(answer));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<NodeId, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
