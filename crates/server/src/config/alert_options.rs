//! What the configuration of alerts means to the one who raises them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate_cluster::AlertOptions;
use tollgate_feedback::alert::{DigestSchedule, Matcher, Policy, Route, Rule, Severity, Signal, Thresholds};

use super::{AlertRoute, AlertRule, Alerts};

/// For how long a rule of its own goes on firing by default: as long as a built-in one.
const KEEP_FIRING_FOR_MS: i64 = 60_000;

impl Alerts {
    /// The rules, built-in ones first, and who is told of what.
    #[must_use]
    pub fn options(&self) -> AlertOptions {
        AlertOptions { rules: self.all_rules(), policy: self.policy(), digest: self.digest() }
    }

    /// The lines that say what happened, by the names of the rules that have one of their own.
    pub(crate) fn templates(&self) -> BTreeMap<String, String> {
        let template = |(name, rule): (&String, &AlertRule)| Some((name.clone(), rule.template.clone()?));
        self.rules.iter().filter_map(template).collect()
    }

    /// The thresholds of the built-in rules.
    pub(super) fn thresholds(&self) -> Thresholds {
        Thresholds {
            error_rate: self.error_rate_threshold,
            queue_full: self.queue_full_threshold,
            circuit_trips: self.circuit_trips_threshold as f64,
            response_time: self.response_time_threshold as f64,
            batch_failures: self.batch_failure_threshold,
            redis_latency: self.redis_latency_threshold as f64,
            breaches: self.breaches_threshold as f64,
        }
    }

    fn all_rules(&self) -> Vec<Rule> {
        let mut rules = Rule::built_in(&self.thresholds());
        let built_in: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        for rule in &mut rules {
            if let Some(settings) = self.rules.get(&rule.name) {
                change(rule, settings);
            }
        }
        let own = self.rules.iter().filter(|(name, _)| !built_in.contains(name));
        rules.extend(own.filter_map(|(name, settings)| own_rule(name, settings)));
        let is_off = |rule: &Rule| self.rules.get(&rule.name).is_some_and(|settings| settings.enabled == Some(false));
        rules.retain(|rule| !is_off(rule));
        rules
    }

    fn digest(&self) -> Option<DigestSchedule> {
        let email = self.receivers.email.as_ref()?;
        // A time zone that does not exist is refused at the start.
        let time_zone = TimeZone::get(&email.time_zone).unwrap_or(TimeZone::UTC);
        Some(DigestSchedule { to: "email".to_owned(), at: email.digest_at?, time_zone })
    }

    fn policy(&self) -> Policy {
        Policy {
            receivers: self.receivers.names().into_iter().map(str::to_owned).collect(),
            routes: self.routes.iter().map(route).collect(),
        }
    }
}

/// Changes of a rule what the settings say. A built-in rule that clears where it fires still does when it fires elsewhere.
fn change(rule: &mut Rule, settings: &AlertRule) {
    if let Some(fire) = settings.fire {
        let clears_where_it_fires = rule.clear >= rule.fire;
        rule.clear = if clears_where_it_fires { fire } else { rule.clear.min(fire) };
        rule.fire = fire;
    }
    rule.clear = settings.clear.unwrap_or(rule.clear);
    rule.fires_after_ms = settings.fires_after.map_or(rule.fires_after_ms, millis);
    rule.keep_firing_for_ms = settings.keep_firing_for.map_or(rule.keep_firing_for_ms, millis);
    rule.severity = settings.severity.unwrap_or(rule.severity);
    if let Some(receivers) = &settings.receivers {
        rule.receivers.clone_from(receivers);
    }
}

/// A rule beside the built-in ones; `None` if it does not say what it looks at or when it fires, which is refused at the start.
fn own_rule(name: &str, settings: &AlertRule) -> Option<Rule> {
    let fire = settings.fire?;
    let mut rule = Rule {
        name: name.to_owned(),
        signal: Signal::named(settings.metric.as_deref()?)?,
        fire,
        clear: fire,
        fires_after_ms: 0,
        keep_firing_for_ms: KEEP_FIRING_FOR_MS,
        severity: Severity::Warning,
        receivers: Vec::new(),
    };
    change(&mut rule, settings);
    Some(rule)
}

fn route(route: &AlertRoute) -> Route {
    let matchers = route
        .matches
        .iter()
        .map(|(label, patterns)| Matcher { label: label.clone(), any_of: patterns.as_slice().to_vec() });
    Route { matchers: matchers.collect(), to: route.to.clone() }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
