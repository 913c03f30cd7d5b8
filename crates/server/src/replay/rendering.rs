//! A report as text.

use std::collections::BTreeMap;

use super::difference::{Difference, KeyDifference, LimitDifference};
use super::log_time;
use super::plot;
use super::report::{KeyReport, LimitReport, LogReport, Report, TrialReport};
use super::screen::Screen;
use super::table::{self, Column};

/// The most characters that the labels of a key take in a table. A user agent can have more than a line.
const MAX_LABELS_CHARS: usize = 48;

/// The text of a report; its lines end in line breaks.
pub(super) fn render(report: &Report, screen: Screen) -> String {
    let outcome = match (&report.against, &report.difference) {
        (Some(against), Some(difference)) => compared(&report.configuration, against, difference, screen),
        _ => single(&report.configuration, screen),
    };
    format!("{}\n{outcome}", log(&report.log))
}

fn log(log: &LogReport) -> String {
    let (first, last) = (log.first.0, log.last.0);
    let span = log_time::span(last.since(first));
    let (first, last) = (log_time::readable(first), log_time::readable(last));
    let mut text = format!("{}: {} requests in {span}, {first} to {last} UTC\n", log.file, log.requests);
    if let Some(damage) = &log.damage {
        text += &format!("damaged after line {}: {damage}; what came before is counted\n", log.lines);
    }
    if log.skipped > 0 {
        text += &format!("lines skipped, since they are no requests: {} of {}\n", log.skipped, log.lines);
        text.extend(log.skipped_lines.iter().map(|line| format!("  line {}: {}\n", line.line, line.problem)));
        text += if log.skipped > log.skipped_lines.len() as u64 { "  …\n" } else { "" };
    }
    if log.out_of_order > 0 {
        let late = log_time::span(log.most_late_ms.saturating_mul(1_000_000));
        text += &format!("logged up to {late} late, and counted at the time that was reached: {}\n", log.out_of_order);
        text += "  sorted by time, the log would have them counted at their own: fewer may be denied\n";
    }
    text
}

fn single(trial: &TrialReport, screen: Screen) -> String {
    let mut text = format!("{}: {}\n\n", trial.file, totals(trial));
    text += &limits(&trial.limits, screen);
    if !trial.most_denied.is_empty() {
        text += &format!("\nmost denied\n{}", keys(&trial.most_denied, screen));
    }
    format!("{text}\n{}", plot::draw(&trial.series, screen))
}

fn totals(trial: &TrialReport) -> String {
    let requests = trial.allowed + trial.denied + trial.refused;
    let share = |part| percent(part, requests);
    let (allowed, denied) = (share(trial.allowed), share(trial.denied));
    let refused = if trial.refused > 0 {
        format!(", {} refused ({}): max_buckets is reached", trial.refused, share(trial.refused))
    } else {
        String::new()
    };
    format!("{} allowed ({allowed}), {} denied ({denied}){refused}", trial.allowed, trial.denied)
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn limits(limits: &[LimitReport], screen: Screen) -> String {
    use Column::{Name, Number};
    if limits.is_empty() {
        return "no limits\n".to_owned();
    }
    let row = |limit: &LimitReport| {
        [
            limit.name.clone(),
            limit.matched.to_string(),
            limit.allowed.to_string(),
            limit.denied.to_string(),
            limit.shadow_denied.to_string(),
            distinct_keys(limit),
        ]
    };
    let columns = [
        Name("LIMIT"),
        Number("MATCHED"),
        Number("ALLOWED"),
        Number("DENIED"),
        Number("SHADOW DENIED"),
        Number("KEYS"),
    ];
    table::render(columns, limits.iter().map(row), screen.is_terminal)
}

fn distinct_keys(limit: &LimitReport) -> String {
    if limit.distinct_keys_exact { limit.distinct_keys.to_string() } else { format!("over {}", limit.distinct_keys) }
}

fn keys(keys: &[KeyReport], screen: Screen) -> String {
    use Column::{Name, Number};
    let row = |key: &KeyReport| {
        let worst = &key.worst_minute;
        [
            if key.shadow { format!("{} (shadow)", key.limit) } else { key.limit.clone() },
            labels(&key.labels),
            key.requests.to_string(),
            key.denied.to_string(),
            format!("{} at {}", worst.denied, log_time::readable_minute(worst.start.0)),
        ]
    };
    let columns = [Name("LIMIT"), Name("KEY"), Number("REQUESTS"), Number("DENIED"), Number("WORST MINUTE")];
    table::render(columns, keys.iter().map(row), screen.is_terminal)
}

/// `user=42 ip=192.0.2.7`; `-` for a limit with one bucket.
fn labels(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "-".to_owned();
    }
    let text = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MAX_LABELS_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn compared(first: &TrialReport, second: &TrialReport, difference: &Difference, screen: Screen) -> String {
    let mut text = format!("A  {}: {}\nB  {}: {}\n", first.file, totals(first), second.file, totals(second));
    let (second_only, first_only) = (difference.newly_allowed, difference.newly_denied);
    text += &format!("allowed under A only: {first_only}, under B only: {second_only}\n\n");
    text += &limit_differences(&difference.limits, screen);
    if !difference.keys.is_empty() {
        text += &format!("\nmost changed\n{}", key_differences(&difference.keys, screen));
    }
    format!("{text}\nA\n{}\nB\n{}", plot::draw(&first.series, screen), plot::draw(&second.series, screen))
}

fn limit_differences(limits: &[LimitDifference], screen: Screen) -> String {
    use Column::{Name, Number};
    if limits.is_empty() {
        return "no limits\n".to_owned();
    }
    let figure = |limit: &Option<LimitReport>, of: fn(&LimitReport) -> u64| match limit {
        Some(limit) => of(limit).to_string(),
        None => "-".to_owned(),
    };
    let row = |limit: &LimitDifference| {
        let (first, second) = (&limit.configuration, &limit.against);
        [
            limit.name.clone(),
            figure(first, |limit| limit.matched),
            figure(second, |limit| limit.matched),
            figure(first, |limit| limit.denied),
            figure(second, |limit| limit.denied),
            format!("{:+}", limit.denied_change),
            figure(first, |limit| limit.shadow_denied),
            figure(second, |limit| limit.shadow_denied),
        ]
    };
    let columns = [
        Name("LIMIT"),
        Number("MATCHED A"),
        Number("MATCHED B"),
        Number("DENIED A"),
        Number("DENIED B"),
        Number("CHANGE"),
        Number("SHADOW A"),
        Number("SHADOW B"),
    ];
    table::render(columns, limits.iter().map(row), screen.is_terminal)
}

fn key_differences(keys: &[KeyDifference], screen: Screen) -> String {
    use Column::{Name, Number};
    let row = |key: &KeyDifference| {
        [
            key.limit.clone(),
            labels(&key.labels),
            key.requests.to_string(),
            key.denied.to_string(),
            key.denied_against.to_string(),
            format!("{:+}", key.denied_change),
        ]
    };
    let columns =
        [Name("LIMIT"), Name("KEY"), Number("REQUESTS"), Number("DENIED A"), Number("DENIED B"), Number("CHANGE")];
    table::render(columns, keys.iter().map(row), screen.is_terminal)
}
