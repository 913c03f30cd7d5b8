//! Starts a replica for every shard that the node hosts, a bucket actor for every one it leads, and starts anew whichever fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{oneshot, watch};
use tollgate_limiter::{Limits, ShardId};

use super::bucket::BucketActor;
use super::replica::{ReplicaActor, ReplicaArgs};
use super::{BucketArgs, BucketMsg, BucketSettings, ShardGroup};
use crate::consensus::LeaderId;
use crate::environment::{Environment, Event};
use crate::inbox::Inbox;

#[derive(Debug)]
pub(crate) enum SupervisorMsg {
    /// From a replica: this node leads the shard.
    Lead(ShardId, LeaderId),
    /// From a replica: it leads it no longer.
    Follow(ShardId),
    /// From the meta actor: the limits have changed. Answered when every shard that is led here counts by them.
    Reshape(oneshot::Sender<()>),
    /// From the node: end every leadership without a loss. Answered when that is done.
    HandOver(oneshot::Sender<()>),
}

pub(crate) struct SupervisorArgs {
    pub(crate) shards: Vec<Hosted>,
    pub(crate) limits: watch::Receiver<Arc<Limits>>,
    pub(crate) settings: BucketSettings,
    pub(crate) environment: Environment,
}

/// A shard that the node hosts.
#[derive(Clone)]
pub(crate) struct Hosted {
    pub(crate) group: Arc<ShardGroup>,
    pub(crate) inbox: Arc<Inbox>,
}

pub(crate) struct SupervisorState {
    shards: Vec<Hosted>,
    limits: watch::Receiver<Arc<Limits>>,
    settings: BucketSettings,
    environment: Environment,
    myself: ActorRef<SupervisorMsg>,
    replicas: BTreeMap<ActorId, ShardId>,
    buckets: BTreeMap<ShardId, (ActorRef<BucketMsg>, LeaderId)>,
    /// Leaderships to be taken up once the actor of the one before has ended.
    next: BTreeMap<ShardId, LeaderId>,
    /// The node is stopping: no leadership is taken up any more.
    stopping: bool,
}

pub(crate) struct SupervisorActor;

impl SupervisorActor {
    pub(crate) async fn spawn(args: SupervisorArgs) -> Result<ActorRef<SupervisorMsg>, ractor::SpawnErr> {
        let (actor, _) = Actor::spawn(None, Self, args).await?;
        Ok(actor)
    }
}

impl Actor for SupervisorActor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = SupervisorArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        args: SupervisorArgs,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let SupervisorArgs { shards, limits, settings, environment } = args;
        let (replicas, buckets, next) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(SupervisorState { shards, limits, settings, environment, myself, replicas, buckets, next, stopping: false })
    }

    async fn post_start(
        &self,
        _myself: ActorRef<SupervisorMsg>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        for shard in 0..state.shards.len() as ShardId {
            state.start_replica(shard).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Lead(shard, leadership) => state.lead(shard, leadership).await,
            SupervisorMsg::Follow(shard) => {
                state.follow(shard);
                Ok(())
            }
            SupervisorMsg::Reshape(done) => {
                state.ask_all(BucketMsg::Reshape, done);
                Ok(())
            }
            SupervisorMsg::HandOver(done) => {
                state.stopping = true;
                state.ask_all(BucketMsg::HandOver, done);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                tracing::error!(%error, "an actor failed and is started anew");
                state.ended(&actor, true).await
            }
            SupervisionEvent::ActorTerminated(actor, _, reason) => {
                tracing::debug!(reason, "an actor ended");
                state.ended(&actor, false).await
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl SupervisorState {
    fn hosted(&self, shard: ShardId) -> Result<Hosted, ActorProcessingErr> {
        self.shards.get(shard as usize).cloned().ok_or_else(|| format!("shard {shard} is not hosted here").into())
    }

    async fn start_replica(&mut self, shard: ShardId) -> Result<(), ActorProcessingErr> {
        let Hosted { group, .. } = self.hosted(shard)?;
        let args = ReplicaArgs { shard, group, supervisor: self.myself.clone(), environment: self.environment.clone() };
        let replica = ReplicaActor::spawn(args).await?;
        self.replicas.insert(replica.get_id(), shard);
        Ok(())
    }

    /// Takes up a leadership, after the actor of the one before has ended.
    async fn lead(&mut self, shard: ShardId, leadership: LeaderId) -> Result<(), ActorProcessingErr> {
        match self.buckets.get(&shard) {
            _ if self.stopping => Ok(()),
            Some((_, same)) if *same == leadership => Ok(()),
            Some((actor, _)) => {
                actor.stop(Some("a new leadership has begun".to_owned()));
                self.next.insert(shard, leadership);
                Ok(())
            }
            None => self.start_bucket(shard, leadership).await,
        }
    }

    fn follow(&mut self, shard: ShardId) {
        self.next.remove(&shard);
        if let Some((actor, _)) = self.buckets.get(&shard) {
            actor.stop(Some("the leadership has ended".to_owned()));
        }
    }

    async fn start_bucket(&mut self, shard: ShardId, leadership: LeaderId) -> Result<(), ActorProcessingErr> {
        let Hosted { group, inbox } = self.hosted(shard)?;
        let args = BucketArgs {
            shard,
            group,
            leadership,
            inbox: Arc::clone(&inbox),
            limits: self.limits.clone(),
            settings: self.settings.clone(),
            environment: self.environment.clone(),
        };
        let actor = BucketActor::spawn(args, self.myself.get_cell()).await?;
        inbox.serve(Some(actor.clone()));
        self.buckets.insert(shard, (actor, leadership));
        Ok(())
    }

    /// An actor has ended: a bucket actor because its leadership did, or, like a replica, because it failed.
    async fn ended(&mut self, actor: &ActorCell, failed: bool) -> Result<(), ActorProcessingErr> {
        if let Some(shard) = self.replicas.remove(&actor.get_id()) {
            self.restarting(shard, failed);
            return if self.stopping { Ok(()) } else { self.start_replica(shard).await };
        }
        let ended = self.buckets.iter().find(|(_, (bucket, _))| bucket.get_id() == actor.get_id());
        let Some((shard, leadership)) = ended.map(|(shard, (_, leadership))| (*shard, *leadership)) else {
            return Ok(());
        };
        self.buckets.remove(&shard);
        let Hosted { group, inbox } = self.hosted(shard)?;
        inbox.serve(None);
        self.restarting(shard, failed);
        // After a failure the same leadership goes on, from committed state, unless it has ended meanwhile.
        let same = || group.leadership().filter(|held| failed && *held == leadership);
        match self.next.remove(&shard).or_else(same) {
            Some(leadership) if !self.stopping => self.start_bucket(shard, leadership).await,
            _ => Ok(()),
        }
    }

    fn restarting(&self, shard: ShardId, failed: bool) {
        if failed {
            self.environment.events.on(Event::ActorRestarted { shard });
        }
    }

    /// Asks every bucket actor, and answers when all have answered or ended.
    fn ask_all(&self, message: fn(oneshot::Sender<()>) -> BucketMsg, done: oneshot::Sender<()>) {
        let ask = |(actor, _): &(ActorRef<BucketMsg>, LeaderId)| {
            let (reply, answer) = oneshot::channel();
            drop(actor.cast(message(reply)));
            answer
        };
        let answers: Vec<_> = self.buckets.values().map(ask).collect();
        tokio::spawn(async move {
            futures::future::join_all(answers).await;
            done.send(()).ok();
        });
    }
}
