//! temporary
use openraft::errors::{RPCError, StreamingError, Unreachable, ReplicationClosed};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, BasicNode};
use openraft::alias::{SnapshotOf, VoteOf};
use tollgate_storage::GroupId;
use super::{Raft, SnapshotData, NodeId};
#[derive(Clone)]
pub(crate) struct Network;
impl Network { pub(crate) fn alone() -> Self { Self } pub(crate) fn of_group(&self, _g: GroupId) -> Self { Self } }
fn unreachable() -> Unreachable<Raft> { Unreachable::new(&AnyError::error("alone")) }
impl RaftNetworkFactory<Raft> for Network { type Network = Self; async fn new_client(&mut self, _t: NodeId, _n: &BasicNode) -> Self { Self } }
impl RaftNetworkV2<Raft> for Network {
    type SnapshotData = SnapshotData;
    async fn append_entries(&mut self, _r: AppendEntriesRequest<Raft>, _o: RPCOption) -> Result<AppendEntriesResponse<Raft>, RPCError<Raft>> { Err(RPCError::Unreachable(unreachable())) }
    async fn vote(&mut self, _r: VoteRequest<Raft>, _o: RPCOption) -> Result<VoteResponse<Raft>, RPCError<Raft>> { Err(RPCError::Unreachable(unreachable())) }
    async fn full_snapshot(&mut self, _v: VoteOf<Raft>, _s: SnapshotOf<Raft, SnapshotData>, _c: impl Future<Output = ReplicationClosed> + Send + 'static, _o: RPCOption) -> Result<SnapshotResponse<Raft>, StreamingError<Raft>> { Err(StreamingError::Unreachable(unreachable())) }
}
