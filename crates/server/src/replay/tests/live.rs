//! A replayed limit and the same limit live decide identically.
//!
//! The same requests go to the engine and to a real node, in one process, whose clock stands still but when a request
//! comes. Between two requests the node gets to finish what it does behind its answers. Its timers stand still, too, but
//! where it waits for one, so that a run is the same every time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tollgate_cluster::{
    AlertOptions, Attempt, Clock, Courier, Delivery, Entropy, Environment, Event, Events, Forming, Link, Node,
    NodeIdentity, NodeOptions, Request, SNAPSHOT_LOG_BYTES, Verdict,
};
use tollgate_limiter::{ClockReading, Limit, ShardTime};
use tollgate_storage::MemoryStorage;
use tollgate_transport::{MemoryNetwork, NodeId};

use super::harness::{limits, sample};
use crate::replay::arguments::{EndpointStyle, UserSource};
use crate::replay::log_line::LogLine;
use crate::replay::log_lines::{LogLines, RawLine};
use crate::replay::logged_request::{LoggedRequest, Mapping};
use crate::replay::replayer::{Replayer, ReplayerOptions, Ruling};

const SHARDS: u32 = 4;

/// The default. Slow buckets reach beyond it and need ceilings.
const HORIZON_LEAD: Duration = Duration::from_secs(2);

const MAX_BUCKETS: u64 = 1_000_000;

/// A node that still has something to do after its tasks had so many turns will not finish it.
const MOST_TURNS: usize = 200_000;

/// After so many turns a node that is not done waits for a timer.
const TURNS_A_PAUSE: usize = 1_000;

/// So many lines of the sample are decided twice.
const SAMPLE_LINES: usize = 2_000;

/// What was said to a request: whether it may pass, and of each limit whether it let it.
type Outcome = (bool, Vec<(String, bool)>);

/// A clock that shows what it was set to.
#[derive(Default)]
struct HandClock(AtomicI64);

impl HandClock {
    fn advance_to(&self, at: ShardTime) {
        self.0.fetch_max(at.nanos(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn read(&self) -> ClockReading {
        let now = self.0.load(Ordering::SeqCst);
        ClockReading { mono_ns: now, wall_ns: now, boot: 1 }
    }
}

/// Numbers that nobody has to guess, each only once.
#[derive(Default)]
struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn bits(&self) -> u128 {
        self.0.fetch_add(1, Ordering::SeqCst).into()
    }
}

/// Counts what a node has begun and finished.
#[derive(Debug, Default)]
struct Work {
    decided: AtomicUsize,
    proposed: AtomicUsize,
    committed: AtomicUsize,
}

impl Events for Work {
    fn on(&self, event: Event) {
        match event {
            Event::Deciding { requests, .. } => self.decided.fetch_add(requests, Ordering::SeqCst),
            Event::Proposed { .. } => self.proposed.fetch_add(1, Ordering::SeqCst),
            Event::Committed { .. } => self.committed.fetch_add(1, Ordering::SeqCst),
            Event::Degraded { .. } => panic!("a node that can commit decides nothing alone"),
            _ => 0,
        };
    }
}

/// Carries messages to nobody, as there is none.
struct Nobody;

impl Courier for Nobody {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt> {
        panic!("nobody is to be told: {delivery:?}")
    }
}

/// A node and all that it was asked to do.
struct Live {
    node: Arc<Node>,
    clock: Arc<HandClock>,
    work: Arc<Work>,
    asked: usize,
}

impl Live {
    async fn start(limits: Vec<Limit>, at: ShardTime) -> Self {
        let (clock, work) = (Arc::new(HandClock::default()), Arc::new(Work::default()));
        clock.advance_to(at);
        let environment = Environment {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(CountingEntropy::default()),
            events: Arc::clone(&work) as Arc<dyn Events>,
            storage: Arc::new(MemoryStorage::new()),
            courier: Arc::new(Nobody),
        };
        let identity = NodeIdentity::of_data(&*environment.storage, 1, &CountingEntropy::default())
            .await
            .expect("memory takes it");
        let options = NodeOptions {
            identity,
            forming: Forming::Alone,
            cluster: 7,
            peer: String::new(),
            http: String::new(),
            shards: SHARDS,
            replication: 1,
            horizon_lead: HORIZON_LEAD,
            deadline: Duration::from_secs(3_600),
            max_buckets: MAX_BUCKETS,
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            limits,
            alerts: AlertOptions::default(),
        };
        let (transport, inbound) = MemoryNetwork::new().join(NodeId(1));
        let link = Link { transport: Arc::new(transport), inbound };
        let node = Node::start(options, environment, link).await.expect("a node in memory starts");
        let mut live = Self { node, clock, work, asked: 0 };
        live.settle().await;
        live
    }

    async fn decide(&mut self, at: ShardTime, request: &LoggedRequest) -> Outcome {
        self.clock.advance_to(at);
        let request = Request {
            prefix: request.prefix(),
            endpoint: &request.endpoint,
            labels: &request.labels,
            cost: 1,
            patience: Duration::ZERO,
        };
        let verdict = self.node.acquire(&request).await.expect("a node in memory decides");
        self.asked += verdict.limits.len() + given_back(&verdict);
        self.settle().await;
        let limits = verdict.limits.iter().map(|limit| (limit.limit.name.to_string(), limit.allowed));
        (verdict.allowed, limits.collect())
    }

    /// Lets the node do all that it was asked to.
    async fn settle(&mut self) {
        let done = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        for turn in 1..=MOST_TURNS {
            if done(&self.work.decided) == self.asked && done(&self.work.committed) == done(&self.work.proposed) {
                return;
            }
            tokio::task::yield_now().await;
            if turn % TURNS_A_PAUSE == 0 {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
        }
        panic!("the node does not come to rest: {} asked, {:?}", self.asked, self.work);
    }
}

/// How many limits get back what they gave, because another one denied.
fn given_back(verdict: &Verdict) -> usize {
    if verdict.allowed { 0 } else { verdict.limits.iter().filter(|limit| limit.allowed).count() }
}

fn outcome(ruling: &Ruling) -> Outcome {
    let limits = ruling.limits.iter().map(|limit| (limit.limit.name.to_string(), limit.allowed));
    (ruling.allowed, limits.collect())
}

/// Decides all `requests` both ways. Returns how many were denied.
fn check(yaml: &str, requests: &[(ShardTime, LoggedRequest)]) -> usize {
    let limits = limits(yaml);
    let options = ReplayerOptions {
        limits: limits.clone(),
        shards: SHARDS,
        horizon_lead_ns: HORIZON_LEAD.as_nanos() as i64,
        max_buckets: MAX_BUCKETS,
    };
    let mut replayer = Replayer::new(options);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (start, _) = requests[0];
        let mut live = Live::start(limits, start).await;
        let mut denied = 0;
        for (number, (at, request)) in requests.iter().enumerate() {
            let replayed = outcome(&replayer.decide(*at, request).expect("there is room for all buckets"));
            assert_eq!(live.decide(*at, request).await, replayed, "request {number} at {at}: {request:?}");
            denied += usize::from(!replayed.0);
        }
        live.node.stop().await;
        denied
    })
}

/// Numbers that look like chance and are the same every time (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Requests of a few users in whole seconds, as in a log: some at once, some late, a few hours apart now and then.
fn generated(count: usize) -> Vec<(ShardTime, LoggedRequest)> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut now_s = 1_431_993_600 - 1_000;
    let requests = (0..count).map(|_| {
        now_s += match numbers.below(300) {
            0 => 7_200,
            1..150 => 0,
            step => (step % 4) as i64,
        };
        let late_s = if numbers.below(20) == 0 { 5 } else { 0 };
        let labels = [("user", format!("u{}", numbers.below(7))), ("tier", format!("t{}", numbers.below(3)))];
        let labels: BTreeMap<_, _> = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let endpoint = ["a", "b", "c", "reports/x"][numbers.below(4) as usize].to_owned();
        (ShardTime::from_nanos((now_s - late_s) * 1_000_000_000), LoggedRequest { endpoint, labels })
    });
    requests.collect()
}

#[test]
fn a_replayed_limit_and_the_same_limit_live_decide_identically() {
    let cases = [
        ("token bucket", "{name: l, by: [user], requests_per_minute: 6, burst_limit: 3}"),
        ("fast token bucket", "{name: l, by: [user], rate: 1, per: 1s, burst_limit: 1}"),
        ("leaky bucket", "{name: l, by: [user], algorithm: leaky_bucket, rate: 1, per: 5s, burst_limit: 4}"),
        ("sliding window", "{name: l, by: [user], algorithm: sliding_window, rate: 6, per: 1m}"),
        ("fixed window", "{name: l, by: [user], algorithm: fixed_window, rate: 6, per: 1m}"),
        ("calendar day", "{name: l, by: [user], algorithm: fixed_window, calendar: utc, rate: 30, per: 1d}"),
        ("permits", "{name: l, by: [user], algorithm: concurrency, burst_limit: 2, ttl: 20s}"),
        ("eventual", "{name: l, by: [user], requests_per_minute: 6, burst_limit: 3, consistency: eventual}"),
    ];
    for (claim, limit) in cases {
        let denied = check(&format!("rate_limits: {{}}\nlimits: [{limit}]"), &generated(500));
        assert!((25..475).contains(&denied), "{claim}: both must happen, but {denied} of 500 were denied");
    }
}

#[test]
fn several_limits_replayed_and_live_take_all_or_none_alike() {
    let yaml = "
rate_limits: {t0: {requests_per_minute: 30, burst_limit: 5}}
limits:
  - {name: global, rate: 1, per: 1s, burst_limit: 30}
  - {name: users, by: [user], algorithm: sliding_window, rate: 20, per: 1m}
  - {name: reports, match: {endpoint: 'reports/*'}, by: [user, tier], algorithm: fixed_window, calendar: utc, rate: 50, per: 1d}
  - {name: jobs, match: {endpoint: [a, b]}, by: [tier], algorithm: concurrency, burst_limit: 9, ttl: 15s}
  - {name: leaks, match: {endpoint: c}, by: [user], algorithm: leaky_bucket, rate: 1, per: 3s, burst_limit: 4}
  - {name: watched, by: [user], requests_per_minute: 2, burst_limit: 1, shadow: true}
";
    let denied = check(yaml, &generated(2_000));
    assert!((200..1_800).contains(&denied), "both must happen, but {denied} of 2000 were denied");
}

/// The requests of a real log, if it is at hand.
fn real_requests() -> Option<Vec<(ShardTime, LoggedRequest)>> {
    let Some(path) = sample() else {
        eprintln!("skipped: the sample of a real log is not at hand");
        return None;
    };
    let mapping = Mapping { endpoint: EndpointStyle::Path, user: UserSource::Address, fixed: BTreeMap::new() };
    let mut lines = LogLines::new(std::io::BufReader::new(std::fs::File::open(path).expect("it exists")));
    let mut requests = Vec::new();
    while let Some(RawLine::Text(line)) = lines.next().expect("it can be read") {
        if let Ok(line) = LogLine::parse(&line) {
            requests.push((line.at, mapping.request(&line)));
        }
    }
    Some(requests)
}

#[test]
fn a_real_log_replayed_and_live_is_decided_alike() {
    let Some(requests) = real_requests() else { return };
    let yaml = "
rate_limits: {}
limits:
  - {name: address, by: [ip], requests_per_minute: 20, burst_limit: 5}
  - {name: day, by: [user], algorithm: fixed_window, calendar: utc, rate: 40, per: 1d}
  - {name: global, requests_per_minute: 60, burst_limit: 60}
  - {name: pages, by: [path], algorithm: sliding_window, rate: 5, per: 10m, shadow: true}
";
    assert!(check(yaml, &requests[..SAMPLE_LINES]) > 100, "some are denied");
}

/// How many of `requests` the textbook's GCRA denies, by address: so many seconds a unit, so many units at once.
fn denied_by_textbook(requests: &[(ShardTime, LoggedRequest)], seconds_a_unit: i64, burst: i64) -> u64 {
    let mut arrivals: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut now, mut denied) = (i64::MIN, 0);
    for (at, request) in requests {
        now = now.max(at.nanos() / 1_000_000_000);
        let arrival = arrivals.entry(request.labels["ip"].as_str()).or_insert(now);
        let end = now.max(*arrival) + seconds_a_unit;
        if end - now <= burst * seconds_a_unit { *arrival = end } else { denied += 1 }
    }
    denied
}

#[test]
fn a_real_log_is_denied_as_the_textbook_says_to_the_last_request() {
    let Some(mut requests) = real_requests() else { return };
    let limits =
        limits("{rate_limits: {}, limits: [{name: address, by: [ip], requests_per_minute: 60, burst_limit: 20}]}");
    for expected in [774, 35] {
        let mut replayer = Replayer::new(ReplayerOptions {
            limits: limits.clone(),
            shards: SHARDS,
            horizon_lead_ns: HORIZON_LEAD.as_nanos() as i64,
            max_buckets: MAX_BUCKETS,
        });
        let decided = requests.iter().map(|(at, request)| replayer.decide(*at, request).expect("there is room"));
        let denied = decided.filter(|ruling| !ruling.allowed).count() as u64;
        assert_eq!((denied, denied_by_textbook(&requests, 1, 20)), (expected, expected));
        requests.sort_by_key(|(at, _)| *at);
    }
}
