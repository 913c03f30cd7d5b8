//! Keeps the cluster's own state (group 0): makes changes where it is led, has this node follow them, and renews the node's lease.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_limiter::{Limits, Planted};

use super::SupervisorMsg;
use super::mover;
use crate::consensus::{self, Group, LeaderId, NodeId, ProposeError};
use crate::denials::Denials;
use crate::environment::Environment;
use crate::lease::{Given, LEASE, Lease};
use crate::messages::{ChangeFailure, LeaseGrant, Request};
use crate::meta::{Applied, Change, ClusterState, Command};
use crate::peers::Peers;
use crate::routes::Routes;
use crate::span::nanos;
use crate::view::View;

/// The most changes that wait for the one that is being made; one more is refused at once.
const MAX_WAITING: usize = 256;

/// How long a change may take to be committed and to hold on every node: as long as the leases of two failovers.
pub(crate) const CHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// How often the actor looks after the lease and the log.
const TICK: Duration = Duration::from_millis(100);

/// A lease is renewed when this much of it has gone.
const RENEW_AFTER: Duration = Duration::from_millis(400);

/// How long a lease may be asked for before it is asked for again.
const LEASE_DEADLINE: Duration = Duration::from_millis(300);

/// How often shards that should be elsewhere are looked for, and the log's length is looked at, in ticks.
const MOVE_TICKS: u64 = 3;
const COMPACT_TICKS: u64 = 10;

/// Where the answer to a change goes.
type ChangeReply = oneshot::Sender<Result<Applied, ChangeFailure>>;

#[derive(Debug)]
pub(crate) enum MetaMsg {
    /// From this node or another: make a change, known by its number. Answered when it holds on every node; only the leader of group 0
    /// makes it.
    Change(u128, Change, ChangeReply),
    /// From a task of this actor: the change is over, one way or the other.
    Changed,
    /// From a task of this actor: group 0's state has changed here.
    Applied,
    /// From a task of this actor: every shard that is led here counts by this version of the limits.
    Counted(u64),
    /// From a node that joins: who leads group 0, and where that is.
    Leader(oneshot::Sender<Option<(NodeId, String)>>),
    /// From any node: it counts by this version of the limits and asks for a lease.
    Lease(NodeId, u64, oneshot::Sender<Option<LeaseGrant>>),
    /// From a task of this actor: somebody waits for a lease.
    LeaseWanted,
    /// From a task of this actor: the lease was granted or not.
    LeaseAsked,
    /// From a task of this actor: a step of a move is over.
    Moved,
    /// From a timer of this actor.
    Tick,
}

pub(crate) struct MetaArgs {
    pub(crate) me: NodeId,
    pub(crate) group: Arc<Group<ClusterState>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) supervisor: ActorRef<SupervisorMsg>,
    pub(crate) spread: Spread,
    pub(crate) lease: Arc<Lease>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) environment: Environment,
}

/// Where the limits and the nodes are told of.
#[derive(Clone)]
pub(crate) struct Spread {
    /// Limits, to the bucket actors, first.
    pub(crate) shards: watch::Sender<Arc<Limits>>,
    /// Limits, to the router, once no shard led here counts by others.
    pub(crate) router: Arc<ArcSwap<Limits>>,
    /// Forgotten with every change of the limits.
    pub(crate) denials: Arc<Denials>,
    /// The nodes and where they keep the shards.
    pub(crate) view: Arc<ArcSwap<View>>,
}

pub(crate) struct MetaState {
    me: NodeId,
    group: Arc<Group<ClusterState>>,
    peers: Arc<Peers>,
    supervisor: ActorRef<SupervisorMsg>,
    spread: Spread,
    lease: Arc<Lease>,
    routes: Arc<Routes>,
    environment: Environment,
    myself: ActorRef<MetaMsg>,
    /// The version of the limits that this node counts by, and whether it is about to count by another.
    counted: u64,
    spreading: bool,
    /// The leases given by this node.
    given: Arc<GivenLeases>,
    /// When the lease was renewed last, and whether it is being asked for.
    renewed: Option<Instant>,
    asking: bool,
    /// A change is under way; the others wait, so that they take effect in the order in which they came.
    changing: bool,
    waiting: VecDeque<(u128, Change, ChangeReply)>,
    /// A shard is being moved.
    moving: bool,
    ticks: u64,
}

pub(crate) struct MetaActor;

impl MetaActor {
    /// The actor, and its end.
    pub(crate) async fn spawn(args: MetaArgs) -> Result<(ActorRef<MetaMsg>, JoinHandle<()>), ractor::SpawnErr> {
        Actor::spawn(None, Self, args).await
    }
}

impl Actor for MetaActor {
    type Msg = MetaMsg;
    type State = MetaState;
    type Arguments = MetaArgs;

    async fn pre_start(&self, myself: ActorRef<MetaMsg>, args: MetaArgs) -> Result<MetaState, ActorProcessingErr> {
        Ok(MetaState::new(myself, args))
    }

    async fn post_start(&self, myself: ActorRef<MetaMsg>, state: &mut MetaState) -> Result<(), ActorProcessingErr> {
        state.watch();
        state.applied();
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
            MetaMsg::Change(id, change, reply) => state.change(id, change, reply),
            MetaMsg::Changed => state.changed(),
            MetaMsg::Applied => state.applied(),
            MetaMsg::Counted(version) => state.counted(version),
            MetaMsg::Lease(node, version, reply) => drop(reply.send(state.give_lease(node, version))),
            MetaMsg::Leader(reply) => drop(reply.send(state.leader())),
            MetaMsg::LeaseWanted => state.ask_for_lease(),
            MetaMsg::LeaseAsked => state.asking = false,
            MetaMsg::Moved => state.moving = false,
            MetaMsg::Tick => state.tick(),
        }
        Ok(())
    }
}

impl MetaState {
    fn new(myself: ActorRef<MetaMsg>, args: MetaArgs) -> Self {
        let MetaArgs { me, group, peers, supervisor, spread, lease, routes, environment } = args;
        Self {
            me,
            group,
            peers,
            supervisor,
            spread,
            lease,
            routes,
            environment,
            myself,
            counted: 0,
            spreading: false,
            given: Arc::default(),
            renewed: None,
            asking: false,
            changing: false,
            waiting: VecDeque::new(),
            moving: false,
            ticks: 0,
        }
    }

    /// Has group 0 tell of what is applied to it, and the lease of who waits for it.
    fn watch(&self) {
        let (mut changes, myself) = (self.group.state().changes(), self.myself.clone());
        tokio::spawn(async move { while changes.changed().await.is_ok() && myself.cast(MetaMsg::Applied).is_ok() {} });
        let (lease, myself) = (Arc::clone(&self.lease), self.myself.clone());
        tokio::spawn(async move {
            lease.wanted().await;
            while myself.cast(MetaMsg::LeaseWanted).is_ok() {
                lease.wanted().await;
            }
        });
    }

    fn leader(&self) -> Option<(NodeId, String)> {
        let leader = self.group.leader()?;
        let peer = self.group.state().read(|state| state.nodes().get(&leader).map(|member| member.peer.clone()))?;
        Some((leader, peer))
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.renew_lease();
        if self.ticks.is_multiple_of(MOVE_TICKS) {
            self.move_on();
        }
        if self.ticks.is_multiple_of(COMPACT_TICKS) {
            let group = Arc::clone(&self.group);
            tokio::spawn(async move { group.compact(false).await });
        }
    }
}

/// Following group 0.
impl MetaState {
    /// Tells the node's parts what has changed.
    fn applied(&mut self) {
        let view = self.group.state().read(View::of);
        if **self.spread.view.load() != view {
            self.spread.view.store(Arc::new(view));
            drop(self.supervisor.cast(SupervisorMsg::Replace));
        }
        self.spread_limits();
    }

    /// Has the node count by the newest limits: first the shards that it leads, then the router.
    fn spread_limits(&mut self) {
        let version = self.group.state().read(|state| state.limits().version());
        if self.spreading || version == self.counted {
            return;
        }
        self.spreading = true;
        let limits = self.group.state().read(|state| Arc::new(state.limits().clone()));
        let (spread, supervisor, myself) = (self.spread.clone(), self.supervisor.clone(), self.myself.clone());
        tokio::spawn(async move {
            let version = limits.version();
            spread.shards.send_replace(Arc::clone(&limits));
            let (done, heeded) = oneshot::channel();
            drop(supervisor.cast(SupervisorMsg::Reshape(done)));
            // A supervisor that has ended leads nothing.
            heeded.await.ok();
            spread.router.store(limits);
            if !Planted::DenialsOutliveChange.is_made() {
                spread.denials.clear();
            }
            drop(myself.cast(MetaMsg::Counted(version)));
        });
    }

    fn counted(&mut self, version: u64) {
        self.spreading = false;
        self.counted = version;
        self.spread_limits();
        self.ask_for_lease();
    }
}

/// The leases given by the leader of group 0.
#[derive(Default)]
struct GivenLeases {
    given: Mutex<Given>,
    changed: watch::Sender<()>,
}

impl GivenLeases {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no node counts by an earlier version of the limits.
    async fn wait_until_all_count_by(&self, group: &Group<ClusterState>, version: u64) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let nodes: BTreeSet<NodeId> = group.state().read(|state| state.nodes().keys().copied().collect());
            let Some(until) = self.given().outdated_until(&nodes, version, Instant::now()) else { return };
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// The right to count by the limits.
impl MetaState {
    fn renew_lease(&mut self) {
        if let Some(leadership) = self.group.leadership() {
            self.given.given().lead(leadership, Instant::now());
        }
        if self.renewed.is_none_or(|renewed| renewed.elapsed() > RENEW_AFTER) {
            self.ask_for_lease();
        }
    }

    /// Tells the leader of group 0 by which limits this node counts, and asks it for a lease.
    fn ask_for_lease(&mut self) {
        if self.asking {
            return;
        }
        let asked_mono_ns = self.environment.clock.mono_ns();
        match self.group.leader() {
            None => {}
            Some(leader) if leader == self.me => {
                if let Some(grant) = self.give_lease(self.me, self.counted) {
                    self.renewed = Some(Instant::now());
                    self.lease.renew(asked_mono_ns.saturating_add(grant.lasts_ns));
                }
            }
            Some(leader) => {
                self.asking = true;
                self.renewed = Some(Instant::now());
                let (peers, lease, myself) = (Arc::clone(&self.peers), Arc::clone(&self.lease), self.myself.clone());
                let request = Request::Lease { version: self.counted };
                tokio::spawn(async move {
                    let grant = peers.call::<Option<LeaseGrant>>(leader, &request, LEASE_DEADLINE).await;
                    if let Ok(Some(grant)) = grant {
                        lease.renew(asked_mono_ns.saturating_add(grant.lasts_ns));
                    }
                    drop(myself.cast(MetaMsg::LeaseAsked));
                });
            }
        }
    }

    /// Gives a lease to a node that counts by the newest limits, for as long as a quorum has confirmed that this node leads.
    fn give_lease(&mut self, node: NodeId, version: u64) -> Option<LeaseGrant> {
        let (leadership, confirmed) = (self.group.leadership()?, self.group.confirmed_at()?);
        let now = Instant::now();
        let until = confirmed + LEASE;
        let latest = self.group.state().read(|state| state.limits().version());
        if version < latest || until <= now {
            return None;
        }
        let mut given = self.given.given();
        given.lead(leadership, now);
        given.give(node, version, until);
        drop(given);
        self.given.changed.send_replace(());
        Some(LeaseGrant { lasts_ns: nanos(until.saturating_duration_since(now)) })
    }
}

/// Changes.
impl MetaState {
    fn change(&mut self, id: u128, change: Change, reply: ChangeReply) {
        let Some(leadership) = self.group.leadership() else {
            drop(reply.send(Err(ChangeFailure::NotLeader)));
            return;
        };
        self.given.given().lead(leadership, Instant::now());
        if !change.is_of_limits() {
            // Nodes wait for nothing, least of all for a change of the limits that waits for them.
            let group = Arc::clone(&self.group);
            tokio::spawn(async move { drop(reply.send(propose(&group, Command::Change(id, change)).await)) });
        } else if self.waiting.len() >= MAX_WAITING {
            let problem = format!("{MAX_WAITING} changes wait already");
            drop(reply.send(Err(ChangeFailure::Unavailable(problem))));
        } else {
            self.waiting.push_back((id, change, reply));
            self.start_next();
        }
    }

    fn changed(&mut self) {
        self.changing = false;
        self.start_next();
    }

    fn start_next(&mut self) {
        if self.changing {
            return;
        }
        let Some((id, change, reply)) = self.waiting.pop_front() else { return };
        self.changing = true;
        let (group, given, myself) = (Arc::clone(&self.group), Arc::clone(&self.given), self.myself.clone());
        tokio::spawn(async move {
            let done = tokio::time::timeout(CHANGE_DEADLINE, make(&group, &given, Command::Change(id, change)));
            let late =
                || ChangeFailure::Unavailable(format!("it does not hold on every node within {CHANGE_DEADLINE:?}"));
            drop(reply.send(done.await.unwrap_or_else(|_| Err(late()))));
            drop(myself.cast(MetaMsg::Changed));
        });
    }
}

/// Commits a change of the limits to group 0, and waits until no node counts by what was before.
async fn make(group: &Group<ClusterState>, given: &GivenLeases, change: Command) -> Result<Applied, ChangeFailure> {
    let applied = propose(group, change).await?;
    let version = group.state().read(|state| state.limits().version());
    given.wait_until_all_count_by(group, version).await;
    Ok(applied)
}

/// Proposes a change of the cluster's own state, if this node leads group 0.
pub(crate) async fn propose(group: &Group<ClusterState>, command: Command) -> Result<Applied, ChangeFailure> {
    let leadership: LeaderId = group.leadership().ok_or(ChangeFailure::NotLeader)?;
    match group.propose(leadership, consensus::Command::Cluster(Box::new(command))).await {
        Ok(consensus::Applied::Cluster(applied)) => Ok(applied),
        Ok(consensus::Applied::Nothing | consensus::Applied::Shard(_)) => {
            Err(ChangeFailure::Unavailable("group 0 applied it as something else".to_owned()))
        }
        Err(ProposeError::NotLeader) => Err(ChangeFailure::NotLeader),
        Err(error @ ProposeError::Stopped(_)) => Err(ChangeFailure::Unavailable(error.to_string())),
    }
}

/// Moving shards to where they should be, one after the other.
impl MetaState {
    fn move_on(&mut self) {
        if self.moving || self.group.leadership().is_none() {
            return;
        }
        let view = self.spread.view.load_full();
        let Some(step) = mover::next_step(&view, &self.group, &self.routes, |node| self.peers.is_alive(node)) else {
            return;
        };
        self.moving = true;
        let (group, peers, supervisor) = (Arc::clone(&self.group), Arc::clone(&self.peers), self.supervisor.clone());
        let myself = self.myself.clone();
        tokio::spawn(async move {
            tracing::info!(%step, "the cluster changes");
            mover::take(step, &group, &peers, &supervisor).await;
            drop(myself.cast(MetaMsg::Moved));
        });
    }
}
