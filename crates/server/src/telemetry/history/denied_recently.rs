//! Who was denied within the last minute.

use std::collections::{BTreeMap, VecDeque};

use tollgate_feedback::sample::{DeniedKey, Sample};

use crate::telemetry::denials::{MOST_KEYS, MOST_LIMITS, most};

/// The minute, in spans of this many seconds.
const SPAN_SECONDS: u64 = 10;
const SPANS: u64 = 6;

/// The most limits, and the most keys, that are told apart within a span. When there are more, those with the fewest denials are forgotten.
const MOST: usize = 200;

/// Denials of the last minute, to ten seconds.
pub(super) struct DeniedRecently(VecDeque<Span>);

#[derive(Default)]
struct Span {
    number: u64,
    limits: BTreeMap<String, u64>,
    keys: BTreeMap<(String, String), u64>,
}

impl DeniedRecently {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds the denials of a second, not before the one that was added last.
    pub(super) fn add(&mut self, now_s: u64, sample: &Sample) {
        let number = now_s / SPAN_SECONDS;
        self.0.retain(|span| is_recent(span, number));
        if self.0.back().is_none_or(|last| last.number < number) {
            self.0.push_back(Span { number, ..Span::default() });
        }
        if let Some(span) = self.0.back_mut() {
            span.add(sample);
        }
    }

    /// The limits that denied most.
    pub(super) fn limits(&self, now_s: u64) -> Vec<(String, u64)> {
        let spans = self.0.iter().filter(|span| is_recent(span, now_s / SPAN_SECONDS));
        most(summed(spans.map(|span| &span.limits)), MOST_LIMITS)
    }

    /// The keys that were denied most.
    pub(super) fn keys(&self, now_s: u64) -> Vec<DeniedKey> {
        let spans = self.0.iter().filter(|span| is_recent(span, now_s / SPAN_SECONDS));
        let keys = most(summed(spans.map(|span| &span.keys)), MOST_KEYS).into_iter();
        keys.map(|((limit, key), denials)| DeniedKey { limit, key, denials }).collect()
    }
}

fn is_recent(span: &Span, now: u64) -> bool {
    span.number + SPANS > now
}

impl Span {
    fn add(&mut self, sample: &Sample) {
        for (limit, denials) in &sample.denials {
            *self.limits.entry(limit.clone()).or_default() += denials;
        }
        for DeniedKey { limit, key, denials } in &sample.denied_keys {
            *self.keys.entry((limit.clone(), key.clone())).or_default() += denials;
        }
        shorten(&mut self.limits);
        shorten(&mut self.keys);
    }
}

fn shorten<K: Ord>(counts: &mut BTreeMap<K, u64>) {
    if counts.len() > MOST {
        *counts = most(std::mem::take(counts), MOST).into_iter().collect();
    }
}

fn summed<'a, K: Clone + Ord + 'a>(spans: impl Iterator<Item = &'a BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sum = BTreeMap::new();
    for (key, count) in spans.flatten() {
        *sum.entry(key.clone()).or_default() += count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &str, denials: u64) -> Sample {
        let denied = DeniedKey { limit: "search".to_owned(), key: key.to_owned(), denials };
        Sample { denials: [("search".to_owned(), denials)].into(), denied_keys: vec![denied], ..Sample::default() }
    }

    #[test]
    fn denials_are_remembered_for_a_minute() {
        let mut denied = DeniedRecently::new();
        (1..=100).for_each(|second| denied.add(second, &sample("a", 1)));
        // Five spans are whole, and the last has begun.
        assert_eq!(denied.limits(100), [("search".to_owned(), 51)]);
        assert_eq!(denied.keys(100)[0].denials, 51);
        assert_eq!(denied.limits(109), [("search".to_owned(), 51)]);
        assert_eq!(denied.limits(110), [("search".to_owned(), 41)]);
        assert_eq!(denied.limits(160), []);
    }

    #[test]
    fn of_many_keys_those_that_are_denied_most_stay() {
        let mut denied = DeniedRecently::new();
        for number in 0..10_000 {
            denied.add(1, &sample("heavy", 2));
            denied.add(1, &sample(&number.to_string(), 1));
        }
        assert!(denied.0.iter().all(|span| span.keys.len() <= MOST));
        assert_eq!((denied.keys(1)[0].key.as_str(), denied.keys(1)[0].denials), ("heavy", 20_000));
        assert_eq!(denied.keys(1).len(), MOST_KEYS);
    }
}
