//! A node: its groups, its actors, and what can be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::{join_all, try_join_all};
use ractor::ActorRef;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tollgate_limiter::{Budget, LeaderOptions, Limit, LimitName, Limits, Matched, ShardId, Standing};
use tollgate_storage::{GroupId, StorageHealth};

use crate::actors::{
    BucketSettings, Hosted, LimitChange, LimitChangeError, MetaActor, MetaArgs, MetaMsg, ShardGroup, Spread,
    SupervisorActor, SupervisorArgs, SupervisorMsg, propose,
};
use crate::consensus::{self, Group, GroupOptions, NodeId};
use crate::environment::Environment;
use crate::inbox::Inbox;
use crate::meta::{ClusterState, Command, Identity};
use crate::reservation::Reservation;
use crate::router::{AcquireError, Request, Router, SettleReservationError, Settled, Verdict};
use crate::span::nanos;

/// The most shards that a cluster may have. Each is a Raft group, and groups share no rounds.
pub const MAX_SHARDS: u32 = 256;

/// How long the groups of a node that is alone may take until they lead.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two looks at whether they do.
const START_PAUSE: Duration = Duration::from_millis(2);

/// How long leaderships may take to be handed over.
const HANDOVER_DEADLINE: Duration = Duration::from_secs(5);

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The node's number.
    pub node: NodeId,
    /// How many shards a new cluster has, 1 to [`MAX_SHARDS`]. An existing one keeps what it has.
    pub shards: u32,
    /// How far ahead of now buckets may be spent without asking the group: what each may lose in a failover.
    pub horizon_lead: Duration,
    /// How long a request waits for its grant before the limit's `on_unavailable` decides.
    pub deadline: Duration,
    /// The most buckets that the node holds.
    pub max_buckets: u64,
    /// The limits of the configuration file.
    pub limits: Vec<Limit>,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Data cannot be read, or a group could not begin.
    #[error("{0}")]
    Group(String),
    /// Nobody leads a group in time.
    #[error("{0} does not lead within {START_DEADLINE:?}")]
    NoLeader(String),
    /// The configuration asks for another number of shards than the cluster has.
    #[error("cluster.shards is {asked}, but this cluster was created with {created}, which cannot be changed")]
    OtherShards {
        /// What is asked for.
        asked: u32,
        /// What the cluster has.
        created: u32,
    },
    /// The limits of the configuration file could not be applied.
    #[error("the limits of the configuration cannot be applied: {0}")]
    Limits(#[from] LimitChangeError),
    /// An actor could not begin.
    #[error("an actor could not start: {0}")]
    Actor(String),
}

/// A running node.
pub struct Node {
    meta: Arc<Group<ClusterState>>,
    shards: Vec<Hosted>,
    meta_actor: ActorRef<MetaMsg>,
    supervisor: ActorRef<SupervisorMsg>,
    router: Router,
    identity: Identity,
    budget: Budget,
    environment: Environment,
}

/// How a shard stands on this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShardStatus {
    /// The shard.
    pub id: ShardId,
    /// Its Raft term.
    pub term: u64,
    /// Whether it is led and answered here.
    pub leads: bool,
    /// Whether its group runs; one whose disk failed does not.
    pub running: bool,
}

impl Node {
    /// Starts a node that is its own cluster, on what its storage holds; returns when it answers.
    ///
    /// # Errors
    /// Data that cannot be read, settings that do not fit the data, a disk that takes no writes.
    pub async fn start(options: NodeOptions, environment: Environment) -> Result<Self, StartError> {
        let snapshots = Arc::new(Semaphore::new(1));
        let meta = start_group::<ClusterState>(0, options.node, &snapshots, &environment).await?;
        until("group 0", || meta.leadership().is_some()).await?;
        let identity = found(&meta, &options, &environment).await?;
        let groups = (1..=identity.shards).map(|id| start_group(id, options.node, &snapshots, &environment));
        let groups: Vec<Arc<ShardGroup>> = try_join_all(groups).await?;
        let hosted = |group| Hosted { group, inbox: Arc::new(Inbox::default()) };
        let shards: Vec<Hosted> = groups.into_iter().map(hosted).collect();

        let limits = Arc::new(meta.state().read(|state| state.limits().clone()));
        let router_limits = Arc::new(ArcSwap::new(Arc::clone(&limits)));
        let spread = Spread { shards: watch::Sender::new(limits), router: Arc::clone(&router_limits) };
        let budget = Budget::new(options.max_buckets);
        let actor_failed = |error: ractor::SpawnErr| StartError::Actor(error.to_string());
        let supervisor = SupervisorActor::spawn(SupervisorArgs {
            shards: shards.clone(),
            limits: spread.shards.subscribe(),
            settings: bucket_settings(&options, &budget),
            environment: environment.clone(),
        })
        .await
        .map_err(actor_failed)?;
        let args = MetaArgs { group: Arc::clone(&meta), supervisor: supervisor.clone(), spread };
        let meta_actor = MetaActor::spawn(args).await.map_err(actor_failed)?;
        let router = Router::new(router_limits, shards.iter().map(|shard| Arc::clone(&shard.inbox)).collect());
        let node = Self { meta, shards, meta_actor, supervisor, router, identity, budget, environment };
        until("every shard", || node.shards.iter().all(|shard| shard.inbox.is_served())).await?;
        node.apply_file(options.limits).await?;
        Ok(node)
    }

    /// Decides a request.
    ///
    /// # Errors
    /// A cost that never fits, too many buckets or requests, a shard without a leader.
    pub async fn acquire(&self, request: &Request<'_>) -> Result<Verdict, AcquireError> {
        self.router.acquire(request).await
    }

    /// The token by which what a verdict took can be settled.
    pub fn reservation(&self, verdict: &Verdict) -> String {
        verdict.reservation(self.environment.entropy.bits()).to_token(&self.identity.secret)
    }

    /// Gives back or charges the difference between what was reserved and `actual`, once.
    ///
    /// # Errors
    /// A token that this cluster never gave, that was settled before or has expired, or a shard that cannot commit.
    pub async fn settle(&self, token: &str, actual: u64) -> Result<Settled, SettleReservationError> {
        let reservation = Reservation::from_token(token, &self.identity.secret);
        let reservation = reservation.ok_or(SettleReservationError::Unknown)?;
        self.router.settle(&reservation, actual).await
    }

    /// The limits that hold.
    pub fn limits(&self) -> Arc<Limits> {
        self.router.limits()
    }

    /// Creates or replaces a limit; `true` when it is new. When this returns, it is committed and every shard counts by it.
    ///
    /// # Errors
    /// Too many limits, or a group that cannot commit.
    pub async fn put_limit(&self, limit: Limit) -> Result<bool, LimitChangeError> {
        self.change(LimitChange::Put(limit)).await
    }

    /// Removes a limit, with its buckets.
    ///
    /// # Errors
    /// An unknown limit, or a group that cannot commit.
    pub async fn delete_limit(&self, name: LimitName) -> Result<(), LimitChangeError> {
        self.change(LimitChange::Delete(name)).await.map(drop)
    }

    /// Applies what has changed in the configuration file's limits since they were applied last.
    ///
    /// # Errors
    /// Too many limits, or a group that cannot commit.
    pub async fn apply_file(&self, limits: Vec<Limit>) -> Result<(), LimitChangeError> {
        self.change(LimitChange::File(limits)).await.map(drop)
    }

    async fn change(&self, change: LimitChange) -> Result<bool, LimitChangeError> {
        let stopping = || LimitChangeError::Unavailable("the node is stopping".to_owned());
        let (reply, done) = oneshot::channel();
        self.meta_actor.cast(MetaMsg::Change(change, reply)).map_err(|_| stopping())?;
        done.await.map_err(|_| stopping())?
    }

    /// How the bucket of `limit` for these labels stands; `None` when there is no such limit.
    ///
    /// # Errors
    /// A shard without a leader.
    pub async fn bucket(
        &self,
        limit: &str,
        prefix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Option<Standing>, AcquireError> {
        match self.matched(limit, prefix, labels) {
            Some(matched) => self.router.peek(matched).await,
            None => Ok(None),
        }
    }

    /// Makes the bucket of `limit` for these labels whole; `false` when there is no such limit.
    ///
    /// # Errors
    /// A shard without a leader.
    pub async fn reset_bucket(
        &self,
        limit: &str,
        prefix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<bool, AcquireError> {
        match self.matched(limit, prefix, labels) {
            Some(matched) => self.router.reset(&matched).await.map(|()| true),
            None => Ok(false),
        }
    }

    fn matched(&self, limit: &str, prefix: &str, labels: &BTreeMap<String, String>) -> Option<Matched> {
        let limits = self.limits();
        let (id, limit) = limits.get(limit)?;
        let key = limit.key(prefix, |name| labels.get(name).map(String::as_str));
        Some(Matched { id, limit: Arc::clone(limit), key })
    }

    /// Whether every shard hosted here has a leader that answers.
    pub fn is_ready(&self) -> bool {
        self.shard_status().iter().all(|shard| shard.leads && shard.running)
    }

    /// How each shard stands.
    pub fn shard_status(&self) -> Vec<ShardStatus> {
        let status = |(id, shard): (usize, &Hosted)| ShardStatus {
            id: id as ShardId,
            term: shard.group.term(),
            leads: shard.inbox.is_served(),
            running: shard.group.is_running(),
        };
        self.shards.iter().enumerate().map(status).collect()
    }

    /// Whether group 0, which holds the limits, runs.
    pub fn holds_limits(&self) -> bool {
        self.meta.is_running()
    }

    /// How the disk stands.
    pub fn storage_health(&self) -> StorageHealth {
        self.environment.storage.health()
    }

    /// Buckets held now.
    pub fn buckets_held(&self) -> u64 {
        self.budget.held()
    }

    /// Stops with nothing handed over, as a crash does: the next leaders count as spent what this one could have spent.
    pub async fn crash(&self) {
        self.supervisor.stop(None);
        self.stop_groups().await;
    }

    async fn stop_groups(&self) {
        self.meta_actor.stop(None);
        join_all(self.shards.iter().map(|shard| shard.group.stop())).await;
        self.meta.stop().await;
    }

    /// Hands every leadership over without a loss, and stops. Requests from here on are refused.
    pub async fn stop(&self) {
        let (done, handed_over) = oneshot::channel();
        drop(self.supervisor.cast(SupervisorMsg::HandOver(done)));
        if timeout(HANDOVER_DEADLINE, handed_over).await.is_err() {
            tracing::warn!("leaderships were not handed over in time: a little refill is lost");
        }
        self.supervisor.stop(None);
        self.stop_groups().await;
    }
}

fn bucket_settings(options: &NodeOptions, budget: &Budget) -> BucketSettings {
    let leader = LeaderOptions {
        horizon_lead_ns: nanos(options.horizon_lead),
        commit_ns: nanos(Duration::from_millis(1)),
        budget: budget.clone(),
    };
    BucketSettings { leader, deadline: options.deadline, nodes: 1 }
}

async fn start_group<M: consensus::Machine + Sync>(
    id: u32,
    node: NodeId,
    snapshots: &Arc<Semaphore>,
    environment: &Environment,
) -> Result<Arc<Group<M>>, StartError> {
    let voters = BTreeMap::from([(node, String::new())]);
    let options = GroupOptions { id: GroupId(id), node, voters, snapshots: Arc::clone(snapshots) };
    let group = Group::start(options, environment).await.map_err(|error| StartError::Group(error.to_string()))?;
    group.watch_failure(environment);
    Ok(Arc::new(group))
}

/// Gives a new cluster its identity, and checks the one of an existing cluster.
async fn found(
    meta: &Group<ClusterState>,
    options: &NodeOptions,
    environment: &Environment,
) -> Result<Identity, StartError> {
    let bits = || environment.entropy.bits().to_le_bytes();
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(&bits());
    secret[16..].copy_from_slice(&bits());
    let identity = Identity { cluster: environment.entropy.bits(), secret, shards: options.shards };
    propose(meta, Command::Found(identity)).await?;
    let known = meta.state().read(|state| state.identity().cloned());
    let known = known.ok_or_else(|| StartError::Group("group 0 has no identity".to_owned()))?;
    if known.shards == options.shards {
        Ok(known)
    } else {
        Err(StartError::OtherShards { asked: options.shards, created: known.shards })
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), StartError> {
    let late = Instant::now() + START_DEADLINE;
    while !holds() {
        if Instant::now() > late {
            return Err(StartError::NoLeader(what.to_owned()));
        }
        sleep(START_PAUSE).await;
    }
    Ok(())
}
