//! A group as the other replicas see it: answers their calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::alias::SnapshotOf;
use openraft::raft::{AppendEntriesResponse, SnapshotResponse};
use serde::Serialize;
use tollgate_limiter::{self as limiter, ShardClock};

use super::group::Group;
use super::rpc::{RaftRefusal, RaftRequest, SnapshotPart};
use super::state_machine::Machine;
use super::{AppendEntries, HeartbeatAnswer, Raft, SnapshotData, SnapshotMeta, Vote};
use crate::codec::encode;
use crate::environment::Clock;
use crate::messages::SeenTime;
use crate::reception::Endpoint;

/// A group that others may call, with the clock by which it tells how its shard's time goes.
pub(crate) struct GroupEndpoint<M: Machine + Sync> {
    pub(crate) group: Arc<Group<M>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Endpoint for GroupEndpoint<limiter::State> {
    fn raft(&self, request: RaftRequest) -> BoxFuture<'static, Vec<u8>> {
        answer(&self.group, request)
    }

    fn heartbeat(&self, request: AppendEntries) -> BoxFuture<'static, HeartbeatAnswer> {
        heartbeat(&self.group, request)
    }

    fn seen_time(&self) -> SeenTime {
        let (stamp, seen) = self.group.state().read_seen(limiter::State::stamp);
        let reading = self.clock.read();
        let clock = stamp.and_then(|stamp| ShardClock::witnessed(stamp, seen, reading));
        SeenTime { stamped: stamp.map(|stamp| stamp.at), now: clock.map(|mut clock| clock.now(reading.mono_ns)) }
    }
}

impl Endpoint for GroupEndpoint<crate::meta::ClusterState> {
    fn raft(&self, request: RaftRequest) -> BoxFuture<'static, Vec<u8>> {
        answer(&self.group, request)
    }

    fn heartbeat(&self, request: AppendEntries) -> BoxFuture<'static, HeartbeatAnswer> {
        heartbeat(&self.group, request)
    }

    /// Group 0 keeps no time.
    fn seen_time(&self) -> SeenTime {
        SeenTime { stamped: None, now: None }
    }
}

fn heartbeat<M: Machine + Sync>(group: &Arc<Group<M>>, request: AppendEntries) -> BoxFuture<'static, HeartbeatAnswer> {
    let group = Arc::clone(group);
    async move { append(&group, request).await }.boxed()
}

/// Takes what a leader says; if it is the leader, it was heard.
async fn append<M: Machine + Sync>(group: &Group<M>, request: AppendEntries) -> HeartbeatAnswer {
    let appended = group.raft().append_entries(request).await;
    let answer = appended.map_err(stopped)?;
    if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
        group.leader_heard();
    }
    Ok(answer)
}

fn answer<M: Machine + Sync>(group: &Arc<Group<M>>, request: RaftRequest) -> BoxFuture<'static, Vec<u8>> {
    let (raft, group) = (group.raft().clone(), Arc::clone(group));
    async move {
        match request {
            RaftRequest::Append(request) => encode(&append(&group, request).await),
            RaftRequest::Vote(request) => encoded(raft.vote(request).await),
            RaftRequest::PreVote(request) => encoded(raft.pre_vote(request).await),
            RaftRequest::TransferLeader(request) => encoded(raft.handle_transfer_leader(request).await),
            RaftRequest::Snapshot(part) => encode(&receive(&group, part).await),
        }
    }
    .boxed()
}

fn encoded<T: Serialize, E: std::fmt::Display>(answer: Result<T, E>) -> Vec<u8> {
    encode(&answer.map_err(stopped))
}

fn stopped(error: impl std::fmt::Display) -> RaftRefusal {
    RaftRefusal::Stopped(error.to_string())
}

/// Takes a part of a snapshot; with the last one, installs it.
async fn receive<M: Machine + Sync>(
    group: &Group<M>,
    part: SnapshotPart,
) -> Result<SnapshotResponse<Raft>, RaftRefusal> {
    let vote = part.vote;
    let Some((meta, state)) = group.receiving().take(&part)? else { return Ok(SnapshotResponse::new(vote)) };
    let snapshot = SnapshotOf::<Raft, SnapshotData> { meta, snapshot: Bytes::from(state) };
    let installed = group.raft().install_full_snapshot(vote, snapshot).await;
    let answer = installed.map_err(stopped)?;
    // Openraft installs nothing where the log has it all, and does not wait until that log is durable. The leader would count on it.
    group.synced().await.map_err(stopped)?;
    Ok(answer)
}

/// The snapshot that comes in, part by part.
#[derive(Default)]
pub(crate) struct Receiving(Mutex<Option<Incoming>>);

struct Incoming {
    vote: Vote,
    meta: SnapshotMeta,
    state: Vec<u8>,
}

impl Receiving {
    /// Takes the next part; returns the whole when it was the last. A part that does not continue what is here is refused, and the
    /// leader begins anew.
    fn take(&self, part: &SnapshotPart) -> Result<Option<(SnapshotMeta, Vec<u8>)>, RaftRefusal> {
        let mut incoming = self.incoming();
        if part.offset == 0 {
            *incoming = Some(Incoming { vote: part.vote, meta: part.meta.clone(), state: Vec::new() });
        }
        let continues = |incoming: &Incoming| {
            incoming.vote == part.vote && incoming.meta == part.meta && incoming.state.len() as u64 == part.offset
        };
        let Some(present) = incoming.as_mut().filter(|incoming| continues(incoming)) else {
            return Err(RaftRefusal::PartMissing);
        };
        present.state.extend_from_slice(&part.data);
        let whole = incoming.take_if(|_| part.is_last);
        Ok(whole.map(|incoming| (incoming.meta, incoming.state)))
    }

    fn incoming(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
