//! All rules on everything that they look at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Change, Labels, Readings, Rule, Signal, Watch};

/// The most things that are watched by one rule. What comes beyond is not, and is counted.
const MAX_WATCHED: usize = 10_000;

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
    rules: Vec<Watched>,
    /// How often something was not watched because there was too much.
    pub overlooked: u64,
}

/// A rule, and what is watched by it.
#[derive(Debug)]
struct Watched {
    rule: Rule,
    /// Whether there are rules of this name for other signals.
    is_one_of_several: bool,
    watches: BTreeMap<Labels, Watch>,
}

impl Evaluator {
    /// Goes on from what stands, each by which signal and as it was watched; what none of these rules would say is over, and returned
    /// as such. No two rules have the same name and signal.
    #[must_use]
    pub fn new(
        rules: Vec<Rule>,
        standing: impl IntoIterator<Item = (Subject, Signal, Watch)>,
        now_ms: i64,
    ) -> (Self, Vec<Transition>) {
        let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let watched = |rule: Rule| Watched {
            is_one_of_several: names.iter().filter(|name| **name == rule.name).count() > 1,
            rule,
            watches: BTreeMap::new(),
        };
        let mut evaluator = Self { rules: rules.into_iter().map(watched).collect(), overlooked: 0 };
        let mut unknown = Vec::new();
        for (subject, signal, watch) in standing {
            let of = evaluator.rules.iter_mut().find_map(|watched| Some((watched.said_of(&subject, signal)?, watched)));
            match of {
                Some((labels, watched)) => drop(watched.watches.insert(labels, watch.gone_on_with(now_ms))),
                None => {
                    let watch = Watch::default();
                    unknown.push(Transition { subject, change: Change::Resolved, signal, value: 0.0, watch });
                }
            }
        }
        (evaluator, unknown)
    }

    /// Looks at what all signals show now; returns what changed.
    pub fn evaluate(&mut self, now_ms: i64, readings: &Readings) -> Vec<Transition> {
        let overlooked = &mut self.overlooked;
        self.rules.iter_mut().flat_map(|watched| watched.evaluate(now_ms, readings, overlooked)).collect()
    }
}

impl Watched {
    fn evaluate(&mut self, now_ms: i64, readings: &Readings, overlooked: &mut u64) -> Vec<Transition> {
        let Some(values) = readings.values.get(&self.rule.signal) else { return Vec::new() };
        let is_partial = readings.partial.contains(&self.rule.signal);
        let gone: Vec<Labels> = self.watches.keys().filter(|labels| !values.contains_key(*labels)).cloned().collect();
        let gone = gone.iter().map(|labels| (labels, Some(0.0)));
        let all = values.iter().map(|(labels, value)| (labels, *value)).chain(gone);
        // What is missing could only make it more.
        let is_sure = |value: f64| !is_partial || value > self.rule.fire;
        let sure: Vec<_> = all.map(|(labels, value)| (labels, value.filter(|value| is_sure(*value)))).collect();
        sure.into_iter().filter_map(|(labels, value)| self.look(labels, now_ms, value, overlooked)).collect()
    }

    fn look(&mut self, labels: &Labels, now_ms: i64, value: Option<f64>, overlooked: &mut u64) -> Option<Transition> {
        let is_known = self.watches.contains_key(labels);
        if !is_known && value.is_none_or(|value| value <= self.rule.fire) {
            return None;
        }
        if !is_known && self.watches.len() >= MAX_WATCHED {
            *overlooked = overlooked.saturating_add(1);
            return None;
        }
        let watch = self.watches.entry(labels.clone()).or_default();
        let change = watch.look(now_ms, value, &self.rule);
        let (is_idle, watch) = (watch.is_idle(), change.map(|_| watch.clone()));
        if is_idle {
            self.watches.remove(labels);
        }
        let (change, watch) = (change?, watch?);
        let subject = Subject { rule: self.rule.name.clone(), labels: self.labels_of(labels) };
        Some(Transition { subject, change, signal: self.rule.signal, value: value.unwrap_or(0.0), watch })
    }

    /// What an alert of the rule is about.
    fn labels_of(&self, labels: &Labels) -> Labels {
        let signal = self.rule.signal.name();
        let own = self.is_one_of_several.then(|| (Signal::LABEL.to_owned(), signal.to_owned()));
        labels.clone().into_iter().chain(own).collect()
    }

    /// What this rule looked at when it said this; `None` if it would not say it so.
    fn said_of(&self, subject: &Subject, signal: Signal) -> Option<Labels> {
        let mut labels = subject.labels.clone();
        if self.is_one_of_several {
            labels.remove(Signal::LABEL);
        }
        let is_of_it = self.rule.name == subject.rule && self.rule.signal == signal;
        (is_of_it && self.labels_of(&labels) == subject.labels).then_some(labels)
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

    /// One rule of one signal, and one name of two.
    fn rules() -> Vec<Rule> {
        vec![
            rule("down", Signal::NodeDown, 0.5),
            rule("disk", Signal::DiskFull, 90.0),
            rule("disk", Signal::DiskFailed, 0.5),
        ]
    }

    fn readings(values: &[(Signal, &str, Option<f64>)]) -> Readings {
        let mut readings = Readings::default();
        for (signal, node, value) in values {
            let labels = Labels::from([("node".to_owned(), (*node).to_owned())]);
            readings.values.entry(*signal).or_default().insert(labels, *value);
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
        let (mut evaluator, unknown) = Evaluator::new(rules(), [], 0);
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
        let (mut first, _) = Evaluator::new(rules(), [], 0);
        let firing =
            first.evaluate(0, &readings(&[(Signal::NodeDown, "2", Some(1.0)), (Signal::DiskFailed, "2", Some(1.0))]));
        let standing = firing.into_iter().map(|transition| (transition.subject, transition.signal, transition.watch));
        let subject = |rule: &str, labels: &[(&str, &str)]| Subject {
            rule: rule.to_owned(),
            labels: labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
        };
        let others = [
            (subject("of another configuration", &[]), Signal::Mode, Watch::default()),
            (subject("disk", &[("node", "2")]), Signal::DiskFull, Watch::default()),
            (subject("down", &[("node", "3")]), Signal::DiskFull, Watch::default()),
        ];
        let (mut second, unknown) = Evaluator::new(rules(), standing.chain(others), 1);
        assert_eq!(text(&unknown), "of another configuration  Resolved 0, disk 2 Resolved 0, down 3 Resolved 0");
        let quiet = readings(&[(Signal::NodeDown, "2", Some(1.0)), (Signal::DiskFailed, "2", Some(0.0))]);
        assert_eq!(text(&second.evaluate(1, &quiet)), "disk 2/disk_failed Resolved 0");
    }

    #[test]
    fn only_so_much_is_watched_and_the_rest_is_counted() {
        let (mut evaluator, _) = Evaluator::new(vec![rule("down", Signal::NodeDown, 0.5)], [], 0);
        let many: Vec<String> = (0..MAX_WATCHED + 7).map(|node| node.to_string()).collect();
        let values: Vec<_> = many.iter().map(|node| (Signal::NodeDown, node.as_str(), Some(1.0))).collect();
        assert_eq!(evaluator.evaluate(0, &readings(&values)).len(), MAX_WATCHED);
        assert_eq!(evaluator.overlooked, 7);
    }

    #[test]
    fn what_is_only_partly_known_may_fire_and_ends_nothing() {
        let (mut evaluator, _) = Evaluator::new(vec![rule("down", Signal::NodeDown, 0.5)], [], 0);
        let partly = |values: &[(Signal, &str, Option<f64>)]| Readings {
            partial: [Signal::NodeDown].into(),
            ..readings(values)
        };
        let both = [(Signal::NodeDown, "1", Some(1.0)), (Signal::NodeDown, "2", Some(0.0))];
        assert_eq!(text(&evaluator.evaluate(0, &partly(&both))), "down 1 Fired 1");
        assert_eq!(text(&evaluator.evaluate(1, &partly(&both[1..]))), "");
        assert_eq!(text(&evaluator.evaluate(2, &readings(&both[1..]))), "down 1 Resolved 0");
    }
}
