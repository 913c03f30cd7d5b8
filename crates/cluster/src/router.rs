//! From a request to its answer: which limits it meets, which shards decide, and all of them or none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_limiter::{Key, Limit, LimitName, Limits, Matched, Receipt, Refusal, SettleError, ShardTime, Standing};

use crate::inbox::{Acquire, Answer, Inbox, Outcome, Overloaded, Reply, SettleFailure, Unavailable, Work};
use crate::reservation::{Part, Reservation};
use crate::span::{duration, nanos};

/// A request to pass.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The namespace, first part of every bucket's identity.
    pub prefix: &'a str,
    /// What is asked for; also the value of the label `endpoint`.
    pub endpoint: &'a str,
    /// All other labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Units; 0 looks without taking.
    pub cost: u64,
    /// How long the request may queue for its turn.
    pub patience: Duration,
}

impl<'a> Request<'a> {
    fn label(&self, name: &str) -> Option<&'a str> {
        if name == "endpoint" { Some(self.endpoint) } else { self.labels.get(name).map(String::as_str) }
    }
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether it may pass.
    pub allowed: bool,
    /// At least one limit was decided without its group.
    pub degraded: bool,
    /// Every limit that the request met, in the order of their names.
    pub limits: Vec<LimitVerdict>,
    /// Units that were asked for.
    cost: u64,
    /// What was taken; empty when the request may not pass.
    parts: Vec<Part>,
}

impl Verdict {
    /// Whether a permit was given, which is to be returned by settling.
    pub fn holds_permit(&self) -> bool {
        self.limits.iter().any(|limit| limit.limit.algorithm.is_of_permits()) && !self.parts.is_empty()
    }

    pub(crate) fn reservation(&self, id: u128) -> Reservation {
        Reservation { id, cost: self.cost, parts: self.parts.clone() }
    }
}

/// What one limit says to a request.
#[derive(Clone, Debug)]
pub struct LimitVerdict {
    /// The limit.
    pub limit: Arc<Limit>,
    /// Whether it lets the request pass. A limit in shadow may say no and the request passes all the same.
    pub allowed: bool,
    /// How the bucket stands after the decision.
    pub standing: Standing,
}

/// Why a request was not decided.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AcquireError {
    /// The cost is above what a bucket can ever hold.
    #[error("limit {limit}: a cost above {capacity} never fits")]
    NeverFits {
        /// The limit.
        limit: LimitName,
        /// What its buckets hold.
        capacity: u64,
    },
    /// The node holds as many buckets as it may.
    #[error("the node holds as many buckets as max_buckets allows")]
    NoRoom,
    /// Too many requests are under way.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// A shard has no leader that could answer.
    #[error("no leader answers for a shard: it is starting, changing or stopping")]
    Unavailable,
}

/// A reservation that is settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settled {
    /// Units that were reserved of each limit.
    pub reserved: u64,
    /// Units that came back, to the limit's bucket that got the fewest.
    pub returned: u64,
}

/// Why a reservation was not settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettleReservationError {
    /// This cluster never gave such a reservation.
    #[error("no such reservation")]
    Unknown,
    /// It was settled before, or has expired.
    #[error(transparent)]
    Refused(#[from] SettleError),
    /// A shard could not commit it: to be tried again.
    #[error("a shard has no leader that could settle it")]
    Unavailable,
}

impl From<Overloaded> for AcquireError {
    fn from(overloaded: Overloaded) -> Self {
        Self::Overloaded(overloaded.to_string())
    }
}

impl From<Unavailable> for AcquireError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Sends requests to where their buckets are. Clones share everything.
#[derive(Clone)]
pub(crate) struct Router {
    limits: Arc<ArcSwap<Limits>>,
    shards: Arc<[Arc<Inbox>]>,
}

/// What one limit's bucket answered.
struct Taken {
    matched: Matched,
    answer: Answer,
}

impl Router {
    pub(crate) fn new(limits: Arc<ArcSwap<Limits>>, shards: Vec<Arc<Inbox>>) -> Self {
        Self { limits, shards: shards.into() }
    }

    /// The limits that requests are matched with.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// Decides a request.
    pub(crate) async fn acquire(&self, request: &Request<'_>) -> Result<Verdict, AcquireError> {
        let limits = self.limits.load();
        let mut matched: Vec<_> = limits.matching(request.prefix, |name| request.label(name)).collect();
        drop(limits);
        check_capacity(&matched, request.cost)?;
        let until = Instant::now() + request.patience;
        match matched.pop() {
            None => Ok(verdict(Vec::new(), request.cost)),
            Some(only) if matched.is_empty() => {
                let patience = if only.limit.shadow { Duration::ZERO } else { request.patience };
                Ok(verdict(vec![self.take(only, request.cost, patience).await?], request.cost))
            }
            Some(last) => {
                matched.push(last);
                // In a task of its own, so that a client that goes away leaves no limit charged without the others.
                let (router, cost) = (self.clone(), request.cost);
                let (present, gone) = oneshot::channel::<()>();
                let task = tokio::spawn(async move { router.acquire_all(matched, cost, until, gone).await });
                let verdict = task.await.map_err(|_| AcquireError::Unavailable)?;
                drop(present);
                verdict
            }
        }
    }

    /// Takes from all limits or none, waiting for its turn at one after the other as long as the patience lasts and the client has
    /// not `gone`.
    async fn acquire_all(
        &self,
        matched: Vec<Matched>,
        cost: u64,
        until: Instant,
        mut gone: oneshot::Receiver<()>,
    ) -> Result<Verdict, AcquireError> {
        let mut held: Option<Taken> = None;
        loop {
            let taken = self.take_all(&matched, cost, held.take()).await?;
            let denials = taken.iter().filter(|taken| taken.denies());
            let longest = denials.max_by_key(|taken| taken.standing().map_or(0, |standing| standing.retry_after_ns));
            let Some(standing) = longest.and_then(Taken::standing) else { return Ok(verdict(taken, cost)) };
            let left = until.saturating_duration_since(Instant::now());
            let blocking = longest.map(|taken| taken.matched.clone());
            let in_time = duration(standing.retry_after_ns) <= left;
            // A permit comes back when its holder is done, which nobody can foretell.
            let patient = in_time || blocking.as_ref().is_some_and(|matched| matched.limit.algorithm.is_of_permits());
            self.give_back(&taken);
            let Some(blocking) = blocking.filter(|_| patient && !left.is_zero()) else {
                return Ok(verdict(taken, cost));
            };
            let turn = tokio::select! {
                biased;
                _ = &mut gone => return Err(AcquireError::Unavailable),
                turn = self.take(blocking, cost, left) => turn?,
            };
            if turn.denies() {
                return Ok(verdict(with_turn(taken, turn), cost));
            }
            held = Some(turn);
        }
    }

    /// Asks all limits at once; `held` is one that has been taken already.
    async fn take_all(&self, matched: &[Matched], cost: u64, held: Option<Taken>) -> Result<Vec<Taken>, AcquireError> {
        let held_id = held.as_ref().map(|held| held.matched.id);
        let others = matched.iter().filter(|matched| Some(matched.id) != held_id);
        let answers = join_all(others.map(|matched| self.take(matched.clone(), cost, Duration::ZERO))).await;
        let (taken, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        let mut taken: Vec<_> = taken.into_iter().filter_map(Result::ok).chain(held).collect();
        taken.sort_by(|left, right| left.matched.limit.name.cmp(&right.matched.limit.name));
        match failed.into_iter().find_map(Result::err) {
            None => Ok(taken),
            Some(error) => {
                self.give_back(&taken);
                Err(error)
            }
        }
    }

    async fn take(&self, matched: Matched, cost: u64, patience: Duration) -> Result<Taken, AcquireError> {
        // A limit in shadow tells how it stands even where the cost could never fit.
        let never_fits = matched.limit.shadow && cost > matched.limit.algorithm.capacity();
        let acquire = Acquire {
            limit: matched.id,
            key: matched.key,
            cost: if never_fits { 0 } else { cost },
            consistency: matched.limit.consistency,
            on_unavailable: matched.limit.on_unavailable,
            patience_ns: nanos(patience),
        };
        let answer = match self.ask(matched.key, |reply| Work::Acquire(acquire, reply)).await {
            // A limit in shadow keeps nobody out, whatever its bucket answers, and though nobody does.
            Ok(answer) if never_fits => return Ok(Taken { matched, answer: answer.denied() }),
            Ok(answer) if matched.limit.shadow => return Ok(Taken { matched, answer }),
            Err(_) if matched.limit.shadow => return Ok(Taken { matched, answer: Answer::UNAVAILABLE }),
            answer => answer?,
        };
        match answer.outcome {
            Outcome::Unavailable => Err(AcquireError::Unavailable),
            Outcome::Refused(Refusal::NoRoom) => Err(AcquireError::NoRoom),
            Outcome::Refused(Refusal::NeverFits { capacity }) => {
                Err(AcquireError::NeverFits { limit: matched.limit.name.clone(), capacity })
            }
            Outcome::Refused(Refusal::UnknownLimit) | Outcome::Admitted(..) | Outcome::Denied(_) => {
                Ok(Taken { matched, answer })
            }
        }
    }

    fn give_back(&self, taken: &[Taken]) {
        for receipt in taken.iter().filter_map(Taken::receipt) {
            self.inbox(receipt.key).tell(Work::GiveBack(receipt));
        }
    }

    /// How one bucket of a limit stands.
    pub(crate) async fn peek(&self, matched: Matched) -> Result<Option<Standing>, AcquireError> {
        Ok(self.take(matched, 0, Duration::ZERO).await?.standing())
    }

    /// Makes one bucket whole.
    pub(crate) async fn reset(&self, matched: &Matched) -> Result<(), AcquireError> {
        Ok(self.ask(matched.key, |reply| Work::Reset(matched.id, matched.key, reply)).await??)
    }

    /// Settles every part of a reservation.
    ///
    /// A settlement that was cut short settled some parts; asked again, it settles the rest.
    pub(crate) async fn settle(
        &self,
        reservation: &Reservation,
        actual: u64,
    ) -> Result<Settled, SettleReservationError> {
        let settlements = reservation.settlements(actual);
        let results: Vec<_> = join_all(settlements.map(|settlement| async move {
            let asked = self.ask(settlement.receipt.key, |reply| Work::Settle(settlement, reply)).await;
            asked.unwrap_or(Err(SettleFailure::Unavailable(Unavailable)))
        }))
        .await;
        if results.contains(&Err(SettleFailure::Unavailable(Unavailable))) {
            return Err(SettleReservationError::Unavailable);
        }
        let refusal = results.iter().find_map(|result| match result {
            Err(SettleFailure::Refused(refusal)) => Some(*refusal),
            Ok(_) | Err(SettleFailure::Unavailable(_)) => None,
        });
        let returned = results.iter().filter_map(|result| result.ok()).min();
        match (returned, refusal) {
            (None, Some(refusal)) => Err(refusal.into()),
            (returned, _) => Ok(Settled { reserved: reservation.cost, returned: returned.unwrap_or(0) }),
        }
    }

    /// Asks the actor of the bucket's shard for something, and waits for its answer.
    async fn ask<T>(&self, key: Key, work: impl FnOnce(Reply<T>) -> Work) -> Result<T, AcquireError> {
        let inbox = self.inbox(key);
        if !inbox.is_served() {
            return Err(AcquireError::Unavailable);
        }
        // An actor that fails drops its replies.
        inbox.ask(work)?.await.map_err(|_| AcquireError::Unavailable)
    }

    fn inbox(&self, key: Key) -> &Inbox {
        let shard = key.shard(self.shards.len() as u32) as usize;
        &self.shards[shard]
    }
}

/// Refuses a cost that one of the limits can never hold, before any is charged.
fn check_capacity(matched: &[Matched], cost: u64) -> Result<(), AcquireError> {
    let enforced = matched.iter().filter(|matched| !matched.limit.shadow);
    match enforced.map(|matched| &matched.limit).find(|limit| cost > limit.algorithm.capacity()) {
        None => Ok(()),
        Some(limit) => Err(AcquireError::NeverFits { limit: limit.name.clone(), capacity: limit.algorithm.capacity() }),
    }
}

impl Taken {
    /// Whether the request may not pass because of this limit.
    fn denies(&self) -> bool {
        matches!(self.answer.outcome, Outcome::Denied(_)) && !self.matched.limit.shadow
    }

    /// How the bucket stands; `None` when the limit has gone meanwhile.
    fn standing(&self) -> Option<Standing> {
        match self.answer.outcome {
            Outcome::Admitted(standing, _) | Outcome::Denied(standing) => Some(standing),
            Outcome::Refused(_) | Outcome::Unavailable => None,
        }
    }

    fn receipt(&self) -> Option<Receipt> {
        match self.answer.outcome {
            Outcome::Admitted(_, receipt) => receipt.filter(|receipt| receipt.units > 0),
            Outcome::Denied(_) | Outcome::Refused(_) | Outcome::Unavailable => None,
        }
    }

    fn part(&self) -> Option<Part> {
        let expires: ShardTime = self.answer.at.plus(self.matched.limit.reservation_ttl_ns);
        self.receipt().map(|receipt| Part { receipt, expires })
    }
}

/// What all limits said, when the patience ran out in the queue of one.
fn with_turn(mut taken: Vec<Taken>, turn: Taken) -> Vec<Taken> {
    if let Some(place) = taken.iter_mut().find(|taken| taken.matched.id == turn.matched.id) {
        *place = turn;
    }
    taken
}

fn verdict(taken: Vec<Taken>, cost: u64) -> Verdict {
    let allowed = !taken.iter().any(Taken::denies);
    let degraded = taken.iter().any(|taken| taken.answer.degraded);
    let parts = if allowed { taken.iter().filter_map(Taken::part).collect() } else { Vec::new() };
    let limits = taken.into_iter().filter_map(|taken| {
        let allowed = matches!(taken.answer.outcome, Outcome::Admitted(..));
        taken.standing().map(|standing| LimitVerdict { limit: taken.matched.limit, allowed, standing })
    });
    Verdict { allowed, degraded, limits: limits.collect(), cost, parts }
}
