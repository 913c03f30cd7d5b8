//! From a request to its answer: which limits it meets, which shards decide, and all of them or none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_limiter::{
    Key, Limit, LimitName, Limits, Matched, OnUnavailable, Planted, Receipt, Refusal, SettleError, ShardId, ShardTime,
    SpentAt, Standing,
};

use crate::consensus::NodeId;
use crate::denials::{Denials, RoundTrip};
use crate::environment::{Environment, Event};
use crate::holds::HoldId;
use crate::inbox::{Acquire, Answer, Inbox, Outcome, Overloaded, Reply, SettleFailure, Unavailable, Work};
use crate::lease::Lease;
use crate::messages::Answered;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::reception::Reception;
use crate::reservation::{Part, Reservation};
use crate::routes::Routes;
use crate::share::Share;
use crate::span::{duration, nanos};

/// How often a shard without a leader is looked at, if nothing tells of a change before.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// After how long a client is to ask again whom only the silence of a shard denied, in nanoseconds: nobody knows when it ends, and
/// sooner would be a load on a cluster that has enough to do.
pub(crate) const UNAVAILABLE_RETRY_NS: i64 = 1_000_000_000;

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
    /// A verdict by which nothing is taken.
    pub fn new(allowed: bool, limits: Vec<LimitVerdict>) -> Self {
        Self { allowed, degraded: false, limits, cost: 0, parts: Vec::new() }
    }

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
    /// Where the bucket is.
    pub shard: ShardId,
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

/// What the router works with.
pub(crate) struct RouterArgs {
    pub(crate) me: NodeId,
    /// Tells this run of the node from all others.
    pub(crate) run: u64,
    pub(crate) limits: Arc<ArcSwap<Limits>>,
    /// Of all shards; those that are led here are served.
    pub(crate) inboxes: Arc<[Arc<Inbox>]>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) reception: Arc<Reception>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) share: Share,
    /// Nodes that share a limit whose shard cannot be reached.
    pub(crate) nodes: Arc<AtomicU64>,
    /// How long a request waits for its shard before the limit's `on_unavailable` decides.
    pub(crate) deadline: Duration,
    pub(crate) environment: Environment,
}

/// Sends requests to where their buckets are.
pub(crate) struct Router {
    args: RouterArgs,
    next_hold: AtomicU64,
}

/// What one limit's bucket answered.
struct Taken {
    matched: Matched,
    answer: Answer,
    /// What was taken is held by another node until it is confirmed.
    hold: Option<HoldId>,
    /// What was taken of this node's own share.
    share: Option<Receipt>,
}

/// How units are asked for.
#[derive(Clone, Copy)]
struct Terms {
    cost: u64,
    patience: Duration,
    /// Other limits are asked, too.
    is_part: bool,
    hold: Option<HoldId>,
    /// Version of the limits that the request was matched with.
    version: u64,
}

impl Terms {
    /// Whether it is one part of several that are all asked again when one of them has no leader.
    fn is_asked_once(&self) -> bool {
        self.is_part && self.patience.is_zero()
    }
}

/// What came of asking for something once.
struct Asked<T> {
    /// `None` where nobody has answered.
    answer: Option<T>,
    /// The other node that was asked.
    of: Option<NodeId>,
}

/// Where a shard is led.
enum Place<'a> {
    Here(&'a Inbox),
    There(NodeId, Arc<Outbox>),
}

impl Router {
    pub(crate) fn new(args: RouterArgs) -> Self {
        Self { args, next_hold: AtomicU64::new(0) }
    }

    /// The limits that requests are matched with.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        self.args.limits.load_full()
    }

    /// Decides a request.
    pub(crate) async fn acquire(self: &Arc<Self>, request: &Request<'_>) -> Result<Verdict, AcquireError> {
        let may_count = self.may_count().await;
        let limits = self.args.limits.load();
        let mut matched: Vec<_> = limits.matching(request.prefix, |name| request.label(name)).collect();
        let version = limits.version();
        drop(limits);
        check_capacity(&matched, request.cost)?;
        let cost = request.cost;
        if !may_count {
            let alone = self.all_degraded(matched, cost);
            return Ok(Verdict { degraded: true, ..self.verdict(alone, cost) });
        }
        match matched.pop() {
            None => Ok(self.verdict(Vec::new(), cost)),
            Some(only) if matched.is_empty() => {
                let patience = if only.limit.shadow { Duration::ZERO } else { request.patience };
                let terms = Terms { cost, patience, is_part: false, hold: None, version };
                Ok(self.verdict(vec![self.take(only, terms).await?], cost))
            }
            Some(last) => {
                matched.push(last);
                // In a task of its own, so that a client that goes away leaves no limit charged without the others.
                let router = Arc::clone(self);
                let until = Instant::now() + request.patience;
                let terms = Terms { cost, patience: Duration::ZERO, is_part: true, hold: None, version };
                let (present, gone) = oneshot::channel::<()>();
                let task = tokio::spawn(async move { router.acquire_all(matched, terms, until, gone).await });
                let verdict = task.await.map_err(|_| AcquireError::Unavailable)?;
                drop(present);
                verdict
            }
        }
    }

    /// Whether the limits that this node has may be counted by; waits for a lease, as long as for a leader.
    async fn may_count(&self) -> bool {
        let has_lease = || self.args.lease.is_valid(self.args.environment.clock.mono_ns());
        if has_lease() {
            return true;
        }
        let until = Instant::now() + self.args.deadline;
        while Instant::now() < until {
            self.args.lease.want();
            tokio::time::sleep(LOOK_AGAIN).await;
            if has_lease() {
                return true;
            }
        }
        false
    }

    /// Takes from all limits or none, waiting for its turn at one after the other as long as the patience lasts and the client has
    /// not `gone`.
    async fn acquire_all(
        &self,
        matched: Vec<Matched>,
        terms: Terms,
        until: Instant,
        mut gone: oneshot::Receiver<()>,
    ) -> Result<Verdict, AcquireError> {
        let cost = terms.cost;
        let mut held: Option<Taken> = None;
        loop {
            let taken = self.take_all(&matched, terms, held.take()).await?;
            let denials = taken.iter().filter(|taken| taken.denies());
            let longest = denials.max_by_key(|taken| taken.standing().map_or(0, |standing| standing.retry_after_ns));
            let Some(standing) = longest.and_then(Taken::standing) else { return Ok(self.verdict(taken, cost)) };
            let left = until.saturating_duration_since(Instant::now());
            let blocking = longest.map(|taken| taken.matched.clone());
            let in_time = duration(standing.retry_after_ns) <= left;
            // A permit comes back when its holder is done, which nobody can foretell.
            let patient = in_time || blocking.as_ref().is_some_and(|matched| matched.limit.algorithm.is_of_permits());
            let Some(blocking) = blocking.filter(|_| patient && !left.is_zero()) else {
                return Ok(self.verdict(taken, cost));
            };
            let turn = tokio::select! {
                biased;
                _ = &mut gone => return Err(AcquireError::Unavailable),
                turn = self.take(blocking, Terms { patience: left, ..terms }) => turn?,
            };
            if turn.denies() {
                return Ok(self.verdict(with_turn(taken, turn), cost));
            }
            held = Some(turn);
        }
    }

    /// Takes from all limits or from none; `held` is one that has been taken from already.
    ///
    /// While one of them has no leader, nothing is kept of the others: theirs may be about to hand over, and wait for what may come
    /// back. All are asked again, until the deadline.
    async fn take_all(
        &self,
        matched: &[Matched],
        terms: Terms,
        mut held: Option<Taken>,
    ) -> Result<Vec<Taken>, AcquireError> {
        let mut until = None;
        let mut pause = LOOK_AGAIN;
        let mut taken = loop {
            let taken = self.take_each(matched, terms, held.take()).await?;
            let mut is_late = || Instant::now() >= *until.get_or_insert_with(|| Instant::now() + self.args.deadline);
            if !taken.iter().any(Taken::is_unreached) || is_late() {
                break taken;
            }
            self.give_back(&taken).await;
            self.look_again(pause).await;
            pause *= 2;
        };
        for unreached in taken.iter_mut().filter(|taken| taken.is_unreached()) {
            *unreached = self.degraded(unreached.matched.clone(), terms.cost);
        }
        if taken.iter().any(Taken::denies) {
            self.give_back(&taken).await;
        } else if !self.confirm(&mut taken).await {
            self.give_back(&taken).await;
            return Ok(self.all_degraded(taken.into_iter().map(|taken| taken.matched), terms.cost));
        }
        Ok(taken)
    }

    /// Asks all limits once, but for the one that is `held`.
    ///
    /// What this node leads is asked first, which costs no network. What other nodes lead is asked all at once; with more than one of
    /// them, or if a limit here has said no already, they only hold it until it is confirmed or released.
    async fn take_each(
        &self,
        matched: &[Matched],
        terms: Terms,
        held: Option<Taken>,
    ) -> Result<Vec<Taken>, AcquireError> {
        let held_id = held.as_ref().map(|held| held.matched.id);
        let others = matched.iter().filter(|matched| Some(matched.id) != held_id);
        let (here, there): (Vec<_>, Vec<_>) = others.partition(|matched| self.is_led_here(matched.key));
        let answers = join_all(here.into_iter().map(|matched| self.take(matched.clone(), terms))).await;
        let denied =
            answers.iter().any(|answer| answer.as_ref().map_or(true, |taken| taken.denies() || taken.is_unreached()));
        let holds = there.len() > 1 || denied;
        let remote = there.into_iter().map(|matched| {
            let hold = holds.then(|| self.new_hold());
            self.take(matched.clone(), Terms { hold, ..terms })
        });
        let answers = answers.into_iter().chain(join_all(remote).await);
        let (taken, failed): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
        let mut taken: Vec<_> = taken.into_iter().filter_map(Result::ok).chain(held).collect();
        taken.sort_by(|left, right| left.matched.limit.name.cmp(&right.matched.limit.name));
        if let Some(error) = failed.into_iter().find_map(Result::err) {
            self.give_back(&taken).await;
            return Err(error);
        }
        Ok(taken)
    }

    fn new_hold(&self) -> HoldId {
        HoldId { run: self.args.run, number: self.next_hold.fetch_add(1, Ordering::Relaxed) }
    }

    /// Has all holds count for good, and ends those that do; `false` when one has run out, or its node does not answer.
    async fn confirm(&self, taken: &mut [Taken]) -> bool {
        let confirm = async |taken: &mut Taken| {
            let Some(hold) = taken.hold.filter(|_| taken.receipt().is_some()) else { return true };
            let confirmed = self.ask(taken.matched.key, |reply| Work::Confirm(hold, reply), |_| false).await;
            let is_confirmed = confirmed == Ok(Some(true));
            taken.hold = taken.hold.filter(|_| !is_confirmed);
            is_confirmed
        };
        join_all(taken.iter_mut().map(confirm)).await.into_iter().all(|confirmed| confirmed)
    }

    async fn take(&self, matched: Matched, terms: Terms) -> Result<Taken, AcquireError> {
        // A limit in shadow tells how it stands even where the cost could never fit.
        let never_fits = matched.limit.shadow && terms.cost > matched.limit.algorithm.capacity();
        let terms = Terms { cost: if never_fits { 0 } else { terms.cost }, ..terms };
        let answer = match self.decide(&matched, terms).await {
            // A limit in shadow keeps nobody out, whatever its bucket answers, and though nobody does.
            Ok(answer) if never_fits => return Ok(Taken::of(matched, answer.denied())),
            Ok(answer) if matched.limit.shadow => {
                return Ok(Taken { hold: terms.hold, ..Taken::of(matched, answer) });
            }
            Err(_) if matched.limit.shadow => {
                return Ok(Taken::of(matched, Answer::UNAVAILABLE));
            }
            answer => answer?,
        };
        match answer.outcome {
            Outcome::Unavailable if terms.is_asked_once() => Ok(Taken::of(matched, answer)),
            Outcome::Unavailable | Outcome::Unknown => Ok(self.degraded(matched, terms.cost)),
            Outcome::Overloaded => Err(Overloaded.into()),
            Outcome::Refused(Refusal::NoRoom) => Err(AcquireError::NoRoom),
            Outcome::Refused(Refusal::NeverFits { capacity }) => {
                Err(AcquireError::NeverFits { limit: matched.limit.name.clone(), capacity })
            }
            Outcome::Refused(Refusal::UnknownLimit) | Outcome::Admitted(..) | Outcome::Denied(_) => {
                Ok(Taken { hold: terms.hold, ..Taken::of(matched, answer) })
            }
        }
    }

    /// Asks the bucket's shard, unless it is known what it would say.
    async fn decide(&self, matched: &Matched, terms: Terms) -> Result<Answer, Overloaded> {
        let Terms { cost, patience, is_part, hold, version } = terms;
        let bucket = (matched.id, matched.key);
        // Where the shard is led here, which is the hot path, no clock is read for this.
        let may_be_known = cost > 0 && patience.is_zero() && !self.is_led_here(matched.key);
        let mono_ns = if may_be_known { self.args.environment.clock.mono_ns() } else { 0 };
        let may_be_known = may_be_known && self.args.lease.is_valid(mono_ns);
        if may_be_known && let Some(standing) = self.args.denials.recall(matched.id, matched.key, cost, mono_ns) {
            self.args.environment.events.on(Event::DenialRecalled { shard: self.shard(matched.key) });
            return Ok(Answer { outcome: Outcome::Denied(standing), degraded: false, at: ShardTime::MIN });
        }
        let epoch = self.args.denials.epoch();
        let until = (!patience.is_zero()).then(|| Instant::now() + patience);
        let work = |reply: Reply<Answer>| {
            let patience_ns = until.map_or(0, |until| nanos(until.saturating_duration_since(Instant::now())));
            let acquire = Acquire {
                limit: matched.id,
                key: matched.key,
                cost,
                consistency: matched.limit.consistency,
                on_unavailable: matched.limit.on_unavailable,
                patience_ns,
                version,
                is_part,
                hold,
            };
            Work::Acquire(acquire, reply)
        };
        let nobody = |answer: &Answer| matches!(answer.outcome, Outcome::Unavailable);
        let answer = if terms.is_asked_once() {
            self.ask_once(self.shard(matched.key), patience, &work).await?.answer
        } else {
            self.ask_patiently(matched.key, patience, work, nobody).await?
        };
        let answer = answer.unwrap_or(Answer::UNAVAILABLE);
        if let Outcome::Denied(standing) = answer.outcome
            && may_be_known
            && !answer.degraded
            && !matched.limit.algorithm.is_of_permits()
            && !self.is_led_here(matched.key)
        {
            let asked = RoundTrip { asked_mono_ns: mono_ns, heard_mono_ns: self.args.environment.clock.mono_ns() };
            self.args.denials.remember(epoch, bucket, cost, standing, asked);
        }
        Ok(answer)
    }

    /// Decides as the limit wants it where its shard cannot be reached in time.
    fn degraded(&self, matched: Matched, cost: u64) -> Taken {
        self.args.environment.events.on(Event::Degraded { shard: self.shard(matched.key) });
        let algorithm = matched.limit.algorithm;
        let (limit, reset_after_ns) = (algorithm.capacity(), algorithm.window_ns());
        let wanted = matched.limit.on_unavailable;
        let outcome = match if Planted::AloneAllows.is_made() { OnUnavailable::Allow } else { wanted } {
            OnUnavailable::Local => {
                let nodes =
                    if Planted::ShareIsTheWhole.is_made() { 1 } else { self.args.nodes.load(Ordering::Relaxed) };
                let limits = self.limits();
                let (answer, share) = self.args.share.decide(&limits, (matched.id, matched.key), cost, nodes);
                return Taken { share, ..Taken::of(matched, answer) };
            }
            OnUnavailable::Deny => {
                Outcome::Denied(Standing { limit, remaining: 0, retry_after_ns: UNAVAILABLE_RETRY_NS, reset_after_ns })
            }
            OnUnavailable::Allow => {
                Outcome::Admitted(Standing { limit, remaining: 0, retry_after_ns: 0, reset_after_ns }, None)
            }
        };
        Taken::of(matched, Answer { outcome, degraded: true, at: ShardTime::MIN })
    }

    /// Decides as all limits want it where nothing can be reached: of the node's shares all or none is taken.
    fn all_degraded(&self, matched: impl IntoIterator<Item = Matched>, cost: u64) -> Vec<Taken> {
        let taken: Vec<_> = matched.into_iter().map(|matched| self.degraded(matched, cost)).collect();
        if taken.iter().any(Taken::denies) {
            self.give_shares_back(&taken);
        }
        taken
    }

    fn give_shares_back(&self, taken: &[Taken]) {
        taken.iter().filter_map(|taken| taken.share).for_each(|share| self.args.share.give_back(&share));
    }

    async fn give_back(&self, taken: &[Taken]) {
        self.give_shares_back(taken);
        let given = taken.iter().filter_map(|taken| Some((taken.receipt()?, taken.hold)));
        let (permits, others): (Vec<_>, Vec<_>) =
            given.partition(|(receipt, _)| matches!(receipt.spent, SpentAt::Permit(_)));
        for (receipt, hold) in others {
            let work = hold.map_or(Work::GiveBack(receipt), Work::Release);
            let shard = self.shard(receipt.key);
            match self.place(shard) {
                Some(Place::Here(inbox)) => inbox.tell(work),
                Some(Place::There(_, outbox)) => outbox.tell(shard, work),
                // Its leader has gone, and with it the right to give anything back.
                None => {}
            }
        }
        let returned = permits.into_iter().map(|(receipt, hold)| async move {
            let again = |returned: &Result<(), Unavailable>| returned.is_err();
            // One that no leader takes back in time comes back when it expires.
            self.ask(receipt.key, |reply| Work::Return(receipt, hold, reply), again).await.ok();
        });
        join_all(returned).await;
    }

    /// How one bucket of a limit stands.
    pub(crate) async fn peek(&self, matched: Matched) -> Result<Option<Standing>, AcquireError> {
        let version = self.args.limits.load().version();
        let terms = Terms { cost: 0, patience: Duration::ZERO, is_part: false, hold: None, version };
        let taken = self.take(matched, terms).await?;
        if taken.answer.degraded { Err(AcquireError::Unavailable) } else { Ok(taken.standing()) }
    }

    /// Makes one bucket whole.
    pub(crate) async fn reset(&self, matched: &Matched) -> Result<(), AcquireError> {
        let (limit, key) = (matched.id, matched.key);
        let nobody = |reset: &Result<(), Unavailable>| reset.is_err();
        let reset = self.ask(key, |reply| Work::Reset(limit, key, reply), nobody).await?;
        self.args.denials.forget(limit, key);
        Ok(reset.ok_or(Unavailable)??)
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
            let key = settlement.receipt.key;
            let nobody = |settled: &Result<u64, SettleFailure>| matches!(settled, Err(SettleFailure::Unavailable(_)));
            let asked = self.ask(key, |reply| Work::Settle(settlement, reply), nobody).await;
            asked.ok().flatten().unwrap_or(Err(SettleFailure::Unavailable(Unavailable)))
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

    /// Asks the actor of the bucket's shard for something, wherever it is.
    async fn ask<T: Into<Answered>>(
        &self,
        key: Key,
        work: impl Fn(Reply<T>) -> Work,
        again: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Overloaded> {
        self.ask_patiently(key, Duration::ZERO, work, again).await
    }

    /// Asks the actor of the bucket's shard for something that may take as long as `patience`, and asks `again` where the answer is
    /// that nobody leads it there. `None` when nobody answers in time.
    async fn ask_patiently<T: Into<Answered>>(
        &self,
        key: Key,
        patience: Duration,
        work: impl Fn(Reply<T>) -> Work,
        again: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Overloaded> {
        let shard = self.shard(key);
        let mut until = None;
        loop {
            let asked = Instant::now();
            let Asked { answer, of } = self.ask_once(shard, patience, &work).await?;
            let is_answered = answer.is_some();
            let has_moved = of.is_some() && self.args.routes.leader(shard) != of;
            if let Some(answer) = answer.filter(|answer| !again(answer)) {
                return Ok(Some(answer));
            }
            if !patience.is_zero() && (is_answered || has_moved) && asked.elapsed() > self.args.deadline {
                // It was in somebody's hands that long, in a queue: the time without anybody begins anew.
                until = None;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + self.args.deadline);
            if Instant::now() >= until {
                return Ok(None);
            }
            self.look_again(LOOK_AGAIN).await;
        }
    }

    /// Asks whoever leads the shard now.
    async fn ask_once<T: Into<Answered>>(
        &self,
        shard: ShardId,
        patience: Duration,
        work: &impl Fn(Reply<T>) -> Work,
    ) -> Result<Asked<T>, Overloaded> {
        Ok(match self.place(shard) {
            Some(Place::Here(inbox)) => Asked { answer: inbox.ask(work)?.await.ok(), of: None },
            Some(Place::There(node, outbox)) => {
                let answer = outbox.ask(shard, work, patience + self.args.deadline)?;
                self.args.environment.events.on(Event::Forwarded { shard });
                let answer = if patience.is_zero() {
                    answer.await.ok()
                } else {
                    self.answer_of_leader(shard, node, answer).await
                };
                Asked { answer, of: Some(node) }
            }
            None => Asked { answer: None, of: None },
        })
    }

    /// Waits until somebody else leads something, at most for a `pause`.
    async fn look_again(&self, pause: Duration) {
        let mut changes = self.args.routes.changes();
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Waits for the answer of a node to which a request may queue for long; `None` when that leads the shard no more, or has died.
    async fn answer_of_leader<T>(&self, shard: ShardId, node: NodeId, mut answer: oneshot::Receiver<T>) -> Option<T> {
        loop {
            tokio::select! {
                answered = &mut answer => return answered.ok(),
                () = tokio::time::sleep(self.args.deadline) => {
                    if self.args.routes.leader(shard) != Some(node) || !self.args.peers.is_alive(node) {
                        return None;
                    }
                }
            }
        }
    }

    /// Where the shard is led, as far as is known; nowhere while this node has no right to count by its limits.
    fn place(&self, shard: ShardId) -> Option<Place<'_>> {
        if !self.args.lease.is_valid(self.args.environment.clock.mono_ns()) {
            self.args.lease.want();
            return None;
        }
        let inbox = self.args.inboxes.get(shard as usize)?;
        if inbox.is_served() {
            return Some(Place::Here(inbox));
        }
        let leader = self.args.routes.leader(shard).filter(|leader| *leader != self.args.me)?;
        Some(Place::There(leader, self.args.reception.outbox(leader)))
    }

    fn is_led_here(&self, key: Key) -> bool {
        self.args.inboxes[self.shard(key) as usize].is_served()
    }

    fn shard(&self, key: Key) -> ShardId {
        key.shard(self.args.inboxes.len() as u32)
    }

    fn verdict(&self, taken: Vec<Taken>, cost: u64) -> Verdict {
        let allowed = !taken.iter().any(Taken::denies);
        let degraded = taken.iter().any(|taken| taken.answer.degraded);
        let parts = if allowed { taken.iter().filter_map(Taken::part).collect() } else { Vec::new() };
        let limits = taken.into_iter().filter_map(|taken| {
            let allowed = matches!(taken.answer.outcome, Outcome::Admitted(..));
            let shard = self.shard(taken.matched.key);
            taken.standing().map(|standing| LimitVerdict { limit: taken.matched.limit, allowed, standing, shard })
        });
        Verdict { allowed, degraded, limits: limits.collect(), cost, parts }
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
    /// What a bucket answered, with nothing held and nothing taken of a share.
    fn of(matched: Matched, answer: Answer) -> Self {
        Self { matched, answer, hold: None, share: None }
    }

    /// Whether the request may not pass because of this limit.
    fn denies(&self) -> bool {
        matches!(self.answer.outcome, Outcome::Denied(_)) && !self.matched.limit.shadow
    }

    /// Whether nobody leads its shard, though its answer is needed.
    fn is_unreached(&self) -> bool {
        matches!(self.answer.outcome, Outcome::Unavailable) && !self.matched.limit.shadow
    }

    /// How the bucket stands; `None` when the limit has gone meanwhile.
    fn standing(&self) -> Option<Standing> {
        match self.answer.outcome {
            Outcome::Admitted(standing, _) | Outcome::Denied(standing) => Some(standing),
            Outcome::Refused(_) | Outcome::Unavailable | Outcome::Unknown | Outcome::Overloaded => None,
        }
    }

    fn receipt(&self) -> Option<Receipt> {
        match self.answer.outcome {
            Outcome::Admitted(_, receipt) => receipt.filter(|receipt| receipt.units > 0),
            Outcome::Denied(_)
            | Outcome::Refused(_)
            | Outcome::Unavailable
            | Outcome::Unknown
            | Outcome::Overloaded => None,
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
