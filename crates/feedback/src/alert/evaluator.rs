//! All rules on everything that they look at.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Change, Labels, Readings, Rule, Signal, Watch};

/// The label that tells the alerts of rules of one name from each other.
const SIGNAL_LABEL: &str = "signal";

/// The most things that are watched. What comes beyond is not, and is counted.
const MAX_WATCHED: usize = 20_000;

/// Which rule, and about what.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Subject {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub labels: Labels,
}

/// Something fired, or is over, or flaps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Transition {
    /// Of what.
    pub subject: Subject,
    /// What changed.
    pub change: Change,
    /// The signal that the rule looks at.
    pub signal: Signal,
    /// The value that changed it.
    pub value: f64,
    /// What its watch has seen, so that whoever evaluates next goes on from there.
    pub watch: Watch,
}

/// Watches everything by its rules.
#[derive(Debug)]
pub struct Evaluator {
    rules: Vec<Rule>,
    /// Of each rule the names of which there are several: those of its label.
    is_one_of_several: Vec<bool>,
    watches: BTreeMap<(usize, Labels), Watch>,
    /// How often something was not watched because there was too much.
    pub overlooked: u64,
}

impl Evaluator {
    /// Goes on from what stands, of which each was fired by one of these rules; what was fired by none of them is returned, and over.
    #[must_use]
    pub fn new(rules: Vec<Rule>, standing: impl IntoIterator<Item = (Subject, Watch)>) -> (Self, Vec<Subject>) {
        let count = |name: &str| {
            rules.iter().filter(|rule| rule.name == name).map(|rule| rule.signal).collect::<BTreeSet<_>>().len()
        };
        let is_one_of_several = rules.iter().map(|rule| count(&rule.name) > 1).collect();
        let mut evaluator = Self { rules, is_one_of_several, watches: BTreeMap::new(), overlooked: 0 };
        let mut unknown = Vec::new();
        for (subject, watch) in standing {
            match evaluator.rule_of(&subject) {
                Some((index, labels)) => drop(evaluator.watches.insert((index, labels), watch)),
                None => unknown.push(subject),
            }
        }
        (evaluator, unknown)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Looks at what all signals show now; returns what changed.
    pub fn evaluate(&mut self, now_ms: i64, readings: &Readings) -> Vec<Transition> {
        (0..self.rules.len()).flat_map(|index| self.evaluate_rule(index, now_ms, readings)).collect()
    }

    fn evaluate_rule(&mut self, index: usize, now_ms: i64, readings: &Readings) -> Vec<Transition> {
        let Some(values) = readings.get(&self.rules[index].signal) else { return Vec::new() };
        let watched = self.watches.range((index, Labels::new())..(index + 1, Labels::new()));
        let gone: Vec<Labels> =
            watched.map(|((_, labels), _)| labels).filter(|labels| !values.contains_key(*labels)).cloned().collect();
        let gone = gone.iter().map(|labels| (labels, Some(0.0)));
        let all: Vec<(&Labels, Option<f64>)> =
            values.iter().map(|(labels, value)| (labels, *value)).chain(gone).collect();
        all.into_iter().filter_map(|(labels, value)| self.look(index, labels, now_ms, value)).collect()
    }

    fn look(&mut self, index: usize, labels: &Labels, now_ms: i64, value: Option<f64>) -> Option<Transition> {
        let rule = &self.rules[index];
        let key = (index, labels.clone());
        let is_known = self.watches.contains_key(&key);
        if !is_known && value.is_none_or(|value| value <= rule.fire) {
            return None;
        }
        if !is_known && self.watches.len() >= MAX_WATCHED {
            self.overlooked = self.overlooked.saturating_add(1);
            return None;
        }
        let watch = self.watches.entry(key.clone()).or_default();
        let change = watch.look(now_ms, value, rule);
        let transition = change.map(|change| Transition {
            subject: Subject { rule: rule.name.clone(), labels: self.labels_of(index, labels) },
            change,
            signal: self.rules[index].signal,
            value: value.unwrap_or(0.0),
            watch: self.watches[&key].clone(),
        });
        if self.watches[&key].is_idle() {
            self.watches.remove(&key);
        }
        transition
    }

    /// What an alert of the rule is about.
    fn labels_of(&self, index: usize, labels: &Labels) -> Labels {
        let signal = self.rules[index].signal.name();
        let own = self.is_one_of_several[index].then(|| (SIGNAL_LABEL.to_owned(), signal.to_owned()));
        labels.clone().into_iter().chain(own).collect()
    }

    /// Which rule fired this, and on what.
    fn rule_of(&self, subject: &Subject) -> Option<(usize, Labels)> {
        let mut labels = subject.labels.clone();
        let signal = labels.remove(SIGNAL_LABEL);
        let mut rules = self.rules.iter().enumerate().filter(|(_, rule)| rule.name == subject.rule);
        let (index, _) = rules.find(|(_, rule)| signal.as_ref().is_none_or(|signal| signal == rule.signal.name()))?;
        Some((index, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Severity;

    fn rule(name: &str, signal: Signal, fire: f64) -> Rule {
        Rule {
            name: name.to_owned(),
            signal,
            fire,
            clear: fire,
            fires_after_ms: 0,
            keep_firing_for_ms: 0,
            severity: Severity::Error,
            receivers: Vec::new(),
        }
    }

    fn readings(values: &[(Signal, &str, Option<f64>)]) -> Readings {
        let mut readings = Readings::new();
        for (signal, node, value) in values {
            let labels = Labels::from([("node".to_owned(), (*node).to_owned())]);
            readings.entry(*signal).or_default().insert(labels, *value);
        }
        readings
    }

    fn text(transitions: &[Transition]) -> String {
        let each = transitions.iter().map(|Transition { subject, change, value, .. }| {
            let labels: Vec<&str> = subject.labels.values().map(String::as_str).collect();
            format!("{} {} {change:?} {value}", subject.rule, labels.join("/"))
        });
        each.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_thing_is_watched_by_itself_and_what_is_gone_is_over() {
        let rules = vec![
            rule("down", Signal::NodeDown, 0.5),
            rule("disk", Signal::DiskFull, 90.0),
            rule("disk", Signal::DiskFailed, 0.5),
        ];
        let (mut evaluator, unknown) = Evaluator::new(rules, []);
        assert!(unknown.is_empty());
        let steps = [
            (vec![(Signal::NodeDown, "1", Some(0.0)), (Signal::NodeDown, "2", Some(1.0))], "down 2 Fired 1"),
            (vec![(Signal::NodeDown, "1", Some(1.0)), (Signal::NodeDown, "2", Some(1.0))], "down 1 Fired 1"),
            (
                vec![(Signal::DiskFull, "1", Some(95.0)), (Signal::DiskFailed, "1", Some(1.0))],
                "disk 1/disk_full Fired 95, disk 1/disk_failed Fired 1",
            ),
            (vec![(Signal::NodeDown, "1", None)], "down 2 Resolved 0"),
            (
                vec![(Signal::NodeDown, "1", Some(0.0)), (Signal::DiskFull, "1", Some(90.0))],
                "down 1 Resolved 0, disk 1/disk_full Resolved 90",
            ),
        ];
        for (index, (values, expected)) in steps.into_iter().enumerate() {
            assert_eq!(text(&evaluator.evaluate(index as i64, &readings(&values))), expected, "step {index}");
        }
    }

    #[test]
    fn who_evaluates_next_goes_on_from_what_stands() {
        let rules = vec![
            rule("down", Signal::NodeDown, 0.5),
            rule("disk", Signal::DiskFull, 90.0),
            rule("disk", Signal::DiskFailed, 0.5),
        ];
        let (mut first, _) = Evaluator::new(rules.clone(), []);
        let firing =
            first.evaluate(0, &readings(&[(Signal::NodeDown, "2", Some(1.0)), (Signal::DiskFailed, "2", Some(1.0))]));
        let other = Subject { rule: "of another configuration".to_owned(), labels: Labels::new() };
        let standing = firing.into_iter().map(|transition| (transition.subject, transition.watch));
        let (mut second, unknown) = Evaluator::new(rules, standing.chain([(other.clone(), Watch::default())]));
        assert_eq!(unknown, [other]);
        let quiet = readings(&[(Signal::NodeDown, "2", Some(1.0)), (Signal::DiskFailed, "2", Some(0.0))]);
        assert_eq!(text(&second.evaluate(1, &quiet)), "disk 2/disk_failed Resolved 0");
    }

    #[test]
    fn only_so_much_is_watched_and_the_rest_is_counted() {
        let (mut evaluator, _) = Evaluator::new(vec![rule("down", Signal::NodeDown, 0.5)], []);
        let many: Vec<String> = (0..MAX_WATCHED + 7).map(|node| node.to_string()).collect();
        let values: Vec<_> = many.iter().map(|node| (Signal::NodeDown, node.as_str(), Some(1.0))).collect();
        assert_eq!(evaluator.evaluate(0, &readings(&values)).len(), MAX_WATCHED);
        assert_eq!(evaluator.overlooked, 7);
    }
}
