//! Keeps one shard's replica on this node, and tells the supervisor when it begins and ends to lead.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tollgate_limiter::ShardId;

use super::{ShardGroup, SupervisorMsg};
use crate::consensus::LeadershipWatch;
use crate::environment::Environment;

/// How often the replica looks whether its log should be shortened.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum ReplicaMsg {
    /// From a timer of this actor, once a second.
    Tick,
}

pub(crate) struct ReplicaArgs {
    pub(crate) shard: ShardId,
    pub(crate) group: Arc<ShardGroup>,
    pub(crate) supervisor: ActorRef<SupervisorMsg>,
    pub(crate) environment: Environment,
}

pub(crate) struct ReplicaState {
    group: Arc<ShardGroup>,
    environment: Environment,
    /// Leadership is told of as long as this lives.
    _watch: LeadershipWatch,
}

pub(crate) struct ReplicaActor;

impl ReplicaActor {
    pub(crate) async fn spawn(args: ReplicaArgs) -> Result<ActorRef<ReplicaMsg>, ractor::SpawnErr> {
        let supervisor = args.supervisor.get_cell();
        let (actor, _) = Self::spawn_linked(None, Self, args, supervisor).await?;
        Ok(actor)
    }
}

impl Actor for ReplicaActor {
    type Msg = ReplicaMsg;
    type State = ReplicaState;
    type Arguments = ReplicaArgs;

    async fn pre_start(
        &self,
        _myself: ActorRef<ReplicaMsg>,
        args: ReplicaArgs,
    ) -> Result<ReplicaState, ActorProcessingErr> {
        let ReplicaArgs { shard, group, supervisor, environment } = args;
        let follow = supervisor.clone();
        let watch = group.watch_leadership(
            move |leadership| drop(supervisor.cast(SupervisorMsg::Lead(shard, leadership))),
            move || drop(follow.cast(SupervisorMsg::Follow(shard))),
        );
        Ok(ReplicaState { group, environment, _watch: watch })
    }

    async fn post_start(
        &self,
        myself: ActorRef<ReplicaMsg>,
        _state: &mut ReplicaState,
    ) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || ReplicaMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<ReplicaMsg>,
        message: ReplicaMsg,
        state: &mut ReplicaState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ReplicaMsg::Tick => state.compact(),
        }
        Ok(())
    }
}

impl ReplicaState {
    /// Shortens the log if it has grown, or if the storage asks for it.
    fn compact(&self) {
        let group = Arc::clone(&self.group);
        let asked = self.environment.storage.groups_to_purge().contains(&group.id());
        tokio::spawn(async move { group.compact(asked).await });
    }
}
