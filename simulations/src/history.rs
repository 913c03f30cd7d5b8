//! What clients asked, and what they were told, with the times at which they did.

use tollgate_cluster::NodeId;

use crate::kernel::Ms;

/// Everything that was asked.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) node: NodeId,
    /// Which of the node's processes, counted from 1.
    pub(crate) process: u64,
    pub(crate) sent: Ms,
    /// When it was answered, and what.
    pub(crate) answered: Option<(Ms, Answer)>,
    pub(crate) ask: Ask,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Units for a user of an endpoint, for whose turn the request waits this long.
    Acquire { endpoint: &'static str, user: u64, cost: u64, patience: Ms },
    /// To settle what another operation, the one with this index, was given.
    Settle { acquired: usize, actual: u64 },
    /// To make the limit `changing` that of this version.
    Change { version: u64 },
    /// To have a node lead nothing, or lead again.
    Drain { node: NodeId, draining: bool },
    /// To remove a node.
    Remove { node: NodeId },
    /// Which nodes there are, and which of them drain.
    Look,
}

/// What was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Whether the request may pass.
    Verdict(Told),
    /// It was settled.
    Settled,
    /// It was settled before.
    SettledBefore,
    /// The change holds.
    Changed,
    /// The nodes, each with whether it drains or leaves; told by a node that knows that it knows the latest.
    Nodes(Vec<(NodeId, bool)>),
    /// It could not be done, for this reason; whether something was done is not known.
    Failed(String),
}

/// The verdict on a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) allowed: bool,
    pub(crate) degraded: bool,
    /// Each limit that the request met.
    pub(crate) limits: Vec<ToldOfLimit>,
}

/// What a limit says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToldOfLimit {
    pub(crate) name: String,
    /// What its buckets hold, by which versions of `changing` are told from each other.
    pub(crate) capacity: u64,
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) retry_after_ns: i64,
}

impl History {
    /// Notes that something is asked; returns its index.
    pub(crate) fn ask(&mut self, (node, process): (NodeId, u64), sent: Ms, ask: Ask) -> usize {
        self.operations.push(Operation { node, process, sent, answered: None, ask });
        self.operations.len() - 1
    }

    /// Notes an answer.
    pub(crate) fn answer(&mut self, index: usize, received: Ms, answer: Answer) {
        self.operations[index].answered = Some((received, answer));
    }
}

impl Operation {
    /// Whether it was told that a reservation is settled.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.answered, Some((_, Answer::Settled | Answer::SettledBefore)))
    }

    /// The verdict on it, and when it was told.
    pub(crate) fn verdict(&self) -> Option<(Ms, &Told)> {
        match self.answered.as_ref()? {
            (received, Answer::Verdict(told)) => Some((*received, told)),
            _ => None,
        }
    }
}
