//! The limits of a cluster, and which of them a request meets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Key, Limit, LimitName};

/// Number of a limit, given once and never again, so that a limit that is deleted and created anew starts afresh.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct LimitId(pub u32);

/// All limits, at one version.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Limits {
    version: u64,
    next_id: u32,
    by_name: BTreeMap<LimitName, (LimitId, Arc<Limit>)>,
}

/// A limit that a request meets, and the bucket of it.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The limit's number.
    pub id: LimitId,
    /// The limit.
    pub limit: Arc<Limit>,
    /// The bucket.
    pub key: Key,
}

impl Limits {
    /// Counts the changes: two equal versions of one cluster have equal limits.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The limit called `name`.
    pub fn get(&self, name: &str) -> Option<(LimitId, &Arc<Limit>)> {
        let name = LimitName::new(name).ok()?;
        self.by_name.get(&name).map(|(id, limit)| (*id, limit))
    }

    /// All limits in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (LimitId, &Arc<Limit>)> {
        self.by_name.values().map(|(id, limit)| (*id, limit))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Creates or replaces a limit. A replaced limit keeps its number, and so its buckets.
    pub fn put(&mut self, limit: Limit) {
        let fresh = LimitId(self.next_id);
        let entry = self.by_name.entry(limit.name.clone());
        let (id, present) = entry.or_insert_with(|| (fresh, Arc::new(limit.clone())));
        if *id == fresh {
            self.next_id += 1;
        } else {
            *present = Arc::new(limit);
        }
        self.version += 1;
    }

    /// Removes a limit; `false` when there is none of this name.
    pub fn remove(&mut self, name: &LimitName) -> bool {
        let removed = self.by_name.remove(name).is_some();
        self.version += u64::from(removed);
        removed
    }

    /// The limits that a request with this prefix and these labels meets, in the order of their names.
    ///
    /// `label` gives the value of a label, `endpoint` among them. A label that a limit counts by and the request lacks
    /// counts as a value of its own, so that leaving a label out does not evade the limit.
    pub fn matching<'a>(
        &'a self,
        prefix: &'a str,
        label: impl Fn(&str) -> Option<&'a str> + Copy + 'a,
    ) -> impl Iterator<Item = Matched> + 'a {
        self.by_name.values().filter(move |(_, limit)| limit.meets(prefix, label)).map(move |(id, limit)| Matched {
            id: *id,
            limit: Arc::clone(limit),
            key: limit.key(prefix, label),
        })
    }
}

impl Limit {
    /// Whether a request with this prefix and these labels counts.
    fn meets<'a>(&self, prefix: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.prefix.as_deref().is_none_or(|only| only == prefix)
            && self.selectors.iter().all(|selector| {
                label(&selector.label).is_some_and(|value| selector.any_of.iter().any(|pattern| pattern.matches(value)))
            })
    }

    /// The bucket of a request with this prefix and these labels.
    pub fn key<'a>(&self, prefix: &str, label: impl Fn(&str) -> Option<&'a str>) -> Key {
        Key::of_bucket(prefix, &self.name, self.by.iter().map(|name| label(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Consistency, OnUnavailable, Pace, Pattern, Selector};

    fn limit(name: &str, selectors: &[(&str, &[&str])], by: &[&str]) -> Limit {
        let selector = |(label, values): &(&str, &[&str])| Selector {
            label: (*label).to_owned(),
            any_of: values.iter().map(|value| Pattern::new(*value)).collect(),
        };
        Limit {
            name: LimitName::new(name).expect("a valid name"),
            prefix: None,
            selectors: selectors.iter().map(selector).collect(),
            by: by.iter().map(|label| (*label).to_owned()).collect(),
            algorithm: Algorithm::TokenBucket(Pace::new(1, 1_000, 1).expect("a legal pace")),
            consistency: Consistency::Exact,
            on_unavailable: OnUnavailable::Local,
            shadow: false,
            reservation_ttl_ns: 1,
        }
    }

    fn sample() -> Limits {
        let mut limits = Limits::default();
        limits.put(limit("global", &[], &[]));
        limits.put(limit("pro", &[("tier", &["pro"])], &["user"]));
        limits.put(limit("reports", &[("endpoint", &["reports/*", "export"])], &["user"]));
        limits.put(Limit { prefix: Some("batch".into()), ..limit("batch", &[], &[]) });
        limits
    }

    fn met(limits: &Limits, prefix: &str, labels: &[(&str, &str)]) -> Vec<String> {
        let label = |name: &str| labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value);
        limits.matching(prefix, label).map(|matched| matched.limit.name.to_string()).collect()
    }

    #[test]
    fn a_request_meets_the_limits_whose_every_selector_fits() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);
        let cases: [Case; 6] = [
            ("app", &[("endpoint", "users")], &["global"]),
            ("app", &[("endpoint", "users"), ("tier", "pro")], &["global", "pro"]),
            ("app", &[("endpoint", "reports/daily"), ("tier", "pro")], &["global", "pro", "reports"]),
            ("app", &[("endpoint", "export"), ("tier", "basic")], &["global", "reports"]),
            ("app", &[("endpoint", "reports")], &["global"]),
            ("batch", &[("endpoint", "users")], &["batch", "global"]),
        ];
        for (prefix, labels, expected) in cases {
            assert_eq!(met(&sample(), prefix, labels), expected, "{prefix} {labels:?}");
        }
    }

    #[test]
    fn leaving_out_the_label_that_a_limit_counts_by_shares_one_bucket() {
        let limits = sample();
        let (_, pro) = limits.get("pro").expect("it is in the sample");
        assert_eq!(pro.key("app", |_| None), pro.key("app", |_| None));
        assert_ne!(pro.key("app", |_| None), pro.key("app", |_| Some("")));
    }

    #[test]
    fn a_replaced_limit_keeps_its_number_and_a_recreated_one_does_not() {
        let mut limits = sample();
        let id = |limits: &Limits| limits.get("pro").expect("it is there").0;
        let before = id(&limits);
        limits.put(limit("pro", &[], &[]));
        assert_eq!(id(&limits), before);
        assert!(limits.remove(&LimitName::new("pro").expect("a valid name")));
        limits.put(limit("pro", &[], &[]));
        assert_ne!(id(&limits), before);
        assert_eq!(limits.version(), 7);
    }
}
