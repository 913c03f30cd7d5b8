//! Requests on their way to a bucket actor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use ractor::ActorRef;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tollgate_limiter::{
    Consistency, Key, LimitId, OnUnavailable, Receipt, Refusal, SettleError, Settlement, ShardTime, Standing,
};

use crate::actors::BucketMsg;
use crate::holds::HoldId;
use crate::messages::Answered;
use crate::outbox::ReturnAddress;

/// The most requests of one shard that may be under way at once, queued ones among them. Beyond it a request is refused at
/// once, so that an overload shows as refusals and not as memory and delay.
const MAX_UNDER_WAY: usize = 16_384;

/// What a bucket actor is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Take units of a bucket.
    Acquire(Acquire, Reply<Answer>),
    /// Give back what was taken a moment ago for a request that another limit denied. Nobody waits for it.
    GiveBack(Receipt),
    /// Give back what is held for a request that another limit denied. Nobody waits for it.
    Release(HoldId),
    /// What is held is spent for good. Answered with whether it was still held.
    Confirm(HoldId, Reply<bool>),
    /// Settle one bucket's part of a reservation.
    Settle(Settlement, Reply<Result<u64, SettleFailure>>),
    /// Take back a permit that was given a moment ago for a request that another limit denied, and end its hold. Unlike other units it
    /// is not lost with its leadership, so this is asked until a leader has done it.
    Return(Receipt, Option<HoldId>, Reply<Result<(), Unavailable>>),
    /// Make a bucket whole.
    Reset(LimitId, Key, Reply<Result<(), Unavailable>>),
}

impl Work {
    /// The bucket from which units are asked for.
    pub(crate) fn acquired(&self) -> Option<(LimitId, Key)> {
        match self {
            Self::Acquire(acquire, _) => Some((acquire.limit, acquire.key)),
            Self::GiveBack(_)
            | Self::Release(_)
            | Self::Confirm(..)
            | Self::Settle(..)
            | Self::Return(..)
            | Self::Reset(..) => None,
        }
    }

    /// Answers that nobody can do it here.
    pub(crate) fn unavailable(self) {
        match self {
            Self::Acquire(_, reply) => {
                reply.send(Answer::UNAVAILABLE);
            }
            Self::GiveBack(_) | Self::Release(_) => {}
            Self::Confirm(_, reply) => reply.send(false),
            Self::Settle(_, reply) => reply.send(Err(Unavailable.into())),
            Self::Return(_, _, reply) | Self::Reset(_, _, reply) => reply.send(Err(Unavailable)),
        }
    }
}

/// A request for units of one bucket.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Acquire {
    pub(crate) limit: LimitId,
    pub(crate) key: Key,
    /// Units; 0 looks without taking.
    pub(crate) cost: u64,
    pub(crate) consistency: Consistency,
    pub(crate) on_unavailable: OnUnavailable,
    /// How long the request may queue for its turn, in nanoseconds.
    pub(crate) patience_ns: i64,
    /// Version of the limits that the request was matched with. A shard that does not count by it yet does not decide.
    pub(crate) version: u64,
    /// The request meets other limits, too: what is taken may be given back in a moment.
    pub(crate) is_part: bool,
    /// What is taken is only held until it is confirmed.
    pub(crate) hold: Option<HoldId>,
}

/// What became of an [`Acquire`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Decided without the group.
    pub(crate) degraded: bool,
    /// The shard's time of the decision.
    pub(crate) at: ShardTime,
}

impl Answer {
    /// Nobody leads the shard here.
    pub(crate) const UNAVAILABLE: Self = Self::undecided(Outcome::Unavailable);

    /// No answer came in time.
    pub(crate) const UNKNOWN: Self = Self::undecided(Outcome::Unknown);

    /// Too much is under way already.
    pub(crate) const OVERLOADED: Self = Self::undecided(Outcome::Overloaded);

    const fn undecided(outcome: Outcome) -> Self {
        Self { outcome, degraded: true, at: ShardTime::MIN }
    }

    /// The same standing, but no.
    pub(crate) fn denied(self) -> Self {
        match self.outcome {
            Outcome::Admitted(standing, _) => Self { outcome: Outcome::Denied(standing), ..self },
            Outcome::Denied(_)
            | Outcome::Refused(_)
            | Outcome::Unavailable
            | Outcome::Unknown
            | Outcome::Overloaded => self,
        }
    }
}

/// The outcome of an [`Acquire`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Outcome {
    /// With the proof of what was taken; `None` when nothing was, because the limit lets all pass that cannot be decided.
    Admitted(Standing, Option<Receipt>),
    Denied(Standing),
    Refused(Refusal),
    /// Nobody leads the shard here, and nothing was taken: to be asked elsewhere.
    Unavailable,
    /// The node that leads the shard did not answer in time. It may have taken the units, so it is not asked again.
    Unknown,
    /// Too much is under way already; nothing was taken.
    Overloaded,
}

/// The shard has no leader here that could answer, or loses it just now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("the shard has no leader that could answer")]
pub(crate) struct Unavailable;

/// Why a settlement was not done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub(crate) enum SettleFailure {
    #[error(transparent)]
    Refused(#[from] SettleError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Where the answer goes. It counts as under way until it is sent or dropped.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    to: Asker<T>,
    _under_way: UnderWay,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Asker<T> {
    /// A task of this node.
    Here(oneshot::Sender<T>),
    /// Another node.
    There(ReturnAddress),
}

impl<T: Into<Answered>> Reply<T> {
    /// Sends the answer. A client that has gone meanwhile is none of the actor's business.
    pub(crate) fn send(self, answer: T) {
        match self.to {
            Asker::Here(sender) => drop(sender.send(answer)),
            Asker::There(address) => address.send(answer.into()),
        }
    }
}

impl<T> Reply<T> {
    /// Whether another node asks, which remembers a denial.
    pub(crate) fn goes_elsewhere(&self) -> bool {
        matches!(self.to, Asker::There(_))
    }

    /// Whether nobody waits for the answer any more. Of another node that is not known.
    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.to {
            Asker::Here(sender) => sender.is_closed(),
            Asker::There(_) => false,
        }
    }
}

#[derive(Debug)]
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what is under way, and refuses what is too much.
#[derive(Debug, Default)]
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Admission {
    /// A place for one request, unless `most` are taken.
    fn admit(&self, most: usize) -> Option<UnderWay> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= most {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(UnderWay(Arc::clone(&self.0)))
    }

    /// A reply to a task of this node, and where the answer will be.
    pub(crate) fn here<T>(&self, most: usize) -> Result<(Reply<T>, oneshot::Receiver<T>), Overloaded> {
        let under_way = self.admit(most).ok_or(Overloaded)?;
        let (sender, receiver) = oneshot::channel();
        Ok((Reply { to: Asker::Here(sender), _under_way: under_way }, receiver))
    }
}

/// The queue in front of one shard's bucket actor. All that waits goes to the actor as one message.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<Vec<Work>>,
    actor: ArcSwapOption<ActorRef<BucketMsg>>,
    under_way: Admission,
}

/// As many requests are under way as may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{MAX_UNDER_WAY} requests of this shard are under way already")]
pub(crate) struct Overloaded;

impl Inbox {
    /// Asks the actor for something and returns where its answer will be.
    pub(crate) fn ask<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<oneshot::Receiver<T>, Overloaded> {
        let (reply, receiver) = self.under_way.here(MAX_UNDER_WAY)?;
        self.push(work(reply));
        Ok(receiver)
    }

    /// Asks on behalf of another node. What is too much is answered at once.
    pub(crate) fn ask_for<T: Into<Answered>>(
        &self,
        address: ReturnAddress,
        work: impl FnOnce(Reply<T>) -> Work,
        too_much: T,
    ) {
        match self.under_way.admit(MAX_UNDER_WAY) {
            Some(under_way) => self.push(work(Reply { to: Asker::There(address), _under_way: under_way })),
            None => address.send(too_much.into()),
        }
    }

    /// Gives the actor something to do that nobody waits for.
    pub(crate) fn tell(&self, work: Work) {
        self.push(work);
    }

    /// Takes all that waits.
    pub(crate) fn drain(&self) -> Vec<Work> {
        std::mem::take(&mut *self.queue())
    }

    /// From here on `actor` is told of what comes; `None` when the shard has none.
    pub(crate) fn serve(&self, actor: Option<ActorRef<BucketMsg>>) {
        self.actor.store(actor.map(Arc::new));
    }

    /// Whether an actor answers here.
    pub(crate) fn is_served(&self) -> bool {
        self.actor.load().is_some()
    }

    fn push(&self, work: Work) {
        let was_empty = {
            let mut queue = self.queue();
            queue.push(work);
            queue.len() == 1
        };
        match self.actor.load().as_deref() {
            // An actor that is just ending leaves the work here, for whoever takes its place to find.
            Some(actor) if was_empty => drop(actor.cast(BucketMsg::Drain)),
            Some(_) => {}
            None => self.refuse(),
        }
    }

    /// Answers all that waits that nobody leads the shard here.
    pub(crate) fn refuse(&self) {
        self.drain().into_iter().for_each(Work::unavailable);
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Work>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
