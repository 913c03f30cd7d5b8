//! From alerts and silences to text.

use reqwest::StatusCode;
use tollgate_api::{
    AlertSeverity, AlertsAnswer, ExplainAnswer, ExplainedMetric, FiringAlert, RecentAlert, SilenceAnswer, SilenceList,
    TestAlertAnswer, UndeliveredMessage, WaitingMessage,
};

use super::{NOTHING, Rendered, done, duration, or_nothing, pairs};
use crate::Error;
use crate::command::{AlertsArguments, AlertsCommand, Verdict, table};
use crate::reply::Reply;

/// What `alerts` prints.
pub(super) fn render(arguments: &AlertsArguments, reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    match arguments.command() {
        AlertsCommand::List => Ok(list(&reply.answer()?, is_terminal)),
        AlertsCommand::Test { .. } => tested(reply),
        AlertsCommand::Silence(_) => silenced(reply),
        AlertsCommand::Silences => silences(reply, is_terminal),
        AlertsCommand::Unsilence { id } => done(reply, &format!("silence {id} is over")),
        AlertsCommand::Explain { .. } => explained(reply, is_terminal),
    }
}

/// All that is to be known of alerts; a no if something fires that people are to be told of.
fn list(answer: &AlertsAnswer, is_terminal: bool) -> Rendered {
    let is_told = |alert: &&FiringAlert| alert.silenced_by.is_empty() && alert.inhibited_by.is_none();
    let told = answer.firing.iter().filter(is_told).count();
    let firing = answer.firing.len() as u64 + answer.more_firing;
    let evaluator = answer.evaluator.map_or("nobody evaluates".to_owned(), |node| format!("node {node} evaluates"));
    let header = ["RULE", "ABOUT", "METRIC", "SEVERITY", "VALUE", "SINCE", "NOTES"];
    let mut text =
        format!("{firing} firing, {} waiting, {evaluator}\n", answer.waiting.len() as u64 + answer.more_waiting);
    text += &section("", header, answer.firing.iter().map(firing_row), is_terminal);
    let header = ["RULE", "ABOUT", "FROM", "UNTIL"];
    text += &section("over lately", header, answer.recent.iter().map(recent_row), is_terminal);
    let header = ["ID", "RECEIVER", "RULE", "SAYS", "WRITTEN", "ATTEMPTS", "NEXT"];
    text += &section("not delivered yet", header, answer.waiting.iter().map(waiting_row), is_terminal);
    let header = ["RECEIVER", "RULE", "SAYS", "GIVEN UP", "REASON"];
    text += &section("given up", header, answer.undelivered.iter().map(undelivered_row), is_terminal);
    (text, Verdict::from_bool(told == 0))
}

/// A table behind an empty line and what it is of; nothing where there are no rows.
fn section<const N: usize>(
    title: &str,
    header: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
    is_terminal: bool,
) -> String {
    let title = if title.is_empty() { String::new() } else { format!("{title}:\n") };
    if rows.len() == 0 { String::new() } else { format!("\n{title}{}", table::render(header, rows, is_terminal)) }
}

fn firing_row(alert: &FiringAlert) -> [String; 7] {
    [
        alert.rule.clone(),
        or_nothing(pairs(&alert.labels)),
        alert.metric.clone(),
        alert.severity.map_or(NOTHING, severity).to_owned(),
        format!("{}", alert.value),
        time(alert.since_ms),
        or_nothing(notes(alert).join(", ")),
    ]
}

fn notes(alert: &FiringAlert) -> Vec<String> {
    let flapping = alert.flapping.then(|| "flapping".to_owned());
    let silenced = alert.silenced_by.iter().map(|id| format!("silenced by {id}"));
    let inhibited = alert.inhibited_by.iter().map(|node| format!("node {node} is down"));
    flapping.into_iter().chain(silenced).chain(inhibited).collect()
}

fn severity(severity: AlertSeverity) -> &'static str {
    match severity {
        AlertSeverity::Info => "info",
        AlertSeverity::Warning => "warning",
        AlertSeverity::Error => "error",
        AlertSeverity::Critical => "critical",
    }
}

fn recent_row(alert: &RecentAlert) -> [String; 4] {
    [alert.rule.clone(), or_nothing(pairs(&alert.labels)), time(alert.from_ms), time(alert.until_ms)]
}

fn waiting_row(message: &WaitingMessage) -> [String; 7] {
    [
        message.id.to_string(),
        message.receiver.clone(),
        or_nothing(message.rule.clone().unwrap_or_default()),
        message.says.clone(),
        time(message.written_ms),
        message.attempts.to_string(),
        time(message.due_ms),
    ]
}

fn undelivered_row(message: &UndeliveredMessage) -> [String; 5] {
    [
        message.receiver.clone(),
        or_nothing(message.rule.clone().unwrap_or_default()),
        message.says.clone(),
        time(message.given_up_ms),
        message.reason.clone(),
    ]
}

fn tested(reply: &Reply) -> Result<Rendered, Error> {
    let TestAlertAnswer { receiver, receipt } = reply.answer()?;
    Ok((format!("{receiver} has got it: {receipt}\n"), Verdict::Yes))
}

fn silenced(reply: &Reply) -> Result<Rendered, Error> {
    let silence: SilenceAnswer = reply.answer_also_with(StatusCode::CREATED)?;
    Ok((format!("silence {} lasts until {}\n", silence.id, time(silence.until_ms)), Verdict::Yes))
}

fn silences(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let SilenceList { silences } = reply.answer()?;
    let header = ["ID", "MATCHERS", "FROM", "UNTIL", "AUTHOR", "COMMENT"];
    let row = |silence: SilenceAnswer| {
        [
            silence.id.to_string(),
            pairs(&silence.matchers),
            time(silence.from_ms),
            time(silence.until_ms),
            silence.author,
            or_nothing(silence.comment),
        ]
    };
    Ok((table::render(header, silences.into_iter().map(row), is_terminal), Verdict::Yes))
}

fn explained(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let ExplainAnswer { metrics, .. } = reply.answer()?;
    let header = ["METRIC", "FIRES ABOVE", "FOR", "CLEARS AT", "KEEPS FIRING", "SEVERITY", "ROUTE", "TOLD", "NOTES"];
    Ok((table::render(header, metrics.iter().map(explained_row), is_terminal), Verdict::Yes))
}

fn explained_row(metric: &ExplainedMetric) -> [String; 9] {
    let silenced = metric.silenced_by.iter().map(|id| format!("silenced by {id}"));
    let inhibited = metric.inhibited_by.iter().map(|node| format!("node {node} is down"));
    [
        metric.metric.clone(),
        metric.fire.to_string(),
        duration(metric.for_ms),
        metric.clear.to_string(),
        duration(metric.keep_firing_for_ms),
        severity(metric.severity).to_owned(),
        metric.route.map_or("the rule's own".to_owned(), |route| format!("routes[{route}]")),
        or_nothing(metric.receivers.join(" ")),
        or_nothing(silenced.chain(inhibited).collect::<Vec<_>>().join(", ")),
    ]
}

/// A time in milliseconds since 1970, to the second, as RFC 3339 writes it.
fn time(unix_ms: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_ms.div_euclid(1_000));
    time.map_or(NOTHING.to_owned(), |time| time.to_string())
}
