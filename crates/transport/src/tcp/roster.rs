//! Which nodes there are, and whom to let in.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::hello::Hello;
use crate::{HelloRefusal, Instance, Introduction, NodeId, PeerAddress};

/// What this node knows of the others, and who is connected to it.
#[derive(Debug)]
pub(super) struct Roster {
    own: Introduction,
    max_known: usize,
    standings: BTreeMap<NodeId, Standing>,
    /// The open connections from each node that has any.
    visits: BTreeMap<NodeId, Vec<Visit>>,
    next_visit: u64,
}

#[derive(Debug)]
enum Standing {
    Known {
        address: String,
        /// The data that it must have; `None` while nobody said.
        instance: Option<Instance>,
        /// The data that it had when it last introduced itself.
        introduced: Option<Instance>,
    },
    /// With these data it must not come back; `None` when they were not known: then with none.
    Forgotten { instance: Option<Instance> },
}

#[derive(Debug)]
struct Visit {
    number: u64,
    instance: Instance,
    /// Dropped to close the connection.
    _close: oneshot::Sender<()>,
}

/// A node that was let in.
pub(super) struct Admitted {
    /// Names the connection in [`Roster::leave`].
    pub(super) visit: u64,
    /// Ends when the connection is to be closed.
    pub(super) closed: oneshot::Receiver<()>,
    /// Whether the node is now known at another address than before, or only now.
    pub(super) has_moved: bool,
}

impl Roster {
    pub(super) fn new(own: Introduction, max_known: usize) -> Self {
        Self { own, max_known, standings: BTreeMap::new(), visits: BTreeMap::new(), next_visit: 0 }
    }

    /// Makes a node known, and tells whether it is now known at another address than before, or only now. A connection of
    /// a node of the same number with other data is closed.
    pub(super) fn know(&mut self, node: NodeId, PeerAddress { address, instance }: PeerAddress) -> bool {
        let (instance, introduced, has_moved) = match self.standings.get(&node) {
            Some(Standing::Known { address: before, instance: known, introduced }) => {
                (instance.or(*known), *introduced, *before != address)
            }
            Some(Standing::Forgotten { .. }) | None => (instance, None, true),
        };
        if let (Some(instance), Some(visits)) = (instance, self.visits.get_mut(&node)) {
            visits.retain(|visit| visit.instance == instance);
        }
        self.standings.insert(node, Standing::Known { address, instance, introduced });
        has_moved
    }

    /// Where a node is, if it is known.
    pub(super) fn address(&self, node: NodeId) -> Option<String> {
        match self.standings.get(&node)? {
            Standing::Known { address, .. } => Some(address.clone()),
            Standing::Forgotten { .. } => None,
        }
    }

    /// Forgets a node and closes its connections.
    pub(super) fn forget(&mut self, node: NodeId) {
        let instance = match self.standings.get(&node) {
            Some(Standing::Known { instance, introduced, .. }) => instance.or(*introduced),
            Some(Standing::Forgotten { instance }) => *instance,
            None => None,
        };
        self.standings.insert(node, Standing::Forgotten { instance });
        self.visits.remove(&node);
    }

    /// Lets the node that said this in, if it may; and makes it known at the address that it said.
    pub(super) fn admit(&mut self, hello: &Hello) -> Result<Admitted, HelloRefusal> {
        self.judge(hello)?;
        let has_moved = self.know(hello.from, PeerAddress { address: hello.address.clone(), instance: None });
        if let Some(Standing::Known { introduced, .. }) = self.standings.get_mut(&hello.from) {
            *introduced = Some(hello.instance);
        }
        let number = self.next_visit;
        self.next_visit += 1;
        let (close, closed) = oneshot::channel();
        let visit = Visit { number, instance: hello.instance, _close: close };
        self.visits.entry(hello.from).or_default().push(visit);
        Ok(Admitted { visit: number, closed, has_moved })
    }

    /// A connection of the node has ended.
    pub(super) fn leave(&mut self, node: NodeId, number: u64) {
        if let Some(visits) = self.visits.get_mut(&node) {
            visits.retain(|visit| visit.number != number);
            if visits.is_empty() {
                self.visits.remove(&node);
            }
        }
    }

    fn judge(&self, hello: &Hello) -> Result<(), HelloRefusal> {
        hello.check(&self.own)?;
        match self.standings.get(&hello.from) {
            Some(Standing::Known { instance: Some(known), .. }) if *known == hello.instance => Ok(()),
            Some(Standing::Known { instance: Some(_), .. }) => Err(HelloRefusal::OtherData),
            Some(Standing::Known { instance: None, .. }) => self.check_number(hello),
            Some(Standing::Forgotten { instance }) if instance.is_none_or(|forgotten| forgotten == hello.instance) => {
                Err(HelloRefusal::Forgotten)
            }
            Some(Standing::Forgotten { .. }) | None if self.is_full() => Err(HelloRefusal::TooManyNodes),
            Some(Standing::Forgotten { .. }) | None => Ok(()),
        }
    }

    fn check_number(&self, hello: &Hello) -> Result<(), HelloRefusal> {
        let mut visits = self.visits.get(&hello.from).into_iter().flatten();
        let is_taken = visits.any(|visit| visit.instance != hello.instance);
        if is_taken { Err(HelloRefusal::NumberTaken) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        let known = self.standings.values().filter(|standing| matches!(standing, Standing::Known { .. }));
        known.count() >= self.max_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterId;

    const NODE: NodeId = NodeId(1);
    const DATA: Instance = Instance(11);
    const OTHER_DATA: Instance = Instance(12);

    fn roster() -> Roster {
        let address = "own:7000".to_owned();
        Roster::new(Introduction { cluster: ClusterId(7), node: NodeId(9), instance: Instance(9), address }, 2)
    }

    fn hello(from: NodeId, instance: Instance) -> Hello {
        Hello { cluster: ClusterId(7), from, to: NodeId(9), instance, address: "node:7000".to_owned() }
    }

    fn at(address: &str, instance: Option<Instance>) -> PeerAddress {
        PeerAddress { address: address.to_owned(), instance }
    }

    fn is_closed(admitted: &mut Admitted) -> bool {
        admitted.closed.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    /// Whether a node may come in with these data; it leaves at once.
    fn check(roster: &mut Roster, instance: Instance, expected: Result<(), HelloRefusal>) {
        let admitted = roster.admit(&hello(NODE, instance)).map(|admitted| admitted.visit);
        assert_eq!(admitted.map(drop), expected);
        if let Ok(visit) = admitted {
            roster.leave(NODE, visit);
        }
    }

    #[test]
    fn a_known_node_comes_in_only_with_its_data() {
        let mut roster = roster();
        roster.know(NODE, at("node:7000", Some(DATA)));
        check(&mut roster, DATA, Ok(()));
        check(&mut roster, OTHER_DATA, Err(HelloRefusal::OtherData));
        roster.know(NODE, at("node:7000", None));
        check(&mut roster, OTHER_DATA, Err(HelloRefusal::OtherData));
        roster.know(NODE, at("node:7000", Some(OTHER_DATA)));
        check(&mut roster, OTHER_DATA, Ok(()));
    }

    #[test]
    fn a_number_belongs_to_who_has_it_until_it_leaves() {
        let mut roster = roster();
        let first = roster.admit(&hello(NODE, DATA)).expect("the number is free");
        check(&mut roster, OTHER_DATA, Err(HelloRefusal::NumberTaken));
        check(&mut roster, DATA, Ok(()));
        roster.leave(NODE, first.visit);
        check(&mut roster, OTHER_DATA, Ok(()));
    }

    #[test]
    fn who_is_connected_with_other_data_than_it_should_have_is_sent_away() {
        let mut roster = roster();
        let mut wrong = roster.admit(&hello(NODE, OTHER_DATA)).expect("nobody said which data it has");
        roster.know(NODE, at("node:7000", Some(DATA)));
        assert!(is_closed(&mut wrong));
        check(&mut roster, DATA, Ok(()));
    }

    #[test]
    fn a_forgotten_node_comes_back_only_as_a_new_one_or_when_it_is_known_again() {
        let mut roster = roster();
        let mut admitted = roster.admit(&hello(NODE, DATA)).expect("the number is free");
        roster.forget(NODE);
        assert!(is_closed(&mut admitted));
        check(&mut roster, DATA, Err(HelloRefusal::Forgotten));
        check(&mut roster, OTHER_DATA, Ok(()));
        roster.forget(NODE);
        roster.know(NODE, at("node:7000", None));
        check(&mut roster, OTHER_DATA, Ok(()));
    }

    #[test]
    fn a_node_that_never_told_its_data_is_forgotten_with_any() {
        let mut roster = roster();
        roster.know(NODE, at("node:7000", None));
        roster.forget(NODE);
        check(&mut roster, DATA, Err(HelloRefusal::Forgotten));
        check(&mut roster, OTHER_DATA, Err(HelloRefusal::Forgotten));
    }

    #[test]
    fn a_node_moves_when_it_says_or_is_said_to_be_elsewhere() {
        let mut roster = roster();
        assert!(roster.know(NODE, at("elsewhere:7000", None)));
        assert!(!roster.know(NODE, at("elsewhere:7000", None)));
        assert!(roster.admit(&hello(NODE, DATA)).is_ok_and(|admitted| admitted.has_moved));
        assert!(roster.admit(&hello(NODE, DATA)).is_ok_and(|admitted| !admitted.has_moved));
        assert!(!roster.know(NODE, at("node:7000", Some(DATA))));
    }

    #[test]
    fn strangers_find_no_room_beyond_the_limit_and_known_nodes_do() {
        let mut roster = roster();
        roster.know(NodeId(2), at("two:7000", None));
        roster.know(NodeId(3), at("three:7000", None));
        check(&mut roster, DATA, Err(HelloRefusal::TooManyNodes));
        roster.know(NODE, at("node:7000", None));
        check(&mut roster, DATA, Ok(()));
    }
}
