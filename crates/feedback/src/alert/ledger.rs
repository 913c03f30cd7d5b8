//! What a cluster agrees on about its alerts: what stands, who was told what, what is still to be sent.
//!
//! Whoever evaluates plans from what stands, not from what changed: what was lost with a predecessor is planned again, and what was
//! written down is planned no more. An attempt to send is claimed before it is made, and its receipt written down after, so whoever
//! comes next knows which messages may be repeats.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::evaluator::{Subject, Transition};
use super::message::{Alerts, Content, Digest, DigestedRule, MOST_NAMED, Message, Named, Status};
use super::rule::NODE_DOWN;
use super::signal::NODE_LABEL;
use super::{Change, Policy, Rule, Severity, Signal, Silence, Watch};

/// How long a receiver is not told again of alerts of a rule that came to those it was told of, in milliseconds.
const MORE_AFTER_MS: i64 = 5 * 60_000;

/// After how long a receiver is told again of what still fires, in milliseconds.
const AGAIN_AFTER_MS: i64 = 4 * 60 * 60_000;

/// The longest that a receiver may want to be left alone, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 24 * 60 * 60_000;

/// How many alerts that are over, and messages that could not be delivered, are remembered.
const REMEMBERED: usize = 1_000;

/// The most messages that wait to be sent to one receiver. Beyond, what is planned waits until there is room, the least urgent longest.
const MAX_WAITING: usize = 1_000;

/// The most silences that last, or begin later.
pub const MAX_SILENCES: usize = 1_000;

/// The most bytes of all silences that are known, those that are over among them.
const MAX_SILENCES_BYTES: usize = 1 << 20;

/// What the cluster agrees on. Times are Unix milliseconds, as the entries say them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Ledger {
    standing: BTreeMap<Subject, Standing>,
    over: VecDeque<Over>,
    /// What each receiver was told of a rule, as long as something of it fires.
    told: BTreeMap<(String, String), Told>,
    outbox: BTreeMap<u64, Waiting>,
    /// The next number of a message, a silence or an episode.
    next: u64,
    silences: BTreeMap<u64, Silence>,
    /// Receivers that want to be left alone, and until when.
    paused_until_ms: BTreeMap<String, i64>,
    undelivered: VecDeque<Undelivered>,
    /// The last day of which a digest was written.
    digested: Option<String>,
    /// How many alerts of each rule fired since then.
    fired: BTreeMap<String, u64>,
    /// How many messages were given up since then.
    given_up: u64,
    /// The latest time of an advance or a receipt.
    latest_ms: i64,
    /// How many advances were made.
    advances: u64,
}

/// An alert that fires, or did a moment ago and is still watched.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Standing {
    /// How it was looked at.
    pub watch: Watch,
    /// What was looked at.
    pub signal: Signal,
    /// The value that changed it last.
    pub value: f64,
    /// Since when it fires.
    pub since_ms: i64,
}

/// An alert that is over.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Over {
    /// Of what.
    pub subject: Subject,
    /// From when until when it fired.
    pub from_ms: i64,
    /// See `from_ms`.
    pub until_ms: i64,
}

/// What a receiver was told of a rule, and when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Told {
    at_ms: i64,
    alerts: Alerts,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Waiting {
    /// What is to be sent.
    pub message: Message,
    /// How often it was claimed.
    pub attempts: u32,
    /// Whether an attempt was claimed of which there is no receipt yet.
    pub is_under_way: bool,
    /// Whether an earlier attempt may have arrived: its answer was not heard, or whoever made it was lost.
    pub may_have_arrived: bool,
    /// Not to be sent before.
    pub due_ms: i64,
}

/// A message that was given up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Undelivered {
    /// The message.
    pub message: Message,
    /// When it was given up.
    pub at_ms: i64,
    /// Why, in words.
    pub reason: String,
}

/// A change of the ledger, as it stands in the log.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Entry {
    /// Things fired or are over, and these messages say so.
    Advance {
        /// How many of these were written before; another than that is void, so none is made twice.
        after: u64,
        /// When.
        at_ms: i64,
        /// What changed.
        transitions: Vec<Transition>,
        /// What is said of it.
        messages: Vec<Message>,
    },
    /// Whoever writes this is about to send a message.
    Claim {
        /// Its number.
        message: u64,
        /// Which attempt it is, counted from 1; another than the next is void.
        attempt: u32,
    },
    /// What became of an attempt.
    Receipt {
        /// The message's number.
        message: u64,
        /// Which attempt it was; of an earlier one than the last counts only that it arrived.
        attempt: u32,
        /// When.
        at_ms: i64,
        /// What became of it.
        outcome: Outcome,
        /// What others are told of it.
        messages: Vec<Message>,
    },
    /// Nobody is to be told of some alerts for a while.
    Silence {
        /// Which, and until when.
        silence: Silence,
        /// When this was written.
        at_ms: i64,
    },
    /// A silence is over, by its number.
    EndSilence {
        /// Its number.
        silence: u64,
        /// When.
        at_ms: i64,
    },
    /// The digest of a day, and to whom.
    Digest {
        /// The day, as `2026-11-23`.
        day: String,
        /// The digest; none where nobody is to be told.
        messages: Vec<Message>,
    },
}

/// What became of an attempt to send.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It is to be tried again at this time.
    Later {
        /// When, in Unix milliseconds.
        due_ms: i64,
        /// Whether this attempt may have arrived all the same: its answer was not heard.
        may_have_arrived: bool,
        /// Until when the receiver wants no messages at all; `None` if it did not say so.
        paused_until_ms: Option<i64>,
    },
    /// It will never arrive.
    GivenUp {
        /// Why, in words.
        reason: String,
    },
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Applied {
    /// It holds.
    Done,
    /// A silence holds, by this number.
    Silenced(u64),
    /// There is no message or silence of this number any more, or it silences nothing.
    Unknown,
    /// There are too many silences already.
    TooMany,
    /// It was written before, or something else was: it is void.
    Stale,
}

impl Entry {
    /// When whoever evaluates wrote it; `None` if it does not say. Silences come from anybody, whose clock counts for nothing else.
    fn at_ms(&self) -> Option<i64> {
        match self {
            Self::Advance { at_ms, .. } | Self::Receipt { at_ms, .. } => Some(*at_ms),
            Self::Claim { .. } | Self::Silence { .. } | Self::EndSilence { .. } | Self::Digest { .. } => None,
        }
    }
}

impl Ledger {
    /// Makes a change.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.latest_ms = entry.at_ms().map_or(self.latest_ms, |at_ms| at_ms.max(self.latest_ms));
        match entry {
            Entry::Advance { after, .. } if *after != self.advances => Applied::Stale,
            Entry::Advance { at_ms, transitions, messages, .. } => {
                self.advances += 1;
                transitions.iter().for_each(|transition| self.change(transition, *at_ms));
                self.write(messages);
                Applied::Done
            }
            Entry::Claim { message, attempt } => self.claim(*message, *attempt),
            Entry::Receipt { message, attempt, at_ms, outcome, messages } => {
                self.receipt((*message, *attempt), *at_ms, outcome, messages)
            }
            Entry::Silence { silence, at_ms } => self.silence(silence, *at_ms),
            Entry::EndSilence { silence, at_ms } => self.end_silence(*silence, *at_ms),
            // Days as they are written are in their order.
            Entry::Digest { day, .. } if self.digested.as_ref() >= Some(day) => Applied::Stale,
            Entry::Digest { day, messages } => {
                self.digested = Some(day.clone());
                (self.fired, self.given_up) = (BTreeMap::new(), 0);
                self.write(messages);
                Applied::Done
            }
        }
    }

    /// The latest time of an advance or a receipt, in Unix milliseconds: whoever writes the next says none that is earlier.
    #[must_use]
    pub fn latest_ms(&self) -> i64 {
        self.latest_ms
    }

    /// How many advances were made: the next is one after these.
    #[must_use]
    pub fn advances(&self) -> u64 {
        self.advances
    }

    /// About how many bytes it takes to write all of it down.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        /// Names, labels and figures.
        const BYTES_AN_ALERT: usize = 256;
        /// Ten alerts that are named.
        const BYTES_A_MESSAGE: usize = 2_048;
        let silences: usize = self.silences.values().map(Silence::bytes).sum();
        let alerts = self.standing.len() + self.over.len();
        let messages = self.outbox.len() + self.told.len() + self.undelivered.len();
        alerts * BYTES_AN_ALERT + messages * BYTES_A_MESSAGE + silences
    }

    /// What fires, and what each of it was seen to do.
    pub fn standing(&self) -> impl Iterator<Item = (&Subject, &Standing)> {
        self.standing.iter()
    }

    /// What is over, the latest last.
    pub fn over(&self) -> impl DoubleEndedIterator<Item = &Over> {
        self.over.iter()
    }

    /// What could not be delivered, the latest last.
    pub fn undelivered(&self) -> impl DoubleEndedIterator<Item = &Undelivered> {
        self.undelivered.iter()
    }

    /// What waits to be sent, by its number.
    pub fn outbox(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.outbox.iter().map(|(number, waiting)| (*number, waiting))
    }

    /// The message of this number, if it still waits.
    #[must_use]
    pub fn waiting(&self, message: u64) -> Option<&Waiting> {
        self.outbox.get(&message)
    }

    /// The silences that last at a time, or begin later, by their numbers.
    pub fn silences(&self, at_ms: i64) -> impl Iterator<Item = (u64, &Silence)> {
        self.silences
            .iter()
            .filter(move |(_, silence)| silence.until_ms > at_ms)
            .map(|(number, silence)| (*number, silence))
    }

    /// The last day of which a digest was written, as `2026-11-23`.
    #[must_use]
    pub fn digested(&self) -> Option<&str> {
        self.digested.as_deref()
    }

    /// Which messages can be sent now, the most urgent first: of each receiver and rule only the first, so that nobody hears of the end
    /// of something before its beginning.
    #[must_use]
    pub fn due(&self, now_ms: i64) -> Vec<u64> {
        let mut begun = BTreeSet::new();
        let firsts = self.outbox.iter().filter(|(_, waiting)| match &waiting.message.content {
            Content::Alerts(alerts) => begun.insert((waiting.message.receiver.as_str(), alerts.rule.as_str())),
            Content::Undelivered { .. } | Content::Digest(_) | Content::Test => true,
        });
        let is_left_alone = |receiver: &str| self.paused_until_ms.get(receiver).is_some_and(|until| now_ms < *until);
        let due = firsts.filter(|(_, waiting)| waiting.due_ms <= now_ms && !is_left_alone(&waiting.message.receiver));
        let mut due: Vec<_> = due.map(|(number, waiting)| (waiting.message.content.severity(), *number)).collect();
        due.sort_by_key(|(severity, number)| (Reverse(*severity), *number));
        due.into_iter().map(|(_, number)| number).collect()
    }

    /// What is to be said of what stands, and was not said yet, the most urgent first.
    #[must_use]
    pub fn plan(&self, rules: &[Rule], policy: &Policy, now_ms: i64) -> Vec<Message> {
        let groups = self.groups(rules, policy, now_ms);
        let over = self.told.iter().filter(|((rule, receiver), told)| {
            let is_grouped = groups.contains_key(&(rule.clone(), receiver.clone()));
            !is_grouped && policy.has(receiver) && !self.still_stands(rule, told)
        });
        let over = over.map(|((_, receiver), told)| (receiver, told.over()));
        let visible = groups.iter().filter(|(_, group)| !group.visible.is_empty());
        let news = visible.filter_map(|((rule, receiver), group)| {
            let told = self.told.get(&(rule.clone(), receiver.clone()));
            self.is_news(group, told, now_ms).then(|| (receiver, group.alerts(rule, told)))
        });
        let message = |(receiver, alerts): (&String, Alerts)| Message {
            receiver: receiver.clone(),
            at_ms: now_ms,
            content: Content::Alerts(alerts),
        };
        let mut messages: Vec<Message> = over.chain(news).map(message).collect();
        messages.sort_by_key(|message| Reverse(message.content.severity()));
        self.with_room(messages)
    }

    /// Those of the messages for which there is room: the first ones.
    #[must_use]
    pub fn with_room(&self, messages: Vec<Message>) -> Vec<Message> {
        let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
        for Waiting { message, .. } in self.outbox.values() {
            *waiting.entry(message.receiver.clone()).or_default() += 1;
        }
        let has_room = |message: &Message| {
            let waiting = waiting.entry(message.receiver.clone()).or_default();
            *waiting += 1;
            *waiting <= MAX_WAITING
        };
        messages.into_iter().filter(has_room).collect()
    }

    /// What happened since the last digest, for that of a day.
    #[must_use]
    pub fn digest(&self, day: &str) -> Digest {
        let mut rules: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (rule, fired) in &self.fired {
            rules.entry(rule).or_default().0 = *fired;
        }
        for subject in self.standing.keys() {
            rules.entry(&subject.rule).or_default().1 += 1;
        }
        let digested =
            |(rule, (fired, firing)): (&str, (u64, u64))| DigestedRule { rule: rule.to_owned(), fired, firing };
        Digest { day: day.to_owned(), rules: rules.into_iter().map(digested).collect(), undelivered: self.given_up }
    }

    /// Whether something that was told still stands: it is told others now, because routes have changed.
    fn still_stands(&self, rule: &str, told: &Told) -> bool {
        told.alerts.named.iter().any(|named| {
            let subject = Subject { rule: rule.to_owned(), labels: named.labels.clone() };
            self.standing.contains_key(&subject)
        })
    }

    /// Whether there is something to tell who was told this.
    fn is_news(&self, group: &Group<'_>, told: Option<&Told>, now_ms: i64) -> bool {
        let Some(told) = told else { return true };
        let told_for_ms = now_ms.saturating_sub(told.at_ms);
        let hidden = self.hidden_at(told.at_ms);
        let is_new = |(subject, standing, severity): &(&Subject, &Standing, Severity)| {
            standing.since_ms > told.at_ms || hidden.is_hidden(subject, *severity)
        };
        told.alerts.status != group.status()
            || told_for_ms >= AGAIN_AFTER_MS
            || told_for_ms >= MORE_AFTER_MS && group.visible.iter().any(is_new)
    }

    /// Everything that fires, by its rule and by who is told of it.
    fn groups(&self, rules: &[Rule], policy: &Policy, now_ms: i64) -> BTreeMap<(String, String), Group<'_>> {
        let rules: BTreeMap<(&str, Signal), &Rule> =
            rules.iter().map(|rule| ((rule.name.as_str(), rule.signal), rule)).collect();
        let hidden = self.hidden_at(now_ms);
        let mut groups: BTreeMap<(String, String), Group<'_>> = BTreeMap::new();
        for (subject, standing) in &self.standing {
            let Some(rule) = rules.get(&(subject.rule.as_str(), standing.signal)) else { continue };
            let is_visible = !hidden.is_hidden(subject, rule.severity);
            for receiver in policy.receivers_of(rule, &subject.labels).1 {
                let group = groups.entry((rule.name.clone(), receiver)).or_default();
                if is_visible {
                    group.visible.push((subject, standing, rule.severity));
                }
            }
        }
        groups
    }

    /// What nobody was to be told of at a time.
    #[must_use]
    pub fn hidden_at(&self, at_ms: i64) -> Hidden<'_> {
        let nodes_down =
            |subject: &Subject| (subject.rule == NODE_DOWN).then(|| subject.labels.get(NODE_LABEL)).flatten().cloned();
        let standing =
            self.standing.iter().filter(|(_, standing)| standing.since_ms <= at_ms).map(|(subject, _)| subject);
        // What was over by then is not looked at: the latest end stands last.
        let over_since = self.over.iter().rev().take_while(|over| over.until_ms > at_ms);
        let over_since = over_since.filter(|over| over.from_ms <= at_ms).map(|over| &over.subject);
        Hidden {
            at_ms,
            silences: self.silences(at_ms).filter(|(_, silence)| silence.from_ms <= at_ms).collect(),
            nodes_down: standing.chain(over_since).filter_map(nodes_down).collect(),
        }
    }

    fn change(&mut self, transition: &Transition, at_ms: i64) {
        let Transition { subject, change, signal, value, watch } = transition;
        let before = self.standing.remove(subject);
        let since_ms = before.as_ref().map_or(at_ms, |standing| standing.since_ms);
        match change {
            Change::Fired | Change::Flaps => {
                if before.is_none() {
                    *self.fired.entry(subject.rule.clone()).or_default() += 1;
                }
                let standing = Standing { watch: watch.clone(), signal: *signal, value: *value, since_ms };
                self.standing.insert(subject.clone(), standing);
            }
            Change::Resolved => {
                remember(&mut self.over, Over { subject: subject.clone(), from_ms: since_ms, until_ms: at_ms });
            }
        }
    }

    /// Puts messages into the outbox, and notes who is told what by them.
    fn write(&mut self, messages: &[Message]) {
        for message in messages {
            let mut message = message.clone();
            if let Content::Alerts(alerts) = &mut message.content {
                let group = (alerts.rule.clone(), message.receiver.clone());
                let told = self.told.remove(&group);
                alerts.episode = told.map_or_else(|| self.number(), |told| told.alerts.episode);
                if alerts.status != Status::Resolved {
                    self.told.insert(group, Told { at_ms: message.at_ms, alerts: alerts.clone() });
                }
            }
            let number = self.number();
            self.outbox.insert(
                number,
                Waiting { due_ms: message.at_ms, message, attempts: 0, is_under_way: false, may_have_arrived: false },
            );
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn claim(&mut self, message: u64, attempt: u32) -> Applied {
        let is_next = |waiting: &&mut Waiting| waiting.attempts.checked_add(1) == Some(attempt);
        let Some(waiting) = self.outbox.get_mut(&message).filter(is_next) else { return Applied::Unknown };
        // Whoever made the last attempt was lost before he could say what became of it.
        waiting.may_have_arrived |= waiting.is_under_way;
        (waiting.attempts, waiting.is_under_way) = (attempt, true);
        Applied::Done
    }

    fn receipt(
        &mut self,
        (message, attempt): (u64, u32),
        at_ms: i64,
        outcome: &Outcome,
        messages: &[Message],
    ) -> Applied {
        // That an earlier attempt arrived counts although there was another: it need not be made again.
        let has_arrived = *outcome == Outcome::Delivered;
        let counts = |waiting: &&mut Waiting| waiting.attempts == attempt || has_arrived && attempt < waiting.attempts;
        let Some(waiting) = self.outbox.get_mut(&message).filter(counts) else { return Applied::Unknown };
        match outcome {
            Outcome::Delivered => drop(self.outbox.remove(&message)),
            Outcome::Later { due_ms, may_have_arrived, paused_until_ms } => {
                (waiting.due_ms, waiting.is_under_way) = (*due_ms, false);
                waiting.may_have_arrived |= *may_have_arrived;
                if let Some(until_ms) = paused_until_ms {
                    let until_ms = *until_ms.min(&at_ms.saturating_add(LONGEST_PAUSE_MS));
                    let paused_until_ms =
                        self.paused_until_ms.entry(waiting.message.receiver.clone()).or_insert(until_ms);
                    *paused_until_ms = until_ms.max(*paused_until_ms);
                }
            }
            Outcome::GivenUp { reason } => {
                let waiting = self.outbox.remove(&message);
                let given_up =
                    waiting.map(|Waiting { message, .. }| Undelivered { message, at_ms, reason: reason.clone() });
                given_up.into_iter().for_each(|given_up| remember(&mut self.undelivered, given_up));
                self.given_up += 1;
                self.write(messages);
            }
        }
        Applied::Done
    }

    fn silence(&mut self, silence: &Silence, at_ms: i64) -> Applied {
        // Of one that is over it has to be known, for as long as somebody may have been told without it, what it silenced.
        let until_ms = self.latest_ms.saturating_sub(AGAIN_AFTER_MS);
        self.silences.retain(|_, other| other.until_ms > until_ms);
        if silence.matchers.is_empty() {
            return Applied::Unknown;
        }
        let bytes: usize = self.silences.values().chain([silence]).map(Silence::bytes).sum();
        if self.silences(at_ms).count() >= MAX_SILENCES || bytes > MAX_SILENCES_BYTES {
            return Applied::TooMany;
        }
        let number = self.number();
        self.silences.insert(number, silence.clone());
        Applied::Silenced(number)
    }

    fn end_silence(&mut self, silence: u64, at_ms: i64) -> Applied {
        let Some(silence) = self.silences.get_mut(&silence).filter(|silence| silence.until_ms > at_ms) else {
            return Applied::Unknown;
        };
        silence.until_ms = at_ms;
        Applied::Done
    }
}

/// What nobody was to be told of at a time: because somebody wanted that, or because its node was known to be down.
#[derive(Debug)]
pub struct Hidden<'a> {
    at_ms: i64,
    silences: Vec<(u64, &'a Silence)>,
    nodes_down: BTreeSet<String>,
}

impl Hidden<'_> {
    /// The silences that hide an alert, by their numbers.
    pub fn silenced_by(&self, subject: &Subject, severity: Severity) -> impl Iterator<Item = u64> {
        let silences = move |silence: &Silence| silence.silences(&subject.rule, severity, &subject.labels, self.at_ms);
        self.silences.iter().filter(move |(_, silence)| silences(silence)).map(|(number, _)| *number)
    }

    /// The node that is down, of which an alert is a consequence.
    #[must_use]
    pub fn inhibited_by(&self, subject: &Subject) -> Option<&str> {
        let node = subject.labels.get(NODE_LABEL).filter(|_| subject.rule != NODE_DOWN)?;
        self.nodes_down.get(node).map(String::as_str)
    }

    fn is_hidden(&self, subject: &Subject, severity: Severity) -> bool {
        self.inhibited_by(subject).is_some() || self.silenced_by(subject, severity).next().is_some()
    }
}

/// What fires of one rule and is told one receiver.
#[derive(Debug, Default)]
struct Group<'a> {
    /// What is not silenced, each with how bad it is.
    visible: Vec<(&'a Subject, &'a Standing, Severity)>,
}

impl Group<'_> {
    fn status(&self) -> Status {
        if self.visible.iter().all(|(_, standing, _)| standing.watch.flaps()) {
            Status::Flapping
        } else {
            Status::Firing
        }
    }

    fn alerts(&self, rule: &str, told: Option<&Told>) -> Alerts {
        let named = self.visible.iter().take(MOST_NAMED).map(|(subject, standing, _)| Named {
            labels: subject.labels.clone(),
            signal: standing.signal,
            value: standing.value,
            since_ms: standing.since_ms,
            flaps: standing.watch.flaps(),
        });
        let first_ms = self.visible.iter().map(|(_, standing, _)| standing.since_ms).min().unwrap_or(0);
        Alerts {
            rule: rule.to_owned(),
            severity: self.visible.iter().map(|(.., severity)| *severity).max().unwrap_or(Severity::Info),
            status: self.status(),
            episode: 0,
            since_ms: told.map_or(first_ms, |told| told.alerts.since_ms),
            named: named.collect(),
            more: self.visible.len().saturating_sub(MOST_NAMED) as u64,
        }
    }
}

impl Told {
    /// The same, and that it is over.
    fn over(&self) -> Alerts {
        Alerts { status: Status::Resolved, ..self.alerts.clone() }
    }
}

/// Adds one, and forgets the oldest of too many.
fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() >= REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}

#[cfg(test)]
mod tests;
