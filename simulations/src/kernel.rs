//! The world: machines that are stepped a millisecond at a time, in an order drawn from the seed, and the network between them.
//!
//! Each node has a runtime of its own, with a clock that stands still but when it is told to go on. In a window of one millisecond of
//! true time each machine runs as long as its own clock shows for that, so clocks may drift, timers and all; one that stands still finds
//! on waking that all its timers are due.

use std::collections::BTreeMap;

use tollgate_cluster::{Event, Forming, NodeId};

use crate::interposer;
use crate::machine::{Machine, Settings, Start, address};
use crate::network::Network;
use crate::random::Random;
use crate::receivers::Receivers;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// A point or a span of true time, in milliseconds since the simulation began.
pub(crate) type Ms = u64;

/// Nanoseconds of a millisecond.
pub(crate) const MS_NS: i64 = 1_000_000;

/// The machines, and the network between them.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Ms,
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) settings: Settings,
    order: Random,
}

impl World {
    /// Machines that found a cluster together; none is started.
    pub(crate) fn new(seed: u64, scenario: &Scenario, trace: Trace) -> Self {
        let nodes = scenario.nodes;
        let founders = (1..=nodes).map(|id| (id, address(id))).collect();
        let settings = Settings { founders, scenario: scenario.clone(), receivers: Receivers::new(seed) };
        let forming = Forming::Founders(settings.founders.clone());
        let machine = |id| (id, Machine::new(seed, id, forming.clone(), &settings));
        Self {
            seed,
            now: 0,
            machines: (1..=nodes).map(machine).collect(),
            network: Network::new(seed, trace.clone()),
            order: Random::new(seed, "order"),
            settings,
            trace,
        }
    }

    /// Adds a machine whose node joins the others.
    pub(crate) fn add(&mut self, id: NodeId, contact: NodeId) {
        let forming = Forming::Join { contact, address: address(contact) };
        let machine = Machine::new(self.seed, id, forming, &self.settings);
        // Its wall clock shows what those of the others do.
        machine.clock.step_wall(self.now as i64 * MS_NS);
        self.machines.insert(id, machine);
    }

    /// Starts a process on a machine that has none.
    pub(crate) fn start(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.get_mut(&id).filter(|machine| !machine.has_process()) {
            self.trace.event(self.now, format_args!("node {id} starts"));
            machine.start(&self.settings, &self.network);
        }
    }

    /// Kills a process.
    pub(crate) fn kill(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.kill(&self.network);
        }
    }

    /// Cuts the power of a machine.
    pub(crate) fn lose_power(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.lose_power(&self.network);
        }
    }

    /// Lets a millisecond pass. Returns what the nodes told of meanwhile.
    pub(crate) fn step(&mut self) -> Vec<(NodeId, Event)> {
        self.network.deliver(self.now);
        let mut order: Vec<NodeId> = self.machines.keys().copied().collect();
        self.order.shuffle(&mut order);
        let mut told = Vec::new();
        self.now += 1;
        interposer::set_clock_ns(self.now as i64 * MS_NS);
        for id in order {
            let machine = self.machines.get_mut(&id).expect("it is one of them");
            machine.step(self.now);
            let events = std::mem::take(&mut *machine.told.lock().expect("no process panics with it"));
            told.extend(events.into_iter().map(|event| (id, event)));
        }
        told
    }

    /// Nodes whose process has ended by itself, each with the reason.
    pub(crate) fn ended(&self) -> Vec<(NodeId, String)> {
        let ended = |(id, machine): (&NodeId, &Machine)| match machine.progress()? {
            Start::Ended(reason) => Some((*id, reason)),
            Start::Starting | Start::Running(_) => None,
        };
        self.machines.iter().filter_map(ended).collect()
    }
}
