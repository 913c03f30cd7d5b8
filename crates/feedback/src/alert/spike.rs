//! Whether a rate is unusual against its own history: a cumulative sum (Page, "Continuous inspection schemes", Biometrika 1954) of its
//! distance from an exponentially weighted mean, in standard deviations.

/// So many values are learned from before anything is unusual: 30 minutes of one value every ten seconds.
pub(crate) const WARM_UP: u32 = 180;

/// How fast history is forgotten: half of it in about an hour of one value every ten seconds, so that the hours of a day are usual.
const FORGETTING: f64 = 0.002;

/// By how many standard deviations a value may be above the mean, again and again, without being unusual. Half of the usual slack of
/// one lets a day that is busier at noon alarm.
const SLACK: f64 = 2.0;

/// The most that one value adds, so that a single one is no spike.
const MOST: f64 = 8.0;

/// The sum above which it is a spike: four values far above all history, or twenty that are three deviations above the mean.
pub(crate) const FIRE: f64 = 20.0;

/// The sum is not greater than this, so that it is over soon after the spike is.
pub(crate) const CEILING: f64 = 2.0 * FIRE;

/// The smallest deviation, as a share of the mean, and in units: a rate that was constant is not unusual when it is one more.
const LEAST_SHARE: f64 = 0.1;
const LEAST: f64 = 1.0;

/// The history of one rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spike {
    seen: u32,
    mean: f64,
    variance: f64,
    sum: f64,
}

impl Spike {
    /// How unusual the rate is: 0 as usual, above 20 a spike. 0 during the warm-up.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.sum
    }

    /// Takes the next value; returns the [score](Self::score).
    pub fn next(&mut self, value: f64) -> f64 {
        if !value.is_finite() {
            return self.sum;
        }
        if self.seen >= WARM_UP {
            let deviation = self.variance.sqrt().max(self.mean * LEAST_SHARE).max(LEAST);
            let excess = ((value - self.mean) / deviation - SLACK).min(MOST);
            self.sum = (self.sum + excess).clamp(0.0, CEILING);
        }
        // In the beginning every value counts alike.
        let weight = FORGETTING.max(1.0 / f64::from(self.seen.saturating_add(1)));
        let distance = value - self.mean;
        self.mean += weight * distance;
        self.variance = (1.0 - weight) * (self.variance + weight * distance * distance);
        self.seen = self.seen.saturating_add(1);
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rate that goes up and down by a tenth, as often as this.
    fn usual(values: usize) -> impl Iterator<Item = f64> {
        (0..values).map(|index| 100.0 + 10.0 * (f64::from((index % 7) as u8) - 3.0) / 3.0)
    }

    /// So many days, each with a noon and a night.
    fn days(days: u32) -> Vec<f64> {
        let steps = 8_640;
        let value = |step: u32| {
            let hour = f64::from(step) / f64::from(steps) * std::f64::consts::TAU;
            let jitter = f64::from(step * 7_919 % 101) / 1_000.0 - 0.05;
            100.0 * (1.0 + 0.6 * hour.sin()) * (1.0 + jitter)
        };
        (0..days * steps).map(value).collect()
    }

    /// The history of so many usual values.
    fn learned_from(values: usize) -> Spike {
        let mut spike = Spike::default();
        for value in usual(values) {
            spike.next(value);
        }
        spike
    }

    /// The greatest score of these values, after those of half an hour or more that were learned from.
    fn greatest(learned: usize, values: impl IntoIterator<Item = f64>) -> f64 {
        let mut spike = learned_from(learned);
        values.into_iter().map(|value| spike.next(value)).fold(0.0, f64::max)
    }

    #[test]
    fn a_rate_far_above_its_history_is_a_spike_and_any_other_is_not() {
        let cases = [
            ("as usual", 200, usual(1_000).collect(), false),
            ("three times as much, for half a minute", 200, vec![300.0; 3], true),
            ("a single value", 200, vec![10_000.0], false),
            ("half as much again, for five minutes", 200, vec![150.0; 30], true),
            ("less", 200, vec![0.0; 100], false),
            ("during the warm-up", 100, vec![300.0; 79], false),
            ("slowly more", 200, (0..2_000).map(|index| 100.0 + f64::from(index) / 100.0).collect(), false),
            ("a day that is busier at noon, and the next", 200, days(2), false),
            ("no number", 200, vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY], false),
        ];
        for (claim, learned, values, is_spike) in cases {
            let score = greatest(learned, values);
            assert_eq!(score > FIRE, is_spike, "{claim}: {score}");
        }
    }

    #[test]
    fn a_spike_is_over_soon_and_a_new_level_is_learned() {
        let mut spike = learned_from(200);
        assert!([300.0; 100].map(|value| spike.next(value))[99] > FIRE);
        assert!(usual(60).map(|value| spike.next(value)).any(|score| score == 0.0), "over in ten minutes");
        let learned = (0..20_000).map(|_| spike.next(200.0)).skip(19_000).fold(0.0, f64::max);
        assert!(learned < FIRE, "the new level is usual: {learned}");
    }
}
