//! What waits to be sent to another node: requests for buckets that it leads, and answers to its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_limiter::ShardId;

use crate::actors::PeerMsg;
use crate::inbox::{Admission, Answer, Overloaded, Reply, SettleFailure, Unavailable, Work};
use crate::messages::{Answered, Mail, RemoteAnswer, RemoteAsk, Task};

/// The most requests that wait for answers of one node. Beyond it a request is refused at once.
const MAX_UNDER_WAY: usize = 65_536;

/// The queue to one other node. All that waits goes as one message.
pub(crate) struct Outbox {
    /// Of this run of the node: an answer to an earlier one is nobody's.
    run: u64,
    waiting: Mutex<Outgoing>,
    /// Requests that were sent and wait for an answer, by their number.
    sent: Mutex<BTreeMap<u64, (Awaited, Instant)>>,
    actor: ArcSwapOption<ActorRef<PeerMsg>>,
    under_way: Admission,
    /// Numbers of mails and of requests. Kept here, because an actor that is started anew must not use them again.
    mails: AtomicU64,
    requests: AtomicU64,
}

/// All that is to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) asks: Vec<Forward>,
    pub(crate) answers: Vec<RemoteAnswer>,
}

/// A request for another node.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) shard: ShardId,
    pub(crate) task: Task,
    /// Who waits for the answer, and until when; `None` when nobody does.
    pub(crate) awaited: Option<(Awaited, Instant)>,
}

/// Who waits for an answer of another node.
#[derive(Debug)]
pub(crate) enum Awaited {
    Acquired(Reply<Answer>),
    Confirmed(Reply<bool>),
    Settled(Reply<Result<u64, SettleFailure>>),
    Done(Reply<Result<(), Unavailable>>),
}

impl Awaited {
    /// Hands the answer on. One of another kind than was asked for is no answer.
    pub(crate) fn answer(self, answer: Answered) {
        match (self, answer) {
            (Self::Acquired(reply), Answered::Acquired(answer)) => reply.send(answer),
            (Self::Confirmed(reply), Answered::Confirmed(confirmed)) => reply.send(confirmed),
            (Self::Settled(reply), Answered::Settled(settled)) => reply.send(settled),
            (Self::Done(reply), Answered::Done(done)) => reply.send(done),
            (awaited, _) => awaited.give_up(),
        }
    }

    /// No answer came in time.
    pub(crate) fn give_up(self) {
        match self {
            Self::Acquired(reply) => reply.send(Answer::UNKNOWN),
            Self::Confirmed(reply) => reply.send(false),
            Self::Settled(reply) => reply.send(Err(Unavailable.into())),
            Self::Done(reply) => reply.send(Err(Unavailable)),
        }
    }
}

impl Outgoing {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.answers.is_empty()
    }
}

impl Outbox {
    /// The queue of this run of the node.
    pub(crate) fn new(run: u64) -> Self {
        Self {
            run,
            waiting: Mutex::default(),
            sent: Mutex::default(),
            actor: ArcSwapOption::empty(),
            under_way: Admission::default(),
            mails: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// Asks the node for something and returns where its answer will be, at the latest after `within`.
    pub(crate) fn ask<T>(
        &self,
        shard: ShardId,
        work: impl FnOnce(Reply<T>) -> Work,
        within: Duration,
    ) -> Result<oneshot::Receiver<T>, Overloaded> {
        let (reply, receiver) = self.under_way.here(MAX_UNDER_WAY)?;
        self.push(shard, work(reply), within);
        Ok(receiver)
    }

    /// Gives the node something to do that nobody waits for.
    pub(crate) fn tell(&self, shard: ShardId, work: Work) {
        self.push(shard, work, Duration::ZERO);
    }

    /// From here on `actor` is told of what comes; `None` when there is no way to the node.
    pub(crate) fn serve(&self, actor: Option<ActorRef<PeerMsg>>) {
        self.actor.store(actor.map(Arc::new));
        if let Some(actor) = self.actor.load().as_deref() {
            drop(actor.cast(PeerMsg::Flush));
        }
    }

    /// Takes all that waits to be sent, in mails of at most so many requests and answers each.
    pub(crate) fn take(&self, most: usize) -> Vec<Mail> {
        let Outgoing { asks, answers } = std::mem::take(&mut *self.waiting());
        let (mut asks, mut answers) = (asks.into_iter().peekable(), answers.into_iter().peekable());
        let mut sent = self.sent();
        let mut mails = Vec::new();
        while asks.peek().is_some() || answers.peek().is_some() {
            let asks = asks.by_ref().take(most).map(|Forward { shard, task, awaited }| {
                let number = self.requests.fetch_add(1, Ordering::Relaxed);
                if let Some(awaited) = awaited {
                    sent.insert(number, awaited);
                }
                RemoteAsk { number, shard, task }
            });
            let asks = asks.collect();
            let answers = answers.by_ref().take(most).collect();
            // The first is number 1.
            let sequence = self.mails.fetch_add(1, Ordering::Relaxed) + 1;
            mails.push(Mail { run: self.run, sequence, asks, answers });
        }
        mails
    }

    /// Hands the node's answers to those who wait for them.
    pub(crate) fn answered(&self, answers: Vec<RemoteAnswer>) {
        let mut sent = self.sent();
        let ours = answers.into_iter().filter(|answer| answer.run == self.run);
        let awaited = ours.filter_map(|RemoteAnswer { number, answer, .. }| Some((sent.remove(&number)?.0, answer)));
        awaited.for_each(|(awaited, answer)| awaited.answer(answer));
    }

    /// Gives up what has been waited for until now; returns whether something is waited for still.
    pub(crate) fn give_up(&self, now: Instant) -> bool {
        let mut sent = self.sent();
        sent.extract_if(.., |_, (_, until)| *until <= now).for_each(|(_, (awaited, _))| awaited.give_up());
        !sent.is_empty()
    }

    /// Whether an answer of the node is waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.sent().is_empty()
    }

    /// Gives up all that is waited for, sent or not.
    pub(crate) fn give_all_up(&self) {
        drop(std::mem::take(&mut *self.waiting()));
        std::mem::take(&mut *self.sent()).into_values().for_each(|(awaited, _)| awaited.give_up());
    }

    fn push(&self, shard: ShardId, work: Work, within: Duration) {
        let (task, awaited) = travelling(work);
        let awaited = awaited.map(|awaited| (awaited, Instant::now() + within));
        self.add(|outgoing| outgoing.asks.push(Forward { shard, task, awaited }));
    }

    /// Without a way to the node it is lost, as on the way, and whoever waits hears that at once.
    fn add(&self, add: impl FnOnce(&mut Outgoing)) {
        let actor = self.actor.load();
        let Some(actor) = actor.as_deref() else { return };
        let was_empty = {
            let mut waiting = self.waiting();
            let was_empty = waiting.is_empty();
            add(&mut waiting);
            was_empty
        };
        if was_empty {
            // An actor that just ended leaves what waits here to the next one.
            drop(actor.cast(PeerMsg::Flush));
        }
    }

    fn sent(&self) -> MutexGuard<'_, BTreeMap<u64, (Awaited, Instant)>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Outgoing> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes apart what is asked for and who waits for it.
fn travelling(work: Work) -> (Task, Option<Awaited>) {
    match work {
        Work::Acquire(acquire, reply) => (Task::Acquire(acquire), Some(Awaited::Acquired(reply))),
        Work::GiveBack(receipt) => (Task::GiveBack(receipt), None),
        Work::Release(hold) => (Task::Release(hold), None),
        Work::Confirm(hold, reply) => (Task::Confirm(hold), Some(Awaited::Confirmed(reply))),
        Work::Settle(settlement, reply) => (Task::Settle(settlement), Some(Awaited::Settled(reply))),
        Work::Return(receipt, hold, reply) => (Task::Return(receipt, hold), Some(Awaited::Done(reply))),
        Work::Reset(limit, key, reply) => (Task::Reset(limit, key), Some(Awaited::Done(reply))),
    }
}

/// Where the answer to another node's request goes.
pub(crate) struct ReturnAddress {
    pub(crate) outbox: Arc<Outbox>,
    /// The run that asked, and its number for the request.
    pub(crate) run: u64,
    pub(crate) number: u64,
}

impl ReturnAddress {
    /// Sends the answer.
    pub(crate) fn send(self, answer: Answered) {
        let Self { outbox, run, number } = self;
        outbox.add(|outgoing| outgoing.answers.push(RemoteAnswer { run, number, answer }));
    }
}

impl std::fmt::Debug for ReturnAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {:x}, request {}", self.run, self.number)
    }
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self::Acquired(answer)
    }
}

impl From<bool> for Answered {
    fn from(confirmed: bool) -> Self {
        Self::Confirmed(confirmed)
    }
}

impl From<Result<u64, SettleFailure>> for Answered {
    fn from(settled: Result<u64, SettleFailure>) -> Self {
        Self::Settled(settled)
    }
}

impl From<Result<(), Unavailable>> for Answered {
    fn from(done: Result<(), Unavailable>) -> Self {
        Self::Done(done)
    }
}
