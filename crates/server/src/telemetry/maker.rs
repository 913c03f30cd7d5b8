//! Makes handles, each described.

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::metric_names::Metric;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Makes handles. What it made is there from then on, at 0.
pub(super) struct Maker(PrometheusRecorder);

impl Maker {
    pub(super) fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// What shows all that is made.
    pub(super) fn handle(&self) -> PrometheusHandle {
        self.0.handle()
    }

    pub(super) fn counter(&self, metric: &Metric) -> Counter {
        self.counter_of(metric, &[])
    }

    /// A counter with labels: their names and values.
    pub(super) fn counter_of(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Counter {
        self.0.describe_counter(metric.name.into(), None, metric.help.into());
        let counter = self.0.register_counter(&key(metric, labels), &METADATA);
        counter.increment(0);
        counter
    }

    pub(super) fn gauge(&self, metric: &Metric) -> Gauge {
        self.gauge_of(metric, &[])
    }

    /// A gauge with labels: their names and values.
    pub(super) fn gauge_of(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.describe_gauge(metric.name.into(), None, metric.help.into());
        let gauge = self.0.register_gauge(&key(metric, labels), &METADATA);
        gauge.set(0.0);
        gauge
    }
}

fn key(metric: &Metric, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(metric.name, labels)
}
