//! The metrics of alerts and of the messages about them.

use metrics::{Counter, Gauge};
use tollgate_cluster::Fate;
use tollgate_feedback::alert::Severity;

use super::maker::Maker;
use crate::metric_names as names;

/// Kinds of receivers of messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReceiverKind {
    /// A channel of Slack.
    Slack,
    /// A service of PagerDuty.
    PagerDuty,
    /// Mail.
    Email,
    /// Whatever takes our own JSON.
    Webhook,
    /// An Alertmanager of Prometheus.
    Alertmanager,
}

impl ReceiverKind {
    const ALL: [Self; 5] = [Self::Slack, Self::PagerDuty, Self::Email, Self::Webhook, Self::Alertmanager];

    /// The kind of the receiver of this name, as the configuration has it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == name)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Email => "email",
            Self::Webhook => "webhook",
            Self::Alertmanager => "alertmanager",
        }
    }
}

const FATES: [Fate; 3] = [Fate::Arrived, Fate::Later, Fate::GivenUp];

fn label(fate: Fate) -> &'static str {
    match fate {
        Fate::Arrived => "delivered",
        Fate::Later => "later",
        Fate::GivenUp => "given_up",
    }
}

/// The metrics of alerts.
pub(super) struct AlertMetrics {
    firing: [Gauge; Severity::ALL.len()],
    messages: [[Counter; FATES.len()]; ReceiverKind::ALL.len()],
    dead_letters: Counter,
    waiting: Gauge,
    overlooked: Counter,
}

impl AlertMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let message = |receiver: ReceiverKind, fate: Fate| {
            maker.counter_of(&names::ALERT_MESSAGES, &[("receiver", receiver.label()), ("outcome", label(fate))])
        };
        let firing = |severity: Severity| maker.gauge_of(&names::ALERTS_FIRING, &[("severity", severity.name())]);
        Self {
            firing: Severity::ALL.map(firing),
            messages: ReceiverKind::ALL.map(|receiver| FATES.map(|fate| message(receiver, fate))),
            dead_letters: maker.counter(&names::ALERT_DEAD_LETTERS),
            waiting: maker.gauge(&names::ALERT_MESSAGES_WAITING),
            overlooked: maker.counter(&names::ALERTS_OVERLOOKED),
        }
    }

    pub(super) fn firing(&self, severity: Severity, alerts: usize) {
        self.firing[severity as usize].set(alerts as f64);
    }

    pub(super) fn message(&self, receiver: ReceiverKind, fate: Fate) {
        self.messages[receiver as usize][fate as usize].increment(1);
    }

    pub(super) fn given_up(&self) {
        self.dead_letters.increment(1);
    }

    pub(super) fn waiting(&self, messages: usize) {
        self.waiting.set(messages as f64);
    }

    pub(super) fn overlooked(&self, alerts: u64) {
        self.overlooked.increment(alerts);
    }
}
