//! `GET /v1/alerts`, `POST /v1/alerts/test`, `GET /v1/alerts/explain`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tollgate_api::{
    AlertSeverity, AlertsAnswer, ExplainAnswer, ExplainedMetric, FiringAlert, Problem, RecentAlert, TestAlertAnswer,
    TestAlertRequest, UndeliveredMessage, WaitingMessage, validate_labels,
};
use tollgate_cluster::{AlertOptions, Attempt};
use tollgate_feedback::alert::{
    Content, Hidden, Labels, Ledger, Message, Rule, Severity, Signal, Standing, Status, Subject,
};

use super::App;
use super::body::Json;
use super::place::Pairs;
use super::respond::{ProblemResponse, bad_field, not_found, problem};

/// How much of everything is shown.
const MOST_CURRENT: usize = 1_000;
const MOST_PAST: usize = 100;

/// The parameter of a query that names a rule; all others are labels.
const RULE: &str = "rule";

/// The alerts that fire and those that did lately, and what could not be told, or not yet.
#[utoipa::path(
    get, path = "/v1/alerts",
    responses((status = 200, description = "How the alerts of the cluster stand, as far as this node knows", body = AlertsAnswer))
)]
pub(super) async fn list(State(app): State<Arc<App>>) -> axum::Json<AlertsAnswer> {
    let options = app.node.alert_options();
    let evaluator = app.node.leader();
    let now_ms = app.node.alert_time_ms();
    axum::Json(app.node.read_alerts(|ledger| answer(ledger, &options, evaluator, now_ms)))
}

fn answer(ledger: &Ledger, options: &AlertOptions, evaluator: Option<u64>, now_ms: i64) -> AlertsAnswer {
    let hidden = ledger.hidden_at(now_ms);
    let firing = |(subject, standing)| firing(subject, standing, options, &hidden);
    let recent = ledger.over().rev().map(|over| RecentAlert {
        rule: over.subject.rule.clone(),
        labels: over.subject.labels.clone(),
        from_ms: over.from_ms,
        until_ms: over.until_ms,
    });
    let waiting = ledger.outbox().map(|(id, waiting)| WaitingMessage {
        id,
        receiver: waiting.message.receiver.clone(),
        rule: waiting.message.content.rule().map(str::to_owned),
        says: says(&waiting.message).to_owned(),
        written_ms: waiting.message.at_ms,
        attempts: waiting.attempts,
        due_ms: waiting.due_ms,
        may_have_arrived: waiting.may_have_arrived,
    });
    let undelivered = ledger.undelivered().rev().map(|undelivered| UndeliveredMessage {
        receiver: undelivered.message.receiver.clone(),
        rule: undelivered.message.content.rule().map(str::to_owned),
        says: says(&undelivered.message).to_owned(),
        written_ms: undelivered.message.at_ms,
        given_up_ms: undelivered.at_ms,
        reason: undelivered.reason.clone(),
    });
    AlertsAnswer {
        evaluator,
        firing: ledger.standing().take(MOST_CURRENT).map(firing).collect(),
        more_firing: ledger.standing().skip(MOST_CURRENT).count() as u64,
        recent: recent.take(MOST_PAST).collect(),
        waiting: waiting.take(MOST_CURRENT).collect(),
        more_waiting: ledger.outbox().skip(MOST_CURRENT).count() as u64,
        undelivered: undelivered.take(MOST_PAST).collect(),
        receivers: options.policy.receivers.clone(),
    }
}

fn firing(subject: &Subject, standing: &Standing, options: &AlertOptions, hidden: &Hidden<'_>) -> FiringAlert {
    let severity = options.rule(&subject.rule, standing.signal).map(|rule| rule.severity);
    FiringAlert {
        rule: subject.rule.clone(),
        metric: standing.signal.name().to_owned(),
        labels: subject.labels.clone(),
        severity: severity.map(alert_severity),
        value: standing.value,
        since_ms: standing.since_ms,
        flapping: standing.watch.flaps(),
        silenced_by: hidden.silenced_by(subject, severity.unwrap_or(Severity::Info)).collect(),
        inhibited_by: hidden.inhibited_by(subject).map(str::to_owned),
    }
}

fn says(message: &Message) -> &'static str {
    match &message.content {
        Content::Alerts(alerts) => match alerts.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
            Status::Flapping => "flapping",
        },
        Content::Undelivered { .. } => "undelivered",
        Content::Digest(_) => "digest",
        Content::Test => "test",
    }
}

fn alert_severity(severity: Severity) -> AlertSeverity {
    match severity {
        Severity::Info => AlertSeverity::Info,
        Severity::Warning => AlertSeverity::Warning,
        Severity::Error => AlertSeverity::Error,
        Severity::Critical => AlertSeverity::Critical,
    }
}

/// Has a receiver get a real message, marked as a test, at once and from the node that is asked.
#[utoipa::path(
    post, path = "/v1/alerts/test", request_body = TestAlertRequest,
    responses(
        (status = 200, description = "It arrived", body = TestAlertAnswer),
        (status = 400, description = "The request makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such receiver", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "The receiver is being tested already", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The receiver did not take it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    Json(request): Json<TestAlertRequest>,
) -> Result<axum::Json<TestAlertAnswer>, ProblemResponse> {
    let receiver = request.receiver;
    let AlertOptions { policy, .. } = app.node.alert_options();
    if !policy.receivers.contains(&receiver) {
        let known = if policy.receivers.is_empty() { "none".to_owned() } else { policy.receivers.join(", ") };
        return Err(not_found(format!("there is no receiver {receiver:?}; configured: {known}")));
    }
    let tested = app.alerting.test(&receiver, &app.node).await;
    let tested = tested.map_err(|error| problem(StatusCode::TOO_MANY_REQUESTS, format!("{receiver} {error}")));
    match tested.map_err(ProblemResponse)? {
        Attempt::Delivered { receipt } => Ok(axum::Json(TestAlertAnswer { receiver, receipt })),
        Attempt::Later { reason, .. } | Attempt::Never { reason } => {
            Err(ProblemResponse(problem(StatusCode::BAD_GATEWAY, reason)))
        }
    }
}

/// When an alert of a rule fires and who is told: which thresholds, timers, route and silences. `rule` names the rule, and all other
/// parameters are labels that the alert has.
#[utoipa::path(
    get, path = "/v1/alerts/explain",
    params(("rule" = String, Query, description = "The rule's name")),
    responses(
        (status = 200, description = "What becomes of such an alert", body = ExplainAnswer),
        (status = 400, description = "The query makes no sense", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such rule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Pairs(pairs): Pairs,
) -> Result<axum::Json<ExplainAnswer>, ProblemResponse> {
    let subject = subject(pairs)?;
    let options = app.node.alert_options();
    let of_name: Vec<&Rule> = options.rules.iter().filter(|rule| rule.name == subject.rule).collect();
    if of_name.is_empty() {
        let mut known: Vec<&str> = options.rules.iter().map(|rule| rule.name.as_str()).collect();
        known.dedup();
        return Err(not_found(format!("there is no rule {:?}; there are {}", subject.rule, known.join(", "))));
    }
    let now_ms = app.node.alert_time_ms();
    let metrics = app.node.read_alerts(|ledger| {
        let hidden = ledger.hidden_at(now_ms);
        let is_one_of_several = of_name.len() > 1;
        of_name.iter().map(|rule| explained(rule, &subject, is_one_of_several, &options, &hidden)).collect()
    });
    Ok(axum::Json(ExplainAnswer { rule: subject.rule, labels: subject.labels, metrics }))
}

/// What a query is about.
fn subject(pairs: Vec<(String, String)>) -> Result<Subject, ProblemResponse> {
    let (mut rule, mut labels) = (None, Labels::new());
    for (name, value) in pairs {
        let before = if name == RULE { rule.replace(value) } else { labels.insert(name.clone(), value) };
        if before.is_some() {
            return Err(bad_field(&name, "is given twice"));
        }
    }
    validate_labels(&labels).map_err(Problem::from)?;
    let rule = rule.ok_or_else(|| bad_field(RULE, "is missing: say which rule"))?;
    Ok(Subject { rule, labels })
}

fn explained(
    rule: &Rule,
    subject: &Subject,
    is_one_of_several: bool,
    options: &AlertOptions,
    hidden: &Hidden<'_>,
) -> ExplainedMetric {
    let signal = is_one_of_several.then(|| (Signal::LABEL.to_owned(), rule.signal.name().to_owned()));
    let labels: Labels = subject.labels.clone().into_iter().chain(signal).collect();
    let subject = Subject { rule: rule.name.clone(), labels };
    let (route, receivers) = options.policy.receivers_of(rule, &subject.labels);
    ExplainedMetric {
        metric: rule.signal.name().to_owned(),
        fire: rule.fire,
        clear: rule.clear,
        for_ms: rule.fires_after_ms.max(0).unsigned_abs(),
        keep_firing_for_ms: rule.keep_firing_for_ms.max(0).unsigned_abs(),
        severity: alert_severity(rule.severity),
        route: route.map(|route| route as u64),
        receivers,
        silenced_by: hidden.silenced_by(&subject, rule.severity).collect(),
        inhibited_by: hidden.inhibited_by(&subject).map(str::to_owned),
    }
}
