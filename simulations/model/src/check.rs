//! Looks at every state, or for the shortest way to break the invariant.

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::{Action, Bounds, EXACT, Protocol, Rule};

/// What was found of the protocol with all of its rules.
#[derive(Debug)]
pub struct Verified {
    /// States that differ.
    pub states: usize,
    /// Steps to the state that is farthest away.
    pub steps: usize,
    /// Whether every state was looked at.
    pub is_exhausted: bool,
    /// A way to break the invariant.
    pub violation: Option<Vec<Action>>,
    /// What was to come about in some state and did not.
    pub unreached: Vec<&'static str>,
}

/// How the invariant breaks without a rule.
#[derive(Debug)]
pub struct Counterexample {
    /// States that differ, as many as were looked at until it broke.
    pub states: usize,
    /// The shortest way there.
    pub trace: Vec<Action>,
}

impl Verified {
    /// Whether the invariant holds in every state, and all came about that was to.
    pub fn holds(&self) -> bool {
        self.is_exhausted && self.violation.is_none() && self.unreached.is_empty()
    }
}

/// Looks at every state within `bounds`.
pub fn verify(bounds: Bounds) -> Verified {
    let protocol = Protocol { bounds, without: None };
    let checker = protocol.checker().spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let witnesses = protocol.properties().into_iter().filter(|property| property.expectation == Expectation::Sometimes);
    let unreached = witnesses.map(|witness| witness.name).filter(|name| !discoveries.contains_key(name)).collect();
    Verified {
        states: checker.unique_state_count(),
        steps: checker.max_depth() - 1,
        is_exhausted: checker.is_done(),
        violation: discoveries.remove(EXACT).map(|path| path.into_actions()),
        unreached,
    }
}

/// Takes a rule away and looks for the shortest way to break the invariant within `bounds`.
pub fn falsify(bounds: Bounds, rule: Rule) -> Option<Counterexample> {
    let protocol = Protocol { bounds, without: Some(rule) };
    let mut found = search(protocol, None)?;
    // The checker looks at some more states after the first that breaks it, and tells of the last.
    while let Some(shorter) = search(protocol, Some(found.trace.len() - 1)) {
        found.trace = shorter.trace;
    }
    Some(found)
}

fn search(protocol: Protocol, most_steps: Option<usize>) -> Option<Counterexample> {
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = match most_steps {
        // The checker counts states, the first among them, and leaves out the last.
        Some(steps) => checker.target_max_depth(steps + 2),
        None => checker,
    };
    let checker = checker.spawn_bfs().join();
    let trace = checker.discovery(EXACT)?.into_actions();
    Some(Counterexample { states: checker.unique_state_count(), trace })
}
