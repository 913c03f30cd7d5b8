//! Requests over time, in a bounded number of bins.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tollgate_limiter::ShardTime;

use super::log_time;

/// The most bins. A terminal shows a tenth of it.
const MOST_BINS: i64 = 1_024;

const SECOND_NS: i64 = 1_000_000_000;

/// Widths of bins, in seconds. Each divides the next, so that bins can be joined, and people know them.
const WIDTHS_S: [i64; 14] = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 7 * 86_400];

/// Counts requests over time. How long that will be is not known before: bins begin a second wide, and are joined into wider
/// ones when there are too many.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Which of [`WIDTHS_S`]; beyond them, the last one doubled again and again.
    step: usize,
    /// By number: the bin that begins at `number × width`.
    bins: BTreeMap<i64, Bin>,
}

/// What happened during one bin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Bin {
    pub(super) allowed: u64,
    pub(super) denied: u64,
}

impl Bin {
    /// All that happened.
    pub(super) fn total(self) -> u64 {
        self.allowed + self.denied
    }

    fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
    }
}

impl Series {
    /// Counts a request.
    pub(super) fn count(&mut self, at: ShardTime, allowed: bool) {
        let number = at.nanos().div_euclid(SECOND_NS).div_euclid(self.width_s());
        let bin = Bin { allowed: u64::from(allowed), denied: u64::from(!allowed) };
        self.bins.entry(number).or_default().add(bin);
        while self.len() > MOST_BINS {
            *self = self.widened();
        }
    }

    /// The same with at most so many bins; 2 if fewer are asked for, since bins on two sides of 1970 are never joined.
    pub(super) fn within(&self, most: usize) -> Self {
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(2);
        let mut series = self.clone();
        while series.len() > most {
            series = series.widened();
        }
        series
    }

    /// How long a bin is, in seconds.
    pub(super) fn width_s(&self) -> i64 {
        width_s(self.step)
    }

    /// Every bin from the first to the last with its start, empty ones among them.
    pub(super) fn bins(&self) -> impl Iterator<Item = (ShardTime, Bin)> {
        let (first, _) = self.span().unwrap_or((0, 0));
        (first..first + self.len()).map(|number| {
            let start_s = number.saturating_mul(self.width_s());
            let start = ShardTime::from_nanos(start_s.saturating_mul(SECOND_NS));
            (start, self.bins.get(&number).copied().unwrap_or_default())
        })
    }

    /// How many bins there are from the first to the last.
    fn len(&self) -> i64 {
        self.span().map_or(0, |(first, last)| last - first + 1)
    }

    fn span(&self) -> Option<(i64, i64)> {
        Some((*self.bins.first_key_value()?.0, *self.bins.last_key_value()?.0))
    }

    /// The same in the next wider bins.
    fn widened(&self) -> Self {
        let step = self.step + 1;
        let joined = width_s(step) / self.width_s();
        let mut bins: BTreeMap<i64, Bin> = BTreeMap::new();
        for (number, bin) in &self.bins {
            bins.entry(number.div_euclid(joined)).or_default().add(*bin);
        }
        Self { step, bins }
    }
}

fn width_s(step: usize) -> i64 {
    let last = WIDTHS_S.len() - 1;
    WIDTHS_S[step.min(last)] << step.saturating_sub(last)
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bins: Vec<_> = self.bins().map(|(start, bin)| DatedBin { start: log_time::rfc3339(start), bin }).collect();
        let mut series = serializer.serialize_struct("Series", 2)?;
        series.serialize_field("bin_s", &self.width_s())?;
        series.serialize_field("bins", &bins)?;
        series.end()
    }
}

/// A bin and its start.
#[derive(Serialize)]
struct DatedBin {
    start: String,
    #[serde(flatten)]
    bin: Bin,
}
