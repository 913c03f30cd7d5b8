//! Who denies, and who is denied: the limits that denied most, and the keys that were denied most, of the present second.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tollgate_feedback::sample::DeniedKey;
use tollgate_limiter::Limit;

use super::space_saving::SpaceSaving;
use super::striped::Striped;

/// Limits that a group of threads tells apart within a second: as many are counted exactly, and of more those that deny often.
const LIMITS: usize = 128;

/// Keys that a group of threads tells apart within a second. Whatever is more than one in so many of its denials is among them.
const KEYS: usize = 128;

/// The most limits that a sample has.
pub(super) const MOST_LIMITS: usize = 100;

/// The most keys that a sample has.
pub(super) const MOST_KEYS: usize = 64;

/// Denials that a group of threads looks at one by one within a second; of those beyond, one in [`SAMPLING`] is looked at, and counts as
/// so many.
const ONE_BY_ONE: u64 = 1_000;
const SAMPLING: u64 = 8;

/// The most of a key's text, in bytes.
const MAX_KEY_BYTES: usize = 256;

/// What a limit counts by and the request lacks.
const ABSENT: &str = "-";

/// The denials of the present second. Costs nothing where nothing is denied. In the worst case, when keys are as long as they can be, it
/// takes a third of a megabyte.
#[derive(Default)]
pub(super) struct Denials(Striped<Mutex<Stripe>>);

struct Stripe {
    limits: SpaceSaving<Option<Arc<Limit>>>,
    keys: SpaceSaving<Key>,
    /// Denials of keys since the second began.
    seen: u64,
}

#[derive(Default)]
struct Key {
    limit: Option<Arc<Limit>>,
    text: String,
}

/// The denials of a second.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Denied {
    pub(super) limits: BTreeMap<String, u64>,
    /// The one that was denied most first.
    pub(super) keys: Vec<DeniedKey>,
}

impl Default for Stripe {
    fn default() -> Self {
        Self { limits: SpaceSaving::new(LIMITS), keys: SpaceSaving::new(KEYS), seen: 0 }
    }
}

impl Denials {
    /// Counts that a limit denied a request with these labels.
    pub(super) fn denied<'a>(&self, limit: &Arc<Limit>, label: impl Fn(&str) -> Option<&'a str> + Copy) {
        self.0.mine().lock().unwrap_or_else(PoisonError::into_inner).denied(limit, label);
    }

    /// What was counted since this was last called.
    pub(super) fn take(&self) -> Denied {
        let mut limits = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for stripe in self.0.iter() {
            stripe.lock().unwrap_or_else(PoisonError::into_inner).take(&mut limits, &mut keys);
        }
        let keys = most(keys, MOST_KEYS).into_iter();
        let keys = keys.map(|((limit, key), denials)| DeniedKey { limit, key, denials }).collect();
        Denied { limits: most(limits, MOST_LIMITS).into_iter().collect(), keys }
    }
}

impl Stripe {
    fn denied<'a>(&mut self, limit: &Arc<Limit>, label: impl Fn(&str) -> Option<&'a str> + Copy) {
        // Kept alive by its counter, so that no other limit can have its address.
        let address = Arc::as_ptr(limit).addr() as u64;
        self.limits.offer(address, 1, |place| *place = Some(Arc::clone(limit)));
        let weight = self.weight();
        // Without labels to count by, all requests are of one key.
        if weight == 0 || limit.by.is_empty() {
            return;
        }
        self.keys.offer(hash(limit, label), weight, |place| {
            place.limit = Some(Arc::clone(limit));
            write_key(&mut place.text, limit, label);
        });
    }

    /// As how many the next denial counts, 0 if it is not looked at. Which ones are follows no pattern that requests might have, too.
    fn weight(&mut self) -> u64 {
        self.seen += 1;
        if self.seen <= ONE_BY_ONE {
            return 1;
        }
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
        let mut mixed = self.seen;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (mixed ^ (mixed >> 31)).is_multiple_of(SAMPLING) { SAMPLING } else { 0 }
    }

    fn take(&mut self, limits: &mut BTreeMap<String, u64>, keys: &mut BTreeMap<(String, String), u64>) {
        self.seen = 0;
        for (limit, denials) in self.limits.take() {
            *limits.entry(name(limit.as_ref())).or_default() += denials;
        }
        for (key, denials) in self.keys.take() {
            *keys.entry((name(key.limit.as_ref()), key.text)).or_default() += denials;
        }
    }
}

fn name(limit: Option<&Arc<Limit>>) -> String {
    limit.map(|limit| limit.name.to_string()).unwrap_or_default()
}

fn hash<'a>(limit: &Limit, label: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    limit.name.as_str().hash(&mut hasher);
    limit.by.iter().for_each(|name| label(name).hash(&mut hasher));
    hasher.finish()
}

/// The values of the labels that the limit counts by, in its order, with what cannot be printed replaced.
fn write_key<'a>(text: &mut String, limit: &Limit, label: impl Fn(&str) -> Option<&'a str>) {
    text.clear();
    for (index, name) in limit.by.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let characters = separator.chars().chain(label(name).unwrap_or(ABSENT).chars().map(printable));
        for character in characters {
            if text.len() + character.len_utf8() > MAX_KEY_BYTES {
                return;
            }
            text.push(character);
        }
    }
}

fn printable(character: char) -> char {
    // What is escaped by its number cannot be printed, or would change what stands before it.
    let is_odd = character.is_control() || character.escape_debug().len() > 2;
    if is_odd { char::REPLACEMENT_CHARACTER } else { character }
}

/// The greatest counts, the greatest first; of equal ones the first in order.
pub(super) fn most<K: Ord>(counts: BTreeMap<K, u64>, at_most: usize) -> Vec<(K, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(at_most);
    counts
}

#[cfg(test)]
mod tests {
    use tollgate_api::LimitDocument;

    use super::*;
    use crate::rules::limit_from_document;

    fn limit(name: &str, by: &[&str]) -> Arc<Limit> {
        let by = by.iter().map(|label| (*label).to_owned()).collect();
        let document = LimitDocument { name: name.to_owned(), by, requests_per_minute: Some(1), ..Default::default() };
        Arc::new(limit_from_document(&document).expect("a legal limit"))
    }

    fn key(limit: &str, key: &str, denials: u64) -> DeniedKey {
        DeniedKey { limit: limit.to_owned(), key: key.to_owned(), denials }
    }

    #[test]
    fn limits_and_keys_are_counted_and_then_forgotten() {
        let denials = Denials::default();
        let (search, global) = (limit("search", &["user", "plan"]), limit("global", &[]));
        for user in ["a", "b", "a"] {
            denials.denied(&search, |name| (name == "user").then_some(user));
            denials.denied(&global, |_| None);
        }
        let expected = Denied {
            limits: [("global".to_owned(), 3), ("search".to_owned(), 3)].into(),
            keys: vec![key("search", "a, -", 2), key("search", "b, -", 1)],
        };
        assert_eq!(denials.take(), expected);
        assert_eq!(denials.take(), Denied::default());
    }

    #[test]
    fn a_limit_that_was_replaced_is_one_with_its_successor() {
        let denials = Denials::default();
        for limit in [limit("search", &["user"]), limit("search", &["user"])] {
            denials.denied(&limit, |_| Some("a"));
        }
        assert_eq!(denials.take().keys, [key("search", "a", 2)]);
    }

    #[test]
    fn a_key_can_be_printed_and_has_at_most_256_bytes() {
        let long = "ü".repeat(200);
        for (value, expected) in [
            ("a\"b\\ü", "a\"b\\ü".to_owned()),
            ("a\nb\u{1b}[31m", "a\u{fffd}b\u{fffd}[31m".to_owned()),
            ("a\u{202e}b\u{0}", "a\u{fffd}b\u{fffd}".to_owned()),
            (&long, "ü".repeat(128)),
        ] {
            let mut text = "of another".to_owned();
            write_key(&mut text, &limit("search", &["user"]), |_| Some(value));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn one_key_among_a_hundred_thousand_random_ones_is_found_and_no_other_is_blamed() {
        let denials = Denials::default();
        let search = limit("search", &["user"]);
        for number in 0..100_000 {
            let user = if number % 20 == 0 { "heavy".to_owned() } else { format!("{number}") };
            denials.denied(&search, |_| Some(&user));
        }
        let denied = denials.take();
        assert_eq!(denied.limits, [("search".to_owned(), 100_000)].into());
        assert!(denied.keys.len() <= MOST_KEYS);
        let heavy = &denied.keys[0];
        assert_eq!(heavy.key, "heavy");
        assert!((4_000..=6_000).contains(&heavy.denials), "{}", heavy.denials);
        assert!(denied.keys[1..].iter().all(|key| key.denials <= 4 * SAMPLING), "{:?}", denied.keys);
    }

    #[test]
    fn a_sample_has_so_many_limits_at_most() {
        let denials = Denials::default();
        (0..1_000).for_each(|number| denials.denied(&limit(&format!("l{number}"), &["user"]), |_| Some("a")));
        let denied = denials.take();
        assert_eq!((denied.limits.len(), denied.keys.len()), (MOST_LIMITS, MOST_KEYS));
    }
}
