//! When to try again, as a decision without clock or network.

use std::time::Duration;

use crate::Options;

/// What one call earns towards a repeat, of [`REPEAT_COST`]: repeats add at most a tenth to the
/// load in the long run.
const CALL_EARNS: u32 = 1;
/// What one repeat costs.
const REPEAT_COST: u32 = 10;
/// Most that can be saved up: enough for ten repeats in a row.
const MOST_SAVED: u32 = 10 * REPEAT_COST;
/// Doublings after which the pause no longer grows, to keep it from overflowing.
const MAX_DOUBLINGS: u32 = 6;

/// The budget for repeats, shared by all calls of a client, and the chance that spreads them.
#[derive(Debug)]
pub(crate) struct Retries {
    saved: u32,
    random: fastrand::Rng,
}

impl Retries {
    /// A full budget.
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self { saved: MOST_SAVED, random }
    }

    /// Counts a new call, which earns a part of a repeat.
    pub(crate) fn earn(&mut self) {
        self.saved = (self.saved + CALL_EARNS).min(MOST_SAVED);
    }

    /// How long to pause before the repeat that follows attempt number `attempt`, the first being
    /// 1. `None` if there are to be no more, or the budget is spent.
    ///
    /// The pause is even over everything up to the longest ("full jitter"): clients that failed
    /// together do not come back together.
    pub(crate) fn pause(&mut self, attempt: u32, options: &Options) -> Option<Duration> {
        if attempt >= options.attempts {
            return None;
        }
        self.saved = self.saved.checked_sub(REPEAT_COST)?;
        let doublings = attempt.saturating_sub(1).min(MAX_DOUBLINGS);
        let longest = options.backoff.saturating_mul(1 << doublings);
        Some(longest.mul_f64(self.random.f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options =
        Options { deadline: Duration::from_secs(1), attempts: 100, backoff: Duration::from_millis(50) };

    fn retries() -> Retries {
        Retries::new(fastrand::Rng::with_seed(7))
    }

    #[test]
    fn a_call_is_tried_as_often_as_asked_for() {
        for (attempts, repeats) in [(0, 0), (1, 0), (2, 1), (3, 2)] {
            let options = Options { attempts, ..OPTIONS };
            let mut retries = retries();
            let granted = (1..10).map_while(|attempt| retries.pause(attempt, &options)).count();
            assert_eq!(granted, repeats, "{attempts} attempts");
        }
    }

    #[test]
    fn repeats_stop_when_the_budget_is_spent_and_calls_earn_it_back() {
        let mut retries = retries();
        let granted = (0..20).filter_map(|_| retries.pause(1, &OPTIONS)).count();
        assert_eq!(granted, 10);
        (0..9).for_each(|_| retries.earn());
        assert_eq!(retries.pause(1, &OPTIONS), None);
        retries.earn();
        assert!(retries.pause(1, &OPTIONS).is_some());
    }

    #[test]
    fn an_idle_budget_holds_ten_repeats_and_no_more() {
        let mut retries = retries();
        (0..1000).for_each(|_| retries.earn());
        assert_eq!((0..20).filter_map(|_| retries.pause(1, &OPTIONS)).count(), 10);
    }

    #[test]
    fn pauses_use_the_whole_span_and_double() {
        for (attempt, longest_ms) in [(1, 50), (2, 100), (3, 200), (50, 3200)] {
            let pauses: Vec<_> = (0..100)
                .filter_map(|seed| Retries::new(fastrand::Rng::with_seed(seed)).pause(attempt, &OPTIONS))
                .collect();
            let longest = Duration::from_millis(longest_ms);
            assert!(pauses.iter().all(|pause| *pause <= longest), "attempt {attempt}");
            assert!(pauses.iter().any(|pause| *pause > longest * 9 / 10), "attempt {attempt}");
            assert!(pauses.iter().any(|pause| *pause < longest / 10), "attempt {attempt}");
        }
    }
}
