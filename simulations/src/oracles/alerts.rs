//! What is written down of alerts arrives: once, or again where nobody could know that it had, which it then says.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_cluster::{Event, Fate, NodeId};
use tollgate_feedback::alert::{Content, Ledger, Message, Status, Waiting};

use super::Violation;
use crate::kernel::{Ms, World};
use crate::receivers::Arrival;
use crate::scenario::{FAULTS_UNTIL, LENGTH};
use crate::troubles::{LAST_RULE, RECEIVERS, Troubles};

const PROMISE: &str = "alerts arrive, once";

/// How often the ledgers are looked at.
const LOOKED: Ms = 500;

/// A message that was tried so often may wait longer for its next attempt than a run goes on after all has healed.
const PATIENT: u32 = 3;

/// How long after something is over nobody may say any more that it is not, once all has healed.
const SETTLED: Ms = 8_000;

/// Receivers that got something in the last three seconds are still at it.
const LATELY: Ms = 3_000;

/// A receiver is told no sooner of what came to the alerts that it was told of. Wall clocks that are stepped may make less of it.
const MORE_AFTER_MS: i64 = 5 * 60_000;

/// What was seen of alerts.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// Every message that a ledger held.
    written: BTreeMap<u64, Message>,
    /// Attempts that were answered, and are not written down yet.
    answered: BTreeMap<(NodeId, u64), Fate>,
    /// When it was written down that a message had arrived.
    receipts: BTreeMap<u64, Ms>,
}

impl Alerts {
    pub(super) fn hear(&mut self, node: NodeId, event: &Event, now: Ms) {
        match event {
            Event::Delivering { message, fate } => drop(self.answered.insert((node, *message), *fate)),
            Event::Delivered { message } if self.answered.remove(&(node, *message)) == Some(Fate::Arrived) => {
                self.receipts.entry(*message).or_insert(now);
            }
            _ => {}
        }
    }

    pub(super) fn look(&mut self, world: &World) {
        if !world.now.is_multiple_of(LOOKED) {
            return;
        }
        for node in world.machines.values().filter_map(|machine| machine.node()) {
            let waiting = |(number, waiting): (u64, &Waiting)| (number, waiting.message.clone());
            node.read_alerts(|ledger| self.written.extend(ledger.outbox().map(waiting)));
        }
    }

    /// Judges what has arrived.
    pub(super) fn judge(&self, world: &World, arrivals: &[Arrival], troubles: &Troubles) -> Vec<Violation> {
        let running = world.machines.values().filter_map(|machine| machine.node());
        let Some(ledger) = running.map(|node| node.read_alerts(Clone::clone)).max_by_key(Ledger::advances) else {
            return Vec::new();
        };
        let how = self
            .repeats(arrivals)
            .into_iter()
            .chain(self.lost(&ledger, arrivals))
            .chain(stuck(&ledger, arrivals))
            .chain(disordered(&ledger, arrivals))
            .chain(unfounded(arrivals, troubles))
            .chain(untold(arrivals))
            .chain(unfounded_in_the_end(&ledger, troubles));
        how.map(|how| Violation { promise: PROMISE, how }).collect()
    }

    /// Messages that came again without a word, or although it was written down that they had arrived.
    fn repeats(&self, arrivals: &[Arrival]) -> Vec<String> {
        let mut unmarked = BTreeSet::new();
        let mut wrong = Vec::new();
        for arrival in arrivals {
            // An attempt that was slow may come after the next one, which says that it may be a repeat.
            if !arrival.may_be_repeat && !unmarked.insert(arrival.number) {
                wrong.push(format!("{} came again, and none says so", named(arrival)));
            }
            if self.receipts.get(&arrival.number).is_some_and(|receipt| arrival.began > *receipt) {
                wrong.push(format!("{} was sent again after its receipt", named(arrival)));
            }
        }
        wrong
    }

    /// Messages that were written down, and neither arrived nor wait nor were given up.
    fn lost(&self, ledger: &Ledger, arrivals: &[Arrival]) -> Vec<String> {
        let arrived: BTreeMap<u64, &Message> =
            arrivals.iter().map(|arrival| (arrival.number, &arrival.message)).collect();
        let given_up: Vec<&Message> = ledger.undelivered().map(|undelivered| &undelivered.message).collect();
        let is_lost = |(number, message): &(&u64, &Message)| match arrived.get(number) {
            Some(there) => there != message,
            None => ledger.waiting(**number).is_none() && !given_up.contains(message),
        };
        let lost = self.written.iter().filter(is_lost);
        lost.map(|(number, message)| format!("message {number} is lost, or another arrived: {message:?}")).collect()
    }
}

/// Messages of before all healed that still wait, although they were tried seldom, and nothing arrives where they are to go.
fn stuck(ledger: &Ledger, arrivals: &[Arrival]) -> Vec<String> {
    let lately = arrivals.iter().filter(|arrival| arrival.at > LENGTH - LATELY);
    // One message a second: who gets others, more urgent ones, gets these in time.
    let busy: BTreeSet<&str> = lately.map(|arrival| arrival.message.receiver.as_str()).collect();
    let begun_ms = crate::clock::BEGINNING_NS / crate::kernel::MS_NS;
    let is_early = |message: &Message| message.at_ms - begun_ms < FAULTS_UNTIL as i64;
    let stuck = ledger.outbox().filter(|(_, waiting)| waiting.attempts < PATIENT && is_early(&waiting.message));
    // One behind another of its rule waits for that.
    let mut behind = BTreeSet::new();
    let firsts = ledger.outbox().filter(|(_, waiting)| {
        behind.insert((waiting.message.receiver.clone(), waiting.message.content.rule().map(str::to_owned)))
    });
    let firsts: BTreeSet<u64> = firsts.map(|(number, _)| number).collect();
    let stuck = stuck.filter(|(number, _)| firsts.contains(number));
    let stuck = stuck.filter(|(_, waiting)| !busy.contains(waiting.message.receiver.as_str()));
    stuck.map(|(number, waiting)| format!("message {number} still waits: {waiting:?}")).collect()
}

/// What a message said: of which episode, and when it was written.
type Said = (u64, Status, i64);

/// Of each receiver and rule: episodes whose messages came out of order, or twice in other words.
fn disordered(ledger: &Ledger, arrivals: &[Arrival]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let firsts = arrivals.iter().filter(|arrival| seen.insert(arrival.number));
    let given_up: Vec<u64> = ledger.undelivered().filter_map(|other| episode(&other.message)).collect();
    let mut wrong = Vec::new();
    let mut told: BTreeMap<(&str, &str), Vec<Said>> = BTreeMap::new();
    for arrival in firsts {
        let Content::Alerts(alerts) = &arrival.message.content else { continue };
        let told = told.entry((&arrival.message.receiver, &alerts.rule)).or_default();
        let (episode, status) = (alerts.episode, alerts.status);
        let is_first = told.iter().all(|(before, ..)| *before < episode);
        let is_late = told.iter().any(|(before, ..)| *before > episode);
        let at_ms = arrival.message.at_ms;
        let of_episode = || told.iter().filter(|(of, ..)| *of == episode);
        let is_over = of_episode().any(|(_, before, _)| *before == Status::Resolved);
        let is_again =
            of_episode().any(|(_, before, before_ms)| *before == status && at_ms - before_ms < MORE_AFTER_MS);
        let is_headless = is_first && status == Status::Resolved && !given_up.contains(&episode);
        if is_late || is_over || is_again || is_headless {
            wrong.push(format!("{} came after {told:?}", named(arrival)));
        }
        told.push((episode, status, at_ms));
    }
    wrong
}

fn episode(message: &Message) -> Option<u64> {
    match &message.content {
        Content::Alerts(alerts) => Some(alerts.episode),
        Content::Undelivered { .. } | Content::Digest(_) | Content::Test => None,
    }
}

/// Alerts of what was never wrong.
fn unfounded(arrivals: &[Arrival], troubles: &Troubles) -> Vec<String> {
    let is_unfounded = |arrival: &&Arrival| match &arrival.message.content {
        // A node that is down is so by a fault.
        Content::Alerts(alerts) if alerts.rule == "node_down" => false,
        Content::Alerts(alerts) => {
            !troubles.0.iter().any(|trouble| trouble.rule == alerts.rule && trouble.from <= arrival.at)
        }
        Content::Undelivered { .. } => false,
        Content::Digest(_) | Content::Test => true,
    };
    arrivals.iter().filter(is_unfounded).map(|arrival| format!("{} is of nothing", named(arrival))).collect()
}

/// Receivers that were not told of what is wrong in the end.
fn untold(arrivals: &[Arrival]) -> Vec<String> {
    let is_told = |receiver: &&&str| {
        arrivals
            .iter()
            .any(|arrival| arrival.message.receiver == **receiver && arrival.message.content.rule() == Some(LAST_RULE))
    };
    let untold = RECEIVERS.iter().filter(|receiver| !is_told(receiver));
    untold.map(|receiver| format!("{receiver} was not told of {LAST_RULE}")).collect()
}

/// What still stands, long after what it was of was over.
fn unfounded_in_the_end(ledger: &Ledger, troubles: &Troubles) -> Vec<String> {
    let is_on = |rule: &str| troubles.0.iter().any(|trouble| trouble.rule == rule && trouble.until + SETTLED > LENGTH);
    // A node that was removed, or is slow to come back, is down by a fault.
    let standing = ledger.standing().filter(|(subject, _)| subject.rule != "node_down" && !is_on(&subject.rule));
    standing.map(|(subject, standing)| format!("{subject:?} still stands: {standing:?}")).collect()
}

fn named(arrival: &Arrival) -> String {
    let Arrival { node, began, at, number, message, .. } = arrival;
    format!(
        "message {number} to {} ({:?}), sent by node {node} at {began}, there at {at},",
        message.receiver, message.content
    )
}
