//! How the replicas of a group reach each other.
//!
//! A node is its own cluster so far: every group has one voter, and Raft has nobody to talk to. The frames and calls that
//! replicas will talk by are in `tollgate_transport`.

use openraft::alias::{SnapshotOf, VoteOf};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, BasicNode};

use super::{NodeId, Raft, SnapshotData};

/// The network of a node that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alone;

/// What Raft would reach another node by. There is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nobody {
    target: NodeId,
}

impl Nobody {
    fn unreachable(self) -> Unreachable<Raft> {
        let reason = format!("node {} is not in this cluster: it has one node", self.target);
        Unreachable::new(&AnyError::error(reason))
    }
}

impl RaftNetworkFactory<Raft> for Alone {
    type Network = Nobody;

    async fn new_client(&mut self, target: NodeId, _node: &BasicNode) -> Nobody {
        Nobody { target }
    }
}

impl RaftNetworkV2<Raft> for Nobody {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Raft>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Raft>, RPCError<Raft>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Raft>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Raft>, RPCError<Raft>> {
        Err(self.unreachable().into())
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Raft>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Raft>, RPCError<Raft>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<Raft>,
        _snapshot: SnapshotOf<Raft, SnapshotData>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Raft>, StreamingError<Raft>> {
        Err(self.unreachable().into())
    }
}
