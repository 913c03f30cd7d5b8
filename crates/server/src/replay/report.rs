//! The figures of a replay as one document: what `--json` prints and what the text is made of.
//!
//! Fields may be added to version 1 of the schema; none is renamed or given another meaning.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tollgate_limiter::ShardTime;

use super::difference::Difference;
use super::journal::Journal;
use super::log_time;
use super::series::Series;
use super::tally::{KeyTally, LimitTally, Tally};
use super::trial::Trial;

/// So many keys are named in a report.
pub(super) const NAMED_KEYS: usize = 10;

/// The most bins of a series: as many as the widest plot has columns.
const MOST_BINS: usize = 100;

const SCHEMA_VERSION: u32 = 1;

const NANOS_A_MILLISECOND: i64 = 1_000_000;

/// What a replay found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema_version: u32,
    pub(super) log: LogReport,
    pub(super) configuration: TrialReport,
    /// Only when two configurations are compared.
    pub(super) against: Option<TrialReport>,
    /// Only when two configurations are compared.
    pub(super) difference: Option<Difference>,
}

/// The log, whatever the limits say.
#[derive(Debug, Serialize)]
pub(super) struct LogReport {
    pub(super) file: String,
    /// Lines that were read.
    pub(super) lines: u64,
    /// Lines that are requests.
    pub(super) requests: u64,
    /// Lines that are not.
    pub(super) skipped: u64,
    /// The first of these.
    pub(super) skipped_lines: Vec<SkippedLine>,
    /// Requests with an earlier time than one before them, which count at the time that was reached.
    pub(super) out_of_order: u64,
    /// How much earlier at most, in milliseconds.
    pub(super) most_late_ms: i64,
    /// The earliest time of a request.
    pub(super) first: Time,
    /// The latest.
    pub(super) last: Time,
    /// Why the log could not be read to its end.
    pub(super) damage: Option<String>,
}

/// A line that is not a request.
#[derive(Debug, Serialize)]
pub(super) struct SkippedLine {
    /// Its number, from 1.
    pub(super) line: u64,
    pub(super) problem: String,
}

/// What one configuration did.
#[derive(Debug, Serialize)]
pub(super) struct TrialReport {
    pub(super) file: String,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    /// The part of the requests that was denied, 0 to 1.
    pub(super) denied_share: f64,
    /// Requests that a node with this `max_buckets` refuses with 503, because it holds as many buckets as it may.
    pub(super) refused: u64,
    /// In the order of their names.
    pub(super) limits: Vec<LimitReport>,
    /// The buckets with most denials, shadow ones among them.
    pub(super) most_denied: Vec<KeyReport>,
    pub(super) series: Series,
}

/// What one limit did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LimitReport {
    pub(super) name: String,
    pub(super) shadow: bool,
    /// Requests that met it.
    pub(super) matched: u64,
    /// Requests that it let pass; another limit may have denied them.
    pub(super) allowed: u64,
    /// Requests that it denied.
    pub(super) denied: u64,
    /// Requests that it would have denied if it were not in shadow.
    pub(super) shadow_denied: u64,
    pub(super) distinct_keys: u64,
    /// Whether there are no more than that.
    pub(super) distinct_keys_exact: bool,
}

/// What happened to one bucket.
#[derive(Debug, Serialize)]
pub(super) struct KeyReport {
    pub(super) limit: String,
    pub(super) shadow: bool,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) requests: u64,
    pub(super) denied: u64,
    pub(super) worst_minute: WorstMinute,
}

/// The minute of UTC with most denials.
#[derive(Debug, Serialize)]
pub(super) struct WorstMinute {
    pub(super) start: Time,
    pub(super) denied: u64,
}

/// An instant, in JSON as RFC 3339 has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) ShardTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&log_time::rfc3339(self.0))
    }
}

impl Report {
    /// The report of one configuration on the log called `file`.
    pub(super) fn new(file: String, journal: Journal, trial: &Trial) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            log: LogReport::new(file, journal),
            configuration: TrialReport::new(trial),
            against: None,
            difference: None,
        }
    }

    /// The same with a second configuration, and how it differs.
    pub(super) fn compared(self, against: &Trial, difference: Difference) -> Self {
        Self { against: Some(TrialReport::new(against)), difference: Some(difference), ..self }
    }
}

impl LogReport {
    fn new(file: String, journal: Journal) -> Self {
        let (first, last) = journal.span.unwrap_or_default();
        let skipped =
            |(line, problem): (u64, super::log_line::LineProblem)| SkippedLine { line, problem: problem.to_string() };
        Self {
            file,
            lines: journal.lines,
            requests: journal.lines - journal.skipped,
            skipped: journal.skipped,
            skipped_lines: journal.named.into_iter().map(skipped).collect(),
            out_of_order: journal.out_of_order,
            most_late_ms: journal.most_late_ns / NANOS_A_MILLISECOND,
            first: Time(first),
            last: Time(last),
            damage: journal.damage,
        }
    }
}

impl TrialReport {
    fn new(trial: &Trial) -> Self {
        let tally = &trial.tally;
        Self {
            file: trial.file.clone(),
            allowed: tally.allowed,
            denied: tally.denied,
            denied_share: tally.denied as f64 / tally.requests().max(1) as f64,
            refused: tally.refused,
            limits: tally.limits.values().map(LimitReport::new).collect(),
            most_denied: most_denied(tally),
            series: tally.series.within(MOST_BINS),
        }
    }
}

impl LimitReport {
    pub(super) fn new(tally: &LimitTally) -> Self {
        let shadow = tally.limit.shadow;
        Self {
            name: tally.limit.name.to_string(),
            shadow,
            matched: tally.matched,
            allowed: tally.matched - tally.denied,
            denied: if shadow { 0 } else { tally.denied },
            shadow_denied: if shadow { tally.denied } else { 0 },
            distinct_keys: tally.keys.len() as u64,
            distinct_keys_exact: !tally.overflowed,
        }
    }
}

impl KeyReport {
    /// The report of a bucket, if it was ever denied.
    fn new(limit: &LimitTally, key: &KeyTally) -> Option<Self> {
        let denials = key.denials.as_ref()?;
        Some(Self {
            limit: limit.limit.name.to_string(),
            shadow: limit.limit.shadow,
            labels: denials.labels.clone(),
            requests: key.requests,
            denied: denials.count,
            worst_minute: WorstMinute { start: Time(denials.worst.start), denied: denials.worst.denied },
        })
    }
}

fn most_denied(tally: &Tally) -> Vec<KeyReport> {
    let of_limit = |limit| LimitTally::denied_keys(limit).map(move |key| (limit, key));
    let mut keys: Vec<(&LimitTally, &KeyTally)> = tally.limits.values().flat_map(of_limit).collect();
    let labels = |key: &KeyTally| key.denials.as_ref().map(|denials| denials.labels.clone());
    keys.sort_by_cached_key(|(limit, key)| (u64::MAX - key.denied(), limit.limit.name.clone(), labels(key)));
    keys.into_iter().take(NAMED_KEYS).filter_map(|(limit, key)| KeyReport::new(limit, key)).collect()
}
