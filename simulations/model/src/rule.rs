//! The rules that exactness rests on.

/// A rule of the protocol. Without it, some bucket admits more than its limit allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// What an earlier leader may spend of any bucket, up to the horizon, counts as spent once another has taken over.
    HorizonCountsAsSpent,
    /// What an earlier leader may spend of one bucket, up to its ceiling, counts as spent once another has taken over.
    CeilingsCountAsSpent,
    /// A leader spends nothing of a grant before it knows that it is committed.
    GrantsAreCommitted,
    /// A new leader spends nothing before it has taken over: what was granted to the leadership before is no right of its own. Once
    /// it has taken over this cannot go wrong, because all of that counts as spent.
    EarlierGrantsGiveNoRight,
    /// An entry of a leadership that is over changes nothing, whenever it commits (`with_leader` in openraft, the number of the
    /// leadership in the limiter's commands).
    EntriesOfThePastAreVoid,
    /// A leader that was started anew takes over again, even if nobody else has led meanwhile: it has forgotten what it spent. That
    /// consensus calls it the leader is no reason to spend.
    RestartTakesOver,
    /// While an entry is on its way that lowers a bucket's ceiling, nothing is spent by that ceiling.
    TrimmedCeilingsRest,
    /// A refund gives back at most what has not refilled.
    RefundsAreCapped,
    /// A refund gives back only what was spent in its own leadership, so no bucket falls below where it stood at the takeover.
    RefundsAreOfThisLeadership,
    /// A refund finds its interval where earlier refunds have moved it.
    RefundsKnowHowFarTheyMoved,
    /// The clock of a new leader begins at the last stamp or later.
    ClockNeverGoesBack,
    /// A clock that is late stays so: as long as it leads, and in whoever continues from its stamps. Setting it forward refills what
    /// was spent by it.
    LatenessNeverShrinks,
    /// A leader that hands over spends nothing any more when it says what it has spent.
    HandoverStopsSpending,
    /// A handover says what was spent of each bucket before it gives up the horizon.
    HandoverCommitsArrivals,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 14] = [
        Self::HorizonCountsAsSpent,
        Self::CeilingsCountAsSpent,
        Self::GrantsAreCommitted,
        Self::EarlierGrantsGiveNoRight,
        Self::EntriesOfThePastAreVoid,
        Self::RestartTakesOver,
        Self::TrimmedCeilingsRest,
        Self::RefundsAreCapped,
        Self::RefundsAreOfThisLeadership,
        Self::RefundsKnowHowFarTheyMoved,
        Self::ClockNeverGoesBack,
        Self::LatenessNeverShrinks,
        Self::HandoverStopsSpending,
        Self::HandoverCommitsArrivals,
    ];
}
