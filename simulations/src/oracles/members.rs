//! Who looks at the cluster's nodes, at one that is in touch with the others, sees every change that was answered some seconds before,
//! and none that was not asked for.
//!
//! Changes of nodes are made in the order of group 0's log, and, unlike those of limits, wait for no node to know of them. While a
//! change is being made, or one that was not answered may still be made, either state may be seen.

use tollgate_cluster::NodeId;

use super::{GIVEN_UP_AFTER, Violation};
use crate::history::{Answer, Ask, History, Operation};
use crate::kernel::Ms;

/// How long after a change is answered every node knows of it that is in touch with the others.
const KNOWN_AFTER: Ms = 5_000;

/// What a node is to the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Serving,
    Draining,
    /// It is leaving, or has left.
    Removed,
}

/// A change of one node.
#[derive(Clone, Copy, Debug)]
struct Change {
    node: NodeId,
    to: Standing,
    sent: Ms,
    /// From when on it is known everywhere; `None` if it was not answered, or may have failed.
    known: Option<Ms>,
}

impl Change {
    fn of(operation: &Operation) -> Option<Self> {
        let (node, to) = match operation.ask {
            Ask::Drain { node, draining: true } => (node, Standing::Draining),
            Ask::Drain { node, draining: false } => (node, Standing::Serving),
            Ask::Remove { node } => (node, Standing::Removed),
            _ => return None,
        };
        let known = match operation.answered {
            Some((answered, Answer::Changed)) => Some(answered + KNOWN_AFTER),
            _ => None,
        };
        Some(Self { node, to, sent: operation.sent, known })
    }

    /// When nobody works on it any more.
    fn over(&self) -> Ms {
        self.known.unwrap_or(self.sent + GIVEN_UP_AFTER)
    }
}

/// Every look at the nodes that saw something else than what had to be there.
pub(super) fn judge(founders: u64, history: &History) -> Vec<Violation> {
    let changes: Vec<Change> = history.operations.iter().filter_map(Change::of).collect();
    let looks = history.operations.iter().enumerate().filter_map(|(index, operation)| match &operation.answered {
        Some((received, Answer::Nodes(nodes))) => Some((index, operation.sent, *received, nodes)),
        _ => None,
    });
    let wrong = looks.filter_map(|(index, sent, received, nodes)| {
        let changes: Vec<Change> = changes.iter().filter(|change| change.sent <= received).copied().collect();
        let how = (1..=founders).find_map(|node| wrong(node, sent, nodes, &changes))?;
        let how = format!("#{index}, of {sent}, saw {how}");
        Some(Violation { promise: "changes of nodes are seen", how })
    });
    wrong.collect()
}

/// Says what was seen of a node, if that cannot be.
fn wrong(node: NodeId, sent: Ms, seen: &[(NodeId, bool)], changes: &[Change]) -> Option<String> {
    let seen = match seen.iter().find(|(id, _)| *id == node) {
        None => Standing::Removed,
        Some((_, true)) => Standing::Draining,
        Some((_, false)) => Standing::Serving,
    };
    let of_node: Vec<&Change> = changes.iter().filter(|change| change.node == node).collect();
    let possible = possible(sent, &of_node);
    let fits = |to: &Standing| match to {
        // Who leaves is shown as if he drained until he is gone; and nobody who leaves stays because he is asked to.
        Standing::Removed => seen != Standing::Serving,
        other => *other == seen,
    };
    (!possible.iter().any(fits)).then(|| format!("node {node} {seen:?}, which had to be one of {possible:?}"))
}

/// What a node may be to who looks at `sent` or later.
fn possible(sent: Ms, changes: &[&Change]) -> Vec<Standing> {
    // A change that was known before another one was asked for, which was known before the look, is overwritten.
    let is_overwritten = |change: &Change| {
        let over = change.over();
        changes.iter().any(|later| later.sent > over && later.known.is_some_and(|known| known < sent))
    };
    let mut possible: Vec<Standing> =
        changes.iter().filter(|change| !is_overwritten(change)).map(|change| change.to).collect();
    let is_first_overwritten = changes.iter().any(|change| change.known.is_some_and(|known| known < sent));
    if !is_first_overwritten {
        possible.push(Standing::Serving);
    }
    // Who was asked to leave may have left, whatever was asked of him since.
    possible.extend(changes.iter().map(|change| change.to).find(|to| *to == Standing::Removed));
    possible
}
