//! What is checked: one promise a file. Checkers must be sound: what they report is a defect, of the code or of a promise.

mod admission;
mod alerts;
mod alone;
mod charges;
mod liveness;
mod members;
mod price;
mod promises;
mod registers;
mod replicas;
mod retries;

use std::fmt;

use tollgate_cluster::{Event, NodeId};

use crate::chaos::Chaos;
use crate::history::History;
use crate::kernel::{Ms, World};
use crate::scenario::Scenario;
use crate::troubles::Troubles;

/// After how long a change that was not answered is not made any more: what a node takes to give it up, and a leader that it waits for.
const GIVEN_UP_AFTER: Ms = 30_000;

/// A promise that was broken.
#[derive(Debug)]
pub(crate) struct Violation {
    /// Which promise.
    pub(crate) promise: &'static str,
    /// How it was broken.
    pub(crate) how: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.how)
    }
}

/// All promises that were broken.
pub(crate) type Judged = Vec<Violation>;

/// What watches a run.
pub(crate) struct Oracles<'a> {
    scenario: &'a Scenario,
    replicas: replicas::Replicas,
    leaders: charges::Leaders,
    alerts: alerts::Alerts,
    seen: Judged,
}

impl<'a> Oracles<'a> {
    /// Nothing was seen yet.
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            replicas: replicas::Replicas::default(),
            leaders: charges::Leaders::default(),
            alerts: alerts::Alerts::default(),
            seen: Judged::new(),
        }
    }

    /// A node told of something.
    pub(crate) fn hear(&mut self, node: NodeId, event: &Event, now: Ms) {
        self.leaders.hear(event, now);
        self.alerts.hear(node, event, now);
        self.seen.extend(self.replicas.hear(node, event));
    }

    /// Looks at the world after a window of time.
    pub(crate) fn look(&mut self, world: &World) {
        self.seen.extend(self.replicas.look(world));
        self.alerts.look(world);
    }

    /// Whether something was seen that no later moment mends.
    pub(crate) fn has_failed(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Judges the whole run.
    pub(crate) fn judge(self, world: &World, history: &History, chaos: &Chaos, troubles: &Troubles) -> Judged {
        if self.has_failed() {
            return self.seen;
        }
        let mut judged = self.seen;
        judged.extend(admission::judge(self.scenario, history, &self.leaders));
        judged.extend(alone::judge(self.scenario, history, chaos.fewest_nodes(self.scenario.nodes)));
        judged.extend(promises::judge(history));
        let buckets = charges::buckets(self.scenario, history, &self.leaders);
        judged.extend(price::judge(self.scenario, &buckets, &self.leaders));
        judged.extend(retries::judge(&buckets, &self.leaders));
        judged.extend(members::judge(self.scenario.nodes, history));
        judged.extend(registers::judge(history));
        judged.extend(liveness::judge(world, history, chaos));
        judged.extend(self.alerts.judge(world, &world.settings.receivers.arrivals(), troubles));
        judged
    }
}
