//! How the replicas of a group reach each other: Raft's calls over the calls between nodes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use openraft::alias::{LogIdOf, SnapshotOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode};
use serde::de::DeserializeOwned;
use tollgate_storage::GroupId;

use super::rpc::{RaftRefusal, RaftRequest, SnapshotPart};
use super::silence::Silence;
use super::{Heartbeats, NodeId, Raft, SnapshotData, Vote};
use crate::messages::Request;
use crate::peers::{PeerError, Peers};

/// Bytes of one part of a snapshot: a small share of the largest frame, so that heartbeats do not wait behind it.
const SNAPSHOT_PART_BYTES: usize = 1 << 20;

/// How long one part of a snapshot may take.
const SNAPSHOT_PART_DEADLINE: Duration = Duration::from_secs(5);

/// Waits before a node that could not be reached is tried again. Short, because a partition that heals should be noticed at once,
/// and a try costs one frame.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_millis(200);

/// The network of one group.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) group: GroupId,
    pub(crate) peers: Arc<Peers>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) silence: Arc<Silence>,
}

/// The way to one replica of the group.
pub(crate) struct Replica {
    network: Network,
    target: NodeId,
}

impl RaftNetworkFactory<Raft> for Network {
    type Network = Replica;

    async fn new_client(&mut self, target: NodeId, _node: &BasicNode) -> Replica {
        Replica { network: self.clone(), target }
    }
}

impl Replica {
    async fn call<A: DeserializeOwned>(&self, request: RaftRequest, deadline: Duration) -> Result<A, PeerError> {
        let request = Request::Raft { group: self.network.group.0, request };
        let answer: Result<A, RaftRefusal> = self.network.peers.call(self.target, &request, deadline).await?;
        answer.map_err(PeerError::Refused)
    }
}

/// Every failure makes Raft wait a moment before it tries again: a node that refuses, or is too busy, is no better off for being
/// asked more often.
fn unreachable(error: &PeerError) -> Unreachable<Raft> {
    Unreachable::new(error)
}

impl RaftNetworkV2<Raft> for Replica {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<Raft>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Raft>, RPCError<Raft>> {
        if self.network.silence.is_silent() {
            return Err(unreachable(&PeerError::Silent).into());
        }
        if request.entries.is_empty() {
            let Network { group, heartbeats, .. } = &self.network;
            let answer = heartbeats.send(self.target, group.0, request, option.soft_ttl()).await;
            return answer.map_err(|error| unreachable(&error).into());
        }
        let mut sent: Option<Option<LogIdOf<Raft>>> = None;
        loop {
            let again = (request.entries.len() > 1).then(|| request.clone());
            match self.call(RaftRequest::Append(request), option.soft_ttl()).await {
                Ok(AppendEntriesResponse::Success) => {
                    return Ok(sent.map_or(AppendEntriesResponse::Success, AppendEntriesResponse::PartialSuccess));
                }
                Ok(answer) => return Ok(answer),
                Err(PeerError::Call(tollgate_transport::CallError::RequestTooLarge { .. })) if again.is_some() => {
                    request = again.expect("it was just looked at");
                    request.entries.truncate(request.entries.len() / 2);
                    sent = Some(request.entries.last().map(RaftEntry::log_id));
                }
                Err(error) => return Err(unreachable(&error).into()),
            }
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Raft>,
        option: RPCOption,
    ) -> Result<VoteResponse<Raft>, RPCError<Raft>> {
        let answer = self.call(RaftRequest::Vote(request), option.soft_ttl()).await;
        answer.map_err(|error| unreachable(&error).into())
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Raft>,
        option: RPCOption,
    ) -> Result<VoteResponse<Raft>, RPCError<Raft>> {
        let answer = self.call(RaftRequest::PreVote(request), option.soft_ttl()).await;
        answer.map_err(|error| unreachable(&error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Raft>,
        snapshot: SnapshotOf<Raft, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Raft>, StreamingError<Raft>> {
        let sending = self.send_snapshot(vote, snapshot).fuse();
        let cancel = cancel.fuse();
        futures::pin_mut!(sending, cancel);
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = sending => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Raft>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Raft>, RPCError<Raft>> {
        let answer = self.call(RaftRequest::TransferLeader(request), option.soft_ttl()).await;
        answer.map_err(|error| unreachable(&error).into())
    }

    fn backoff(&self) -> Option<Backoff> {
        let doubling = std::iter::successors(Some(RETRY_FIRST), |pause| Some((*pause * 2).min(RETRY_LAST)));
        Some(Backoff::new(doubling))
    }
}

impl Replica {
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Raft, SnapshotData>,
    ) -> Result<SnapshotResponse<Raft>, StreamingError<Raft>> {
        let (meta, state) = (snapshot.meta, snapshot.snapshot);
        let mut offset = 0;
        loop {
            let end = (offset + SNAPSHOT_PART_BYTES).min(state.len());
            let is_last = end == state.len();
            let data = state[offset..end].to_vec();
            let part = SnapshotPart { vote, meta: meta.clone(), offset: offset as u64, data, is_last };
            let answer = self.call(RaftRequest::Snapshot(part), SNAPSHOT_PART_DEADLINE).await;
            let answer: SnapshotResponse<Raft> = answer.map_err(|error| NetworkError::new(&error))?;
            if is_last || answer.vote > vote {
                return Ok(answer);
            }
            offset = end;
        }
    }
}

impl From<PeerError> for AnyError {
    fn from(error: PeerError) -> Self {
        Self::new(&error)
    }
}
