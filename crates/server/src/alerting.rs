//! Alerts as a node has them: what is configured, who is told, and the metrics of both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::sleep;
use tollgate_cluster::{Attempt, Clock, Courier, Delivery, Entropy, Fate, Node};
use tollgate_feedback::alert::Severity;
use tollgate_feedback::sample::{Requests, Sample};

use crate::config::Alerts;
use crate::environment::OsEntropy;
use crate::receivers::{Receivers, ReceiversError, Settings, test_message};
use crate::telemetry::{ReceiverKind, Samples, Telemetry};

/// The subscriber of the metric stream that the alerts are.
const SUBSCRIBER: &str = "alerts";

/// How long a receiver that was tested is left alone.
const TEST_PAUSE: Duration = Duration::from_secs(1);

/// Who is told, and what is counted of it.
pub(crate) struct Alerting {
    receivers: Receivers,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    /// Where people see more.
    client_url: Option<String>,
    /// Receivers that are being tested, or were a moment ago.
    tested: Arc<Mutex<BTreeSet<String>>>,
}

/// A receiver is being tested already, or was within the last second.
#[derive(Debug, thiserror::Error)]
#[error("is being tested already, or was a moment ago")]
pub(crate) struct TestedAlready;

impl Alerting {
    /// The receivers of a configuration; `client_url` is where people see more.
    ///
    /// # Errors
    /// A receiver that cannot be made.
    pub(crate) fn new(
        alerts: &Alerts,
        client_url: Option<String>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ReceiversError> {
        let receivers = Receivers::new(settings(alerts, client_url.clone(), Arc::clone(&clock)))?;
        Ok(Self { receivers, telemetry, clock, client_url, tested: Arc::default() })
    }

    /// Puts a new configuration in place of the present one.
    ///
    /// # Errors
    /// A receiver that cannot be made; then all stays as it is.
    pub(crate) fn reconfigure(&self, alerts: &Alerts, node: &Node) -> Result<(), ReceiversError> {
        self.receivers.replace(settings(alerts, self.client_url.clone(), Arc::clone(&self.clock)))?;
        node.configure_alerts(alerts.options());
        Ok(())
    }

    /// Has a receiver be told, by this node and at once, that it is tested.
    ///
    /// # Errors
    /// It is tested already, or was a moment ago.
    pub(crate) async fn test(&self, receiver: &str, node: &Node) -> Result<Attempt, TestedAlready> {
        if !locked(&self.tested).insert(receiver.to_owned()) {
            return Err(TestedAlready);
        }
        let attempt = self.test_now(receiver, node).await;
        let (tested, receiver) = (Arc::clone(&self.tested), receiver.to_owned());
        tokio::spawn(async move {
            sleep(TEST_PAUSE).await;
            locked(&tested).remove(&receiver);
        });
        Ok(attempt)
    }

    async fn test_now(&self, receiver: &str, node: &Node) -> Attempt {
        let id = format!("{:032x}-{}", node.cluster(), OsEntropy.bits() as u64);
        let message = test_message(receiver, node.alert_time_ms());
        self.receivers.deliver(Delivery { id, message, may_be_repeat: false }).await
    }

    /// Passes on what the node measures, and shows how the alerts stand, for as long as the node is there.
    pub(crate) fn watch(&self, node: &Arc<Node>) {
        let samples = self.telemetry.subscribe(SUBSCRIBER);
        tokio::spawn(pass_on(samples, Arc::downgrade(node), Arc::clone(&self.telemetry)));
    }
}

fn locked(tested: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    tested.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass_on(mut samples: Samples, node: Weak<Node>, telemetry: Arc<Telemetry>) {
    while let Some(sample) = samples.next().await
        && let Some(node) = node.upgrade()
    {
        node.observe(busy(&sample));
        show(&node, &telemetry);
    }
}

/// The sample without the endpoints at which nothing happened: what is absent counts as that.
fn busy(sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    sample.endpoints.retain(|_, requests| *requests != Requests::default());
    sample
}

/// Shows how the alerts stand where group 0 is led: elsewhere they would be counted once more.
fn show(node: &Node, telemetry: &Telemetry) {
    let options = node.alert_options();
    let is_leader = node.leader() == Some(node.number());
    let (mut firing, mut waiting) = (BTreeMap::<Severity, usize>::new(), 0);
    if is_leader {
        node.read_alerts(|ledger| {
            for (subject, standing) in ledger.standing() {
                let rule = options.rule(&subject.rule, standing.signal);
                *firing.entry(rule.map_or(Severity::Info, |rule| rule.severity)).or_default() += 1;
            }
            waiting = ledger.outbox().count();
        });
    }
    for severity in Severity::ALL {
        telemetry.alerts_firing(severity, firing.get(&severity).copied().unwrap_or(0));
    }
    telemetry.alert_messages_waiting(waiting);
}

fn settings(alerts: &Alerts, client_url: Option<String>, clock: Arc<dyn Clock>) -> Settings<'_> {
    Settings { receivers: &alerts.receivers, templates: alerts.templates(), client_url, clock }
}

/// The courier of a node: its receivers, each attempt counted.
pub(crate) struct CountedCourier(pub(crate) Arc<Alerting>);

impl Courier for CountedCourier {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt> {
        let kind = ReceiverKind::named(&delivery.message.receiver);
        let (delivering, telemetry) = (self.0.receivers.deliver(delivery), Arc::clone(&self.0.telemetry));
        let counted = async move {
            let attempt = delivering.await;
            if let Some(kind) = kind {
                telemetry.alert_message(kind, fate(&attempt));
            }
            attempt
        };
        counted.boxed()
    }
}

fn fate(attempt: &Attempt) -> Fate {
    match attempt {
        Attempt::Delivered { .. } => Fate::Arrived,
        Attempt::Later { .. } => Fate::Later,
        Attempt::Never { .. } => Fate::GivenUp,
    }
}
