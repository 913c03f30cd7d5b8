//! Who is told of what.

use serde::{Deserialize, Serialize};

use super::{Labels, Rule, Severity};

/// The label that every alert has beside its own: its rule's name, and how bad it is.
const RULE_LABEL: &str = "rule";
const SEVERITY_LABEL: &str = "severity";

/// Receivers in the order in which one of them stands in where none of a rule's own is configured.
const STAND_INS: [&str; 5] = ["slack", "pagerduty", "webhook", "alertmanager", "email"];

/// Receivers that are told of everything where no route says otherwise: they route themselves.
const TOLD_OF_ALL: [&str; 2] = ["webhook", "alertmanager"];

/// A label, and values that fit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Matcher {
    /// The label's name; `rule` and `severity` are labels of every alert.
    pub label: String,
    /// The values, of which one must fit; `*` stands for any text.
    pub any_of: Vec<String>,
}

impl Matcher {
    /// Whether a value fits.
    #[must_use]
    pub fn fits(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.any_of.iter().any(|pattern| fits(pattern, value)))
    }
}

/// Who is told of the alerts that match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// All of which must fit; none: every alert.
    pub matchers: Vec<Matcher>,
    /// Who is told.
    pub to: Vec<String>,
}

/// Alerts of which nobody is to be told for a while.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Silence {
    /// All of which must fit; at least one.
    pub matchers: Vec<Matcher>,
    /// From when on, in Unix milliseconds.
    pub from_ms: i64,
    /// Until when, in Unix milliseconds.
    pub until_ms: i64,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
}

impl Silence {
    /// How many bytes its texts have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |matcher: &Matcher| matcher.label.len() + matcher.any_of.iter().map(String::len).sum::<usize>();
        self.author.len() + self.comment.len() + self.matchers.iter().map(of).sum::<usize>()
    }

    /// Whether it silences an alert now.
    #[must_use]
    pub fn silences(&self, rule: &str, severity: Severity, labels: &Labels, now_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms) && all_fit(&self.matchers, rule, severity, labels)
    }
}

/// The receivers that are configured, and who of them is told of what.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// The names of the receivers that there are.
    pub receivers: Vec<String>,
    /// Who is told, the first route that fits.
    pub routes: Vec<Route>,
}

impl Policy {
    /// Who is told of an alert of a rule, and the number of the route that says so; `None` if the rule does.
    #[must_use]
    pub fn receivers_of(&self, rule: &Rule, labels: &Labels) -> (Option<usize>, Vec<String>) {
        let fits = |route: &Route| all_fit(&route.matchers, &rule.name, rule.severity, labels);
        if let Some(index) = self.routes.iter().position(fits) {
            return (Some(index), self.configured(&self.routes[index].to));
        }
        let mut to = self.configured(&rule.receivers);
        if to.is_empty() {
            let stand_in = STAND_INS.into_iter().find(|name| self.has(name));
            to.extend(stand_in.map(str::to_owned));
        }
        let all = TOLD_OF_ALL.into_iter().filter(|name| self.has(name) && !to.iter().any(|told| told == name));
        to.extend(all.map(str::to_owned).collect::<Vec<_>>());
        (None, to)
    }

    fn configured(&self, names: &[String]) -> Vec<String> {
        names.iter().filter(|name| self.has(name)).cloned().collect()
    }

    /// Whether there is a receiver of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.receivers.iter().any(|receiver| receiver == name)
    }
}

fn all_fit(matchers: &[Matcher], rule: &str, severity: Severity, labels: &Labels) -> bool {
    matchers.iter().all(|matcher| {
        let value = match matcher.label.as_str() {
            RULE_LABEL => Some(rule),
            SEVERITY_LABEL => Some(severity.name()),
            label => labels.get(label).map(String::as_str),
        };
        matcher.fits(value)
    })
}

/// Whether a value fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, value: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == value };
    let Some(mut left) = value.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Signal;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a*a", "a", false),
            ("*a*", "bab", true),
            ("**", "x", true),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(fits(pattern, value), expected, "{pattern} and {value}");
        }
    }

    #[test]
    fn the_first_route_that_fits_says_who_is_told_and_else_the_rule() {
        let names = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let matcher = |label: &str, value: &str| Matcher { label: label.to_owned(), any_of: names(value) };
        let route = |label: &str, value: &str, to: &str| Route { matchers: vec![matcher(label, value)], to: names(to) };
        let routes = vec![
            route("severity", "critical", "pagerduty email"),
            route("endpoint", "search/*", "slack"),
            route("rule", "a b", "webhook"),
        ];
        let rule = |name: &str, severity, receivers: &str| Rule {
            name: name.to_owned(),
            signal: Signal::Breaches,
            fire: 0.0,
            clear: 0.0,
            fires_after_ms: 0,
            keep_firing_for_ms: 0,
            severity,
            receivers: names(receivers),
        };
        let of = |endpoint: &str| Labels::from([("endpoint".to_owned(), endpoint.to_owned())]);
        let all = "slack pagerduty email webhook alertmanager";
        let cases = [
            ("by severity", all, rule("x", Severity::Critical, "slack"), of("search/web"), Some(0), "pagerduty email"),
            ("by a label", all, rule("x", Severity::Info, "email"), of("search/web"), Some(1), "slack"),
            ("by the rule", all, rule("b", Severity::Info, "slack"), of("y"), Some(2), "webhook"),
            ("by none", all, rule("x", Severity::Info, "email"), of("y"), None, "email webhook alertmanager"),
            ("not configured", "slack", rule("x", Severity::Info, "pagerduty"), of("y"), None, "slack"),
            ("none configured", "", rule("x", Severity::Info, "pagerduty"), of("y"), None, ""),
            ("routed to one that is not configured", "slack", rule("b", Severity::Info, "slack"), of("y"), Some(2), ""),
        ];
        for (claim, receivers, rule, labels, route, to) in cases {
            let policy = Policy { receivers: names(receivers), routes: routes.clone() };
            assert_eq!(policy.receivers_of(&rule, &labels), (route, names(to)), "{claim}");
        }
    }

    #[test]
    fn a_silence_silences_what_fits_while_it_lasts() {
        let matchers = vec![Matcher { label: "rule".to_owned(), any_of: vec!["disk_*".to_owned()] }];
        let (author, comment) = ("eve".to_owned(), "known".to_owned());
        let silence = Silence { matchers, from_ms: 10, until_ms: 20, author, comment };
        let cases = [
            ("disk_full", 10, true),
            ("disk_full", 19, true),
            ("disk_full", 20, false),
            ("disk_full", 9, false),
            ("mode", 15, false),
        ];
        for (rule, now_ms, expected) in cases {
            assert_eq!(silence.silences(rule, Severity::Error, &Labels::new(), now_ms), expected, "{rule} at {now_ms}");
        }
    }
}
