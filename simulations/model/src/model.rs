//! What can happen in a state, and what must hold in every one.

use stateright::{Model, Property};

use crate::leader::{InFlight, Leader};
use crate::{Action, Protocol, Refund, Rule, Spend, World, witnesses};

/// The invariant, which all rules are for.
pub const EXACT: &str = "every window of every bucket admits at most burst + time / T";

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.bounds)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Pass);
        self.begin(world, actions);
        actions.extend((0..world.orphans.len()).map(|orphan| Action::CommitOrphan { orphan }));
        for leader in 0..world.leaders.len() {
            actions.push(Action::Crash { leader });
            self.agree(world, leader, actions);
            self.catch_up(world, leader, actions);
            for bucket in 0..self.bounds.buckets {
                self.spend(world, leader, bucket, actions);
                self.refund(world, leader, bucket, actions);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, self);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let is_exact = |protocol: &Self, world: &World| {
            let tolerance = protocol.bounds.tolerance();
            !world.admitted.iter().any(|admitted| admitted.exceeds(tolerance))
        };
        [Property::always(EXACT, is_exact)].into_iter().chain(witnesses::of(&self.bounds)).collect()
    }
}

impl Protocol {
    fn begin(&self, world: &World, actions: &mut Vec<Action>) {
        if world.leaders.len() == self.bounds.leaders {
            return;
        }
        for late in (0..=self.bounds.lateness).filter(|late| world.shard.may_continue(*late, self)) {
            actions.push(Action::TakeOver { late });
            if !self.follows(Rule::EarlierGrantsGiveNoRight) {
                actions.push(Action::Presume { late });
            }
        }
    }

    fn agree(&self, world: &World, leader: usize, actions: &mut Vec<Action>) {
        let who = &world.leaders[leader];
        match &who.in_flight {
            Some(InFlight::Proposed(_)) => actions.push(Action::Commit { leader }),
            Some(InFlight::Committed(_)) => actions.push(Action::Learn { leader }),
            None if self.may_propose(who) => {
                actions.extend(who.wants(&self.bounds).into_iter().map(|entry| Action::Propose { leader, entry }));
                if world.orphans.is_empty() {
                    actions.push(Action::HandOver { leader });
                }
            }
            None => {}
        }
    }

    /// What a leader of the past proposes is void, so nothing is lost if it proposes nothing.
    pub(crate) fn may_propose(&self, leader: &Leader) -> bool {
        leader.is_current || !self.follows(Rule::EntriesOfThePastAreVoid)
    }

    fn catch_up(&self, world: &World, leader: usize, actions: &mut Vec<Action>) {
        if !self.follows(Rule::LatenessNeverShrinks) {
            actions.extend((0..world.leaders[leader].late).map(|late| Action::CatchUp { leader, late }));
        }
    }

    fn spend(&self, world: &World, leader: usize, bucket: usize, actions: &mut Vec<Action>) {
        for units in 1..=self.bounds.cost {
            if let Some(end) = world.leaders[leader].end_of(bucket, units, self) {
                actions.push(Action::Spend(Spend { leader, bucket, units, end }));
            }
        }
    }

    fn refund(&self, world: &World, leader: usize, bucket: usize, actions: &mut Vec<Action>) {
        let who = &world.leaders[leader];
        if who.buckets[bucket].refunds.len() == self.bounds.receipts {
            return;
        }
        let owners = 0..world.leaders.len();
        for of in owners.filter(|of| *of == leader || !self.follows(Rule::RefundsAreOfThisLeadership)) {
            for (receipt, taken) in world.leaders[of].buckets[bucket].receipts.iter().enumerate() {
                let mut backs: Vec<_> = (1..=taken.units).map(|units| who.back(bucket, taken, units, self)).collect();
                backs.dedup();
                let backs = backs.into_iter().filter(|back| *back > 0);
                actions.extend(backs.map(|back| Action::Refund(Refund { leader, of, bucket, receipt, back })));
            }
        }
    }
}
