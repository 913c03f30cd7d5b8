//! Owns the buckets of one shard, for one leadership: decides from memory and has the group grant what it may spend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tollgate_limiter::{
    Ask, Command, Decision, Key, Leader, LeaderOptions, LimitId, Limits, OnUnavailable, Place, Planted, Queues,
    Receipt, SettleError, Shape, ShardClock, ShardId, ShardTime, Stamp, Standing, State, Turn, Unreplicated,
};

use super::ShardGroup;
use super::ack::{Ack, Promise};
use super::denied::Denied;
use super::elapsed::{self, Elapsed};
use super::pending::Pending;
use crate::consensus::{self, Applied, LeaderId, NodeId, ProposeError};
use crate::environment::{Environment, Event};
use crate::holds::{HOLD, Holds};
use crate::inbox::{Acquire, Inbox, Outcome, Work};
use crate::lease::Lease;
use crate::messages::Notice;
use crate::peers::Peers;
use crate::router::UNAVAILABLE_RETRY_NS;
use crate::span::{duration, nanos};
use crate::view::View;

/// A commit takes about this long before one has been measured, in nanoseconds.
const FIRST_COMMIT_NS: i64 = 1_000_000;

/// Buckets that every decision lets the leader look at, to forget those that are whole: two a decision keep up with any rate of
/// new ones.
const SWEEP_BUCKETS_A_REQUEST: usize = 2;

/// Buckets that an idle second lets it look at: with a million on the node, it is through in eight seconds, and each time it takes
/// a fraction of a millisecond.
const SWEEP_BUCKETS_A_TICK: usize = 8_192;

/// How often an actor looks after itself.
const TICK: Duration = Duration::from_secs(1);

/// How long a handover waits for what may be given back to a bucket, which the next leader could not take back: what was taken for a
/// request of several limits is, if it is, in a moment; and what is held is confirmed or released, but for the holds of a node that
/// has failed.
const PARTS_AT_HANDOVER: Duration = Duration::from_millis(20);
const HOLDS_AT_HANDOVER: Duration = Duration::from_millis(40);

/// The most buckets whose exact state goes into one entry of a handover.
const HANDOVER_CHUNK: usize = 4_096;

#[derive(Debug)]
pub(crate) enum BucketMsg {
    /// From the inbox: something waits there.
    Drain,
    /// From a proposal of this actor: it is committed and applied, or will not be.
    Completed(Result<Applied, ProposeError>),
    /// From a timer of this actor: a queued request's turn has come.
    Turn,
    /// From a timer of this actor: a request has waited for its grant as long as it may.
    Overdue,
    /// From a timer of this actor, once a second.
    Tick,
    /// From a task of this actor: all that earlier leaderships committed is applied.
    CaughtUp,
    /// From a task of this actor: how much time has passed since the shard's last stamp, which is this.
    Elapsed(Stamp, Option<ShardClock>, Elapsed),
    /// From the meta actor: the limits have changed. Answered when no decision is made by earlier ones any more.
    Reshape(oneshot::Sender<()>),
    /// From the supervisor: end the leadership without a loss, in favour of a node if one is named. Answered when that is committed
    /// or cannot be.
    HandOver(Option<NodeId>, oneshot::Sender<()>),
}

/// Settings that all bucket actors of a node share.
#[derive(Clone)]
pub(crate) struct BucketSettings {
    pub(crate) leader: LeaderOptions,
    /// How long a request waits for its grant before the limit's `on_unavailable` decides.
    pub(crate) deadline: Duration,
    /// Nodes that share a limit while the group cannot commit.
    pub(crate) nodes: Arc<AtomicU64>,
}

pub(crate) struct BucketArgs {
    pub(crate) shard: ShardId,
    pub(crate) group: Arc<ShardGroup>,
    /// The leadership that this actor decides in. It ends with it.
    pub(crate) leadership: LeaderId,
    pub(crate) inbox: Arc<Inbox>,
    /// The limits that the shard is to count by.
    pub(crate) limits: watch::Receiver<Arc<Limits>>,
    pub(crate) settings: BucketSettings,
    /// The node's right to count by the limits that it has.
    pub(crate) lease: Arc<Lease>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) environment: Environment,
}

pub(crate) struct BucketState {
    shard: ShardId,
    group: Arc<ShardGroup>,
    leadership: LeaderId,
    inbox: Arc<Inbox>,
    limits: watch::Receiver<Arc<Limits>>,
    settings: BucketSettings,
    lease: Arc<Lease>,
    peers: Arc<Peers>,
    view: Arc<ArcSwap<View>>,
    environment: Environment,
    myself: ActorRef<BucketMsg>,
    clock: ShardClock,
    /// Waits until all that earlier leaderships committed is applied.
    catching_up: Option<AbortHandle>,
    /// `None` until the takeover is committed.
    leader: Option<Leader>,
    /// Whether the node may count by its limits now, and the version of them that the shard has to count by.
    may_count: bool,
    due_version: u64,
    /// What was taken and is not confirmed yet.
    holds: Holds,
    /// When something was taken last for a request that meets other limits, too.
    last_part: Option<ShardTime>,
    /// What other nodes remember to be denied.
    denied: Denied,
    /// Requests that wait for a grant, in the order in which they came.
    pending: Vec<Pending>,
    /// Requests that wait for their turn.
    queues: Queues<Pending>,
    /// Those of `pending` that had their turn, by bucket.
    heads: BTreeMap<(LimitId, Key), Place>,
    /// Who to tell when the next grant is committed, and when the one in flight is.
    next_acks: Vec<Ack>,
    acks: Vec<Ack>,
    /// When the proposal in flight was made, in monotonic nanoseconds; one at a time.
    proposed_mono_ns: Option<i64>,
    /// The leadership is being handed over.
    handover: Option<Handover>,
    commit_ns: i64,
    /// When the timer for the next queued turn is set.
    turn_timer: Option<ShardTime>,
    /// When the timer for the next deadline is set.
    overdue_timer: Option<ShardTime>,
}

/// The end of a leadership.
struct Handover {
    /// What is left to be committed; `None` until what is in flight has committed.
    commands: Option<std::vec::IntoIter<Command>>,
    /// Who is to lead next.
    to: Option<NodeId>,
    /// How long it waits for what was taken for requests of several limits, and for what is held for them.
    parts_until: ShardTime,
    holds_until: ShardTime,
    /// Who waits for it to be done.
    done: Vec<oneshot::Sender<()>>,
}

impl Handover {
    /// Whether something may still come back that the next leader could not take back.
    fn waits(&self, now: ShardTime, holds: &Holds) -> bool {
        self.parts_until > now || !holds.is_empty() && self.holds_until > now
    }

    fn done(self) {
        for done in self.done {
            done.send(()).ok();
        }
    }
}

pub(crate) struct BucketActor;

impl BucketActor {
    pub(crate) async fn spawn(
        args: BucketArgs,
        supervisor: ractor::ActorCell,
    ) -> Result<ActorRef<BucketMsg>, ractor::SpawnErr> {
        let (actor, _) = Self::spawn_linked(None, Self, args, supervisor).await?;
        Ok(actor)
    }
}

impl Actor for BucketActor {
    type Msg = BucketMsg;
    type State = BucketState;
    type Arguments = BucketArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<BucketMsg>,
        args: BucketArgs,
    ) -> Result<BucketState, ActorProcessingErr> {
        Ok(BucketState::new(myself, args))
    }

    async fn post_start(&self, myself: ActorRef<BucketMsg>, state: &mut BucketState) -> Result<(), ActorProcessingErr> {
        state.begin();
        myself.send_interval(TICK, || BucketMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<BucketMsg>,
        message: BucketMsg,
        state: &mut BucketState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            BucketMsg::Drain => state.drain(),
            BucketMsg::Completed(result) => state.completed(result),
            BucketMsg::Turn => state.turn(),
            BucketMsg::Overdue => state.overdue(),
            BucketMsg::Tick => state.tick(),
            BucketMsg::CaughtUp => state.caught_up(),
            BucketMsg::Elapsed(stamp, witnessed, elapsed) => state.elapsed(stamp, witnessed, elapsed),
            BucketMsg::Reshape(reply) => state.reshape(reply),
            BucketMsg::HandOver(to, reply) => state.hand_over(to, reply),
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<BucketMsg>, state: &mut BucketState) -> Result<(), ActorProcessingErr> {
        state.resign();
        Ok(())
    }
}

impl BucketState {
    fn new(myself: ActorRef<BucketMsg>, args: BucketArgs) -> Self {
        let BucketArgs { shard, group, leadership, inbox, limits, settings, lease, peers, view, environment } = args;
        let now = environment.clock.read();
        let stamp = group.state().read(State::stamp);
        let clock = stamp.map_or_else(|| ShardClock::start(now), |stamp| ShardClock::seen(stamp, now.mono_ns));
        Self {
            shard,
            group,
            leadership,
            inbox,
            limits,
            settings,
            lease,
            peers,
            view,
            environment,
            myself,
            clock,
            catching_up: None,
            leader: None,
            may_count: false,
            due_version: 0,
            holds: Holds::default(),
            last_part: None,
            denied: Denied::default(),
            pending: Vec::new(),
            queues: Queues::default(),
            heads: BTreeMap::new(),
            next_acks: Vec::new(),
            acks: Vec::new(),
            proposed_mono_ns: None,
            handover: None,
            commit_ns: FIRST_COMMIT_NS,
            turn_timer: None,
            overdue_timer: None,
        }
    }

    fn now(&mut self) -> ShardTime {
        self.clock.now(self.environment.clock.read().mono_ns)
    }

    fn stamp(&mut self) -> Stamp {
        let reading = self.environment.clock.read();
        Stamp { at: self.clock.now(reading.mono_ns), reading }
    }

    /// Waits until all is applied that earlier leaderships committed: their last stamp is among it.
    fn begin(&mut self) {
        let (group, leadership, myself) = (Arc::clone(&self.group), self.leadership, self.myself.clone());
        let catching_up = tokio::spawn(async move {
            group.caught_up(leadership).await;
            drop(myself.cast(BucketMsg::CaughtUp));
        });
        self.catching_up = Some(catching_up.abort_handle());
    }

    /// Finds out how much time has passed since the shard's last stamp, and takes over.
    fn caught_up(&mut self) {
        let (stamp, seen) = self.group.state().read_seen(State::stamp);
        let Some(stamp) = stamp else { return self.take_over() };
        if Planted::LeadsOnAfterRestart.is_made() && stamp.reading.boot == self.environment.clock.read().boot {
            self.clock = ShardClock::resume(stamp, self.environment.clock.read());
            let leadership = self.group.state().read(State::leadership);
            return self.took_over(leadership);
        }
        let now = self.environment.clock.read();
        if stamp.reading.boot == now.boot {
            self.clock = ShardClock::resume(stamp, now);
            return self.take_over();
        }
        let witnessed = ShardClock::witnessed(stamp, seen, now);
        // Who saw time pass asks the others once, who may have seen more of it.
        let tries = if witnessed.is_some() { 1 } else { elapsed::TRIES };
        elapsed::ask(self.shard, stamp, &self.group, &self.peers, tries, {
            let myself = self.myself.clone();
            move |elapsed| drop(myself.cast(BucketMsg::Elapsed(stamp, witnessed, elapsed)))
        });
    }

    /// The others have said how much time has passed since the last stamp; `witnessed` is what was seen of it here.
    fn elapsed(&mut self, stamp: Stamp, witnessed: Option<ShardClock>, elapsed: Elapsed) {
        let now = self.environment.clock.read();
        self.clock = match (witnessed, elapsed) {
            (Some(mut clock), Elapsed::Seen(at)) => {
                clock.follow(Stamp { at, reading: now }, now.mono_ns);
                clock
            }
            (Some(clock), Elapsed::NobodySaw | Elapsed::Unknown) => clock,
            (None, Elapsed::Seen(at)) => ShardClock::seen(Stamp { at, reading: now }, now.mono_ns),
            (None, Elapsed::NobodySaw) => ShardClock::resume(stamp, now),
            (None, Elapsed::Unknown) => {
                self.environment.events.on(Event::ClockLate { shard: self.shard });
                ShardClock::seen(stamp, now.mono_ns)
            }
        };
        self.take_over();
    }

    /// Begins the leadership: what earlier ones could have spent unseen counts as spent once this is committed.
    fn take_over(&mut self) {
        if self.handover.is_some() {
            return;
        }
        let stamp = self.stamp();
        self.propose(Command::TakeOver { stamp });
    }

    /// Decides all that waits in the inbox, at one instant.
    fn drain(&mut self) {
        if self.leader.is_none() {
            let now = self.now();
            return self.set_overdue_timer(now.plus(nanos(self.settings.deadline)), now);
        }
        let work = self.inbox.drain();
        self.environment.events.on(Event::Deciding { shard: self.shard, requests: work.len() });
        let buckets = SWEEP_BUCKETS_A_REQUEST * work.len();
        self.with_leader(|this, leader, state, now| {
            // Buckets lie far apart in memory: all are fetched before the first is decided.
            leader.fetch(work.iter().filter_map(Work::acquired));
            work.into_iter().for_each(|work| this.work(leader, state, now, work));
            leader.forget(state, now, buckets);
        });
    }

    /// Lends the leader to `then`, with the state it spends from, and sees to all that follows from it.
    fn with_leader(&mut self, then: impl FnOnce(&mut Self, &mut Leader, &State, ShardTime)) {
        let Some(mut leader) = self.leader.take() else { return };
        let stamp = self.stamp();
        let now = stamp.at;
        self.may_count = self.lease.is_valid(stamp.reading.mono_ns);
        self.due_version = self.limits.borrow().version();
        let group = Arc::clone(&self.group);
        let proposal = group.state().read(|state| {
            if !leader.follow(state) {
                return None;
            }
            for receipt in self.holds.take_expired(now) {
                self.give_back(&mut leader, state, now, &receipt);
            }
            then(self, &mut leader, state, now);
            let proposal = self.due_unless_busy(&mut leader, state, stamp);
            leader.report(state);
            Some(proposal)
        });
        match proposal {
            // Another leader has taken over: whoever still waits here has to ask there.
            None => self.myself.stop(Some("another leader has taken over".to_owned())),
            Some(command) => {
                self.leader = Some(leader);
                command.into_iter().for_each(|command| self.propose(command));
                self.set_timers(now);
                self.hand_over_if_ready();
            }
        }
    }

    /// The command that is to be proposed next, if one can be.
    fn due_unless_busy(&mut self, leader: &mut Leader, state: &State, stamp: Stamp) -> Option<Command> {
        if self.proposed_mono_ns.is_some() || self.handover.is_some() {
            return None;
        }
        let command = self.due(leader, state, stamp);
        if command.is_some() || self.pending.is_empty() {
            return command;
        }
        // What they waited for is not due any more, because something was given back: decided again, they pass or ask anew.
        self.decide_pending(leader, state, stamp.at);
        self.due(leader, state, stamp)
    }

    /// The command that is due.
    fn due(&mut self, leader: &mut Leader, state: &State, stamp: Stamp) -> Option<Command> {
        let limits = Arc::clone(&self.limits.borrow());
        if limits.version() > state.limits_version() {
            let shapes = limits.iter().map(|(id, limit)| Shape { id, algorithm: limit.algorithm }).collect();
            return Some(leader.reshape(stamp, limits.version(), shapes));
        }
        let command = leader.proposal(state, stamp)?;
        self.acks.append(&mut self.next_acks);
        Some(command)
    }

    fn propose(&mut self, command: Command) {
        self.proposed_mono_ns = Some(self.environment.clock.read().mono_ns);
        self.environment.events.on(Event::Proposed { shard: self.shard });
        let (group, leadership, myself) = (Arc::clone(&self.group), self.leadership, self.myself.clone());
        tokio::spawn(async move {
            let result = group.propose(leadership, consensus::Command::Shard(Box::new(command))).await;
            drop(myself.cast(BucketMsg::Completed(result)));
        });
    }

    fn completed(&mut self, result: Result<Applied, ProposeError>) {
        let proposed = self.proposed_mono_ns.take();
        match result {
            Ok(applied) => {
                self.note_commit(proposed);
                self.applied(applied);
            }
            Err(ProposeError::NotLeader) => self.myself.stop(Some("the leadership has ended".to_owned())),
            Err(ProposeError::Stopped(reason)) => {
                tracing::error!(shard = self.shard, reason, "a shard cannot commit any more here");
                self.myself.stop(Some("the group has stopped".to_owned()));
            }
        }
    }

    fn note_commit(&mut self, proposed_mono_ns: Option<i64>) {
        let Some(proposed) = proposed_mono_ns else { return };
        let took_ns = self.environment.clock.read().mono_ns.saturating_sub(proposed).max(0);
        // An exponentially weighted mean over about eight commits.
        self.commit_ns += (took_ns - self.commit_ns) / 8;
        self.environment.events.on(Event::Committed { shard: self.shard, took_ns });
    }

    fn applied(&mut self, applied: Applied) {
        use tollgate_limiter::Applied as Shard;
        match applied {
            Applied::Shard(Shard::TookOver(leadership)) => self.took_over(leadership),
            Applied::Shard(Shard::Granted) if self.leader.is_none() => self.go_on_handing_over(),
            Applied::Shard(Shard::Granted) => self.granted(),
            Applied::Shard(Shard::Reshaped(_)) => self.reshaped(),
            Applied::Shard(Shard::HandedOver) => self.handed_over(),
            Applied::Shard(Shard::Stale) | Applied::Nothing | Applied::Cluster(_) => {
                self.myself.stop(Some("another leadership has begun".to_owned()));
            }
        }
        self.hand_over_if_ready();
    }

    fn took_over(&mut self, leadership: u64) {
        self.leader = Some(Leader::new(leadership, self.settings.leader.clone()));
        self.environment.events.on(Event::TookOver { shard: self.shard, leadership });
        if let Some(stamp) = self.group.state().read(State::stamp) {
            // An entry of an earlier leader may have been applied since the clock was set.
            self.clock.follow(stamp, self.environment.clock.mono_ns());
        }
        self.drain();
    }

    fn granted(&mut self) {
        let acks = std::mem::take(&mut self.acks);
        let commit_ns = self.commit_ns;
        self.with_leader(|this, leader, state, now| {
            for (limit, key) in leader.granted(state) {
                this.queues.wake(limit, key, now);
            }
            leader.set_commit_ns(commit_ns);
            this.decide_pending(leader, state, now);
            let (waiting, acks) = acks.into_iter().partition(|ack: &Ack| ack.waits_for_another(state));
            this.next_acks.extend::<Vec<Ack>>(waiting);
            let acks: Vec<Ack> = acks;
            acks.into_iter().for_each(Ack::committed);
            this.next_acks.extract_if(.., |ack| ack.is_true(state)).for_each(Ack::committed);
        });
    }

    fn reshaped(&mut self) {
        self.with_leader(|this, leader, state, now| {
            this.queues.wake_all(now);
            this.decide_pending(leader, state, now);
        });
    }

    /// From here on every request waits until the shard counts by the newest limits.
    fn reshape(&mut self, reply: oneshot::Sender<()>) {
        self.with_leader(|_, _, _, _| {});
        reply.send(()).ok();
    }

    fn tick(&mut self) {
        self.with_leader(|this, leader, state, now| {
            this.denied.forget(now);
            leader.forget(state, now, SWEEP_BUCKETS_A_TICK);
        });
    }
}

/// Requests.
impl BucketState {
    fn work(&mut self, leader: &mut Leader, state: &State, now: ShardTime, work: Work) {
        match work {
            Work::Acquire(acquire, reply) => {
                let patient_until = now.plus(acquire.patience_ns);
                let pending =
                    Pending { acquire, permit: None, has_queued: false, patient_until, grant_until: None, reply };
                self.decide(leader, state, now, pending);
            }
            Work::GiveBack(receipt) => self.give_back(leader, state, now, &receipt),
            Work::Release(hold) => {
                if let Some(receipt) = self.holds.release(hold) {
                    self.give_back(leader, state, now, &receipt);
                }
            }
            Work::Confirm(hold, reply) => reply.send(self.holds.confirm(hold, now)),
            Work::Settle(settlement, reply) => match leader.settle(state, now, &settlement) {
                Ok(returned) => {
                    self.came_back(settlement.receipt.limit, settlement.receipt.key, now);
                    self.promise(now, Promise::Settled(returned, reply));
                }
                Err(SettleError::UnderWay) => self.promise(now, Promise::SettledBefore(settlement.id, reply)),
                Err(error) => reply.send(Err(error.into())),
            },
            Work::Return(receipt, hold, reply) => {
                hold.and_then(|hold| self.holds.release(hold));
                self.give_back(leader, state, now, &receipt);
                reply.send(Ok(()));
            }
            Work::Reset(limit, key, reply) => {
                leader.reset(limit, key, now);
                self.queues.wake(limit, key, now);
                self.promise(now, Promise::Reset(reply));
            }
        }
    }

    fn give_back(&mut self, leader: &mut Leader, state: &State, now: ShardTime, receipt: &Receipt) {
        leader.give_back(state, now, receipt, receipt.units);
        self.came_back(receipt.limit, receipt.key, now);
    }

    /// Units may have come back to a bucket: whoever queues for it is looked at, and who remembers that it denied forgets it.
    fn came_back(&mut self, limit: LimitId, key: Key, now: ShardTime) {
        self.queues.wake(limit, key, now);
        if self.denied.came_back((limit, key), now) {
            let notice = Notice::Undeny(limit, key);
            for node in self.view.load().nodes.keys().filter(|node| **node != self.peers.me()) {
                self.peers.tell(*node, &notice);
            }
        }
    }

    /// Answers when the next grant is committed.
    fn promise(&mut self, now: ShardTime, promise: Promise) {
        self.next_acks.push(Ack { until: now.plus(nanos(self.settings.deadline)), promise });
    }

    fn decide(&mut self, leader: &mut Leader, state: &State, now: ShardTime, pending: Pending) {
        let Acquire { limit, key, .. } = pending.acquire;
        let place = self.place_of_next(limit, key);
        self.decide_at(leader, state, now, pending, place, |queues, turn, at| queues.join(turn, at));
    }

    /// The place of whoever comes next to a bucket: behind its queue, and behind those of it that wait for their grant.
    fn place_of_next(&self, limit: LimitId, key: Key) -> Place {
        let heads = self.heads.get(&(limit, key)).copied().unwrap_or(Place::HEAD);
        heads.behind_all(self.queues.next_place(limit, key))
    }

    /// Decides a request in its `place` of the bucket's queue; `enqueue` is how it takes its place if it has to wait for its turn.
    fn decide_at(
        &mut self,
        leader: &mut Leader,
        state: &State,
        now: ShardTime,
        pending: Pending,
        place: Place,
        enqueue: impl FnOnce(&mut Queues<Pending>, Turn<Pending>, ShardTime),
    ) {
        // What may come back while the leadership is handed over is to be taken of the next leader.
        let is_too_late = self.handover.is_some() && pending.acquire.is_part;
        if !self.may_count || is_too_late {
            pending.release_permit(leader);
            return pending.answer(Outcome::Unavailable, now);
        }
        if state.limits_version() < self.due_version.max(pending.acquire.version) {
            return self.wait_for_grant(pending, now);
        }
        match leader.decide(state, now, &pending.ask(place.units), None) {
            Decision::Admitted(standing, receipt) => {
                if pending.acquire.is_part {
                    self.last_part = Some(now);
                }
                if let Some(hold) = pending.acquire.hold.filter(|_| receipt.units > 0) {
                    self.holds.hold(hold, receipt, now.plus(nanos(HOLD)));
                }
                pending.answer(Outcome::Admitted(standing, Some(receipt)), now);
            }
            Decision::Refused(refusal) => pending.answer(Outcome::Refused(refusal), now),
            Decision::Wait(permit) => self.wait_for_grant(Pending { permit, ..pending }, now),
            Decision::Denied(standing) if pending.may_queue(state, &standing, place, now) => {
                let Acquire { limit, key, cost: units, .. } = pending.acquire;
                let turn = now.plus(standing.retry_after_ns).min(pending.patient_until);
                let until = pending.patient_until;
                // Should it wait for a grant when its turn comes, that is another wait.
                let pending = Pending { has_queued: true, grant_until: None, ..pending };
                enqueue(&mut self.queues, Turn { limit, key, units, until, request: pending }, turn);
            }
            Decision::Denied(standing) => {
                if pending.reply.goes_elsewhere() {
                    self.denied.note(pending.bucket(), now.plus(standing.retry_after_ns));
                }
                pending.answer(Outcome::Denied(standing), now);
            }
        }
    }

    fn wait_for_grant(&mut self, mut pending: Pending, now: ShardTime) {
        pending.grant_until.get_or_insert_with(|| now.plus(nanos(self.settings.deadline)));
        if pending.has_queued {
            let heads = self.heads.entry(pending.bucket()).or_insert(Place::HEAD);
            *heads = heads.behind(pending.acquire.cost);
        }
        self.pending.push(pending);
    }

    /// Decides again what waited for the grant that is committed now. All of it came before whoever is in a queue, and stays in
    /// its order where it has to wait once more.
    fn decide_pending(&mut self, leader: &mut Leader, state: &State, now: ShardTime) {
        self.heads.clear();
        let mut turned_away = Vec::new();
        let mut places: BTreeMap<(LimitId, Key), Place> = BTreeMap::new();
        for pending in std::mem::take(&mut self.pending) {
            let (limit, key) = pending.bucket();
            if pending.reply.is_abandoned() {
                pending.release_permit(leader);
                self.queues.wake(limit, key, now);
                continue;
            }
            let place = places.get(&(limit, key)).copied().unwrap_or(Place::HEAD);
            self.decide_at(leader, state, now, pending, place, |_, turn, at| {
                places.insert((limit, key), place.behind(turn.units));
                turned_away.push((turn, at));
            });
            // While somebody waits for a grant, whoever queues for the same bucket would be looked at in vain, again and again.
            if self.pending.last().is_none_or(|last| last.bucket() != (limit, key)) {
                self.queues.wake(limit, key, now);
            }
        }
        turned_away.into_iter().rev().for_each(|(turn, at)| self.queues.rejoin(turn, at));
    }

    /// Lets pass whoever's turn has come.
    fn turn(&mut self) {
        self.turn_timer = None;
        self.with_leader(|this, leader, state, now| {
            let mut granting: BTreeSet<_> = this.pending.iter().map(Pending::bucket).collect();
            while let Some(turn) = this.queues.take_due(now) {
                let bucket = (turn.limit, turn.key);
                if turn.request.reply.is_abandoned() {
                    continue;
                }
                if granting.contains(&bucket) {
                    // Whoever was ahead waits for a grant. The bucket is looked at again when that is decided.
                    this.queues.rejoin(turn, now.plus(nanos(this.settings.deadline)));
                    continue;
                }
                let rejoin = |queues: &mut Queues<Pending>, turn, at| queues.rejoin(turn, at);
                this.decide_at(leader, state, now, turn.request, Place::HEAD, rejoin);
                if this.pending.last().is_some_and(|last| last.bucket() == bucket) {
                    granting.insert(bucket);
                }
            }
            while let Some(ended) = this.queues.take_ended(now) {
                let place = this.place_of_next(ended.limit, ended.key);
                // Its patience is over, so it does not queue again.
                this.decide_at(leader, state, now, ended.request, place, |_, _, _| {});
            }
        });
    }

    /// Answers those who have waited too long for a grant as their limit's `on_unavailable` says.
    fn overdue(&mut self) {
        self.overdue_timer = None;
        if self.leader.is_none() {
            self.inbox.drain().into_iter().for_each(Work::unavailable);
        }
        self.with_leader(|this, leader, state, now| {
            this.acks.extract_if(.., |ack| ack.until <= now).for_each(Ack::lost);
            this.next_acks.extract_if(.., |ack| ack.until <= now).for_each(Ack::lost);
            let is_overdue = |pending: &Pending| pending.grant_until.is_some_and(|until| until <= now);
            let (overdue, waiting) = std::mem::take(&mut this.pending).into_iter().partition(is_overdue);
            this.pending = waiting;
            let overdue: Vec<Pending> = overdue;
            for pending in overdue {
                let (limit, key) = pending.bucket();
                this.queues.wake(limit, key, now);
                if this.decides_alone(state, &pending) {
                    this.answer_degraded(leader, state, now, pending);
                } else {
                    pending.release_permit(leader);
                    pending.answer(Outcome::Unknown, now);
                }
            }
        });
    }

    /// Whether what this leader knows may decide without the group: only where no other node has a share, and by no limits of before a
    /// change. Else the node that asks decides by its own share.
    fn decides_alone(&self, state: &State, pending: &Pending) -> bool {
        let is_alone = self.settings.nodes.load(Ordering::Relaxed) == 1;
        is_alone && self.may_count && state.limits_version() >= self.due_version.max(pending.acquire.version)
    }

    fn answer_degraded(&self, leader: &mut Leader, state: &State, now: ShardTime, pending: Pending) {
        self.environment.events.on(Event::Degraded { shard: self.shard });
        let on_unavailable = pending.acquire.on_unavailable;
        let (ask, unreplicated) = match on_unavailable {
            OnUnavailable::Local => {
                (pending.ask(0), Some(Unreplicated { nodes: self.settings.nodes.load(Ordering::Relaxed) }))
            }
            OnUnavailable::Allow | OnUnavailable::Deny => (Ask { cost: 0, permit: None, ..pending.ask(0) }, None),
        };
        let outcome = match (leader.decide(state, now, &ask, unreplicated), on_unavailable) {
            (Decision::Refused(refusal), _) => Outcome::Refused(refusal),
            (Decision::Wait(_), _) => Outcome::Unavailable,
            (Decision::Admitted(standing, receipt), OnUnavailable::Local) => Outcome::Admitted(standing, Some(receipt)),
            (Decision::Denied(standing), OnUnavailable::Local) => Outcome::Denied(standing),
            (Decision::Admitted(standing, _) | Decision::Denied(standing), OnUnavailable::Allow) => {
                Outcome::Admitted(standing, None)
            }
            (Decision::Admitted(standing, _) | Decision::Denied(standing), OnUnavailable::Deny) => {
                let retry_after_ns = standing.retry_after_ns.max(UNAVAILABLE_RETRY_NS);
                Outcome::Denied(Standing { retry_after_ns, ..standing })
            }
        };
        if !matches!(outcome, Outcome::Admitted(_, Some(_))) {
            pending.release_permit(leader);
        }
        pending.answer_as(outcome, true, now);
    }

    /// Sets the timers for what waits, unless they are set for as early already.
    fn set_timers(&mut self, now: ShardTime) {
        if let Some(turn) = self.queues.next_turn()
            && self.turn_timer.is_none_or(|set| turn < set)
        {
            self.turn_timer = Some(turn);
            self.myself.send_after(duration(turn.since(now)), || BucketMsg::Turn);
        }
        let grants = self.pending.iter().filter_map(|pending| pending.grant_until);
        let acks = self.acks.iter().chain(&self.next_acks).map(|ack| ack.until);
        let holds = self.holds.next_end();
        let ends = |handover: &Handover| [handover.parts_until, handover.holds_until];
        let handover = self.handover.iter().flat_map(ends).filter(|until| *until > now);
        if let Some(first) = grants.chain(acks).chain(holds).chain(handover).min() {
            self.set_overdue_timer(first, now);
        }
    }

    fn set_overdue_timer(&mut self, at: ShardTime, now: ShardTime) {
        if self.overdue_timer.is_none_or(|set| at < set) {
            self.overdue_timer = Some(at);
            self.myself.send_after(duration(at.since(now)), || BucketMsg::Overdue);
        }
    }
}

/// The end of the leadership.
impl BucketState {
    /// Proposes nothing more, and when what is in flight has committed, hands over.
    fn hand_over(&mut self, to: Option<NodeId>, done: oneshot::Sender<()>) {
        if let Some(handover) = &mut self.handover {
            return handover.done.push(done);
        }
        let now = self.now();
        let parts_until = self.last_part.map_or(now, |last| last.plus(nanos(PARTS_AT_HANDOVER)));
        let holds_until = now.plus(nanos(HOLDS_AT_HANDOVER));
        self.handover = Some(Handover { commands: None, to, parts_until, holds_until, done: vec![done] });
        if self.proposed_mono_ns.is_some() {
            return;
        }
        if self.leader.is_some() {
            self.set_timers(now);
            self.hand_over_if_ready();
        } else {
            // It has not even taken over, so there is nothing to lose.
            self.handed_over();
        }
    }

    /// If the leadership is to be handed over, and nothing is in flight or may come back: stops spending and has the group grant exactly
    /// what was spent, then ends the leadership.
    fn hand_over_if_ready(&mut self) {
        if self.handover.is_none() || self.proposed_mono_ns.is_some() {
            return;
        }
        let stamp = self.stamp();
        if self.handover.as_ref().is_some_and(|handover| handover.waits(stamp.at, &self.holds)) {
            return;
        }
        let Some(mut leader) = self.leader.take() else { return };
        // They are asked for again where the shard is led next.
        for pending in std::mem::take(&mut self.pending) {
            pending.release_permit(&mut leader);
            pending.answer(Outcome::Unavailable, stamp.at);
        }
        let commands = self.group.state().read(|state| {
            let follows = leader.follow(state);
            follows.then(|| leader.hand_over(state, stamp, HANDOVER_CHUNK))
        });
        match (commands, &mut self.handover) {
            (Some(commands), Some(handover)) => {
                handover.commands = Some(commands.into_iter());
                self.go_on_handing_over();
            }
            _ => {
                // Another leader has taken over already. What was to be committed is not.
                self.handover.take().into_iter().for_each(Handover::done);
                self.myself.stop(Some("another leader has taken over".to_owned()));
            }
        }
    }

    fn go_on_handing_over(&mut self) {
        let commands = self.handover.as_mut().and_then(|handover| handover.commands.as_mut());
        match commands.and_then(Iterator::next) {
            Some(command) => self.propose(command),
            None => self.handed_over(),
        }
    }

    fn handed_over(&mut self) {
        self.environment.events.on(Event::HandedOver { shard: self.shard });
        self.acks.drain(..).chain(self.next_acks.drain(..)).for_each(Ack::committed);
        if let Some(handover) = self.handover.take() {
            let group = Arc::clone(&self.group);
            tokio::spawn(async move {
                if let Some(to) = handover.to {
                    group.transfer(to).await;
                }
                handover.done();
            });
        }
        self.myself.stop(Some("handed over".to_owned()));
    }

    /// Leaves nobody waiting.
    fn resign(&mut self) {
        self.catching_up.take().iter().for_each(AbortHandle::abort);
        let now = self.now();
        let unanswered = std::mem::take(&mut self.pending);
        let queued = std::mem::take(&mut self.queues).into_requests();
        unanswered.into_iter().chain(queued).for_each(|pending| pending.answer(Outcome::Unavailable, now));
        self.acks.drain(..).chain(self.next_acks.drain(..)).for_each(Ack::lost);
        self.inbox.drain().into_iter().for_each(Work::unavailable);
    }
}
