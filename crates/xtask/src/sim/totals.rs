//! What many runs add up to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ended::Ended;

/// The sums over runs.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    runs: u64,
    failures: u64,
    requests: u64,
    admitted: u64,
    /// How often a node took a shard over.
    failovers: u64,
    simulated_ms: u64,
    /// How often each kind of fault was made.
    faults: BTreeMap<String, u64>,
}

impl Totals {
    /// A run ended. One that has no summary counts as a run and a failure only.
    pub(super) fn add(&mut self, ended: &Ended) {
        self.runs += 1;
        self.failures += u64::from(ended.has_failed());
        let Some(summary) = ended.summary() else { return };
        self.requests += summary.requests;
        self.admitted += summary.admitted;
        self.failovers += summary.takeovers;
        self.simulated_ms += summary.simulated_ms;
        for (kind, times) in &summary.faults {
            *self.faults.entry(kind.clone()).or_default() += times;
        }
    }

    /// How many runs there were.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// How many runs failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// The rows of a table, of runs that took this long on so many cores.
    pub(super) fn rows(&self, wall: Duration, cores: usize) -> Vec<[String; 2]> {
        let simulated_seconds = self.simulated_ms as f64 / 1000.0;
        let rate = simulated_seconds / wall.as_secs_f64();
        let counts = [
            ("seeds", self.runs),
            ("seeds that failed", self.failures),
            ("requests", self.requests),
            ("admitted", self.admitted),
            ("failovers", self.failovers),
            ("faults injected", self.faults.values().sum()),
        ];
        let faults = self.faults.iter().map(|(kind, times)| [format!("  {kind}"), times.to_string()]);
        let times = [
            ("seconds simulated".to_owned(), simulated_seconds),
            ("seconds of wall time".to_owned(), wall.as_secs_f64()),
            (format!("seconds simulated a second, on {cores} cores"), rate),
            ("seconds simulated a second and core".to_owned(), rate / cores as f64),
        ];
        let counts = counts.map(|(name, count)| [name.to_owned(), count.to_string()]).into_iter();
        counts.chain(faults).chain(times.map(|(name, seconds)| [name, format!("{seconds:.1}")])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ended::Summary;
    use super::*;

    fn summary(requests: u64, faults: &[(&str, u64)], violations: &[&str]) -> Summary {
        Summary {
            seed: 1,
            requests,
            admitted: requests / 2,
            takeovers: 3,
            simulated_ms: 30_000,
            faults: faults.iter().map(|(kind, times)| ((*kind).to_owned(), *times)).collect(),
            violations: violations.iter().map(|violation| (*violation).to_owned()).collect(),
        }
    }

    #[test]
    fn runs_add_up_and_those_without_a_summary_count_as_failures() {
        let mut totals = Totals::default();
        totals.add(&Ended::Clean(summary(100, &[("kill", 2), ("pause", 1)], &[])));
        totals.add(&Ended::Violated(summary(50, &[("kill", 1)], &["admission: 1 too many"])));
        totals.add(&Ended::Crashed { how: "exit status: 101".to_owned(), stderr: String::new() });
        totals.add(&Ended::TimedOut { limit: Duration::from_secs(120), stderr: String::new() });
        let expected = [
            ("seeds", "4"),
            ("seeds that failed", "3"),
            ("requests", "150"),
            ("admitted", "75"),
            ("failovers", "6"),
            ("faults injected", "4"),
            ("  kill", "3"),
            ("  pause", "1"),
            ("seconds simulated", "60.0"),
            ("seconds of wall time", "0.5"),
            ("seconds simulated a second, on 2 cores", "120.0"),
            ("seconds simulated a second and core", "60.0"),
        ];
        assert_eq!(
            totals.rows(Duration::from_millis(500), 2),
            expected.map(|(name, value)| [name, value].map(str::to_owned))
        );
    }
}
