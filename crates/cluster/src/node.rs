//! A node: its groups, its actors, and what can be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::{join_all, select_all};
use ractor::ActorRef;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tollgate_feedback::alert::{Applied as Ledgered, Ledger, Silence};
use tollgate_feedback::sample::Sample;
use tollgate_limiter::{Budget, LeaderOptions, Limit, LimitName, Limits, Matched, ShardId, Standing};
use tollgate_storage::StorageHealth;
use tollgate_transport::{Inbound, Transport};

use crate::actors::{
    AlertArgs, BucketSettings, CHANGE_DEADLINE, MetaActor, MetaArgs, MetaMsg, ShardGroup, Spread, SupervisorActor,
    SupervisorArgs, SupervisorMsg,
};
use crate::alerts::AlertOptions;
use crate::change::{ChangeError, checked};
use crate::consensus::{Group, GroupStartError, Heartbeats, NodeId};
use crate::environment::Environment;
use crate::forming::{self, Forming};
use crate::heartbeat::Heartbeat;
use crate::hosting::{self, Hosting, group_of};
use crate::identity::{IdentityError, NodeIdentity};
use crate::inbox::Inbox;
use crate::lease::Lease;
use crate::messages::{ChangeFailure, Request as PeerRequest};
use crate::meta::{Applied, Change, ClusterState, Identity};
use crate::peers::{PeerError, Peers};
use crate::reception::{Counter, Reception};
use crate::reservation::Reservation;
use crate::router::{AcquireError, Request, Router, RouterArgs, SettleReservationError, Settled, Verdict};
use crate::routes::Routes;
use crate::samples::Samples;
use crate::share::Share;
use crate::span::nanos;
use crate::status::{ClusterStatus, Fingerprint, NodeStatus, ShardStatus};
use crate::view::View;

/// The most shards that a cluster may have. Each is a Raft group, and groups share no rounds.
pub const MAX_SHARDS: u32 = 256;

/// How long the groups of a node that is alone may take until they lead.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two looks at whether something has come about.
const PAUSE: Duration = Duration::from_millis(2);

/// How long leaderships may take to be handed over.
const HANDOVER_DEADLINE: Duration = Duration::from_secs(5);

/// How long a leadership may take to be taken up by another node.
const SUCCESSION_DEADLINE: Duration = Duration::from_secs(2);

/// How long a change may look for the leader of group 0 and the pause before it looks again.
const LEADER_DEADLINE: Duration = Duration::from_secs(5);
const LEADER_PAUSE: Duration = Duration::from_millis(10);

/// How long a change may be without an answer before it is asked for again: what was asked, or the answer, may be lost.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How long a change that is made may take to be known here.
const KNOWN_DEADLINE: Duration = Duration::from_millis(500);

/// How long another node may take to forget a denial.
const UNDENY_DEADLINE: Duration = Duration::from_millis(200);

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Who the node is.
    pub identity: NodeIdentity,
    /// How it comes to take part in a cluster, if it does not yet.
    pub forming: Forming,
    /// What that cluster is known by, if it is new: see [`cluster_of`](crate::cluster_of).
    pub cluster: u128,
    /// Where the other nodes reach it.
    pub peer: String,
    /// Where its HTTP API is.
    pub http: String,
    /// How many shards a new cluster has, 1 to [`MAX_SHARDS`]. An existing one keeps what it has.
    pub shards: u32,
    /// On how many nodes a new cluster keeps each shard, at least 1. An existing one keeps what it has.
    pub replication: u32,
    /// How far ahead of now buckets may be spent without asking the group: what each may lose in a failover.
    pub horizon_lead: Duration,
    /// How long a request waits for its shard before the limit's `on_unavailable` decides.
    pub deadline: Duration,
    /// The most buckets that the node holds.
    pub max_buckets: u64,
    /// By how many bytes a group's log grows, at least, before a snapshot lets its beginning be purged: see [`SNAPSHOT_LOG_BYTES`](crate::SNAPSHOT_LOG_BYTES).
    pub snapshot_log_bytes: u64,
    /// The limits of the configuration file.
    pub limits: Vec<Limit>,
    /// By which rules it raises alarms, and whom it tells.
    pub alerts: AlertOptions,
}

/// The way to other nodes.
pub struct Link {
    /// Sends.
    pub transport: Arc<dyn Transport>,
    /// What comes in.
    pub inbound: Inbound,
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
    /// So many other nodes do not talk to this one that no cluster can be formed with it.
    #[error("this node cannot be part of the cluster: {}", refusals(.0))]
    Refused(BTreeMap<NodeId, String>),
    /// Its number is another node's.
    #[error(
        "node {0} is known in the cluster with other data: give this node a number of its own, or, if its directory was replaced, remove node {0} from the cluster first"
    )]
    OtherData(NodeId),
    /// The cluster does not take it.
    #[error("the cluster does not take this node: {0}")]
    NotTaken(String),
    /// The limits of the configuration file could not be applied.
    #[error("the limits of the configuration cannot be applied: {0}")]
    Limits(#[from] ChangeError),
    /// Who the node is cannot be kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An actor could not begin.
    #[error("an actor could not start: {0}")]
    Actor(String),
}

fn refusals(refusals: &BTreeMap<NodeId, String>) -> String {
    let each: Vec<String> = refusals.iter().map(|(node, refusal)| format!("node {node} says: {refusal}")).collect();
    each.join("; ")
}

impl From<GroupStartError> for StartError {
    fn from(error: GroupStartError) -> Self {
        Self::Group(error.to_string())
    }
}

/// The groups of the shards that are kept here.
pub(crate) type OpenShards = Arc<ArcSwap<BTreeMap<ShardId, Arc<ShardGroup>>>>;

/// A running node.
pub struct Node {
    me: NodeId,
    meta: Arc<Group<ClusterState>>,
    open: OpenShards,
    meta_actor: ActorRef<MetaMsg>,
    supervisor: ActorRef<SupervisorMsg>,
    router: Arc<Router>,
    routes: Arc<Routes>,
    view: Arc<ArcSwap<View>>,
    lease: Arc<Lease>,
    peers: Arc<Peers>,
    reception: Arc<Reception>,
    left: watch::Receiver<bool>,
    failed: watch::Receiver<bool>,
    file_applied: AtomicBool,
    _heartbeat: Heartbeat,
    own: NodeIdentity,
    identity: Identity,
    budget: Budget,
    samples: Arc<Samples>,
    alerts: watch::Sender<AlertOptions>,
    environment: Environment,
}

impl Node {
    /// Starts a node on what its storage holds; returns when it takes part in its cluster. One that is alone answers then; one of
    /// several waits for as many others as make a quorum, and answers when [`Node::is_ready`].
    ///
    /// # Errors
    /// Data that cannot be read, settings that do not fit the data or the other nodes, a disk that takes no writes.
    pub async fn start(options: NodeOptions, environment: Environment, link: Link) -> Result<Arc<Self>, StartError> {
        let me = options.identity.node;
        let run = environment.entropy.bits() as u64;
        let reception = Arc::new(Reception::new(run, options.identity.cluster.is_some()));
        let peers = Arc::new(Peers::start(me, run, link.transport, link.inbound, Arc::clone(&reception)));
        let (snapshots, snapshot_log_bytes) = (Arc::new(Semaphore::new(1)), options.snapshot_log_bytes);
        let heartbeats = Arc::new(Heartbeats::new(Arc::clone(&peers)));
        let hosting = Hosting { me, peers, heartbeats, reception, snapshots, snapshot_log_bytes, environment };
        let open = Arc::default();
        let meta = forming::open_meta(&options, &hosting).await?;
        let heartbeat = Heartbeat::start(Arc::clone(&meta), Arc::clone(&open));
        let identity = forming::take_part(&options, &meta, &hosting).await?;
        tracing::info!(node = me, shards = identity.shards, "takes part in its cluster");
        let hosted = hosting::open_shards(&options, &identity, &meta, &hosting).await?;
        let node = Arc::new(Self::with_actors(&options, identity, meta, hosted, hosting, (open, heartbeat)).await?);
        let forming_alone = options.forming == Forming::Alone && node.view.load().nodes.len() == 1;
        if forming_alone {
            until("every shard", || node.is_served()).await?;
            node.apply_file(options.limits).await?;
        } else {
            let (weak, limits) = (Arc::downgrade(&node), options.limits);
            tokio::spawn(async move {
                // Whoever applied another file meanwhile has the last word.
                while let Some(node) = weak.upgrade().filter(|node| !node.file_applied.load(Ordering::Relaxed))
                    && let Err(error) = node.apply_file(limits.clone()).await
                {
                    tracing::warn!(%error, "the limits of the configuration are not applied yet");
                    drop(node);
                    sleep(LEADER_DEADLINE).await;
                }
            });
        }
        Ok(node)
    }

    async fn with_actors(
        options: &NodeOptions,
        identity: Identity,
        meta: Arc<Group<ClusterState>>,
        hosted: BTreeMap<ShardId, Arc<ShardGroup>>,
        hosting: Hosting,
        (open, heartbeat): (OpenShards, Heartbeat),
    ) -> Result<Self, StartError> {
        let Hosting { me, peers, reception, environment, .. } = hosting.clone();
        let parts = Parts::new(options, &identity, &meta);
        let router = Arc::new(parts.router(options, &hosting));
        reception.open_counter(parts.counter());
        let Parts { inboxes, routes, lease, spread, settings, budget, samples } = parts;
        let alerts = watch::Sender::new(options.alerts.clone());
        let view = Arc::clone(&spread.view);
        let actor_failed = |error: ractor::SpawnErr| StartError::Actor(error.to_string());
        let (left_sender, left) = watch::channel(false);
        let supervisor = SupervisorActor::spawn(SupervisorArgs {
            hosting,
            hosted,
            inboxes,
            limits: spread.shards.subscribe(),
            settings,
            lease: Arc::clone(&lease),
            routes: Arc::clone(&routes),
            view: Arc::clone(&view),
            open: Arc::clone(&open),
            alerts: AlertArgs {
                me,
                cluster: identity.cluster,
                group: Arc::clone(&meta),
                peers: Arc::clone(&peers),
                view: Arc::clone(&view),
                samples: Arc::clone(&samples),
                options: alerts.subscribe(),
                environment: environment.clone(),
            },
            left: left_sender,
        });
        let (supervisor, supervisor_end) = supervisor.await.map_err(actor_failed)?;
        let args = MetaArgs {
            me,
            group: Arc::clone(&meta),
            peers: Arc::clone(&peers),
            supervisor: supervisor.clone(),
            spread,
            lease: Arc::clone(&lease),
            routes: Arc::clone(&routes),
            environment: environment.clone(),
        };
        let (meta_actor, meta_end) = MetaActor::spawn(args).await.map_err(actor_failed)?;
        reception.open_actors(meta_actor.clone(), supervisor.clone());
        Ok(Self {
            me,
            meta,
            open,
            meta_actor,
            supervisor,
            router,
            routes,
            view,
            lease,
            peers,
            reception,
            left,
            failed: failure_of([supervisor_end, meta_end]),
            file_applied: AtomicBool::new(false),
            _heartbeat: heartbeat,
            own: NodeIdentity { cluster: Some(identity.cluster), ..options.identity },
            identity,
            budget,
            samples,
            alerts,
            environment,
        })
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

    /// Its number.
    pub fn number(&self) -> NodeId {
        self.me
    }

    /// Who leads group 0, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.meta.leader()
    }

    /// Tells its cluster from all others.
    pub fn cluster(&self) -> u128 {
        self.identity.cluster
    }

    /// The limits that hold.
    pub fn limits(&self) -> Arc<Limits> {
        self.router.limits()
    }

    /// Creates or replaces a limit; `true` when it is new. When this returns, it holds on every node.
    ///
    /// # Errors
    /// Too many limits, or a group that cannot commit.
    pub async fn put_limit(&self, limit: Limit) -> Result<bool, ChangeError> {
        Ok(self.change(Change::PutLimit(limit)).await? == Applied::Created)
    }

    /// Removes a limit, with its buckets.
    ///
    /// # Errors
    /// An unknown limit, or a group that cannot commit.
    pub async fn delete_limit(&self, name: LimitName) -> Result<(), ChangeError> {
        self.change(Change::DeleteLimit(name)).await.map(drop)
    }

    /// Applies what has changed in the configuration file's limits since this node applied them last.
    ///
    /// # Errors
    /// Too many limits, or a group that cannot commit.
    pub async fn apply_file(&self, limits: Vec<Limit>) -> Result<(), ChangeError> {
        self.change(Change::ApplyFile(self.me, limits)).await?;
        if !self.file_applied.swap(true, Ordering::Relaxed) {
            tracing::info!(node = self.me, limits = self.limits().len(), "the limits of the configuration are applied");
        }
        Ok(())
    }

    /// Expects a node at an address, which is to introduce itself; `true` when it was not known.
    ///
    /// # Errors
    /// Too many nodes, or a group that cannot commit.
    pub async fn add_node(&self, node: NodeId, peer: String) -> Result<bool, ChangeError> {
        Ok(self.change(Change::AddNode(node, peer)).await? == Applied::Created)
    }

    /// Has a node leave the cluster. Its shards move to others, and when they have, it is forgotten.
    ///
    /// # Errors
    /// An unknown node, the only one that serves, or a group that cannot commit.
    pub async fn remove_node(&self, node: NodeId) -> Result<(), ChangeError> {
        self.change(Change::RemoveNode(node)).await.map(drop)
    }

    /// Has a node lead nothing, or lead again.
    ///
    /// # Errors
    /// An unknown node, or a group that cannot commit.
    pub async fn set_draining(&self, node: NodeId, draining: bool) -> Result<(), ChangeError> {
        self.change(Change::SetDraining(node, draining)).await.map(drop)
    }

    /// Takes what the node measured within the last second, for the alerts.
    pub fn observe(&self, sample: Sample) {
        self.samples.add(self.me, sample, 0);
    }

    /// Raises alarms by other rules from here on, or tells others.
    pub fn configure_alerts(&self, options: AlertOptions) {
        // Whoever reads them takes up only what differs.
        self.alerts.send_replace(options);
    }

    /// Reads what the cluster agrees on about its alerts, as far as this node knows. What is read is not changed meanwhile, so `read` is to
    /// be quick.
    pub fn read_alerts<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        self.meta.state().read(|state| read(state.alerts()))
    }

    /// By which rules it raises alarms, and whom it tells.
    pub fn alert_options(&self) -> AlertOptions {
        self.alerts.borrow().clone()
    }

    /// Unix time in milliseconds, as this node has it, and not before the latest alert.
    pub fn alert_time_ms(&self) -> i64 {
        let wall_ms = self.environment.clock.read().wall_ns / 1_000_000;
        wall_ms.max(self.meta.state().read(|state| state.alerts().latest_ms()))
    }

    /// Has nobody be told of some alerts for a while; returns the silence's number.
    ///
    /// # Errors
    /// Too many silences, or a group that cannot commit.
    pub async fn put_silence(&self, silence: Silence) -> Result<u64, ChangeError> {
        match self.change(Change::PutSilence(silence, self.alert_time_ms())).await? {
            Applied::Alerts(Ledgered::Silenced(number)) => Ok(number),
            other => Err(ChangeError::Unavailable(format!("it was applied as something else: {other:?}"))),
        }
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// An unknown silence or one that is over, or a group that cannot commit.
    pub async fn end_silence(&self, silence: u64) -> Result<(), ChangeError> {
        self.change(Change::EndSilence(silence, self.alert_time_ms())).await.map(drop)
    }

    /// Has the leader of group 0, wherever it is, make a change. Answered when it holds on every node. When another leads before it is
    /// answered, or the answer is lost, it is asked for again, by the same number: it is made once.
    async fn change(&self, change: Change) -> Result<Applied, ChangeError> {
        let id = self.environment.entropy.bits();
        let given_up = Instant::now() + CHANGE_DEADLINE + LEADER_DEADLINE;
        let mut late = Instant::now() + LEADER_DEADLINE;
        loop {
            let term = self.meta.term();
            let made = match self.meta.leader() {
                Some(leader) if leader == self.me => self.change_here(id, change.clone()).await,
                Some(there) => tokio::select! {
                    made = self.change_there(there, id, change.clone()) => match made {
                        Ok(made) => made,
                        Err(error) if Instant::now() >= given_up => return Err(ChangeError::Unavailable(error.to_string())),
                        Err(_) => continue,
                    },
                    () = self.other_leadership(term) => {
                        late = Instant::now() + LEADER_DEADLINE;
                        continue;
                    }
                },
                None => Err(ChangeFailure::NotLeader),
            };
            match made {
                Ok(applied) => {
                    self.known_here(id).await;
                    return checked(applied);
                }
                Err(ChangeFailure::Unavailable(reason)) => return Err(ChangeError::Unavailable(reason)),
                Err(ChangeFailure::NotLeader) if Instant::now() >= late => {
                    return Err(ChangeError::Unavailable("group 0, which holds the limits, has no leader".to_owned()));
                }
                Err(ChangeFailure::NotLeader) => sleep(LEADER_PAUSE).await,
            }
        }
    }

    /// Waits a moment until a change that is made is known here, too.
    async fn known_here(&self, id: u128) {
        let is_known = || self.meta.state().read(|state| state.has_made(id));
        let known = async {
            while !is_known() {
                sleep(PAUSE).await;
            }
        };
        // Without it the next answer of this node is of before, which is no error.
        drop(timeout(KNOWN_DEADLINE, known).await);
    }

    /// Waits until group 0 is led again in a later term, perhaps by the same node, which has forgotten by then what it was asked for.
    async fn other_leadership(&self, term: u64) {
        while self.meta.leader().is_none() || self.meta.term() == term {
            sleep(LEADER_PAUSE).await;
        }
    }

    async fn change_here(&self, id: u128, change: Change) -> Result<Applied, ChangeFailure> {
        let stopping = || ChangeFailure::Unavailable("the node is stopping".to_owned());
        let (reply, made) = oneshot::channel();
        self.meta_actor.cast(MetaMsg::Change(id, change, reply)).map_err(|_| stopping())?;
        made.await.map_err(|_| stopping())?
    }

    async fn change_there(
        &self,
        leader: NodeId,
        id: u128,
        change: Change,
    ) -> Result<Result<Applied, ChangeFailure>, PeerError> {
        self.peers.call(leader, &PeerRequest::Change(id, change), ASK_AGAIN).await
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
            Some(matched) => {
                self.router.reset(&matched).await?;
                self.have_forgotten(&matched).await;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Has the other nodes forget that a bucket denied. One that does not answer may deny on until the time it was told.
    async fn have_forgotten(&self, matched: &Matched) {
        let nodes: Vec<NodeId> = self.view.load().nodes.keys().copied().filter(|node| *node != self.me).collect();
        let request = PeerRequest::Undeny(matched.id, matched.key);
        let ask = |node: NodeId| self.peers.call::<()>(node, &request, UNDENY_DEADLINE);
        join_all(nodes.into_iter().map(ask)).await;
    }

    fn matched(&self, limit: &str, prefix: &str, labels: &BTreeMap<String, String>) -> Option<Matched> {
        let limits = self.limits();
        let (id, limit) = limits.get(limit)?;
        let key = limit.key(prefix, |name| labels.get(name).map(String::as_str));
        Some(Matched { id, limit: Arc::clone(limit), key })
    }

    /// Whether the node answers by its cluster's limits: every shard that it keeps has a leader, and the limits are loaded.
    pub fn is_ready(&self) -> bool {
        self.is_served() && self.file_applied.load(Ordering::Relaxed)
    }

    fn is_served(&self) -> bool {
        let has_leader =
            |(shard, group): (&ShardId, &Arc<ShardGroup>)| group.is_running() && self.routes.leader(*shard).is_some();
        self.has_lease() && self.open.load().iter().all(has_leader)
    }

    /// Whether the node may count by the limits that it has. One that is cut off from group 0 may not, and answers as each limit's
    /// `on_unavailable` says.
    pub fn has_lease(&self) -> bool {
        self.lease.is_valid(self.environment.clock.mono_ns())
    }

    /// How each shard that is kept here stands.
    pub fn shard_status(&self) -> Vec<ShardStatus> {
        let status = |(shard, group): (&ShardId, &Arc<ShardGroup>)| {
            let leader = self.routes.leader(*shard);
            let leads = leader == Some(self.me);
            ShardStatus {
                id: *shard,
                leader,
                leads,
                replicas: Vec::new(),
                term: group.term(),
                running: group.is_running(),
            }
        };
        self.open.load().iter().map(status).collect()
    }

    /// How the cluster is, as far as this node knows.
    pub fn cluster_status(&self) -> ClusterStatus {
        // What group 0 says here, though this node may not have taken heed yet: whoever has just changed it expects to see it.
        let view = self.meta.state().read(View::of);
        let shards: Vec<ShardStatus> = (0..self.identity.shards).map(|shard| self.one_shard(shard)).collect();
        let leads = |node: NodeId| shards.iter().filter(|shard| shard.leader == Some(node)).count();
        let status = |(node, member): (&NodeId, &crate::meta::Member)| NodeStatus {
            id: *node,
            http: member.http.clone(),
            peer: member.peer.clone(),
            alive: self.peers.is_alive(*node),
            leads: leads(*node),
            duty: member.duty,
        };
        let nodes = view.nodes.iter().map(status).collect();
        let (leader, term) = (self.meta.leader(), self.meta.term());
        ClusterStatus { nodes, shards, leader, term, has_lease: self.has_lease(), ready: self.is_ready() }
    }

    fn one_shard(&self, id: ShardId) -> ShardStatus {
        let led = self.routes.led(id).filter(|(_, leader)| self.peers.is_alive(*leader));
        let running = self.open.load().get(&id).is_none_or(|group| group.is_running());
        let leader = led.as_ref().map(|(_, leader)| *leader);
        let (replicas, term) = led.map_or((Vec::new(), 0), |(led, _)| (led.members, led.term));
        ShardStatus { id, leader, leads: leader == Some(self.me), replicas, term, running }
    }

    /// What tells the states of the groups that are kept here from any others, of those groups and positions in their logs that are
    /// wanted. Reads all of each state: to compare replicas, not to watch them.
    pub fn fingerprints(&self, mut is_wanted: impl FnMut(u32, u64) -> bool) -> Vec<Fingerprint> {
        let mut fingerprints = Vec::new();
        let mut add = |group: u32, fingerprint: Option<(u64, u128)>| {
            fingerprints.extend(fingerprint.map(|(index, bits)| Fingerprint { group, index, bits }));
        };
        add(0, self.meta.state().fingerprint(|index| is_wanted(0, index)));
        for (shard, shard_group) in self.open.load_full().iter() {
            let group = group_of(*shard).0;
            add(group, shard_group.state().fingerprint(|index| is_wanted(group, index)));
        }
        fingerprints
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

    /// Waits until the node is no part of the cluster any more, because an operator removed it.
    pub async fn left(&self) {
        until_true(&self.left).await;
        if let Err(error) = (NodeIdentity { left: true, ..self.own }).save(&*self.environment.storage).await {
            tracing::error!(%error, "that this node was removed from its cluster cannot be kept");
        }
    }

    /// Waits until an actor has ended that the node cannot do without and nobody starts anew. What is left of the node answers as if it
    /// were cut off: it should end, and be started again.
    pub async fn failed(&self) {
        until_true(&self.failed).await;
    }

    /// Stops with nothing handed over, as a crash does: the next leaders count as spent what this one could have spent.
    pub async fn crash(&self) {
        self.supervisor.stop(None);
        self.stop_groups().await;
    }

    async fn stop_groups(&self) {
        self.meta_actor.stop(None);
        // Other nodes are told that the groups are not here any more, rather than that they fail.
        let open = self.open.load_full();
        open.keys().map(|shard| group_of(*shard).0).chain([0]).for_each(|group| self.reception.close_group(group));
        join_all(open.values().map(|group| group.stop())).await;
        self.meta.stop().await;
    }

    /// Hands every leadership that another node can take up to that node, without a loss. Requests are answered all the while, and
    /// from then on forwarded.
    pub async fn drain(&self) {
        let (done, handed_over) = oneshot::channel();
        drop(self.supervisor.cast(SupervisorMsg::Drain(done)));
        if timeout(HANDOVER_DEADLINE, handed_over).await.is_err() {
            tracing::warn!("leaderships were not handed over in time");
        }
        if self.meta.leader() == Some(self.me)
            && let Some(to) = self.meta.successor(|node| self.peers.is_alive(node).then_some(node))
        {
            self.meta.transfer(to).await;
        }
        let leads_nothing = async {
            let leads = || self.shard_status().iter().any(|shard| shard.leader.is_none() || shard.leads);
            while self.has_successors() && (leads() || self.meta.leader() == Some(self.me)) {
                sleep(PAUSE).await;
            }
        };
        if timeout(SUCCESSION_DEADLINE, leads_nothing).await.is_err() {
            tracing::warn!("some leaderships were not taken up by other nodes");
        }
    }

    /// Whether another node could lead what this one does.
    fn has_successors(&self) -> bool {
        let can_lead =
            |node: &NodeId| *node != self.me && self.peers.is_alive(*node) && !self.routes.is_draining(*node);
        self.view.load().nodes.keys().any(can_lead)
    }

    /// Ends every leadership that is left without a loss, and stops. Requests from here on are refused.
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

/// Waits until it is `true`; for ever, if nobody is left to tell.
async fn until_true(told: &watch::Receiver<bool>) {
    if told.clone().wait_for(|is_true| *is_true).await.is_err() {
        std::future::pending().await
    }
}

/// Turns to `true` when the first of these actors ends.
fn failure_of<const N: usize>(ends: [JoinHandle<()>; N]) -> watch::Receiver<bool> {
    let (sender, failed) = watch::channel(false);
    tokio::spawn(async move {
        // However it ended.
        drop(select_all(ends).await);
        sender.send_replace(true);
        // Kept until nobody listens, who otherwise would take the end of this task for that of the node.
        sender.closed().await;
    });
    failed
}

/// What the actors of a node and its router share.
struct Parts {
    inboxes: Arc<[Arc<Inbox>]>,
    routes: Arc<Routes>,
    lease: Arc<Lease>,
    spread: Spread,
    settings: BucketSettings,
    budget: Budget,
    samples: Arc<Samples>,
}

impl Parts {
    fn new(options: &NodeOptions, identity: &Identity, meta: &Group<ClusterState>) -> Self {
        let limits = Arc::new(Limits::default());
        let budget = Budget::new(options.max_buckets);
        let leader = LeaderOptions {
            horizon_lead_ns: nanos(options.horizon_lead),
            commit_ns: nanos(Duration::from_millis(1)),
            budget: budget.clone(),
        };
        Self {
            inboxes: (0..identity.shards).map(|_| Arc::default()).collect(),
            routes: Arc::new(Routes::new(identity.shards)),
            lease: Arc::default(),
            spread: Spread {
                shards: watch::Sender::new(Arc::clone(&limits)),
                router: Arc::new(ArcSwap::new(limits)),
                denials: Arc::default(),
                view: Arc::new(ArcSwap::from_pointee(meta.state().read(View::of))),
            },
            settings: BucketSettings { leader, deadline: options.deadline, nodes: Arc::new(AtomicU64::new(1)) },
            budget,
            samples: Arc::default(),
        }
    }

    /// What other nodes may ask for.
    fn counter(&self) -> Counter {
        Counter {
            inboxes: Arc::clone(&self.inboxes),
            routes: Arc::clone(&self.routes),
            denials: Arc::clone(&self.spread.denials),
            samples: Arc::clone(&self.samples),
        }
    }

    fn router(&self, options: &NodeOptions, hosting: &Hosting) -> Router {
        Router::new(RouterArgs {
            me: hosting.me,
            run: hosting.peers.run(),
            limits: Arc::clone(&self.spread.router),
            inboxes: Arc::clone(&self.inboxes),
            routes: Arc::clone(&self.routes),
            peers: Arc::clone(&hosting.peers),
            reception: Arc::clone(&hosting.reception),
            lease: Arc::clone(&self.lease),
            denials: Arc::clone(&self.spread.denials),
            share: Share::new(Arc::clone(&hosting.environment.clock), self.settings.leader.clone()),
            nodes: Arc::clone(&self.settings.nodes),
            deadline: options.deadline,
            environment: hosting.environment.clone(),
        })
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), StartError> {
    let late = Instant::now() + START_DEADLINE;
    while !holds() {
        if Instant::now() > late {
            return Err(StartError::NoLeader(what.to_owned()));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
