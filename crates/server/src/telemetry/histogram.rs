//! Histograms with fixed bounds, and their text.
//!
//! The exporter's histograms keep every observation until somebody moves them to their buckets; these are their buckets, so that an
//! observation costs two additions and nothing has to be moved.

use std::sync::atomic::{AtomicU64, Ordering};

use super::text::{header, line};
use crate::metric_names::Metric;

/// How the numbers of a histogram are counted and served.
pub(super) struct Scale {
    /// The least of what is counted, in what is served: 1e-9 where nanoseconds are counted and seconds served.
    pub(super) unit: f64,
    /// Upper bounds of all classes but the last, ascending, in what is counted.
    pub(super) bounds: &'static [u64],
}

/// Observations by their class.
pub(super) struct Histogram {
    scale: &'static Scale,
    classes: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What was observed: how often in each class, and all together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) classes: Vec<u64>,
    pub(super) sum: u64,
}

impl Histogram {
    /// One with nothing in it.
    pub(super) fn new(scale: &'static Scale) -> Self {
        let classes = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, classes, sum: AtomicU64::new(0) }
    }

    /// Adds an observation.
    pub(super) fn record(&self, value: u64) {
        let class = self.scale.bounds.partition_point(|bound| *bound < value);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Appends it as Prometheus reads it.
    pub(super) fn render(&self, metric: &Metric, text: &mut String) {
        render(metric, self.scale, [(None, self.counted())], text);
    }

    fn counted(&self) -> Counted {
        let classes = self.classes.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Counted { classes, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// A label's name and value.
pub(super) type LabelText<'a> = (&'a str, &'a str);

/// Appends histograms of one name as Prometheus reads them; no two have the same label.
pub(super) fn render<'a>(
    metric: &Metric,
    scale: &Scale,
    histograms: impl IntoIterator<Item = (Option<LabelText<'a>>, Counted)>,
    text: &mut String,
) {
    header(text, metric, "histogram");
    for (label, counted) in histograms {
        render_one(metric.name, scale, label, &counted, text);
    }
    text.push('\n');
}

fn render_one(name: &str, scale: &Scale, label: Option<LabelText<'_>>, counted: &Counted, text: &mut String) {
    let label = label.map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
    let with_bound = label.as_ref().map_or(String::new(), |label| format!("{label},"));
    let alone = label.map_or(String::new(), |label| format!("{{{label}}}"));
    let mut below = 0;
    for (bound, count) in scale.bounds.iter().zip(&counted.classes) {
        below += count;
        let bound = *bound as f64 * scale.unit;
        line(text, format_args!("{name}_bucket{{{with_bound}le=\"{}\"}} {below}", rounded(bound)));
    }
    let count: u64 = counted.classes.iter().sum();
    line(text, format_args!("{name}_bucket{{{with_bound}le=\"+Inf\"}} {count}"));
    line(text, format_args!("{name}_sum{alone} {}", counted.sum as f64 * scale.unit));
    line(text, format_args!("{name}_count{alone} {count}"));
}

/// A bound without the error of its conversion: nine decimals are a nanosecond.
fn rounded(bound: f64) -> f64 {
    (bound * 1e9).round() / 1e9
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCALE: Scale = Scale { unit: 1e-9, bounds: &[25_000, 500_000_000] };
    const METRIC: Metric = Metric { name: "taken_seconds", help: "How long." };

    #[test]
    fn the_text_counts_each_bucket_with_those_below_it() {
        let histogram = Histogram::new(&SCALE);
        [25_000, 25_001, 500_000_000, 2_000_000_000].into_iter().for_each(|value| histogram.record(value));
        let mut text = String::new();
        histogram.render(&METRIC, &mut text);
        let expected = "\
# HELP taken_seconds How long.
# TYPE taken_seconds histogram
taken_seconds_bucket{le=\"0.000025\"} 1
taken_seconds_bucket{le=\"0.5\"} 3
taken_seconds_bucket{le=\"+Inf\"} 4
taken_seconds_sum 2.500050001
taken_seconds_count 4

";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_label_stands_before_the_bound_with_what_is_special_escaped() {
        let counted = Counted { classes: vec![0, 0, 1], sum: 1_000_000_000 };
        let mut text = String::new();
        render(&METRIC, &SCALE, [(Some(("endpoint", "a\"\\\n")), counted)], &mut text);
        assert!(text.contains(r#"taken_seconds_bucket{endpoint="a\"\\\n",le="+Inf"} 1"#), "{text}");
        assert!(text.contains(r#"taken_seconds_count{endpoint="a\"\\\n"} 1"#), "{text}");
    }
}
