//! The text that Prometheus reads, for what the exporter does not know.

use std::fmt::{Arguments, Write};

use crate::metric_names::Metric;

/// Appends what stands before the values of a metric: what it says, and of what kind it is.
pub(super) fn header(text: &mut String, metric: &Metric, kind: &str) {
    let Metric { name, help } = metric;
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

/// Appends a line.
pub(super) fn line(text: &mut String, line: Arguments<'_>) {
    writeln!(text, "{line}").expect("text takes whatever is written to it");
}
