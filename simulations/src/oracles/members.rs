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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked and answered, one after the other: a change of node 2, or a look that sees it drain or not.
    fn history(operations: &[(Ms, Ask, Ms, Answer)]) -> History {
        let operation = |(sent, ask, received, answer): &(Ms, Ask, Ms, Answer)| Operation {
            process: 1,
            node: 1,
            sent: *sent,
            answered: Some((*received, answer.clone())),
            ask: ask.clone(),
        };
        History { operations: operations.iter().map(operation).collect() }
    }

    #[test]
    fn whoever_looks_later_sees_what_was_changed_and_nothing_else() {
        let drain = |sent, received, answer| (sent, Ask::Drain { node: 2, draining: true }, received, answer);
        let look = |sent, drains| (sent, Ask::Look, sent + 1, Answer::Nodes(vec![(1, false), (2, drains)]));
        let failed = Answer::Failed("no leader".to_owned());
        let cases = [
            ("nothing was changed", vec![look(10, false)], 0),
            ("it drains, and nobody asked for that", vec![look(10, true)], 1),
            ("not seen at once", vec![drain(0, 100, Answer::Changed), look(3_000, false)], 0),
            ("seen at once", vec![drain(0, 100, Answer::Changed), look(200, true)], 0),
            ("never seen", vec![drain(0, 100, Answer::Changed), look(6_000, false)], 1),
            ("seen later", vec![drain(0, 100, Answer::Changed), look(6_000, true)], 0),
            ("it may have been made", vec![drain(0, 100, failed.clone()), look(6_000, true)], 0),
            ("it need not have been made", vec![drain(0, 100, failed), look(6_000, false)], 0),
            ("it is gone", vec![(10, Ask::Look, 11, Answer::Nodes(vec![(1, false)]))], 1),
        ];
        for (claim, operations, violations) in cases {
            assert_eq!(judge(2, &history(&operations)).len(), violations, "{claim}");
        }
    }
}
