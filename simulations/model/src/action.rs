//! What may happen next.

use crate::{Entry, Ticks};

/// One step. Leaders, orphans, buckets and receipts go by their places in the state before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// A tick passes.
    Pass,
    /// A node takes over: the entry that says so is committed, and the node knows.
    TakeOver {
        /// How late its clock is.
        late: Ticks,
    },
    /// A leader proposes an entry.
    Propose {
        /// Who.
        leader: usize,
        /// What.
        entry: Entry,
    },
    /// What a leader has proposed commits.
    Commit {
        /// Whose proposal.
        leader: usize,
    },
    /// A leader learns that its proposal is committed.
    Learn {
        /// Who.
        leader: usize,
    },
    /// What was proposed by a leader that has crashed, or hands over, commits.
    CommitOrphan {
        /// Which proposal.
        orphan: usize,
    },
    /// A leader admits a request.
    Spend(Spend),
    /// A leader gives back.
    Refund(Refund),
    /// A leader stops spending, and proposes to hand over.
    HandOver {
        /// Who.
        leader: usize,
    },
    /// A leader loses its memory. What it has proposed may still commit.
    Crash {
        /// Who.
        leader: usize,
    },
    /// Only without [`crate::Rule::EarlierGrantsGiveNoRight`]: a node spends what was granted to the present leadership, beside it.
    Presume {
        /// How late its clock is.
        late: Ticks,
    },
    /// Only without [`crate::Rule::LatenessNeverShrinks`]: a leader's clock is set forward.
    CatchUp {
        /// Whose clock.
        leader: usize,
        /// How late it is from here on.
        late: Ticks,
    },
}

/// A request is admitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spend {
    /// By whom.
    pub leader: usize,
    /// From which bucket.
    pub bucket: usize,
    /// What it asked for.
    pub units: Ticks,
    /// Where the interval ends that it takes.
    pub end: Ticks,
}

/// Something is given back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refund {
    /// By whom.
    pub leader: usize,
    /// Who admitted it.
    pub of: usize,
    /// To which bucket.
    pub bucket: usize,
    /// Which of its receipts.
    pub receipt: usize,
    /// How many ticks of the axis come back.
    pub back: Ticks,
}
