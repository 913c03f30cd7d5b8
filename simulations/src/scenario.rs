//! What a run is about: how many nodes, which limits, who asks for what, and what goes wrong. All of it is drawn from the seed.

use std::time::Duration;

use tollgate_limiter::{Algorithm, Consistency, Limit, LimitName, OnUnavailable, Pace, Pattern, Quota, Selector};

use crate::kernel::{MS_NS, Ms};
use crate::random::Random;

/// When clients begin to ask.
pub(crate) const CLIENTS_BEGIN: Ms = 1_000;

/// How long faults are made.
pub(crate) const FAULTS_UNTIL: Ms = 20_000;

/// By when, after all faults have healed, every bucket must answer.
pub(crate) const ALIVE_WITHIN: Ms = 10_000;

/// How long a run is.
pub(crate) const LENGTH: Ms = FAULTS_UNTIL + ALIVE_WITHIN;

/// How long a reservation can be settled.
pub(crate) const RESERVATION_TTL: Ms = 60_000;

/// What a run is to bring about. Most runs are of everything; some defects need so much at once that few of those would meet them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    /// Anything.
    General,
    /// Leaders that are cut off and do not know it, while others lead, and clients that ask both for the same bucket as fast as they can.
    Duel,
    /// Power that is lost while disks are slow, of all machines at once, too.
    Power,
    /// Elections, one after the other, of slow disks and machines that lose power while they vote.
    Elections,
    /// No leader changes, so each unit that is lost is seen: only frames are late, out of order, and come twice.
    Calm,
}

/// What a run is about.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) profile: Profile,
    /// Nodes that found the cluster.
    pub(crate) nodes: u64,
    /// Shards of the cluster.
    pub(crate) shards: u32,
    /// The limits that the cluster has from the beginning.
    pub(crate) limits: Vec<Limit>,
    /// What clients ask for: of all endpoints a few, so that these are asked for often.
    pub(crate) endpoints: Vec<&'static str>,
    /// How many clients ask.
    pub(crate) clients: u64,
    /// How many users they ask for, the first most often.
    pub(crate) users: u64,
    /// How long a client waits between two requests at most.
    pub(crate) pause: Ms,
    /// How many of those who were denied wait as long as they were told and ask again, in millionths.
    pub(crate) waits: u64,
    pub(crate) horizon_lead: Duration,
    pub(crate) deadline: Duration,
    /// By how many bytes a log grows before it is shortened.
    pub(crate) snapshot_log_bytes: u64,
    /// Whether machines may lose power, and boot anew. Then all wall clocks are right: when all machines have booted anew, nothing else
    /// tells the time, and one that is wrong is believed (DESIGN §2).
    pub(crate) power_fails: bool,
}

/// What endpoints there are. Each limit meets the endpoint of its name; `both` meets two limits.
const ENDPOINTS: [&str; 10] =
    ["paced", "slow", "both", "window", "fixed", "permits", "changing", "local", "leaky", "eventual"];

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "scenario");
        let general = Self::general(&mut random);
        let profiles = [Profile::Duel, Profile::Power, Profile::Elections, Profile::Calm];
        let profile = if random.happens(500_000) { Profile::General } else { *random.one_of(&profiles) };
        match profile {
            Profile::General => general,
            Profile::Duel => Self {
                profile,
                endpoints: vec!["paced", "local"],
                clients: 12,
                users: 1,
                pause: 20,
                waits: 0,
                ..general
            },
            Profile::Power => Self { profile, power_fails: true, ..general },
            Profile::Elections => Self { profile, shards: general.shards.min(2), power_fails: true, ..general },
            Profile::Calm => {
                let endpoints = random.one_of(&[&["paced"][..], &["both"], &["paced", "both"]]).to_vec();
                // About as much is asked for as there is: who is always denied does not notice what he lost.
                let pause = *random.one_of(&[100, 200, 400, 1_000]);
                Self { profile, endpoints, clients: random.within(2..=5), users: 2, pause, ..general }
            }
        }
    }

    fn general(random: &mut Random) -> Self {
        Self {
            profile: Profile::General,
            nodes: *random.one_of(&[3, 3, 3, 3, 3, 5]),
            shards: *random.one_of(&[1, 2, 2, 2, 3, 4, 4, 8]),
            limits: limits(random),
            endpoints: endpoints(random),
            clients: random.within(2..=12),
            users: random.within(1..=12),
            pause: *random.one_of(&[20, 100, 300]),
            waits: *random.one_of(&[0, 100_000, 500_000]),
            horizon_lead: Duration::from_millis(*random.one_of(&[500, 1000, 2000, 2000])),
            deadline: Duration::from_millis(*random.one_of(&[30, 100, 100, 100, 500])),
            snapshot_log_bytes: *random.one_of(&[1 << 10, 4 << 10, 16 << 10, 1 << 20]),
            power_fails: random.happens(600_000),
        }
    }

    /// The limit of this name.
    pub(crate) fn limit(&self, name: &str) -> &Limit {
        self.limits.iter().find(|limit| limit.name.as_str() == name).expect("the limit is the scenario's")
    }

    /// The limits that a request to this endpoint meets.
    pub(crate) fn limits_of(&self, endpoint: &str) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(move |limit| meets(limit, endpoint))
    }
}

fn endpoints(random: &mut Random) -> Vec<&'static str> {
    let few: Vec<&str> = ENDPOINTS.into_iter().filter(|_| random.happens(300_000)).collect();
    if few.is_empty() { ENDPOINTS.to_vec() } else { few }
}

fn limits(random: &mut Random) -> Vec<Limit> {
    let mut pace = |rates: &[u64], per: Ms, bursts: &[u64]| {
        let (rate, burst) = (*random.one_of(rates), *random.one_of(bursts));
        Pace::new(rate, per as i64 * MS_NS, burst).expect("a legal pace")
    };
    let paced = Algorithm::TokenBucket(pace(&[5, 10, 20, 50], 1_000, &[1, 10, 20, 40]));
    let slow = Algorithm::TokenBucket(pace(&[1, 2], 10_000, &[1, 5]));
    let shared = Algorithm::TokenBucket(pace(&[10, 30], 1_000, &[5, 20]));
    let local = Algorithm::TokenBucket(pace(&[5, 20], 1_000, &[10, 20]));
    let leaky = Algorithm::LeakyBucket(pace(&[5, 20], 1_000, &[2, 5]));
    let eventual = Algorithm::TokenBucket(pace(&[10, 50], 1_000, &[5, 20]));
    let changing = changing_algorithm(0);
    let mut window = || Quota::new(*random.one_of(&[5, 20]), 5_000 * MS_NS).expect("a legal quota");
    let sliding = Algorithm::SlidingWindow(window());
    let fixed = Algorithm::FixedWindow(window(), None);
    let permits = Algorithm::Concurrency { permits: *random.one_of(&[1, 3]), ttl_ns: 4_000 * MS_NS };
    let limits = [
        ("paced", &["paced"][..], paced),
        ("slow", &["slow", "both"], slow),
        ("shared", &["both"], shared),
        ("window", &["window"], sliding),
        ("fixed", &["fixed"], fixed),
        ("permits", &["permits"], permits),
        ("changing", &["changing"], changing),
        ("local", &["local"], local),
        ("leaky", &["leaky"], leaky),
        ("eventual", &["eventual"], eventual),
    ];
    limits.into_iter().map(|(name, endpoints, algorithm)| limit(name, endpoints, algorithm)).collect()
}

fn limit(name: &str, endpoints: &[&str], algorithm: Algorithm) -> Limit {
    let any_of = endpoints.iter().map(|endpoint| Pattern::new(*endpoint)).collect();
    Limit {
        name: LimitName::new(name).expect("a legal name"),
        prefix: None,
        selectors: vec![Selector { label: "endpoint".to_owned(), any_of }],
        by: if name == "shared" { Vec::new() } else { vec!["user".to_owned()] },
        algorithm,
        consistency: if name == "eventual" { Consistency::Eventual } else { Consistency::Exact },
        on_unavailable: match name {
            "local" => OnUnavailable::Local,
            "eventual" => OnUnavailable::Allow,
            _ => OnUnavailable::Deny,
        },
        shadow: false,
        reservation_ttl_ns: RESERVATION_TTL as i64 * MS_NS,
    }
}

/// Whether a request to this endpoint meets the limit.
pub(crate) fn meets(limit: &Limit, endpoint: &str) -> bool {
    limit.selectors.iter().flat_map(|selector| &selector.any_of).any(|pattern| pattern.matches(endpoint))
}

/// The bucket of a limit that a request meets: its user's, or `None` where all share one.
pub(crate) fn bucket_user(limit: &Limit, user: u64) -> Option<u64> {
    (!limit.by.is_empty()).then_some(user)
}

/// The limit `changing` as its n-th change makes it. No two of these have the same burst, so a decision tells by which one it was made.
pub(crate) fn changing(version: u64) -> Limit {
    limit("changing", &["changing"], changing_algorithm(version))
}

fn changing_algorithm(version: u64) -> Algorithm {
    // Up and down, by turns, and never twice the same.
    let burst = if version.is_multiple_of(2) { 5 + version } else { 1_000 + version };
    let rate = if version % 4 < 2 { 10 } else { 40 };
    Algorithm::TokenBucket(Pace::new(rate, 1_000 * MS_NS, burst).expect("a legal pace"))
}
