//! One attempt to deliver a message: claimed before it is made, and what became of it written down after.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tollgate_feedback::alert::{Applied as Ledgered, Content, Entry, Message, Outcome, Policy, Waiting};
use tollgate_limiter::Planted;

use super::ledger::{LedgerClock, write};
use crate::alerts::{Attempt, Delivery};
use crate::consensus::{Group, LeaderId};
use crate::environment::{Environment, Event, Fate};
use crate::meta::ClusterState;

/// The longest that an attempt may take: so long others wait behind it.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);

/// The most of a pause before the second attempt, twice as much before each further one, and the most of all.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 5 * 60_000;

/// For how long it is tried to deliver a message.
const GIVEN_UP_AFTER_MS: i64 = 24 * 60 * 60_000;

/// Others are told once in so long that a receiver is not reached.
const TOLD_AGAIN_AFTER_MS: i64 = 60 * 60_000;

/// One attempt to deliver a message.
pub(super) struct Delivering {
    pub(super) cluster: u128,
    pub(super) group: Arc<Group<ClusterState>>,
    pub(super) leadership: LeaderId,
    pub(super) clock: LedgerClock,
    pub(super) policy: Policy,
    pub(super) environment: Environment,
    /// The message's number.
    pub(super) number: u64,
    pub(super) waiting: Waiting,
}

impl Delivering {
    /// Makes the attempt, if it can be claimed. What became of it and cannot be written down is left to the next leader.
    pub(super) async fn attempt(self) {
        let events = &self.environment.events;
        let Some(may_be_repeat) = self.claim().await else { return };
        events.on(Event::Claimed { message: self.number });
        let delivery = Delivery {
            id: format!("{:032x}-{}", self.cluster, self.number),
            message: self.waiting.message.clone(),
            may_be_repeat: may_be_repeat && !Planted::RepeatsUnmarked.is_made(),
        };
        let attempt = timeout(LONGEST_ATTEMPT, self.environment.courier.deliver(delivery)).await;
        let attempt = attempt.unwrap_or_else(|_| Attempt::Later {
            after: None,
            may_have_arrived: true,
            reason: format!("no answer within {LONGEST_ATTEMPT:?}"),
        });
        let outcome = self.outcome(attempt);
        events.on(Event::Delivering { message: self.number, fate: fate(&outcome) });
        let at_ms = self.clock.now_ms();
        let messages = self.notices(&outcome, at_ms);
        let receipt =
            Entry::Receipt { message: self.number, attempt: self.number_of_attempt(), at_ms, outcome, messages };
        if self.write(receipt).await == Some(Ledgered::Done) {
            events.on(Event::Delivered { message: self.number });
        }
    }

    fn number_of_attempt(&self) -> u32 {
        self.waiting.attempts.saturating_add(1)
    }

    /// Claims the attempt; whether the message may have arrived already, or `None` if the attempt is not this node's to make.
    async fn claim(&self) -> Option<bool> {
        let claim = Entry::Claim { message: self.number, attempt: self.number_of_attempt() };
        let claimed = self.write(claim);
        if Planted::SendsBeforeClaim.is_made() {
            tokio::spawn(claimed);
            return Some(self.waiting.may_have_arrived);
        }
        if claimed.await != Some(Ledgered::Done) {
            return None;
        }
        // A claim of a leader that was deposed may be committed by its successor, long after, and is heard of only then.
        let leads = self.group.leadership() == Some(self.leadership);
        let attempt = self.number_of_attempt();
        self.group.state().read(|state| {
            let waiting = state.alerts().waiting(self.number)?;
            (leads && waiting.attempts == attempt).then_some(waiting.may_have_arrived)
        })
    }

    fn write(&self, entry: Entry) -> impl Future<Output = Option<Ledgered>> + Send + 'static {
        let (group, leadership) = (Arc::clone(&self.group), self.leadership);
        async move { write(&group, leadership, entry).await }
    }

    /// What an attempt comes to.
    fn outcome(&self, attempt: Attempt) -> Outcome {
        let Message { receiver, at_ms, .. } = &self.waiting.message;
        let now_ms = self.clock.now_ms();
        match attempt {
            Attempt::Delivered { .. } => Outcome::Delivered,
            Attempt::Never { reason } => {
                tracing::error!(receiver, reason, "a message will never be delivered");
                Outcome::GivenUp { reason }
            }
            Attempt::Later { reason, .. } if now_ms.saturating_sub(*at_ms) >= GIVEN_UP_AFTER_MS => {
                tracing::error!(receiver, reason, "a message could not be delivered in a day");
                Outcome::GivenUp { reason: format!("tried for a day, last: {reason}") }
            }
            Attempt::Later { after, may_have_arrived, reason } => {
                tracing::warn!(receiver, reason, "a message is delivered later");
                let after_ms = after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                Outcome::Later {
                    due_ms: now_ms.saturating_add(self.pause_ms()),
                    may_have_arrived,
                    paused_until_ms: after_ms.map(|after_ms| now_ms.saturating_add(after_ms)),
                }
            }
        }
    }

    /// The pause before the next attempt: anything up to twice as much as the last time, so that not all come at once ("Exponential
    /// Backoff And Jitter", AWS Architecture Blog 2015, full jitter).
    fn pause_ms(&self) -> i64 {
        let doubled = 1_u64.checked_shl(self.waiting.attempts).unwrap_or(u64::MAX);
        let most_ms = FIRST_PAUSE_MS.saturating_mul(doubled.max(1)).min(LONGEST_PAUSE_MS);
        let drawn = self.environment.entropy.bits() % u128::from(most_ms + 1);
        i64::try_from(drawn).unwrap_or(i64::MAX)
    }

    /// What others are told of a message that is given up. What only says that another was, is of no use to them.
    fn notices(&self, outcome: &Outcome, at_ms: i64) -> Vec<Message> {
        let Message { receiver, content, .. } = &self.waiting.message;
        let Outcome::GivenUp { reason } = outcome else { return Vec::new() };
        let is_known = self.group.state().read(|state| {
            let lately =
                state.alerts().undelivered().rev().take_while(|other| at_ms - other.at_ms < TOLD_AGAIN_AFTER_MS);
            lately.into_iter().any(|other| other.message.receiver == *receiver)
        });
        if is_known || matches!(content, Content::Undelivered { .. }) {
            return Vec::new();
        }
        let others = self.policy.receivers.iter().filter(|other| *other != receiver);
        let notice = |other: &String| Message {
            receiver: other.clone(),
            at_ms,
            content: Content::Undelivered {
                receiver: receiver.clone(),
                rule: content.rule().map(str::to_owned),
                reason: reason.clone(),
            },
        };
        let notices = others.map(notice).collect();
        self.group.state().read(|state| state.alerts().with_room(notices))
    }
}

fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Delivered => Fate::Arrived,
        Outcome::Later { .. } => Fate::Later,
        Outcome::GivenUp { .. } => Fate::GivenUp,
    }
}
