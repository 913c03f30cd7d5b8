//! The clients: they ask, settle, change limits, and write down when they asked and what they were told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate_cluster::{Duty, Node, NodeId, Request, SettleReservationError, Verdict};
use tollgate_limiter::SettleError;

use crate::history::{Answer, Ask, History, Operation, Told, ToldOfLimit};
use crate::kernel::{MS_NS, Ms, World};
use crate::random::Random;
use crate::scenario::{self, CLIENTS_BEGIN, LENGTH, Scenario};

/// How long a client waits for an answer.
const PATIENCE: Ms = 8_000;

/// How long a client waits that no node takes the request of.
const REFUSED_PAUSE: Ms = 50;

/// How many of those who are not answered ask again, in millionths.
const UNANSWERED_REPEATED: u64 = 300_000;

/// How long a client waits at most before it asks again.
const LONGEST_WAIT: Ms = 5_000;

/// When every bucket is asked for once: long after all has healed.
pub(crate) const PROBED_AT: Ms = LENGTH - 2_500;

/// The clients of a run.
pub(crate) struct Workload {
    pub(crate) history: History,
    clients: Vec<Client>,
    habits: Habits,
    operator: Operator,
    answers: Answers,
    /// The tokens of what was reserved, by the operation that it was.
    tokens: BTreeMap<usize, String>,
}

/// Answers that came in the present window of time, each with the operation, and with the token if something was reserved.
type Answers = Arc<Mutex<Vec<(usize, Answer, Option<String>)>>>;

struct Client {
    random: Random,
    /// When it asks next.
    due: Ms,
    /// What it has asked and waits for, and until when.
    waiting: Vec<usize>,
    late: Ms,
    /// What it is to settle, when, and for how many units.
    to_settle: VecDeque<(Ms, usize, u64)>,
    /// What it is to ask for again, and when.
    to_repeat: VecDeque<(Ms, usize)>,
    habits: Habits,
}

/// What a client does.
#[derive(Clone, Debug)]
struct Habits {
    endpoints: Vec<&'static str>,
    users: u64,
    pause: Ms,
    /// How many of those who were denied wait as long as they were told and ask again, in millionths.
    waits: u64,
}

/// Who changes the limit `changing`.
struct Operator {
    random: Random,
    due: Ms,
    version: u64,
    /// How long it waits between two changes at most; `None` if it changes nothing.
    pause: Option<Ms>,
}

impl Workload {
    /// Clients that have not asked yet.
    pub(crate) fn new(seed: u64, scenario: &Scenario) -> Self {
        let mut random = Random::new(seed, "operator");
        let Scenario { users, pause, waits, .. } = *scenario;
        let habits = Habits { endpoints: scenario.endpoints.clone(), users, pause, waits };
        let client = |number| Client {
            random: Random::new(seed, &format!("client {number}")),
            due: CLIENTS_BEGIN,
            waiting: Vec::new(),
            late: 0,
            to_settle: VecDeque::new(),
            to_repeat: VecDeque::new(),
            habits: habits.clone(),
        };
        let pause = *random.one_of(&[None, Some(500), Some(2_000), Some(5_000)]);
        Self {
            history: History::default(),
            clients: (0..scenario.clients).map(client).collect(),
            habits,
            operator: Operator { random, due: 2_000, version: 0, pause },
            answers: Answers::default(),
            tokens: BTreeMap::new(),
        }
    }

    /// Has whoever is due ask. To be called before a window of time.
    pub(crate) fn ask(&mut self, world: &World) {
        let mut clients = std::mem::take(&mut self.clients);
        clients.iter_mut().for_each(|client| self.have_ask(client, world));
        self.clients = clients;
        self.have_change(world);
    }

    /// Takes the answers that have come. To be called after a window of time.
    pub(crate) fn take_answers(&mut self, world: &World) {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        for (index, answer, token) in answers {
            world.trace.event(world.now, format_args!("#{index} is told {answer:?}"));
            self.history.answer(index, world.now, answer);
            if let Some(token) = token {
                self.tokens.insert(index, token);
            }
        }
    }

    /// Asks a node for something; returns the operation, or `None` if the node takes no requests.
    pub(crate) fn ask_for(&mut self, world: &World, node: NodeId, ask: Ask, reserves: bool) -> Option<usize> {
        let machine = world.machines.get(&node).filter(|machine| machine.node().is_some())?;
        let token = match &ask {
            Ask::Settle { acquired, .. } => self.tokens.get(acquired).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        world.trace.event(world.now, format_args!("#{} asks node {node}: {ask:?}", self.history.operations.len()));
        let index = self.history.ask((node, machine.starts), world.now, ask.clone());
        let answers = Arc::clone(&self.answers);
        machine.spawn(move |node| async move {
            let (answer, token) = answer(&node, ask, reserves, &token).await;
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer, token));
        });
        Some(index)
    }

    fn have_ask(&mut self, client: &mut Client, world: &World) {
        if !self.is_done(client, world.now) {
            return;
        }
        self.note_answers(client, world.now);
        if world.now < client.due {
            return;
        }
        client.due = world.now + client.random.within(0..=client.habits.pause);
        client.late = world.now + PATIENCE;
        let nodes: Vec<NodeId> = world.machines.keys().copied().collect();
        let node = *client.random.one_of(&nodes);
        let settles = client.to_settle.pop_front_if(|(due, ..)| *due <= world.now);
        let asked = match settles {
            Some((_, acquired, actual)) => self.settle(client, world, node, (acquired, actual)),
            None => match client.to_repeat.pop_front_if(|(due, _)| *due <= world.now) {
                Some((_, asked)) => self.repeat(world, node, asked),
                None => self.acquire(client, world, node),
            },
        };
        if asked.is_empty() {
            client.due = world.now + REFUSED_PAUSE;
        }
        client.waiting = asked;
    }

    /// Whether all that the client has asked is answered, or it waits no longer.
    fn is_done(&self, client: &Client, now: Ms) -> bool {
        let is_answered = |index: &usize| self.history.operations[*index].answered.is_some();
        now >= client.late || client.waiting.iter().all(is_answered)
    }

    /// Plans to settle what was reserved, and to ask again for what was not answered, or denied.
    fn note_answers(&self, client: &mut Client, now: Ms) {
        for index in std::mem::take(&mut client.waiting) {
            let operation = &self.history.operations[index];
            let cost = match operation.ask {
                Ask::Acquire { cost, .. } => cost,
                Ask::Settle { acquired, actual } => {
                    if !operation.is_settled() && client.random.happens(UNANSWERED_REPEATED) {
                        client.to_settle.push_back((now + REFUSED_PAUSE, acquired, actual));
                    }
                    continue;
                }
                Ask::Change { .. } | Ask::Drain { .. } | Ask::Remove { .. } | Ask::Look => continue,
            };
            if let Some(due) = repeats_at(operation, client, now) {
                client.to_repeat.push_back((due, index));
                client.due = client.due.max(due);
            }
            if self.tokens.contains_key(&index) {
                let due = now + *client.random.one_of(&[0, 50, 500, 3_000]);
                let actual = client.random.within(0..=cost + 1);
                client.to_settle.push_back((due, index, actual));
                if client.random.happens(100_000) {
                    // Somebody who settles twice.
                    let again = due + *client.random.one_of(&[0, 500, 3_000]);
                    client.to_settle.push_back((again, index, actual));
                }
            }
        }
    }

    fn settle(
        &mut self,
        client: &mut Client,
        world: &World,
        node: NodeId,
        (acquired, actual): (usize, u64),
    ) -> Vec<usize> {
        let asked = self.ask_for(world, node, Ask::Settle { acquired, actual }, false);
        if asked.is_none() {
            client.to_settle.push_back((world.now + REFUSED_PAUSE, acquired, actual));
        }
        asked.into_iter().collect()
    }

    /// Asks again for what was asked for before, of whichever node.
    fn repeat(&mut self, world: &World, node: NodeId, asked: usize) -> Vec<usize> {
        let ask = self.history.operations[asked].ask.clone();
        self.ask_for(world, node, ask, true).into_iter().collect()
    }

    fn acquire(&mut self, client: &mut Client, world: &World, node: NodeId) -> Vec<usize> {
        if client.random.happens(20_000) {
            return self.ask_for(world, node, Ask::Look, false).into_iter().collect();
        }
        let many = if client.random.happens(100_000) { client.random.within(2..=8) } else { 1 };
        (0..many).filter_map(|_| self.acquire_one(client, world, node)).collect()
    }

    fn acquire_one(&mut self, client: &mut Client, world: &World, node: NodeId) -> Option<usize> {
        let random = &mut client.random;
        let endpoint = *random.one_of(&client.habits.endpoints);
        // The first user asks half of the time, the second a quarter, and so on, about as in Zipf's law.
        let user = (0..client.habits.users - 1).find(|_| random.happens(500_000)).unwrap_or(client.habits.users - 1);
        let cost = if random.happens(100_000) { random.within(2..=3) } else { 1 };
        let patience = if endpoint == "leaky" { *random.one_of(&[0, 300, 2_000]) } else { 0 };
        let reserves = endpoint == "permits" || random.happens(200_000);
        self.ask_for(world, node, Ask::Acquire { endpoint, user, cost, patience }, reserves)
    }

    /// Asks for every bucket once, of one node that stays after the other. Where one takes no requests, nobody answers.
    pub(crate) fn probe(&mut self, world: &World, stays: impl Fn(NodeId) -> bool) {
        let Habits { endpoints, users, .. } = self.habits.clone();
        let mut nodes = world.machines.values().filter(|machine| stays(machine.id)).cycle();
        for user in 0..users {
            for endpoint in &endpoints {
                let machine = nodes.next().expect("somebody stays");
                let ask = Ask::Acquire { endpoint, user, cost: 1, patience: 0 };
                if self.ask_for(world, machine.id, ask.clone(), false).is_none() {
                    self.history.ask((machine.id, machine.starts), world.now, ask);
                }
            }
        }
    }

    fn have_change(&mut self, world: &World) {
        let operator = &mut self.operator;
        let Some(pause) = operator.pause.filter(|_| world.now >= operator.due) else { return };
        operator.due = world.now + operator.random.within(0..=pause);
        operator.version += 1;
        let (version, nodes) = (operator.version, world.machines.keys().copied().collect::<Vec<NodeId>>());
        let node = *operator.random.one_of(&nodes);
        self.ask_for(world, node, Ask::Change { version }, false);
    }
}

/// When a client asks again for the same; `None` if it does not.
fn repeats_at(operation: &Operation, client: &mut Client, now: Ms) -> Option<Ms> {
    let Some((_, told)) = operation.verdict() else { return client.random.happens(UNANSWERED_REPEATED).then_some(now) };
    if told.allowed || !client.random.happens(client.habits.waits) {
        return None;
    }
    let wait_ns = told.limits.iter().map(|limit| limit.retry_after_ns).max()?;
    let wait = wait_ns.unsigned_abs().div_ceil(MS_NS.unsigned_abs());
    // A clock may be slow.
    (wait < LONGEST_WAIT).then_some(now + wait + wait / 500 + 2)
}

/// Asks a node, as its HTTP API does.
async fn answer(node: &Arc<Node>, ask: Ask, reserves: bool, token: &str) -> (Answer, Option<String>) {
    match ask {
        Ask::Acquire { endpoint, user, cost, patience } => {
            let labels = BTreeMap::from([("user".to_owned(), user.to_string())]);
            let patience = Duration::from_millis(patience);
            let request = Request { prefix: "app", endpoint, labels: &labels, cost, patience };
            match node.acquire(&request).await {
                Ok(verdict) => {
                    let reserved = (reserves && verdict.allowed).then(|| node.reservation(&verdict));
                    (Answer::Verdict(told(&verdict)), reserved)
                }
                Err(error) => (Answer::Failed(error.to_string()), None),
            }
        }
        Ask::Settle { actual, .. } => (settled(node, token, actual).await, None),
        Ask::Change { version } => (changed(node.put_limit(scenario::changing(version)).await), None),
        Ask::Drain { node: drained, draining } => (changed(node.set_draining(drained, draining).await), None),
        Ask::Remove { node: removed } => (changed(node.remove_node(removed).await), None),
        Ask::Look => (nodes(node), None),
    }
}

async fn settled(node: &Node, token: &str, actual: u64) -> Answer {
    match node.settle(token, actual).await {
        Ok(_) => Answer::Settled,
        Err(SettleReservationError::Refused(SettleError::AlreadySettled)) => Answer::SettledBefore,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn changed<T>(made: Result<T, tollgate_cluster::ChangeError>) -> Answer {
    match made {
        Ok(_) => Answer::Changed,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn nodes(node: &Node) -> Answer {
    let had_lease = node.has_lease();
    let status = node.cluster_status();
    let nodes = status.nodes.iter().map(|node| (node.id, node.duty != Duty::Serving)).collect();
    if had_lease { Answer::Nodes(nodes) } else { Answer::Failed("it does not know the latest".to_owned()) }
}

fn told(verdict: &Verdict) -> Told {
    let limits = verdict.limits.iter().map(|limit| ToldOfLimit {
        name: limit.limit.name.as_str().to_owned(),
        capacity: limit.standing.limit,
        allowed: limit.allowed,
        remaining: limit.standing.remaining,
        retry_after_ns: limit.standing.retry_after_ns,
    });
    Told { allowed: verdict.allowed, degraded: verdict.degraded, limits: limits.collect() }
}
