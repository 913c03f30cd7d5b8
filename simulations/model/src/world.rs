//! A state of everything, and what each action makes of it.

use crate::admitted::Admitted;
use crate::leader::{InFlight, Leader};
use crate::shard::{Entry, Proposal, Shard};
use crate::{Action, Bounds, Protocol, Refund, Rule, Spend, Ticks};

/// One state of the model.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct World {
    pub(crate) shard: Shard,
    /// Whoever may spend, the latest last.
    pub(crate) leaders: Vec<Leader>,
    /// Proposals of leaders that have crashed or hand over.
    pub(crate) orphans: Vec<Proposal>,
    /// What was admitted of each bucket.
    pub(crate) admitted: Vec<Admitted>,
}

impl World {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let admitted = vec![Admitted::default(); bounds.buckets];
        Self { shard: Shard::new(bounds), leaders: Vec::new(), orphans: Vec::new(), admitted }
    }

    pub(crate) fn act(&mut self, action: Action, protocol: &Protocol) {
        match action {
            Action::Pass => self.pass(),
            Action::TakeOver { late } => self.take_over(late, protocol),
            Action::Propose { leader, entry } => self.propose(leader, entry),
            Action::Commit { leader } => self.commit(leader, protocol),
            Action::Learn { leader } => self.leaders[leader].learn(),
            Action::CommitOrphan { orphan } => self.commit_orphan(orphan, protocol),
            Action::Spend(spend) => self.spend(&spend, protocol),
            Action::Refund(refund) => self.refund(&refund, protocol),
            Action::HandOver { leader } => self.hand_over(leader, protocol),
            Action::Crash { leader } => self.crash(leader, protocol),
            Action::Presume { late } => self.presume(late, protocol),
            Action::CatchUp { leader, late } => self.leaders[leader].late = late,
        }
        self.forget(protocol);
    }

    fn pass(&mut self) {
        self.shard.pass();
        self.leaders.iter_mut().for_each(Leader::pass);
        self.orphans.iter_mut().for_each(Proposal::pass);
        self.admitted.iter_mut().for_each(Admitted::pass);
    }

    fn take_over(&mut self, late: Ticks, protocol: &Protocol) {
        self.end_leadership(protocol);
        self.shard.take_over(late, protocol);
        self.leaders.push(Leader::new(&self.shard, late, protocol));
    }

    fn presume(&mut self, late: Ticks, protocol: &Protocol) {
        let heir = Leader::heir(&self.shard, late, protocol);
        self.leaders.push(Leader { is_current: false, ..heir });
    }

    fn end_leadership(&mut self, protocol: &Protocol) {
        self.leaders.iter_mut().for_each(|leader| leader.depose(protocol));
        if protocol.follows(Rule::EntriesOfThePastAreVoid) {
            self.orphans.clear();
        }
    }

    fn propose(&mut self, leader: usize, entry: Entry) {
        let leader = &mut self.leaders[leader];
        leader.in_flight = Some(InFlight::Proposed(leader.proposal(entry)));
    }

    fn commit(&mut self, leader: usize, protocol: &Protocol) {
        if let Some(InFlight::Proposed(proposal)) = self.leaders[leader].in_flight.take() {
            self.apply(&proposal, protocol);
            self.leaders[leader].in_flight = Some(InFlight::Committed(proposal.entry));
        }
    }

    fn commit_orphan(&mut self, orphan: usize, protocol: &Protocol) {
        let proposal = self.orphans.remove(orphan);
        self.apply(&proposal, protocol);
        if matches!(proposal.entry, Entry::Spent(_)) {
            self.orphans.push(Proposal { entry: Entry::HandOver, ..proposal });
        }
    }

    fn apply(&mut self, proposal: &Proposal, protocol: &Protocol) {
        self.shard.apply(proposal);
        if proposal.entry == Entry::HandOver {
            self.end_leadership(protocol);
        }
    }

    fn spend(&mut self, spend: &Spend, protocol: &Protocol) {
        let Spend { leader, bucket, units, end } = *spend;
        self.leaders[leader].spend(bucket, units, end, &protocol.bounds);
        self.admitted[bucket].take(units * protocol.bounds.interval);
    }

    fn refund(&mut self, refund: &Refund, protocol: &Protocol) {
        let Refund { leader, of, bucket, receipt, back } = *refund;
        let receipt = self.leaders[of].buckets[bucket].receipts.remove(receipt);
        self.leaders[leader].give_back(bucket, receipt.end, back, protocol);
        self.admitted[bucket].give_back(receipt.taken, back);
    }

    /// A leader that has stopped spending says nothing but what it has proposed.
    fn hand_over(&mut self, leader: usize, protocol: &Protocol) {
        let says_all = protocol.follows(Rule::HandoverCommitsArrivals);
        let first = if says_all { self.leaders[leader].spent() } else { Entry::HandOver };
        self.orphans.push(self.leaders[leader].proposal(first));
        if protocol.follows(Rule::HandoverStopsSpending) {
            self.leaders.remove(leader);
        }
    }

    fn crash(&mut self, leader: usize, protocol: &Protocol) {
        let Leader { is_current, late, in_flight, .. } = self.leaders.remove(leader);
        if let Some(InFlight::Proposed(proposal)) = in_flight {
            self.orphans.push(proposal);
        }
        if is_current && !protocol.follows(Rule::RestartTakesOver) {
            self.leaders.push(Leader::heir(&self.shard, late, protocol));
        }
    }

    /// Forgets what makes no difference any more, so that states are one that differ in nothing else.
    fn forget(&mut self, protocol: &Protocol) {
        let past = protocol.past();
        self.shard.forget(past);
        self.orphans.iter_mut().for_each(|orphan| orphan.forget(past));
        self.leaders.iter_mut().for_each(|leader| leader.forget(protocol));
        self.leaders.retain(|leader| protocol.may_propose(leader) || leader.may_spend());
        for (bucket, admitted) in self.admitted.iter_mut().enumerate() {
            let receipts = self.leaders.iter().flat_map(|leader| &leader.buckets[bucket].receipts);
            admitted.forget(receipts.map(|receipt| receipt.taken).min());
        }
    }
}
