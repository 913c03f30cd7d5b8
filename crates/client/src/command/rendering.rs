//! From a reply to text for people.

mod alerts;
mod stats;

use std::collections::BTreeMap;

use reqwest::StatusCode;
use tollgate_api::{
    AcquireAnswer, Algorithm, BucketAnswer, ClusterAnswer, Consistency, Health, HealthStatus, LimitAnswer,
    LimitDocument, LimitList, NodeAnswer, NodeDuty, OnUnavailable, SettleAnswer, ShardAnswer, StatsAnswer,
};

use super::{
    BucketsCommand, ClusterArguments, ClusterCommand, Command, LimitsArguments, LimitsCommand, Outcome, Verdict, table,
};
use crate::Error;
use crate::reply::Reply;

/// What stands in a table where there is nothing to say.
const NOTHING: &str = "-";

/// Text and verdict of a reply that was understood.
type Rendered = (String, Verdict);

/// What `command` prints for `reply`.
pub(super) fn render(command: &Command, reply: &Reply, is_terminal: bool) -> Outcome {
    let rendered = match command {
        Command::Acquire(_) | Command::Peek(_) | Command::Reserve(_) => acquired(reply, is_terminal),
        Command::Settle(_) => settled(reply),
        Command::Limits(arguments) => limits(arguments, reply, is_terminal),
        Command::Buckets(BucketsCommand::Get(_)) => bucket(reply, is_terminal),
        Command::Buckets(BucketsCommand::Reset(bucket)) => {
            done(reply, &format!("the bucket of {} is reset", bucket.limit))
        }
        Command::Cluster(arguments) => cluster(arguments, reply, is_terminal),
        Command::Alerts(arguments) => alerts::render(arguments, reply, is_terminal),
        Command::Stats(_) => stats(reply, is_terminal),
        Command::Health => health(reply, is_terminal),
    };
    match rendered {
        Ok((text, verdict)) => Outcome { text, verdict: Ok(verdict) },
        Err(error) => Outcome::failed(error),
    }
}

fn acquired(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let answer: AcquireAnswer = reply.answer_also_with(StatusCode::TOO_MANY_REQUESTS)?;
    let mut text = format!("{}\n", headline(&answer));
    if !answer.limits.is_empty() {
        let header = ["LIMIT", "DECISION", "LEFT", "RETRY", "RESET"];
        text += &table::render(header, answer.limits.iter().map(limit_row), is_terminal);
    }
    Ok((text, Verdict::from_bool(answer.allowed)))
}

fn headline(answer: &AcquireAnswer) -> String {
    let mut words = vec![decision(answer)];
    if let Some(reservation) = &answer.reservation {
        words.push(format!("reservation {reservation}"));
    }
    if let Some(ttl_ms) = answer.ttl_ms {
        words.push(format!("settle within {}", duration(ttl_ms)));
    }
    if answer.degraded {
        words.push("degraded".to_owned());
    }
    words.join(", ")
}

fn decision(answer: &AcquireAnswer) -> String {
    match (answer.allowed, answer.limits.is_empty()) {
        (true, false) => "allowed".to_owned(),
        (true, true) => "allowed, no limit matches".to_owned(),
        (false, _) => format!("denied, retry in {}", duration(answer.retry_after_ms)),
    }
}

fn limit_row(limit: &LimitAnswer) -> [String; 5] {
    let decision = if limit.allowed { "allowed" } else { "denied" };
    [
        limit.name.clone(),
        if limit.shadow { format!("{decision} (shadow)") } else { decision.to_owned() },
        format!("{}/{}", limit.remaining, limit.limit),
        duration(limit.retry_after_ms),
        duration(limit.reset_after_ms),
    ]
}

fn settled(reply: &Reply) -> Result<Rendered, Error> {
    let SettleAnswer { reservation, reserved, actual, returned, charged } = reply.answer()?;
    let text =
        format!("settled {reservation}: reserved {reserved}, spent {actual}, returned {returned}, charged {charged}\n");
    Ok((text, Verdict::Yes))
}

fn limits(arguments: &LimitsArguments, reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    match arguments.command() {
        LimitsCommand::List => limit_table(reply, is_terminal),
        LimitsCommand::Get { .. } => limit_yaml(reply),
        LimitsCommand::Put { .. } => done(reply, "the limit is set"),
        LimitsCommand::Delete { name } => done(reply, &format!("{name} is deleted")),
    }
}

fn limit_table(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let LimitList { limits } = reply.answer()?;
    let header = ["NAME", "MATCH", "BY", "ALGORITHM", "RATE", "BURST", "NOTES"];
    Ok((table::render(header, limits.iter().map(document_row), is_terminal), Verdict::Yes))
}

fn document_row(limit: &LimitDocument) -> [String; 7] {
    [
        limit.name.clone(),
        or_nothing(pairs(&limit.matches)),
        or_nothing(limit.by.join(" ")),
        algorithm(limit.algorithm).to_owned(),
        or_nothing(rate(limit)),
        or_nothing(limit.burst_limit.map(|units| units.to_string()).unwrap_or_default()),
        or_nothing(notes(limit).join(", ")),
    ]
}

fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::TokenBucket => "token_bucket",
        Algorithm::SlidingWindow => "sliding_window",
        Algorithm::FixedWindow => "fixed_window",
        Algorithm::LeakyBucket => "leaky_bucket",
        Algorithm::Concurrency => "concurrency",
    }
}

fn rate(limit: &LimitDocument) -> String {
    match (limit.requests_per_minute, limit.rate, limit.per) {
        (Some(units), ..) => format!("{units}/1m"),
        (None, Some(units), Some(per)) => format!("{units}/{per}"),
        (None, Some(units), None) => units.to_string(),
        (None, None, _) => String::new(),
    }
}

/// What is not as usual.
fn notes(limit: &LimitDocument) -> Vec<String> {
    let prefix = limit.prefix.as_ref().map(|prefix| format!("prefix {prefix}"));
    let on_unavailable = match limit.on_unavailable {
        OnUnavailable::Local => None,
        OnUnavailable::Deny => Some("deny when unavailable"),
        OnUnavailable::Allow => Some("allow when unavailable"),
    };
    let flags = [
        limit.shadow.then_some("shadow"),
        (limit.consistency == Consistency::Eventual).then_some("eventual"),
        limit.calendar.map(|_| "calendar"),
        on_unavailable,
    ];
    prefix.into_iter().chain(flags.into_iter().flatten().map(str::to_owned)).collect()
}

/// The limit as a file that `limits put` takes back.
fn limit_yaml(reply: &Reply) -> Result<Rendered, Error> {
    let limit: LimitDocument = reply.answer()?;
    let text = serde_saphyr::to_string(&limit)
        .map_err(|error| Error::Garbled { status: reply.status.as_u16(), problem: error.to_string() })?;
    Ok((text, Verdict::Yes))
}

fn bucket(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let bucket: BucketAnswer = reply.answer()?;
    let row = [
        bucket.name,
        bucket.prefix,
        or_nothing(pairs(&bucket.labels)),
        format!("{}/{}", bucket.remaining, bucket.limit),
        duration(bucket.retry_after_ms),
        duration(bucket.reset_after_ms),
    ];
    let header = ["LIMIT", "PREFIX", "LABELS", "LEFT", "RETRY", "RESET"];
    Ok((table::render(header, [row], is_terminal), Verdict::Yes))
}

fn cluster(arguments: &ClusterArguments, reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    match arguments.command() {
        ClusterCommand::Show => cluster_tables(reply, is_terminal),
        ClusterCommand::Add { id, peer } if reply.status == StatusCode::CREATED => {
            done(reply, &format!("node {id} is expected at {peer}"))
        }
        ClusterCommand::Add { id, peer } => done(reply, &format!("node {id} was known, and is expected at {peer}")),
        ClusterCommand::Remove { id } => done(reply, &format!("node {id} leaves as soon as its shards have moved")),
        ClusterCommand::Drain { id } => done(reply, &format!("node {id} is to lead nothing")),
        ClusterCommand::Undrain { id } => done(reply, &format!("node {id} may lead again")),
    }
}

fn cluster_tables(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let ClusterAnswer { nodes, shards, ready } = reply.answer()?;
    let header = ["NODE", "HTTP", "PEER", "ALIVE", "DUTY", "LEADS"];
    let nodes = table::render(header, nodes.into_iter().map(node_row), is_terminal);
    let header = ["SHARD", "LEADER", "REPLICAS", "TERM"];
    let shards = table::render(header, shards.iter().map(shard_row), is_terminal);
    let headline = if ready { "ready" } else { "not ready" };
    Ok((format!("{headline}\n\n{nodes}\n{shards}"), Verdict::from_bool(ready)))
}

fn node_row(node: NodeAnswer) -> [String; 6] {
    [
        node.id.to_string(),
        or_nothing(node.http.unwrap_or_default()),
        node.peer,
        if node.alive { "yes" } else { "no" }.to_owned(),
        duty(node.duty).to_owned(),
        node.leads.to_string(),
    ]
}

fn duty(duty: NodeDuty) -> &'static str {
    match duty {
        NodeDuty::Serving => "serving",
        NodeDuty::Draining => "draining",
        NodeDuty::Leaving => "leaving",
    }
}

fn shard_row(shard: &ShardAnswer) -> [String; 4] {
    let replicas: Vec<_> = shard.replicas.iter().map(u64::to_string).collect();
    [
        shard.id.to_string(),
        or_nothing(shard.leader.map(|leader| leader.to_string()).unwrap_or_default()),
        or_nothing(replicas.join(" ")),
        shard.term.to_string(),
    ]
}

fn stats(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let answer: StatsAnswer = reply.answer()?;
    Ok((stats::render(&answer, is_terminal), Verdict::Yes))
}

fn health(reply: &Reply, is_terminal: bool) -> Result<Rendered, Error> {
    let health: Health = reply.answer_also_with(StatusCode::SERVICE_UNAVAILABLE)?;
    let rows = health.components.into_iter().map(|(name, component)| {
        [name, health_status(component.status).to_owned(), or_nothing(component.detail.unwrap_or_default())]
    });
    let components = table::render(["COMPONENT", "STATUS", "DETAIL"], rows, is_terminal);
    let text = format!("{}\n{components}", health_status(health.status));
    Ok((text, Verdict::from_bool(reply.status.is_success())))
}

fn health_status(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Ok => "ok",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unavailable => "unavailable",
    }
}

fn done(reply: &Reply, text: &str) -> Result<Rendered, Error> {
    reply.succeeded()?;
    Ok((format!("{text}\n"), Verdict::Yes))
}

fn pairs<V: std::fmt::Display>(labels: &BTreeMap<String, V>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

/// A duration in its two largest units, rounded up so that nobody is told to come back too early.
fn duration(duration_ms: u64) -> String {
    let seconds = duration_ms.div_ceil(1000);
    match (duration_ms, seconds) {
        (0, _) => NOTHING.to_owned(),
        (..1000, _) => format!("{duration_ms}ms"),
        (_, ..60) => tenths(duration_ms.div_ceil(100)),
        (_, ..3600) => two_units(seconds, (60, "m"), (1, "s")),
        (_, ..86_400) => two_units(seconds.next_multiple_of(60), (3600, "h"), (60, "m")),
        _ => two_units(seconds.div_ceil(3600).saturating_mul(3600), (86_400, "d"), (3600, "h")),
    }
}

fn tenths(tenths: u64) -> String {
    match tenths % 10 {
        0 => format!("{}s", tenths / 10),
        fraction => format!("{}.{fraction}s", tenths / 10),
    }
}

fn two_units(seconds: u64, (large, large_unit): (u64, &str), (small, small_unit): (u64, &str)) -> String {
    match seconds % large / small {
        0 => format!("{}{large_unit}", seconds / large),
        rest => format!("{}{large_unit} {rest}{small_unit}", seconds / large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_never_too_short() {
        for (duration_ms, expected) in [
            (0, "-"),
            (1, "1ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1001, "1.1s"),
            (58_901, "59s"),
            (59_999, "1m"),
            (60_001, "1m 1s"),
            (120_000, "2m"),
            (3_599_001, "1h"),
            (3_600_001, "1h 1m"),
            (86_400_000, "1d"),
            (90_000_001, "1d 2h"),
            (u64::MAX, "213503982334d 15h"),
        ] {
            assert_eq!(duration(duration_ms), expected, "{duration_ms}");
        }
    }
}
