//! What the operating system says of this process: the figures that all exporters of Prometheus have for it.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::text::{header, line};
use crate::metric_names as names;
use crate::metric_names::Metric;

/// What `/proc/self/stat` says; fields 14, 15, 20, 22, 23 and 24 of proc(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// Since the machine booted.
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Appends all figures as Prometheus reads them; what cannot be read is not there.
pub(super) fn render(text: &mut String) {
    if let Some(stat) = read("/proc/self/stat").as_deref().and_then(Stat::parse) {
        stat.render(text);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is open only to list them.
        gauge(text, &names::PROCESS_OPEN_FDS, open.count().saturating_sub(1) as f64);
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        gauge(text, &names::PROCESS_MAX_FDS, limit as f64);
    }
}

fn gauge(text: &mut String, metric: &Metric, value: f64) {
    show(text, metric, "gauge", value);
}

fn show(text: &mut String, metric: &Metric, kind: &str, value: f64) {
    header(text, metric, kind);
    line(text, format_args!("{} {value}\n", metric.name));
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// When the machine booted, in seconds since 1970.
fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|seconds| seconds.trim().parse().ok())
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name, in parentheses, may have anything in it.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // What follows the name is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }

    fn render(&self, text: &mut String) {
        let ticks_per_second = clock_ticks_per_second() as f64;
        show(text, &names::PROCESS_CPU, "counter", self.cpu_ticks as f64 / ticks_per_second);
        gauge(text, &names::PROCESS_THREADS, self.threads as f64);
        gauge(text, &names::PROCESS_VIRTUAL, self.virtual_bytes as f64);
        gauge(text, &names::PROCESS_RESIDENT, (self.resident_pages * page_size() as u64) as f64);
        if let Some(booted) = read("/proc/stat").as_deref().and_then(boot_time) {
            gauge(text, &names::PROCESS_START, booted as f64 + self.started_ticks as f64 / ticks_per_second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_a_name_with_anything_in_it() {
        let text =
            "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 12345 4096000 250 18446744073709551615 1";
        let expected =
            Stat { cpu_ticks: 200, threads: 9, started_ticks: 12_345, virtual_bytes: 4_096_000, resident_pages: 250 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (tollgate"), None);
    }

    #[test]
    fn the_kernel_says_when_it_booted() {
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000));
        assert_eq!(boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let text = read("/proc/self/stat").expect("there is a /proc");
        assert!(Stat::parse(&text).is_some_and(|stat| stat.threads > 0 && stat.resident_pages > 0), "{text}");
    }
}
