//! Changes the cluster's own state (group 0) and spreads its limits over the node's shards.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tollgate_limiter::{Limit, LimitName, Limits};

use super::SupervisorMsg;
use crate::consensus::{self, Group, LeaderId, ProposeError};
use crate::meta::{self, ClusterState, MAX_LIMITS};

/// The most changes that wait for the one that is being made; one more is refused at once.
const MAX_WAITING: usize = 256;

/// How long a change may take to be committed and to reach every shard.
const CHANGE_DEADLINE: Duration = Duration::from_secs(5);

/// How often a proposal is tried again that met no leader, and the pause before each.
const LEADER_RETRIES: u32 = 400;
const LEADER_PAUSE: Duration = Duration::from_millis(5);

/// How often the log's length is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A change of the limits.
#[derive(Clone, Debug)]
pub(crate) enum LimitChange {
    /// Creates or replaces one.
    Put(Limit),
    /// Removes one.
    Delete(LimitName),
    /// Applies the configuration file's.
    File(Vec<Limit>),
}

/// Why limits were not changed, or are not known to be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LimitChangeError {
    /// There is no limit of this name.
    #[error("there is no limit of this name")]
    UnknownLimit,
    /// The cluster has as many limits as it may.
    #[error("the cluster has {MAX_LIMITS} limits already")]
    TooMany,
    /// It was not committed in time; it may still be.
    #[error("the change could not be committed: {0}")]
    Unavailable(String),
}

/// Whether a limit was made anew.
pub(crate) type Created = bool;

#[derive(Debug)]
pub(crate) enum MetaMsg {
    /// From the node: change the limits. Answered when every shard counts by them.
    Change(LimitChange, oneshot::Sender<Result<Created, LimitChangeError>>),
    /// From a task of this actor: the change is over, one way or the other.
    Changed,
    /// From a timer of this actor, once a second.
    Tick,
}

pub(crate) struct MetaArgs {
    pub(crate) group: Arc<Group<ClusterState>>,
    pub(crate) supervisor: ActorRef<SupervisorMsg>,
    pub(crate) spread: Spread,
}

/// Where the limits are told of.
#[derive(Clone)]
pub(crate) struct Spread {
    /// To the bucket actors, first.
    pub(crate) shards: watch::Sender<Arc<Limits>>,
    /// To the router, once every shard counts by them.
    pub(crate) router: Arc<ArcSwap<Limits>>,
}

pub(crate) struct MetaState {
    group: Arc<Group<ClusterState>>,
    supervisor: ActorRef<SupervisorMsg>,
    spread: Spread,
    myself: ActorRef<MetaMsg>,
    /// A change is under way; the others wait, so that they take effect in the order in which they came.
    busy: bool,
    waiting: std::collections::VecDeque<(LimitChange, oneshot::Sender<Result<Created, LimitChangeError>>)>,
}

pub(crate) struct MetaActor;

impl MetaActor {
    pub(crate) async fn spawn(args: MetaArgs) -> Result<ActorRef<MetaMsg>, ractor::SpawnErr> {
        let (actor, _) = Actor::spawn(None, Self, args).await?;
        Ok(actor)
    }
}

impl Actor for MetaActor {
    type Msg = MetaMsg;
    type State = MetaState;
    type Arguments = MetaArgs;

    async fn pre_start(&self, myself: ActorRef<MetaMsg>, args: MetaArgs) -> Result<MetaState, ActorProcessingErr> {
        let MetaArgs { group, supervisor, spread } = args;
        Ok(MetaState { group, supervisor, spread, myself, busy: false, waiting: Default::default() })
    }

    async fn post_start(&self, myself: ActorRef<MetaMsg>, _state: &mut MetaState) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || MetaMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<MetaMsg>,
        message: MetaMsg,
        state: &mut MetaState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MetaMsg::Change(change, reply) => state.change(change, reply),
            MetaMsg::Changed => state.changed(),
            MetaMsg::Tick => state.compact(),
        }
        Ok(())
    }
}

impl MetaState {
    fn change(&mut self, change: LimitChange, reply: oneshot::Sender<Result<Created, LimitChangeError>>) {
        if self.waiting.len() >= MAX_WAITING {
            let problem = format!("{MAX_WAITING} changes wait already");
            drop(reply.send(Err(LimitChangeError::Unavailable(problem))));
            return;
        }
        self.waiting.push_back((change, reply));
        self.start_next();
    }

    fn changed(&mut self) {
        self.busy = false;
        self.start_next();
    }

    fn start_next(&mut self) {
        if self.busy {
            return;
        }
        let Some((change, reply)) = self.waiting.pop_front() else { return };
        self.busy = true;
        let (group, supervisor) = (Arc::clone(&self.group), self.supervisor.clone());
        let (spread, myself) = (self.spread.clone(), self.myself.clone());
        tokio::spawn(async move {
            let done = tokio::time::timeout(CHANGE_DEADLINE, commit_and_spread(&group, &supervisor, &spread, change));
            let late = || LimitChangeError::Unavailable(format!("no answer within {CHANGE_DEADLINE:?}"));
            drop(reply.send(done.await.unwrap_or_else(|_| Err(late()))));
            drop(myself.cast(MetaMsg::Changed));
        });
    }

    fn compact(&self) {
        let group = Arc::clone(&self.group);
        tokio::spawn(async move { group.compact(false).await });
    }
}

/// Commits a change to group 0, has every shard count by it, and only then tells the router.
async fn commit_and_spread(
    group: &Group<ClusterState>,
    supervisor: &ActorRef<SupervisorMsg>,
    spread: &Spread,
    change: LimitChange,
) -> Result<Created, LimitChangeError> {
    let command = match change {
        LimitChange::Put(limit) => meta::Command::PutLimit(limit),
        LimitChange::Delete(name) => meta::Command::DeleteLimit(name),
        LimitChange::File(limits) => meta::Command::ApplyFile(limits),
    };
    let applied = propose(group, command).await?;
    let limits = group.state().read(|state| Arc::new(state.limits().clone()));
    spread.shards.send_replace(Arc::clone(&limits));
    let (done, reshaped) = oneshot::channel();
    drop(supervisor.cast(SupervisorMsg::Reshape(done)));
    reshaped.await.map_err(|_| LimitChangeError::Unavailable("the node is stopping".to_owned()))?;
    spread.router.store(limits);
    match applied {
        meta::Applied::Created => Ok(true),
        meta::Applied::Done => Ok(false),
        meta::Applied::UnknownLimit => Err(LimitChangeError::UnknownLimit),
        meta::Applied::TooManyLimits => Err(LimitChangeError::TooMany),
    }
}

/// Proposes a change of the cluster's own state, and tries again while leadership settles.
pub(crate) async fn propose(
    group: &Group<ClusterState>,
    command: meta::Command,
) -> Result<meta::Applied, LimitChangeError> {
    let command = consensus::Command::Cluster(Box::new(command));
    for _ in 0..LEADER_RETRIES {
        match propose_once(group, command.clone()).await {
            Err(ProposeError::NotLeader) => tokio::time::sleep(LEADER_PAUSE).await,
            Err(error @ ProposeError::Stopped(_)) => return Err(LimitChangeError::Unavailable(error.to_string())),
            Ok(consensus::Applied::Cluster(applied)) => return Ok(applied),
            Ok(consensus::Applied::Nothing | consensus::Applied::Shard(_)) => {
                return Err(LimitChangeError::Unavailable("group 0 applied it as something else".to_owned()));
            }
        }
    }
    Err(LimitChangeError::Unavailable(ProposeError::NotLeader.to_string()))
}

async fn propose_once(
    group: &Group<ClusterState>,
    command: consensus::Command,
) -> Result<consensus::Applied, ProposeError> {
    let leadership: LeaderId = group.leadership().ok_or(ProposeError::NotLeader)?;
    group.propose(leadership, command).await
}
