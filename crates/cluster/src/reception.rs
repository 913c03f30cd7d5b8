//! Takes what other nodes say and hands it to whom it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::ActorRef;
use serde::Serialize;
use tokio::sync::oneshot;
use tollgate_limiter::{Key, LimitId, ShardId};
use tollgate_transport::Handler;

use crate::actors::{MetaMsg, SupervisorMsg};
use crate::codec::{decode, encode};
use crate::consensus::{AppendEntries, HeartbeatAnswer, NodeId, RaftRefusal, RaftRequest};
use crate::denials::Denials;
use crate::hosting::group_of;
use crate::inbox::{Answer, Inbox, Unavailable, Work};
use crate::messages::{ChangeFailure, LeaseGrant, Mail, Notice, Pong, RemoteAsk, Request, SeenTime, Task};
use crate::outbox::{Outbox, ReturnAddress};
use crate::routes::Routes;
use crate::samples::Samples;
use crate::seen::Seen;

/// A group that is kept here, for those who ask it from outside.
pub(crate) trait Endpoint: Send + Sync {
    /// Answers a call of another replica, encoded.
    fn raft(&self, request: RaftRequest) -> BoxFuture<'static, Vec<u8>>;

    /// Answers a heartbeat.
    fn heartbeat(&self, request: AppendEntries) -> BoxFuture<'static, HeartbeatAnswer>;

    /// What the group's clock shows, if it was seen running here.
    fn seen_time(&self) -> SeenTime;
}

/// Where everything is that other nodes may ask for. It fills up while the node starts.
pub(crate) struct Reception {
    /// Tells this run of the node from all others.
    run: u64,
    /// The node took part in a cluster before it was started.
    is_known: bool,
    groups: Mutex<BTreeMap<u32, Arc<dyn Endpoint>>>,
    outboxes: Mutex<BTreeMap<NodeId, Arc<Outbox>>>,
    seen: Mutex<BTreeMap<NodeId, Seen>>,
    counter: OnceLock<Counter>,
    meta: OnceLock<ActorRef<MetaMsg>>,
    supervisor: OnceLock<ActorRef<SupervisorMsg>>,
}

/// What a node has once it knows its cluster.
pub(crate) struct Counter {
    /// By shard, of all shards; those that are led here are served.
    pub(crate) inboxes: Arc<[Arc<Inbox>]>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) samples: Arc<Samples>,
}

impl Reception {
    /// `run` tells this run of the node from all others; `is_known`: the node took part in a cluster before it was started.
    pub(crate) fn new(run: u64, is_known: bool) -> Self {
        Self {
            run,
            is_known,
            groups: Mutex::default(),
            outboxes: Mutex::default(),
            seen: Mutex::default(),
            counter: OnceLock::new(),
            meta: OnceLock::new(),
            supervisor: OnceLock::new(),
        }
    }

    /// From here on the group is asked from outside.
    pub(crate) fn open_group(&self, group: u32, endpoint: Arc<dyn Endpoint>) {
        locked(&self.groups).insert(group, endpoint);
    }

    /// The group is no longer kept here.
    pub(crate) fn close_group(&self, group: u32) {
        locked(&self.groups).remove(&group);
    }

    /// The node knows its cluster. Told once.
    pub(crate) fn open_counter(&self, counter: Counter) {
        drop(self.counter.set(counter));
    }

    /// The node has an actor for the cluster's own state and one for its shards. Told once.
    pub(crate) fn open_actors(&self, meta: ActorRef<MetaMsg>, supervisor: ActorRef<SupervisorMsg>) {
        drop(self.meta.set(meta));
        drop(self.supervisor.set(supervisor));
    }

    /// The queue to a node.
    pub(crate) fn outbox(&self, node: NodeId) -> Arc<Outbox> {
        Arc::clone(locked(&self.outboxes).entry(node).or_insert_with(|| Arc::new(Outbox::new(self.run))))
    }

    /// Answers a request of another node, encoded.
    fn request(&self, from: NodeId, request: Request) -> BoxFuture<'static, Vec<u8>> {
        match request {
            Request::Raft { group, request } => self.raft(group, request),
            Request::Heartbeats(heartbeats) => self.heartbeats(heartbeats),
            Request::Ping => ready(&Pong { formed: self.is_known || self.counter.get().is_some() }),
            Request::Leader => ask_actor(&self.meta, MetaMsg::Leader, || None::<(NodeId, String)>),
            Request::Lease { version } => self.lease(from, version),
            Request::Change(id, change) => ask_actor(
                &self.meta,
                |reply| MetaMsg::Change(id, change, reply),
                || Err(ChangeFailure::Unavailable("the node is starting or stopping".to_owned())),
            ),
            Request::ShardTime(shard) => {
                let groups = locked(&self.groups);
                ready(&groups.get(&group_of(shard).0).map(|endpoint| endpoint.seen_time()))
            }
            Request::Move(shard, replicas) => self.move_shard(shard, replicas),
            Request::Undeny(limit, key) => {
                self.undeny(limit, key);
                ready(&())
            }
        }
    }

    fn heartbeats(&self, heartbeats: Vec<(u32, AppendEntries)>) -> BoxFuture<'static, Vec<u8>> {
        let groups = locked(&self.groups);
        let answers = heartbeats.into_iter().map(|(group, request)| match groups.get(&group) {
            Some(endpoint) => endpoint.heartbeat(request),
            None => std::future::ready(Err(RaftRefusal::NotHosted)).boxed(),
        });
        let answers = futures::future::join_all(answers.collect::<Vec<_>>());
        async move { encode(&answers.await) }.boxed()
    }

    fn move_shard(&self, shard: ShardId, replicas: BTreeSet<NodeId>) -> BoxFuture<'static, Vec<u8>> {
        let unable = || Err::<(), String>("the node is starting or stopping".to_owned());
        ask_actor(&self.supervisor, |reply| SupervisorMsg::Move(shard, replicas, reply), unable)
    }

    fn raft(&self, group: u32, request: RaftRequest) -> BoxFuture<'static, Vec<u8>> {
        match locked(&self.groups).get(&group) {
            Some(endpoint) => endpoint.raft(request),
            None => ready(&Err::<(), _>(RaftRefusal::NotHosted)),
        }
    }

    fn lease(&self, from: NodeId, version: u64) -> BoxFuture<'static, Vec<u8>> {
        ask_actor(&self.meta, |reply| MetaMsg::Lease(from, version, reply), || None::<LeaseGrant>)
    }

    fn undeny(&self, limit: LimitId, key: Key) {
        if let Some(counter) = self.counter.get() {
            counter.denials.forget(limit, key);
        }
    }

    fn mail(&self, from: NodeId, mail: Mail) {
        let Mail { run, sequence, asks, answers } = mail;
        if !locked(&self.seen).entry(from).or_default().is_new(run, sequence) {
            return;
        }
        let outbox = self.outbox(from);
        outbox.answered(answers);
        for RemoteAsk { number, shard, task } in asks {
            let address = ReturnAddress { outbox: Arc::clone(&outbox), run, number };
            match self.counter.get().and_then(|counter| counter.inboxes.get(shard as usize)) {
                Some(inbox) => ask(inbox, task, address),
                // An inbox that nobody serves answers that nobody leads the shard here.
                None => ask(&Inbox::default(), task, address),
            }
        }
    }
}

/// Puts another node's request into the queue of the shard that it is for.
fn ask(inbox: &Inbox, task: Task, address: ReturnAddress) {
    match task {
        Task::Acquire(acquire) => inbox.ask_for(address, |reply| Work::Acquire(acquire, reply), Answer::OVERLOADED),
        Task::GiveBack(receipt) => inbox.tell(Work::GiveBack(receipt)),
        Task::Release(hold) => inbox.tell(Work::Release(hold)),
        Task::Confirm(hold) => inbox.ask_for(address, |reply| Work::Confirm(hold, reply), false),
        Task::Settle(settlement) => {
            inbox.ask_for(address, |reply| Work::Settle(settlement, reply), Err(Unavailable.into()));
        }
        Task::Return(receipt, hold) => {
            inbox.ask_for(address, |reply| Work::Return(receipt, hold, reply), Err(Unavailable));
        }
        Task::Reset(limit, key) => inbox.ask_for(address, |reply| Work::Reset(limit, key, reply), Err(Unavailable)),
    }
}

/// The reception as the transport knows it.
pub(crate) struct Door(pub(crate) Arc<Reception>);

impl Handler for Door {
    fn request(
        &self,
        from: tollgate_transport::NodeId,
        request: Bytes,
    ) -> impl Future<Output = Bytes> + Send + 'static {
        let answer = match decode(&request) {
            Ok(request) => self.0.request(from.0, request),
            Err(error) => {
                tracing::warn!(%from, %error, "a request of another node makes no sense");
                ready(&())
            }
        };
        answer.map(Bytes::from)
    }

    fn notice(&self, from: tollgate_transport::NodeId, notice: Bytes) {
        match decode(&notice) {
            Ok(Notice::Mail(mail)) => self.0.mail(from.0, mail),
            Ok(Notice::Status(status)) => {
                if let Some(counter) = self.0.counter.get() {
                    counter.routes.heard(from.0, status);
                }
            }
            Ok(Notice::Undeny(limit, key)) => self.0.undeny(limit, key),
            Ok(Notice::Sample { age_ms, sample }) => {
                if let Some(counter) = self.0.counter.get() {
                    counter.samples.add(from.0, *sample, age_ms);
                }
            }
            Err(error) => tracing::warn!(%from, %error, "a notice of another node makes no sense"),
        }
    }
}

/// Asks an actor; `otherwise` is the answer where there is none.
fn ask_actor<M: ractor::Message, T: Serialize + Send + 'static>(
    actor: &OnceLock<ActorRef<M>>,
    message: impl FnOnce(oneshot::Sender<T>) -> M,
    otherwise: impl FnOnce() -> T + Send + 'static,
) -> BoxFuture<'static, Vec<u8>> {
    let Some(actor) = actor.get() else { return ready(&otherwise()) };
    let (reply, answer) = oneshot::channel();
    drop(actor.cast(message(reply)));
    async move { encode(&answer.await.unwrap_or_else(|_| otherwise())) }.boxed()
}

fn ready(answer: &impl Serialize) -> BoxFuture<'static, Vec<u8>> {
    std::future::ready(encode(answer)).boxed()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while it was held has left a map that is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
