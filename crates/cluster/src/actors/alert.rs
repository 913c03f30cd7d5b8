//! Raises alarms. On the node that leads group 0 it looks at what all nodes measured, writes down what changed and what is to be said of
//! it as one entry of group 0, and has that delivered; on any other it passes on what its own node measured.
//!
//! What is written down survives this node. An attempt to deliver is written down before it is made, so a node that leads no longer
//! makes none, and what became of it after, so the next leader knows which messages may have arrived.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tollgate_feedback::alert::{
    Applied as Ledgered, Content, Entry, Evaluator, Message, Subject, Transition, Watch, Window,
};

use super::delivering::Delivering;
use super::ledger::{LedgerClock, write};
use crate::alerts::AlertOptions;
use crate::consensus::{Group, LeaderId, NodeId};
use crate::environment::{Environment, Event};
use crate::messages::Notice;
use crate::meta::ClusterState;
use crate::peers::Peers;
use crate::samples::{Samples, Taken};
use crate::view::View;

/// How often rules are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The most changes in one entry. Nothing is said before all are written down.
const MOST_CHANGES: usize = 500;

/// The pause between two messages to a receiver, so that ours is not the flood that it drops.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum AlertMsg {
    /// From a task of this actor: an entry was written under this leadership, or could not be.
    Written(LeaderId, bool),
    /// From a task of this actor: the attempt to deliver to this receiver is over, what became of it is written, and it may be sent the
    /// next.
    Attempted(String),
    /// From a timer of this actor.
    Tick,
}

#[derive(Clone)]
pub(crate) struct AlertArgs {
    pub(crate) me: NodeId,
    /// Tells the cluster from all others: with the number of a message, that message from all others.
    pub(crate) cluster: u128,
    pub(crate) group: Arc<Group<ClusterState>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) samples: Arc<Samples>,
    pub(crate) options: watch::Receiver<AlertOptions>,
    pub(crate) environment: Environment,
}

pub(crate) struct AlertState {
    args: AlertArgs,
    myself: ActorRef<AlertMsg>,
    /// What there is to look at while this node leads group 0.
    evaluation: Option<Evaluation>,
    /// Receivers to whom a message is on its way, or that have just had one.
    left_alone: BTreeSet<String>,
}

/// What one leadership of group 0 looks at.
struct Evaluation {
    leadership: LeaderId,
    options: AlertOptions,
    clock: LedgerClock,
    window: Window,
    evaluator: Evaluator,
    /// What changed and is not written down yet.
    changes: VecDeque<Transition>,
    /// An entry is being written.
    is_writing: bool,
    /// How many advances the ledger has that this evaluation knows of.
    advances: u64,
}

pub(crate) struct AlertActor;

impl AlertActor {
    pub(crate) async fn spawn(args: AlertArgs, supervisor: ActorCell) -> Result<ActorRef<AlertMsg>, ractor::SpawnErr> {
        let (actor, _) = Self::spawn_linked(None, Self, args, supervisor).await?;
        Ok(actor)
    }
}

impl Actor for AlertActor {
    type Msg = AlertMsg;
    type State = AlertState;
    type Arguments = AlertArgs;

    async fn pre_start(&self, myself: ActorRef<AlertMsg>, args: AlertArgs) -> Result<AlertState, ActorProcessingErr> {
        Ok(AlertState { args, myself, evaluation: None, left_alone: BTreeSet::new() })
    }

    async fn post_start(&self, myself: ActorRef<AlertMsg>, _state: &mut AlertState) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || AlertMsg::Tick);
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<AlertMsg>,
        message: AlertMsg,
        state: &mut AlertState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            AlertMsg::Written(leadership, is_written) => state.written(leadership, is_written),
            AlertMsg::Attempted(receiver) => state.attempted(&receiver),
            AlertMsg::Tick => state.tick(),
        }
        Ok(())
    }
}

impl AlertState {
    fn tick(&mut self) {
        self.follow_leadership();
        self.route_samples();
        self.evaluate();
        self.deliver();
    }

    /// Begins to evaluate when this node begins to lead, or is configured otherwise, and ends when it does no more.
    fn follow_leadership(&mut self) {
        // Before a quorum has confirmed it, a leader does not know what its predecessor wrote down.
        let leadership = self.args.group.leadership().filter(|_| self.args.group.confirmed_at().is_some());
        let options = self.args.options.borrow_and_update().clone();
        let advances = self.args.group.state().read(|state| state.alerts().advances());
        // What is being written is waited for: it says what stands, whatever is configured by then.
        let goes_on = |evaluation: &Evaluation| {
            let is_known = evaluation.options == options && evaluation.advances == advances;
            Some(evaluation.leadership) == leadership && (evaluation.is_writing || is_known)
        };
        if self.evaluation.as_ref().is_some_and(goes_on) {
            return;
        }
        let before = self.evaluation.take().filter(|evaluation| Some(evaluation.leadership) == leadership);
        self.evaluation = leadership.map(|leadership| self.begin(leadership, options, before));
    }

    /// Goes on from what was written down; and from what was measured, if this node looked at that already.
    fn begin(&self, leadership: LeaderId, options: AlertOptions, before: Option<Evaluation>) -> Evaluation {
        let (latest_ms, advances, standing) = self.args.group.state().read(|state| {
            let standing = state.alerts().standing();
            let standing =
                standing.map(|(subject, standing)| (subject.clone(), standing.signal, standing.watch.clone()));
            let standing: Vec<(Subject, _, Watch)> = standing.collect();
            (state.alerts().latest_ms(), state.alerts().advances(), standing)
        });
        let begin = || LedgerClock::begin(Arc::clone(&self.args.environment.clock), latest_ms);
        let clock = before.as_ref().map_or_else(begin, |before| before.clock.clone());
        let (evaluator, unknown) = Evaluator::new(options.rules.clone(), standing, clock.now_ms());
        Evaluation {
            leadership,
            options,
            clock,
            window: before.map(|before| before.window).unwrap_or_default(),
            evaluator,
            changes: unknown.into(),
            is_writing: false,
            advances,
        }
    }

    /// Adds what was measured, or passes on what this node measured to whoever leads group 0. While nobody does, it waits.
    fn route_samples(&mut self) {
        let taken = self.args.samples.take();
        let leader = self.args.group.leader();
        match (&mut self.evaluation, leader) {
            (Some(evaluation), _) => {
                evaluation.expect(&self.args.view.load());
                taken.into_iter().for_each(|taken| evaluation.take(taken));
            }
            (None, Some(leader)) if leader != self.args.me => {
                let own = taken.into_iter().filter(|taken| taken.node == self.args.me);
                own.for_each(|taken| self.args.peers.tell(leader, &notice(taken)));
            }
            (None, _) => self.args.samples.put(taken),
        }
    }

    /// Looks at all rules, and writes down what changed and what is to be said.
    fn evaluate(&mut self) {
        let Some(evaluation) = self.evaluation.as_mut().filter(|evaluation| !evaluation.is_writing) else { return };
        let overlooked = evaluation.look();
        if overlooked > 0 {
            self.args.environment.events.on(Event::Overlooked { subjects: overlooked });
        }
        if !self.write_digest() {
            self.write_changes();
        }
    }

    /// Writes the digest of a day that is due; `false` if none is.
    fn write_digest(&mut self) -> bool {
        let Some(evaluation) = &self.evaluation else { return false };
        let Some(schedule) = &evaluation.options.digest else { return false };
        let at_ms = evaluation.clock.now_ms();
        let entry = self.args.group.state().read(|state| {
            let ledger = state.alerts();
            let day = schedule.due(at_ms, ledger.digested())?;
            // A cluster that never wrote one begins with the next day.
            let content = ledger.digested().map(|_| Content::Digest(ledger.digest(&day)));
            let message = content.map(|content| Message { receiver: schedule.to.clone(), at_ms, content });
            Some(Entry::Digest { day, messages: message.into_iter().collect() })
        });
        entry.map(|entry| self.write(entry)).is_some()
    }

    /// Writes down what changed, and, when that is all, what is to be said.
    fn write_changes(&mut self) {
        let Some(evaluation) = &mut self.evaluation else { return };
        let count = evaluation.changes.len().min(MOST_CHANGES);
        let transitions: Vec<Transition> = evaluation.changes.drain(..count).collect();
        let (at_ms, is_all) = (evaluation.clock.now_ms(), evaluation.changes.is_empty());
        let AlertOptions { rules, policy, .. } = &evaluation.options;
        let (after, messages) = self.args.group.state().read(|state| {
            let ledger = state.alerts();
            let after = ledger.advances();
            let messages = match (is_all, transitions.is_empty()) {
                (false, _) => Vec::new(),
                (true, true) => ledger.plan(rules, policy, at_ms),
                (true, false) => {
                    let mut next = ledger.clone();
                    let transitions = transitions.clone();
                    next.apply(&Entry::Advance { after, at_ms, transitions, messages: Vec::new() });
                    next.plan(rules, policy, at_ms)
                }
            };
            (after, messages)
        });
        if !transitions.is_empty() || !messages.is_empty() {
            self.write(Entry::Advance { after, at_ms, transitions, messages });
        }
    }

    fn write(&mut self, entry: Entry) {
        let Some(evaluation) = &mut self.evaluation else { return };
        evaluation.is_writing = true;
        let (group, leadership) = (Arc::clone(&self.args.group), evaluation.leadership);
        let (events, myself) = (Arc::clone(&self.args.environment.events), self.myself.clone());
        tokio::spawn(async move {
            events.on(Event::Alerting);
            // In a task of its own, so that whatever becomes of it is told.
            let written = tokio::spawn(async move { write(&group, leadership, entry).await }).await;
            let is_written = matches!(written, Ok(Some(Ledgered::Done)));
            if is_written {
                events.on(Event::Alerted);
            }
            drop(myself.cast(AlertMsg::Written(leadership, is_written)));
        });
    }

    /// What could not be written down nobody knows of: it is evaluated again from what is.
    fn written(&mut self, leadership: LeaderId, is_written: bool) {
        let Some(evaluation) = self.evaluation.as_mut().filter(|evaluation| evaluation.leadership == leadership) else {
            return;
        };
        evaluation.is_writing = false;
        evaluation.advances = self.args.group.state().read(|state| state.alerts().advances());
        if !is_written {
            let Some(before) = self.evaluation.take() else { return };
            self.evaluation = Some(self.begin(leadership, before.options.clone(), Some(before)));
        } else if evaluation.changes.is_empty() {
            self.deliver();
        } else {
            self.write_changes();
        }
    }

    /// Sends what is due, to each receiver one message at a time.
    fn deliver(&mut self) {
        let Some(evaluation) = &self.evaluation else { return };
        let due = self.args.group.state().read(|state| {
            let ledger = state.alerts();
            let due = ledger.due(evaluation.clock.now_ms()).into_iter();
            let mut firsts = BTreeMap::new();
            for (number, waiting) in due.filter_map(|number| Some((number, ledger.waiting(number)?))) {
                let receiver = &waiting.message.receiver;
                if !self.left_alone.contains(receiver) && !firsts.contains_key(receiver) {
                    firsts.insert(receiver.clone(), (number, waiting.clone()));
                }
            }
            firsts
        });
        for (receiver, (number, waiting)) in due {
            self.left_alone.insert(receiver.clone());
            let delivering = Delivering {
                cluster: self.args.cluster,
                group: Arc::clone(&self.args.group),
                leadership: evaluation.leadership,
                clock: evaluation.clock.clone(),
                policy: evaluation.options.policy.clone(),
                environment: self.args.environment.clone(),
                number,
                waiting,
            };
            let myself = self.myself.clone();
            tokio::spawn(async move {
                // In a task of its own, so that whatever becomes of it, the receiver gets the next.
                drop(tokio::spawn(delivering.attempt()).await);
                sleep(PAUSE).await;
                drop(myself.cast(AlertMsg::Attempted(receiver)));
            });
        }
    }

    fn attempted(&mut self, receiver: &str) {
        self.left_alone.remove(receiver);
        self.deliver();
    }
}

impl Evaluation {
    fn expect(&mut self, view: &View) {
        let nodes: BTreeSet<NodeId> = view.nodes.keys().copied().collect();
        self.window.expect(&nodes, self.clock.mono_ms(Instant::now()));
    }

    fn take(&mut self, Taken { node, sample, at }: Taken) {
        let now = Instant::now();
        let age_ms = now.saturating_duration_since(at).as_millis().try_into().unwrap_or(i64::MAX);
        self.window.take(node, sample, age_ms, self.clock.mono_ms(now));
    }

    /// Looks at what all signals show now; returns how much of it found no place.
    fn look(&mut self) -> u64 {
        let readings = self.window.read(self.clock.mono_ms(Instant::now()));
        let before = self.evaluator.overlooked;
        self.changes.extend(self.evaluator.evaluate(self.clock.now_ms(), &readings));
        self.evaluator.overlooked - before
    }
}

fn notice(Taken { sample, at, .. }: Taken) -> Notice {
    let age_ms = at.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    Notice::Sample { age_ms, sample: Box::new(sample) }
}
