//! Keeps the shards of a node: a replica for each that it hosts, a bucket actor for each that it leads, a peer actor for each other
//! node. Starts anew whichever fails, follows the placement, and tells the others what is led here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_limiter::{Limits, ShardId};
use tollgate_transport::{Instance, PeerAddress};

use super::alert::AlertActor;
use super::bucket::BucketActor;
use super::peer::{PeerActor, PeerArgs};
use super::replica::{ReplicaActor, ReplicaArgs};
use super::{AlertArgs, AlertMsg, BucketArgs, BucketMsg, BucketSettings, PeerMsg, ReplicaMsg, ShardGroup};
use crate::consensus::{Founding, GroupStartError, LeaderId, NodeId, term_of};
use crate::environment::{Environment, Event};
use crate::hosting::Hosting;
use crate::inbox::Inbox;
use crate::lease::Lease;
use crate::messages::{Led, Notice, Status};
use crate::meta::Duty;
use crate::node::OpenShards;
use crate::routes::Routes;
use crate::view::View;

/// How often the node tells the others how it is, and looks whether shards should be led elsewhere.
const TICK: Duration = Duration::from_millis(250);

/// A node is given leaderships when it has been alive for so long: one that comes and goes would only cost handovers.
const STEADY: Duration = Duration::from_secs(2);

/// The most leaderships handed over in one tick to spread them evenly.
const HANDOVERS_A_TICK: usize = 4;

/// After how long a leadership that was handed over and is still held is taken up again: its successor did not take it.
const RESUME_AFTER: Duration = Duration::from_millis(500);

/// How long a node may be silent, or deaf, before it is connected to anew.
const SILENT: Duration = Duration::from_secs(2);

/// How long nobody may lead a shard before it is told of: several times what an election takes.
const LEADERLESS: Duration = Duration::from_secs(5);

/// How long a node that has left the cluster is still talked to, so that it hears of it.
const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum SupervisorMsg {
    /// From a replica: this node leads the shard.
    Lead(ShardId, LeaderId),
    /// From a replica: it leads it no longer.
    Follow(ShardId),
    /// From the meta actor: the limits have changed. Answered when no shard that is led here decides by earlier ones.
    Reshape(oneshot::Sender<()>),
    /// From the meta actor: nodes have come, gone, or changed what they do.
    Replace,
    /// From a task of this actor: the group of a shard that is to be kept here is open, or cannot be.
    Opened(ShardId, Result<Arc<ShardGroup>, GroupStartError>),
    /// From a task of this actor: the group of a shard that is kept elsewhere is closed.
    Closed(ShardId),
    /// From the meta actor here or elsewhere: these nodes are to keep a shard that is led here. Answered when they do.
    Move(ShardId, BTreeSet<NodeId>, oneshot::Sender<Result<(), String>>),
    /// From the node: lead nothing that another can lead. Answered when that is so.
    Drain(oneshot::Sender<()>),
    /// From the node: end every leadership without a loss. Answered when that is done.
    HandOver(oneshot::Sender<()>),
    /// From a timer of this actor.
    Tick,
}

pub(crate) struct SupervisorArgs {
    pub(crate) hosting: Hosting,
    pub(crate) hosted: BTreeMap<ShardId, Arc<ShardGroup>>,
    pub(crate) inboxes: Arc<[Arc<Inbox>]>,
    pub(crate) limits: watch::Receiver<Arc<Limits>>,
    pub(crate) settings: BucketSettings,
    pub(crate) lease: Arc<Lease>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) view: Arc<ArcSwap<View>>,
    /// The groups that are open here, for those who ask how they are.
    pub(crate) open: OpenShards,
    /// What the alert actor needs.
    pub(crate) alerts: AlertArgs,
    /// Told when this node is no part of the cluster any more.
    pub(crate) left: watch::Sender<bool>,
}

/// A shard that is led here.
struct Leading {
    actor: ActorRef<BucketMsg>,
    leadership: LeaderId,
    /// It is being handed over.
    leaves: bool,
}

pub(crate) struct SupervisorState {
    args: SupervisorArgs,
    myself: ActorRef<SupervisorMsg>,
    replicas: BTreeMap<ActorId, (ShardId, ActorRef<ReplicaMsg>)>,
    buckets: BTreeMap<ShardId, Leading>,
    peers: BTreeMap<NodeId, ActorRef<PeerMsg>>,
    alerts: Option<ActorRef<AlertMsg>>,
    /// Leaderships to be taken up once the actor of the one before has ended.
    next: BTreeMap<ShardId, LeaderId>,
    /// Leaderships that were handed over, and when.
    handed_over: BTreeMap<ShardId, (LeaderId, Instant)>,
    /// Shards that nobody leads, since when, or since it was last told.
    leaderless: BTreeMap<ShardId, Instant>,
    /// Groups that are being opened, and those that are being closed: one is not opened before it is closed.
    opening: BTreeSet<ShardId>,
    closing: BTreeSet<ShardId>,
    /// Since when each other node has been alive without a break.
    alive_since: BTreeMap<NodeId, Instant>,
    /// The nodes that are alive, as they are told of.
    hears: BTreeSet<NodeId>,
    /// Since when there has been no way to or from each node that there is none with, or since it was last connected to anew.
    cut_since: BTreeMap<NodeId, Instant>,
    /// When each node that has left was last in the cluster.
    farewells: BTreeMap<NodeId, Instant>,
    /// The node is to lead nothing that another can lead.
    draining: bool,
    /// The node is stopping: no leadership is taken up any more.
    stopping: bool,
}

pub(crate) struct SupervisorActor;

impl SupervisorActor {
    /// The actor, and its end.
    pub(crate) async fn spawn(
        args: SupervisorArgs,
    ) -> Result<(ActorRef<SupervisorMsg>, JoinHandle<()>), ractor::SpawnErr> {
        Actor::spawn(None, Self, args).await
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
        Ok(SupervisorState {
            args,
            myself,
            replicas: BTreeMap::new(),
            buckets: BTreeMap::new(),
            peers: BTreeMap::new(),
            alerts: None,
            next: BTreeMap::new(),
            handed_over: BTreeMap::new(),
            leaderless: BTreeMap::new(),
            opening: BTreeSet::new(),
            closing: BTreeSet::new(),
            alive_since: BTreeMap::new(),
            hears: BTreeSet::new(),
            cut_since: BTreeMap::new(),
            farewells: BTreeMap::new(),
            draining: false,
            stopping: false,
        })
    }

    async fn post_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let hosted: Vec<ShardId> = state.args.hosted.keys().copied().collect();
        for shard in hosted {
            state.start_replica(shard).await?;
        }
        state.publish_open();
        state.replace().await?;
        state.start_alerts().await?;
        myself.send_interval(TICK, || SupervisorMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Lead(shard, leadership) => state.lead(shard, leadership).await?,
            SupervisorMsg::Follow(shard) => state.follow(shard),
            SupervisorMsg::Reshape(done) => state.ask_all(BucketMsg::Reshape, done),
            SupervisorMsg::Replace => state.replace().await?,
            SupervisorMsg::Opened(shard, opened) => state.opened(shard, opened).await?,
            SupervisorMsg::Closed(shard) => state.closed(shard).await?,
            SupervisorMsg::Move(shard, replicas, reply) => state.move_shard(shard, replicas, reply),
            SupervisorMsg::Drain(done) => state.drain(done),
            SupervisorMsg::HandOver(done) => state.hand_over_all(done),
            SupervisorMsg::Tick => state.tick().await?,
        }
        Ok(())
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

/// Shards that are kept here.
impl SupervisorState {
    fn me(&self) -> NodeId {
        self.args.hosting.me
    }

    fn environment(&self) -> &Environment {
        &self.args.hosting.environment
    }

    fn group(&self, shard: ShardId) -> Option<Arc<ShardGroup>> {
        self.args.hosted.get(&shard).cloned()
    }

    /// Follows the placement: opens what is to be kept here, and talks to the nodes that there are.
    async fn replace(&mut self) -> Result<(), ActorProcessingErr> {
        let view = self.args.view.load_full();
        self.args.settings.nodes.store(view.nodes.len().max(1) as u64, Ordering::Relaxed);
        if !view.nodes.contains_key(&self.me()) {
            self.args.left.send_replace(true);
        }
        let me = self.me();
        for (node, member) in view.nodes.iter().filter(|(node, _)| **node != me) {
            let address = PeerAddress { address: member.peer.clone(), instance: member.instance.map(Instance) };
            self.args.hosting.peers.connect(*node, address);
            if !self.peers.contains_key(node) {
                self.start_peer(*node).await?;
            }
        }
        for shard in 0..view.placement.shards() {
            let is_ours = view.placement.replicas(shard).contains(&self.me());
            let is_away = !self.args.hosted.contains_key(&shard) && !self.closing.contains(&shard);
            if is_ours && is_away && self.opening.insert(shard) {
                self.open(shard);
            }
        }
        Ok(())
    }

    fn open(&self, shard: ShardId) {
        let (hosting, myself) = (self.args.hosting.clone(), self.myself.clone());
        tokio::spawn(async move {
            let opened = hosting.open_shard(shard, Founding::Joined).await;
            drop(myself.cast(SupervisorMsg::Opened(shard, opened)));
        });
    }

    async fn opened(
        &mut self,
        shard: ShardId,
        opened: Result<Arc<ShardGroup>, GroupStartError>,
    ) -> Result<(), ActorProcessingErr> {
        self.opening.remove(&shard);
        match opened {
            Ok(group) => {
                self.args.hosted.insert(shard, group);
                self.publish_open();
                self.start_replica(shard).await
            }
            Err(error) => {
                tracing::error!(shard, %error, "a shard that should be kept here cannot be");
                Ok(())
            }
        }
    }

    fn publish_open(&self) {
        self.args.open.store(Arc::new(self.args.hosted.clone()));
    }

    /// Closes the shards that are kept elsewhere, once every node that keeps one knows it.
    fn close_what_has_moved(&mut self) {
        let view = self.args.view.load_full();
        let me = self.me();
        let has_moved = |shard: &ShardId| {
            let is_ours = view.placement.replicas(*shard).contains(&me);
            let told = self.args.routes.led(*shard);
            !is_ours && told.is_some_and(|(led, leader)| leader != me && led.settled && !led.members.contains(&me))
        };
        let moved: Vec<ShardId> = self.args.hosted.keys().copied().filter(has_moved).collect();
        for shard in moved {
            let Some(group) = self.args.hosted.remove(&shard) else { continue };
            for (_, replica) in self.replicas.values().filter(|(of, _)| *of == shard) {
                replica.stop(Some("the shard is kept elsewhere".to_owned()));
            }
            tracing::info!(shard, "the shard is kept elsewhere");
            self.publish_open();
            self.closing.insert(shard);
            let (hosting, myself) = (self.args.hosting.clone(), self.myself.clone());
            tokio::spawn(async move {
                hosting.close_shard(shard, &group).await;
                drop(group);
                drop(myself.cast(SupervisorMsg::Closed(shard)));
            });
        }
    }

    /// A shard that is kept elsewhere is closed. It may be kept here again by now.
    async fn closed(&mut self, shard: ShardId) -> Result<(), ActorProcessingErr> {
        self.closing.remove(&shard);
        self.replace().await
    }

    async fn start_replica(&mut self, shard: ShardId) -> Result<(), ActorProcessingErr> {
        let Some(group) = self.group(shard) else { return Ok(()) };
        let args =
            ReplicaArgs { shard, group, supervisor: self.myself.clone(), environment: self.environment().clone() };
        let replica = ReplicaActor::spawn(args).await?;
        self.replicas.insert(replica.get_id(), (shard, replica));
        Ok(())
    }

    async fn start_peer(&mut self, peer: NodeId) -> Result<(), ActorProcessingErr> {
        let (peers, outbox) = (Arc::clone(&self.args.hosting.peers), self.args.hosting.reception.outbox(peer));
        let actor = PeerActor::spawn(PeerArgs { peer, peers, outbox }, self.myself.get_cell()).await?;
        self.peers.insert(peer, actor);
        Ok(())
    }

    async fn start_alerts(&mut self) -> Result<(), ActorProcessingErr> {
        self.alerts = Some(AlertActor::spawn(self.args.alerts.clone(), self.myself.get_cell()).await?);
        Ok(())
    }

    fn move_shard(&self, shard: ShardId, replicas: BTreeSet<NodeId>, reply: oneshot::Sender<Result<(), String>>) {
        let Some(group) = self.group(shard) else {
            drop(reply.send(Err(format!("shard {shard} is not kept here"))));
            return;
        };
        // Whoever slept through a change of the cluster may ask for what was to be before it.
        let view = self.args.view.load();
        let kept = view.placement.replicas(shard).iter().copied();
        if replicas != kept.chain([self.me()]).collect() {
            drop(reply.send(Err(format!("node {} knows of another place for shard {shard}", self.me()))));
            return;
        }
        tokio::spawn(async move {
            let moved = group.change_members(&replicas, &BTreeSet::new()).await;
            drop(reply.send(moved.map_err(|error| error.to_string())));
        });
    }
}

/// Leaderships.
impl SupervisorState {
    /// Takes up a leadership, after the actor of the one before has ended.
    async fn lead(&mut self, shard: ShardId, leadership: LeaderId) -> Result<(), ActorProcessingErr> {
        match self.buckets.get(&shard) {
            _ if self.stopping => Ok(()),
            Some(leading) if leading.leadership == leadership => Ok(()),
            Some(leading) => {
                leading.actor.stop(Some("a new leadership has begun".to_owned()));
                self.next.insert(shard, leadership);
                Ok(())
            }
            None => self.start_bucket(shard, leadership).await,
        }
    }

    fn follow(&mut self, shard: ShardId) {
        self.next.remove(&shard);
        if let Some(leading) = self.buckets.get(&shard) {
            leading.actor.stop(Some("the leadership has ended".to_owned()));
        }
    }

    async fn start_bucket(&mut self, shard: ShardId, leadership: LeaderId) -> Result<(), ActorProcessingErr> {
        let (Some(group), Some(inbox)) = (self.group(shard), self.args.inboxes.get(shard as usize)) else {
            return Ok(());
        };
        let inbox = Arc::clone(inbox);
        let args = BucketArgs {
            shard,
            group,
            leadership,
            inbox: Arc::clone(&inbox),
            limits: self.args.limits.clone(),
            settings: self.args.settings.clone(),
            lease: Arc::clone(&self.args.lease),
            peers: Arc::clone(&self.args.hosting.peers),
            view: Arc::clone(&self.args.view),
            environment: self.environment().clone(),
        };
        let actor = BucketActor::spawn(args, self.myself.get_cell()).await?;
        inbox.serve(Some(actor.clone()));
        self.buckets.insert(shard, Leading { actor, leadership, leaves: false });
        self.announce();
        Ok(())
    }

    /// Takes up what is led here and has no actor: a leadership that its successor did not take, or whose actor gave it up too soon.
    async fn take_up(&mut self) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        self.handed_over.retain(|_, (_, at)| *at + RESUME_AFTER > now);
        let held = |(shard, group): (&ShardId, &Arc<ShardGroup>)| Some((*shard, group.leadership()?));
        let running = self.args.hosted.iter().filter(|(_, group)| group.is_running());
        let held: Vec<_> = running.filter_map(held).collect();
        for (shard, leadership) in held {
            let is_leaving = self.handed_over.get(&shard).is_some_and(|(handed_over, _)| *handed_over == leadership);
            if !self.stopping && !is_leaving && !self.buckets.contains_key(&shard) {
                tracing::debug!(shard, "a leadership without an actor is taken up");
                self.start_bucket(shard, leadership).await?;
            }
        }
        Ok(())
    }

    /// An actor has ended: a bucket actor because its leadership did, or, like a replica, because it failed.
    async fn ended(&mut self, actor: &ActorCell, failed: bool) -> Result<(), ActorProcessingErr> {
        if let Some((shard, _)) = self.replicas.remove(&actor.get_id()) {
            self.restarting(shard, failed);
            return if self.stopping { Ok(()) } else { self.start_replica(shard).await };
        }
        if let Some(peer) = self.peers.iter().find(|(_, peer)| peer.get_id() == actor.get_id()).map(|(peer, _)| *peer) {
            self.peers.remove(&peer);
            let is_member = self.args.view.load().nodes.contains_key(&peer);
            return if self.stopping || !is_member { Ok(()) } else { self.start_peer(peer).await };
        }
        if self.alerts.as_ref().is_some_and(|alerts| alerts.get_id() == actor.get_id()) {
            return if self.stopping { Ok(()) } else { self.start_alerts().await };
        }
        let ended = self.buckets.iter().find(|(_, leading)| leading.actor.get_id() == actor.get_id());
        let Some((shard, leadership)) = ended.map(|(shard, leading)| (*shard, leading.leadership)) else {
            return Ok(());
        };
        self.bucket_ended(shard, leadership, failed).await
    }

    async fn bucket_ended(
        &mut self,
        shard: ShardId,
        leadership: LeaderId,
        failed: bool,
    ) -> Result<(), ActorProcessingErr> {
        let left = self.buckets.remove(&shard).is_some_and(|leading| leading.leaves);
        if let Some(inbox) = self.args.inboxes.get(shard as usize) {
            inbox.serve(None);
        }
        self.announce();
        self.restarting(shard, failed);
        if left {
            self.handed_over.insert(shard, (leadership, Instant::now()));
        }
        // After a failure the same leadership goes on, from committed state, unless it has ended meanwhile.
        let held = self.group(shard).and_then(|group| group.leadership());
        let same = held.filter(|held| failed && *held == leadership);
        match self.next.remove(&shard).or(same) {
            Some(leadership) if !self.stopping => self.start_bucket(shard, leadership).await,
            _ => {
                // What came after the actor had drained its inbox.
                self.args.inboxes.get(shard as usize).into_iter().for_each(|inbox| inbox.refuse());
                Ok(())
            }
        }
    }

    fn restarting(&self, shard: ShardId, failed: bool) {
        if failed {
            self.environment().events.on(Event::ActorRestarted { shard });
        }
    }

    /// Asks every bucket actor, and answers when all have answered or ended.
    fn ask_all(&self, message: impl Fn(oneshot::Sender<()>) -> BucketMsg, done: oneshot::Sender<()>) {
        let ask = |leading: &Leading| {
            let (reply, answer) = oneshot::channel();
            drop(leading.actor.cast(message(reply)));
            answer
        };
        answer_when_all(self.buckets.values().map(ask).collect(), done);
    }

    /// Ends all leaderships, whether or not another can take them up.
    fn hand_over_all(&mut self, done: oneshot::Sender<()>) {
        self.stopping = true;
        self.ask_all(|reply| BucketMsg::HandOver(None, reply), done);
    }
}

/// Where shards should be led.
impl SupervisorState {
    async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        self.note_alive();
        self.note_leaderless();
        self.take_up().await?;
        self.announce();
        self.spread_leaderships();
        self.close_what_has_moved();
        self.say_farewell();
        Ok(())
    }

    /// Tells of shards that nobody has led for long.
    fn note_leaderless(&mut self) {
        let now = Instant::now();
        for (shard, group) in &self.args.hosted {
            if self.args.routes.leader(*shard).is_some() {
                self.leaderless.remove(shard);
            } else if self.leaderless.entry(*shard).or_insert(now).elapsed() >= LEADERLESS {
                self.leaderless.insert(*shard, now);
                tracing::warn!(shard, group = group.describe(), "nobody has led a shard for {LEADERLESS:?}");
            }
        }
    }

    /// Notes who is alive. A node of which nothing is heard, or that hears nothing of this one, may be at the other end of a connection
    /// that only seems open.
    fn note_alive(&mut self) {
        let nodes: BTreeSet<NodeId> = self.args.view.load().nodes.keys().copied().collect();
        let alive = self.args.hosting.peers.alive(nodes.iter().copied());
        self.alive_since.retain(|node, _| alive.contains(node));
        let now = Instant::now();
        for node in &alive {
            self.alive_since.entry(*node).or_insert(now);
        }
        let me = self.me();
        let is_cut = |node: &NodeId| !alive.contains(node) || self.args.routes.is_deaf_to(*node, me);
        let cut: BTreeSet<NodeId> = nodes.into_iter().filter(|node| *node != me && is_cut(node)).collect();
        self.cut_since.retain(|node, _| cut.contains(node));
        for node in cut {
            if self.cut_since.entry(node).or_insert(now).elapsed() >= SILENT {
                self.cut_since.insert(node, now);
                self.args.hosting.peers.reconnect(node);
            }
        }
        self.hears = alive;
    }

    /// Tells all nodes, this one among them, what is led here.
    fn announce(&self) {
        let led = |(shard, leading): (&ShardId, &Leading)| {
            let group = self.group(*shard).filter(|_| !leading.leaves)?;
            let members = group.members().into_iter().collect();
            Some(Led { shard: *shard, term: term_of(leading.leadership), members, settled: group.is_settled() })
        };
        let leads = self.buckets.iter().filter_map(led).collect();
        let status = Status { leads, draining: self.draining || self.stopping, hears: self.hears.clone() };
        self.args.routes.heard(self.me(), status.clone());
        let notice = Notice::Status(status);
        for peer in self.peers.keys() {
            self.args.hosting.peers.tell(*peer, &notice);
        }
    }

    /// Whether a node may lead shards that another leads now.
    fn may_lead(&self, view: &View, node: NodeId) -> bool {
        let is_steady = || self.alive_since.get(&node).is_some_and(|since| since.elapsed() >= STEADY);
        let is_ready = if node == self.me() { !self.draining } else { is_steady() };
        view.duty(node) == Some(Duty::Serving) && !self.args.routes.is_draining(node) && is_ready
    }

    /// Hands over what another node should lead.
    fn spread_leaderships(&mut self) {
        if self.stopping {
            return;
        }
        let view = self.args.view.load_full();
        let preferred = view.placement.leaders(|node| self.may_lead(&view, node));
        let is_going = !self.may_lead(&view, self.me());
        let leaving = |(shard, leading): (&ShardId, &Leading)| {
            let preferred = preferred.get(*shard as usize).copied().flatten().filter(|node| *node != self.me())?;
            let group = self.group(*shard).filter(|_| !leading.leaves)?;
            // Whoever is to lead nothing takes the best there is; to spread evenly only the right one is worth a handover.
            let rank =
                |node| (is_going && self.may_lead(&view, node) || node == preferred).then_some(node != preferred);
            Some((*shard, group.successor(rank)?))
        };
        let most = if is_going { usize::MAX } else { HANDOVERS_A_TICK };
        let leaving: Vec<_> = self.buckets.iter().filter_map(leaving).take(most).collect();
        leaving.into_iter().for_each(|(shard, to)| drop(self.hand_over(shard, to)));
    }

    /// Hands one leadership over.
    fn hand_over(&mut self, shard: ShardId, to: NodeId) -> Option<oneshot::Receiver<()>> {
        let leading = self.buckets.get_mut(&shard)?;
        leading.leaves = true;
        let (reply, done) = oneshot::channel();
        drop(leading.actor.cast(BucketMsg::HandOver(Some(to), reply)));
        Some(done)
    }

    /// Hands over all that another node can lead.
    fn drain(&mut self, done: oneshot::Sender<()>) {
        self.draining = true;
        self.announce();
        let view = self.args.view.load_full();
        let preferred = view.placement.leaders(|node| node != self.me() && self.may_lead_now(&view, node));
        let leaving = |(shard, leading): (&ShardId, &Leading)| {
            let group = self.group(*shard).filter(|_| !leading.leaves)?;
            let preferred = preferred.get(*shard as usize).copied().flatten();
            let rank = |node| self.may_lead_now(&view, node).then_some(Some(node) != preferred);
            Some((*shard, group.successor(rank)?))
        };
        let leaving: Vec<_> = self.buckets.iter().filter_map(leaving).collect();
        let answers = leaving.into_iter().filter_map(|(shard, to)| self.hand_over(shard, to)).collect();
        answer_when_all(answers, done);
    }

    /// Whether a node can take up a leadership that has to go.
    fn may_lead_now(&self, view: &View, node: NodeId) -> bool {
        let is_alive = self.args.hosting.peers.is_alive(node);
        view.duty(node) == Some(Duty::Serving) && !self.args.routes.is_draining(node) && is_alive
    }

    /// Ends the talk with nodes that have left the cluster.
    fn say_farewell(&mut self) {
        let view = self.args.view.load_full();
        let now = Instant::now();
        let gone: Vec<NodeId> = self.peers.keys().copied().filter(|node| !view.nodes.contains_key(node)).collect();
        for node in gone {
            if self.farewells.entry(node).or_insert(now).elapsed() >= FAREWELL {
                self.farewells.remove(&node);
                self.args.hosting.peers.forget(node);
                if let Some(actor) = self.peers.remove(&node) {
                    actor.stop(Some("the node has left the cluster".to_owned()));
                }
            }
        }
        self.farewells.retain(|node, _| !view.nodes.contains_key(node));
    }
}

fn answer_when_all(answers: Vec<oneshot::Receiver<()>>, done: oneshot::Sender<()>) {
    tokio::spawn(async move {
        futures::future::join_all(answers).await;
        done.send(()).ok();
    });
}
