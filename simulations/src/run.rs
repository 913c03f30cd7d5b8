//! One run: the cluster forms, faults and requests come for a while, all heals, and what clients were told is judged.

use std::collections::BTreeMap;

use tollgate_cluster::Event;

use crate::chaos::Chaos;
use crate::fault::Fault;
use crate::kernel::{Ms, World};
use crate::oracles::{Judged, Oracles};
use crate::scenario::{FAULTS_UNTIL, LENGTH, Scenario};
use crate::swarm;
use crate::trace::Trace;
use crate::tripwires;
use crate::troubles::Troubles;
use crate::workload::{PROBED_AT, Workload};

/// How often it is looked whether somebody has started a thread.
const LOOK_FOR_THREADS: Ms = 1_000;

/// What is to be run.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) scenario: Scenario,
    /// Each fault with its number.
    pub(crate) faults: Vec<(usize, Fault)>,
}

impl Plan {
    /// The run of a seed, without the faults of these numbers.
    pub(crate) fn new(seed: u64, without: &[usize]) -> Self {
        let scenario = Scenario::new(seed);
        let faults = swarm::draw(seed, &scenario).into_iter().enumerate();
        Self { seed, faults: faults.filter(|(number, _)| !without.contains(number)).collect(), scenario }
    }

    /// Runs it.
    pub(crate) fn run(&self, trace: &Trace) -> Outcome {
        let Scenario { nodes, power_fails, .. } = self.scenario;
        let mut world = World::new(self.seed, &self.scenario, trace.clone());
        let mut workload = Workload::new(self.seed, &self.scenario);
        let mut chaos = Chaos::new(self.faults.iter().map(|(_, fault)| fault.clone()).collect(), power_fails);
        let troubles = Troubles::new(self.seed, &self.scenario);
        let mut oracles = Oracles::new(&self.scenario);
        let mut takeovers = 0;
        (1..=nodes).for_each(|id| world.start(id));
        while world.now < LENGTH && !oracles.has_failed() {
            if world.now == FAULTS_UNTIL {
                trace.event(world.now, format_args!("all faults heal"));
                chaos.heal(&mut world, &mut workload);
            }
            chaos.act(&mut world, &mut workload);
            workload.ask(&world);
            troubles.measure(&world);
            if world.now == PROBED_AT {
                workload.probe(&world, |node| !chaos.may_be_removed(node));
            }
            for (node, event) in world.step() {
                takeovers += u64::from(matches!(event, Event::TookOver { .. }));
                note(&world, node, &event);
                chaos.hear(node, &event, world.now);
                oracles.hear(node, &event, world.now);
            }
            workload.take_answers(&world);
            oracles.look(&world);
            if world.now.is_multiple_of(LOOK_FOR_THREADS) {
                tripwires::count_threads();
            }
        }
        let judged = oracles.judge(&world, &workload.history, &chaos, &troubles);
        let admitted = workload
            .history
            .operations
            .iter()
            .filter(|operation| operation.verdict().is_some_and(|(_, told)| told.allowed));
        let admitted = admitted.count() as u64;
        Outcome {
            requests: workload.history.operations.len() as u64,
            admitted,
            takeovers,
            simulated_ms: world.now,
            faults: chaos.injected.into_iter().map(|(name, times)| (name.to_owned(), times)).collect(),
            judged,
        }
    }
}

/// What became of a run.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    pub(crate) takeovers: u64,
    pub(crate) simulated_ms: u64,
    /// How often each kind of fault was made.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) judged: Judged,
}

fn note(world: &World, node: u64, event: &Event) {
    // What happens many times a second would hide the rest.
    if !matches!(
        event,
        Event::Deciding { .. }
            | Event::Forwarded { .. }
            | Event::DenialRecalled { .. }
            | Event::Proposed { .. }
            | Event::Committed { .. }
            | Event::Stored { .. }
            | Event::Voting { .. }
    ) {
        world.trace.event(world.now, format_args!("node {node}: {event:?}"));
    }
}
