//! What one leader knows: what it was granted, and what it has spent of that.

use crate::refunds::{Receipt, Refunds};
use crate::shard::{Entry, Proposal, Rights, Shard};
use crate::{Bounds, Protocol, Rule, Ticks};

/// The memory of one leadership.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Leader {
    /// Whether its leadership is the present one. It does not know.
    pub(crate) is_current: bool,
    /// How many ticks its clock is behind true time.
    pub(crate) late: Ticks,
    /// What it knows to be granted to it.
    pub(crate) rights: Rights,
    pub(crate) buckets: Vec<Bucket>,
    /// One at a time.
    pub(crate) in_flight: Option<InFlight>,
}

/// What a leader has proposed and has not heard of since.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum InFlight {
    /// It may commit, late or never.
    Proposed(Proposal),
    /// It is committed, and the leader does not know yet.
    Committed(Entry),
}

/// A bucket in a leader's memory.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Bucket {
    /// Up to where it counts as spent.
    arrival: Ticks,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) refunds: Refunds,
}

impl Leader {
    /// The memory of a leadership that begins.
    pub(crate) fn new(shard: &Shard, late: Ticks, protocol: &Protocol) -> Self {
        let bucket = |bucket| {
            let arrival = shard.start(bucket, protocol);
            Bucket { arrival, receipts: Vec::new(), refunds: Refunds::default() }
        };
        let rights = Rights::none(&protocol.bounds, -late);
        let buckets = (0..protocol.bounds.buckets).map(bucket).collect();
        Self { is_current: true, late, rights, buckets, in_flight: None }
    }

    /// The same, but against the rules: what was granted to the leadership before may be spent.
    pub(crate) fn heir(shard: &Shard, late: Ticks, protocol: &Protocol) -> Self {
        Self { rights: shard.granted.clone(), ..Self::new(shard, late, protocol) }
    }

    /// What it takes for the present.
    pub(crate) fn clock(&self) -> Ticks {
        -self.late
    }

    /// Where the interval ends that `units` would take now, if they fit and it has the right.
    pub(crate) fn end_of(&self, bucket: usize, units: Ticks, protocol: &Protocol) -> Option<Ticks> {
        let end = self.buckets[bucket].arrival.max(self.clock()) + units * protocol.bounds.interval;
        let fits = end - self.clock() <= protocol.bounds.tolerance();
        (fits && end <= self.right(bucket, protocol)).then_some(end)
    }

    fn right(&self, bucket: usize, protocol: &Protocol) -> Ticks {
        let Some(in_flight) = &self.in_flight else { return self.rights.of(bucket) };
        let entry = in_flight.entry();
        if !protocol.follows(Rule::GrantsAreCommitted) {
            self.rights.with(entry).of(bucket)
        } else if self.is_trim(entry, bucket) && protocol.follows(Rule::TrimmedCeilingsRest) {
            self.rights.horizon
        } else {
            self.rights.of(bucket)
        }
    }

    fn is_trim(&self, entry: &Entry, bucket: usize) -> bool {
        matches!(entry, Entry::Ceiling(of, at) if *of == bucket && *at < self.rights.ceilings[bucket])
    }

    /// Whether it has proposed to lower a ceiling.
    pub(crate) fn is_trimming(&self) -> bool {
        let trims =
            |in_flight: &InFlight| (0..self.buckets.len()).any(|bucket| self.is_trim(in_flight.entry(), bucket));
        self.in_flight.as_ref().is_some_and(trims)
    }

    /// Takes the interval that ends at `end`. Beyond what the bounds allow, nobody keeps the receipt.
    pub(crate) fn spend(&mut self, bucket: usize, units: Ticks, end: Ticks, bounds: &Bounds) {
        let kept: usize = self.buckets.iter().map(|bucket| bucket.receipts.len()).sum();
        let bucket = &mut self.buckets[bucket];
        bucket.arrival = end;
        if kept < bounds.receipts {
            let end = bucket.refunds.end_in_receipt(end);
            bucket.receipts.push(Receipt { end, units, taken: 0 });
        }
    }

    /// By how much giving back `units` of a receipt lowers the bucket.
    pub(crate) fn back(&self, bucket: usize, receipt: &Receipt, units: Ticks, protocol: &Protocol) -> Ticks {
        let all = units * protocol.bounds.interval;
        let ahead = self.buckets[bucket].refunds.end_now(receipt.end) - self.clock();
        if protocol.follows(Rule::RefundsAreCapped) { all.min(ahead.max(0)) } else { all }
    }

    /// Lowers the bucket by `back`, of the interval whose receipt names `end`.
    pub(crate) fn give_back(&mut self, bucket: usize, end: Ticks, back: Ticks, protocol: &Protocol) {
        let bucket = &mut self.buckets[bucket];
        bucket.arrival -= back;
        if protocol.follows(Rule::RefundsKnowHowFarTheyMoved) {
            bucket.refunds.note(end, back);
        }
    }

    /// Everything that it may ask its group for now.
    pub(crate) fn wants(&self, bounds: &Bounds) -> Vec<Entry> {
        let of_bucket = |bucket| [self.next_ceiling(bucket, bounds), self.trimmed_ceiling(bucket, bounds)];
        let of_buckets = (0..bounds.buckets).flat_map(of_bucket);
        of_buckets.chain([self.next_horizon(bounds)]).flatten().collect()
    }

    fn next_horizon(&self, bounds: &Bounds) -> Option<Entry> {
        let horizon = self.clock() + bounds.horizon_lead;
        (horizon > self.rights.horizon).then_some(Entry::Horizon(horizon))
    }

    /// It lasts for a request that is decided some ticks later, as long as these are not a unit.
    fn next_ceiling(&self, bucket: usize, bounds: &Bounds) -> Option<Entry> {
        let arrival = self.buckets[bucket].arrival;
        let by = self.clock() + bounds.interval - 1;
        let ceiling = (arrival.max(by) + bounds.grant * bounds.interval).min(by + bounds.tolerance());
        (ceiling > self.rights.of(bucket).max(arrival)).then_some(Entry::Ceiling(bucket, ceiling))
    }

    /// What is left of a ceiling is less than a unit, and is given up.
    fn trimmed_ceiling(&self, bucket: usize, bounds: &Bounds) -> Option<Entry> {
        let arrival = self.buckets[bucket].arrival;
        let left = self.rights.ceilings[bucket] - arrival;
        (1..bounds.interval).contains(&left).then_some(Entry::Ceiling(bucket, arrival))
    }

    pub(crate) fn proposal(&self, entry: Entry) -> Proposal {
        Proposal { stamp: self.clock(), entry }
    }

    /// What it has spent of every bucket.
    pub(crate) fn spent(&self) -> Entry {
        Entry::Spent(self.buckets.iter().map(|bucket| bucket.arrival).collect())
    }

    /// Learns that what it has proposed is committed.
    pub(crate) fn learn(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            self.rights.grant(in_flight.entry());
        }
    }

    /// Its leadership is over, and nobody tells it. What it has proposed is void from here on, so it is as good as lost.
    pub(crate) fn depose(&mut self, protocol: &Protocol) {
        self.is_current = false;
        if protocol.follows(Rule::EntriesOfThePastAreVoid) {
            self.in_flight.take_if(|in_flight| matches!(in_flight, InFlight::Proposed(_)));
        }
    }

    /// Whether anything is left that it may spend, or will know that it may.
    pub(crate) fn may_spend(&self) -> bool {
        let clock = self.clock();
        self.in_flight.is_some() || (0..self.buckets.len()).any(|bucket| self.rights.of(bucket) > clock)
    }

    pub(crate) fn pass(&mut self) {
        self.rights.pass();
        self.in_flight.iter_mut().for_each(InFlight::pass);
        self.buckets.iter_mut().for_each(Bucket::pass);
    }

    /// Forgets what makes no difference any more.
    pub(crate) fn forget(&mut self, protocol: &Protocol) {
        let clock = self.clock();
        self.rights.forget(clock);
        self.in_flight.iter_mut().for_each(|in_flight| in_flight.forget(protocol.past()));
        self.buckets.iter_mut().for_each(|bucket| bucket.forget(clock, protocol));
    }
}

impl InFlight {
    fn entry(&self) -> &Entry {
        match self {
            Self::Proposed(Proposal { entry, .. }) | Self::Committed(entry) => entry,
        }
    }

    fn pass(&mut self) {
        match self {
            Self::Proposed(proposal) => proposal.pass(),
            Self::Committed(entry) => entry.pass(),
        }
    }

    fn forget(&mut self, past: Ticks) {
        match self {
            Self::Proposed(proposal) => proposal.forget(past),
            Self::Committed(entry) => entry.forget(past),
        }
    }
}

impl Bucket {
    fn pass(&mut self) {
        self.arrival -= 1;
        self.refunds.pass();
        for receipt in &mut self.receipts {
            receipt.end -= 1;
            receipt.taken -= 1;
        }
    }

    /// What ended before `clock` is whole again; what it would give back is nothing.
    fn forget(&mut self, clock: Ticks, protocol: &Protocol) {
        self.arrival = self.arrival.max(clock);
        if protocol.follows(Rule::RefundsAreCapped) {
            self.receipts.retain(|receipt| self.refunds.end_now(receipt.end) > clock);
        }
        self.refunds.forget(&mut self.receipts);
    }
}
