//! Carries out the faults of a run, and undoes them.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_cluster::{Event, Node, NodeId};

use crate::disk::Condition;
use crate::fault::{Action, Down, Fault, Machine as Harm, Network, Operator, Point, Who};
use crate::history::Ask;
use crate::kernel::{MS_NS, Ms, World};
use crate::machine::Machine;
use crate::network::{Link, Weather};
use crate::workload::Workload;

/// How long whoever ended by himself is down.
const RESTARTED_AFTER: Ms = 500;

/// How long a crash waits for something that is not synced, and for a point in a node's work.
const UNSYNCED_WITHIN: Ms = 2_000;
const POINT_WITHIN: Ms = 5_000;

/// How long after one another the processes of a rolling restart are stopped.
const ROLL_PAUSE: Ms = 2_500;

/// Carries out what is planned.
pub(crate) struct Chaos {
    planned: Vec<Fault>,
    next: usize,
    /// Whether machines may lose power; if not, a crash is that of a process.
    power_fails: bool,
    /// What is to be undone, and when.
    due: BTreeMap<(Ms, usize), Undo>,
    armed: Vec<Armed>,
    /// Nodes that somebody has asked to remove: it may or may not be done.
    removing: BTreeSet<NodeId>,
    /// Nodes that have left: they are not started again.
    removed: BTreeSet<NodeId>,
    pub(crate) injected: BTreeMap<&'static str, u64>,
    counter: usize,
}

/// What ends a fault, or is the next part of it.
#[derive(Clone, Debug)]
enum Undo {
    FairWeather,
    Mend(BTreeSet<Link>),
    Cut(BTreeSet<Link>, Ms),
    Start(NodeId),
    Crash(NodeId, Ms),
    DiskWell(NodeId),
    Undrain(NodeId),
    StopNext(Vec<NodeId>),
}

/// No node is removed if fewer than so many would stay.
const FEWEST_NODES: u64 = 3;

/// A crash that waits for its moment.
#[derive(Clone, Copy, Debug)]
struct Armed {
    node: NodeId,
    down: Ms,
    until: Ms,
    /// At which point, and how long after; `None` when something is not synced.
    at: Option<(Point, Ms)>,
}

impl Chaos {
    /// Nothing has gone wrong yet.
    pub(crate) fn new(planned: Vec<Fault>, power_fails: bool) -> Self {
        Self {
            planned,
            next: 0,
            power_fails,
            due: BTreeMap::new(),
            armed: Vec::new(),
            removing: BTreeSet::new(),
            removed: BTreeSet::new(),
            injected: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Whether a node was removed from the cluster, or may have been.
    pub(crate) fn may_be_removed(&self, node: NodeId) -> bool {
        self.removing.contains(&node)
    }

    /// How many nodes there were at least at any time, of so many founders.
    pub(crate) fn fewest_nodes(&self, founders: u64) -> u64 {
        founders.saturating_sub(self.removing.len() as u64).max(FEWEST_NODES)
    }

    /// Does what is due. To be called before a window of time.
    pub(crate) fn act(&mut self, world: &mut World, workload: &mut Workload) {
        while let Some(fault) = self.planned.get(self.next).filter(|fault| fault.at <= world.now).cloned() {
            self.next += 1;
            self.begin(&fault, world, workload);
        }
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= world.now) {
            let undo = entry.remove();
            self.undo(undo, world, workload);
        }
        for index in (0..self.armed.len()).rev() {
            let armed = self.armed[index];
            let is_unsynced =
                armed.at.is_none() && world.machines.get(&armed.node).is_some_and(|machine| machine.disk.is_syncing());
            if is_unsynced || armed.until <= world.now {
                self.armed.remove(index);
            }
            if is_unsynced {
                self.crash(armed.node, armed.down, world);
            }
        }
        self.restart_ended(world);
    }

    /// Hears what nodes told of in the last window of time.
    pub(crate) fn hear(&mut self, node: NodeId, event: &Event, now: Ms) {
        let hit = self
            .armed
            .iter()
            .position(|armed| armed.node == node && armed.at.is_some_and(|(point, _)| point.is_told_by(event)));
        if let Some(index) = hit {
            let Armed { down, at, .. } = self.armed.remove(index);
            let after = at.map_or(0, |(_, after)| after);
            self.schedule(now + after, Undo::Crash(node, down));
        }
        if matches!(event, Event::GroupFailed { .. }) {
            // Only a restart helps, and somebody is paged.
            self.schedule(now + RESTARTED_AFTER, Undo::Crash(node, RESTARTED_AFTER));
        }
    }

    /// Ends all that is wrong.
    pub(crate) fn heal(&mut self, world: &mut World, workload: &mut Workload) {
        (self.next, self.armed) = (self.planned.len(), Vec::new());
        let due = std::mem::take(&mut self.due);
        let drained: BTreeSet<NodeId> =
            due.values().filter_map(|undo| if let Undo::Undrain(node) = undo { Some(*node) } else { None }).collect();
        let crashing: BTreeSet<NodeId> =
            due.values().filter_map(|undo| if let Undo::Crash(node, _) = undo { Some(*node) } else { None }).collect();
        crashing.into_iter().for_each(|node| world.kill(node));
        world.network.set_weather(Weather::FAIR);
        world.settings.receivers.heal();
        world.network.mend(&all_links(world));
        for machine in world.machines.values_mut() {
            machine.disk.set_condition_well();
            (machine.drift, machine.paused_until) = (0, 0);
        }
        let down: Vec<NodeId> =
            world.machines.iter().filter(|(_, machine)| !machine.has_process()).map(|(id, _)| *id).collect();
        down.into_iter().filter(|id| !self.removed.contains(id)).for_each(|id| world.start(id));
        drained.into_iter().for_each(|node| self.undo(Undo::Undrain(node), world, workload));
    }

    fn begin(&mut self, fault: &Fault, world: &mut World, workload: &mut Workload) {
        let Fault { lasts, action, .. } = fault;
        let Some(name) = self.start_action(action, *lasts, world, workload) else { return };
        world.trace.event(world.now, format_args!("fault: {fault}"));
        *self.injected.entry(name).or_default() += 1;
    }

    /// Begins a fault; returns what it is counted as, or `None` if it meets nobody.
    fn start_action(
        &mut self,
        action: &Action,
        lasts: Ms,
        world: &mut World,
        workload: &mut Workload,
    ) -> Option<&'static str> {
        match action {
            Action::Network(network) => self.harm_network(network, lasts, world),
            Action::Machine(who, machine) => self.harm_machine(*who, *machine, lasts, world),
            Action::Down(who, down) => self.take_down(*who, *down, lasts, world),
            Action::Blackout => {
                let machines: Vec<NodeId> = world.machines.keys().copied().collect();
                machines.into_iter().for_each(|node| self.crash(node, lasts, world));
                Some("blackout")
            }
            Action::Operator(operator) => self.operate(*operator, lasts, world, workload),
        }
    }

    fn harm_network(&mut self, network: &Network, lasts: Ms, world: &World) -> Option<&'static str> {
        match network {
            Network::Weather(weather) => {
                world.network.set_weather(*weather);
                self.schedule(world.now + lasts, Undo::FairWeather);
                Some("bad weather")
            }
            Network::Isolate(who) => {
                self.cut(around(find(*who, world)?, world), lasts, world);
                Some("partition")
            }
            Network::Mute(who) => {
                self.cut(from(find(*who, world)?, world), lasts, world);
                Some("one-way cut")
            }
            Network::Deafen(who) => {
                self.cut(to(find(*who, world)?, world), lasts, world);
                Some("one-way cut")
            }
            Network::CutLink(one, other) => {
                self.cut(BTreeSet::from([(find(*one, world)?, find(*other, world)?)]), lasts, world);
                Some("one-way cut")
            }
            Network::Flap(who, times) => {
                let links = around(find(*who, world)?, world);
                let period = (lasts / times).max(2);
                for turn in 0..*times {
                    self.schedule(world.now + turn * period, Undo::Cut(links.clone(), period / 2));
                }
                Some("flapping")
            }
        }
    }

    fn harm_machine(&mut self, who: Who, harm: Harm, lasts: Ms, world: &mut World) -> Option<&'static str> {
        let (node, until) = (find(who, world)?, world.now + lasts);
        let machine = world.machines.get_mut(&node)?;
        match harm {
            Harm::Disk(condition) => {
                machine.disk.set_condition(condition);
                self.schedule(until, Undo::DiskWell(node));
                Some(match condition {
                    Condition::Well | Condition::Slow(_) => "slow disk",
                    Condition::Full => "full disk",
                    Condition::Failed => "failed disk",
                })
            }
            Harm::StepWall(ms) => {
                machine.clock.step_wall(ms * MS_NS);
                Some("wall clock step")
            }
            Harm::Drift(drift) => {
                machine.drift = drift;
                Some("drift")
            }
            Harm::Pause => {
                machine.paused_until = until;
                Some("pause")
            }
        }
    }

    fn take_down(&mut self, who: Who, down: Down, lasts: Ms, world: &mut World) -> Option<&'static str> {
        let node = alive(who, world)?;
        match down {
            Down::Killed => {
                world.trace.event(world.now, format_args!("node {node} is killed"));
                world.kill(node);
                self.schedule(world.now + lasts, Undo::Start(node));
                Some("kill")
            }
            Down::PowerLost => {
                self.crash(node, lasts, world);
                Some("loss of power")
            }
            Down::WhileUnsynced => {
                self.armed.push(Armed { node, down: lasts, until: world.now + UNSYNCED_WITHIN, at: None });
                Some("crash while unsynced")
            }
            Down::At(point, after) => {
                let until = world.now + POINT_WITHIN;
                self.armed.push(Armed { node, down: lasts, until, at: Some((point, after)) });
                Some("crash at a point")
            }
            Down::Stopped => stop(node, world).then_some("orderly stop"),
        }
    }

    fn operate(
        &mut self,
        operator: Operator,
        lasts: Ms,
        world: &mut World,
        workload: &mut Workload,
    ) -> Option<&'static str> {
        match operator {
            Operator::Roll => {
                let all = world.machines.keys().copied().filter(|id| !self.removed.contains(id)).collect();
                self.undo(Undo::StopNext(all), world, workload);
                Some("rolling restart")
            }
            Operator::Drain(who) => {
                let node = find(who, world)?;
                workload.ask_for(world, running(world)?, Ask::Drain { node, draining: true }, false)?;
                self.schedule(world.now + lasts, Undo::Undrain(node));
                Some("drain")
            }
            Operator::Join => {
                let (contact, id) = (*self.staying(world).first()?, world.machines.keys().max()? + 1);
                if id > MAX_NUMBER {
                    return None;
                }
                world.add(id, contact);
                world.start(id);
                Some("join")
            }
            Operator::Remove(who) => {
                let node = find(who, world)?;
                let stay: Vec<NodeId> = self.staying(world).into_iter().filter(|id| *id != node).collect();
                // A node that joins knows but one other, and cannot find the cluster without it.
                let is_needed =
                    world.machines.values().any(|machine| machine.node().is_none() && machine.joins_by(node));
                if (stay.len() as u64) < FEWEST_NODES || self.may_be_removed(node) || is_needed {
                    return None;
                }
                workload.ask_for(world, stay[0], Ask::Remove { node }, false)?;
                self.removing.insert(node);
                Some("remove")
            }
        }
    }

    /// Nodes that are ready and that nobody removes.
    fn staying(&self, world: &World) -> Vec<NodeId> {
        let is_ready = |machine: &Machine| machine.node().is_some_and(|node| node.is_ready());
        let stays = |(id, machine): &(&NodeId, &Machine)| !self.may_be_removed(**id) && is_ready(machine);
        world.machines.iter().filter(stays).map(|(id, _)| *id).collect()
    }

    fn undo(&mut self, undo: Undo, world: &mut World, workload: &mut Workload) {
        match undo {
            Undo::FairWeather => world.network.set_weather(Weather::FAIR),
            Undo::Mend(links) => world.network.mend(&links),
            Undo::Cut(links, lasts) => self.cut(links, lasts, world),
            Undo::Start(node) => {
                if !self.removed.contains(&node) {
                    world.start(node);
                }
            }
            Undo::Crash(node, down) => self.crash(node, down, world),
            Undo::DiskWell(node) => {
                if let Some(machine) = world.machines.get(&node) {
                    machine.disk.set_condition_well();
                }
            }
            Undo::Undrain(node) => {
                let ask = Ask::Drain { node, draining: false };
                if running(world).and_then(|asked| workload.ask_for(world, asked, ask, false)).is_none() {
                    self.schedule(world.now + RESTARTED_AFTER, Undo::Undrain(node));
                }
            }
            Undo::StopNext(mut left) => {
                let Some(node) = left.pop() else { return };
                stop(node, world);
                self.schedule(world.now + ROLL_PAUSE, Undo::StopNext(left));
            }
        }
    }

    fn schedule(&mut self, at: Ms, undo: Undo) {
        self.counter += 1;
        self.due.insert((at, self.counter), undo);
    }

    fn cut(&mut self, links: BTreeSet<Link>, lasts: Ms, world: &World) {
        world.network.cut(&links);
        self.schedule(world.now + lasts, Undo::Mend(links));
    }

    /// Loses a machine's power, or, where power does not fail, its process.
    fn crash(&mut self, node: NodeId, down: Ms, world: &mut World) {
        if !world.machines.get(&node).is_some_and(|machine| machine.has_process()) {
            return;
        }
        if self.power_fails {
            world.trace.event(world.now, format_args!("node {node} loses power"));
            world.lose_power(node);
        } else {
            world.trace.event(world.now, format_args!("node {node} is killed"));
            world.kill(node);
        }
        self.schedule(world.now + down, Undo::Start(node));
    }

    /// Starts anew whose process has ended by itself, or was stopped.
    fn restart_ended(&mut self, world: &mut World) {
        for (node, reason) in world.ended() {
            world.trace.event(world.now, format_args!("node {node} has ended: {reason}"));
            world.kill(node);
            if reason.contains("removed from its cluster") {
                self.removed.insert(node);
            } else {
                self.schedule(world.now + RESTARTED_AFTER, Undo::Start(node));
            }
        }
    }
}

/// The highest number of a node that joins.
const MAX_NUMBER: NodeId = 8;

fn find(who: Who, world: &World) -> Option<NodeId> {
    let mut statuses = world.machines.iter().filter_map(|(id, machine)| Some((*id, machine.node()?)));
    match who {
        Who::Node(node) => Some(node),
        Who::LeaderOf(shard) => {
            let leads = |node: &Node| node.shard_status().iter().any(|status| status.leads && status.id == shard);
            statuses.find(|(_, node)| leads(node)).map(|(id, _)| id)
        }
        Who::LeaderOfAll => statuses.find_map(|(_, node)| node.cluster_status().leader),
    }
}

fn all_links(world: &World) -> BTreeSet<Link> {
    world.machines.keys().flat_map(|node| to(*node, world)).collect()
}

fn to(node: NodeId, world: &World) -> BTreeSet<Link> {
    world.machines.keys().filter(|other| **other != node).map(|other| (*other, node)).collect()
}

fn from(node: NodeId, world: &World) -> BTreeSet<Link> {
    to(node, world).into_iter().map(|(other, node)| (node, other)).collect()
}

fn around(node: NodeId, world: &World) -> BTreeSet<Link> {
    to(node, world).union(&from(node, world)).copied().collect()
}

/// The node that is meant, if it has a process.
fn alive(who: Who, world: &World) -> Option<NodeId> {
    find(who, world).filter(|node| world.machines.get(node).is_some_and(Machine::has_process))
}

/// A node that takes requests.
fn running(world: &World) -> Option<NodeId> {
    world.machines.iter().find(|(_, machine)| machine.node().is_some()).map(|(id, _)| *id)
}

/// Tells a process to stop in order; `false` if no node runs there.
fn stop(node: NodeId, world: &World) -> bool {
    let Some(machine) = world.machines.get(&node) else { return false };
    world.trace.event(world.now, format_args!("node {node} is told to stop"));
    machine.stop()
}
