//! What is wrong with what nodes measure: the alerts of a run.

use tollgate_cluster::{AlertOptions, NodeId};
use tollgate_feedback::alert::{Policy, Rule, Severity, Signal};
use tollgate_feedback::sample::{Disk, Redis, Sample};

use crate::kernel::{Ms, World};
use crate::random::Random;
use crate::scenario::{FAULTS_UNTIL, LENGTH, Scenario};

/// How often nodes measure.
const SAMPLED: Ms = 1_000;

/// The rule that is broken by what comes after all faults have healed, and by nothing else.
pub(crate) const LAST_RULE: &str = "redis_latency";

/// Who is told.
pub(crate) const RECEIVERS: [&str; 2] = ["slack", "pagerduty"];

/// Something that is wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
    /// On this node, or `None` on all.
    node: Option<NodeId>,
    pub(crate) from: Ms,
    pub(crate) until: Ms,
}

/// All of a run.
#[derive(Clone, Debug)]
pub(crate) struct Troubles(pub(crate) Vec<Trouble>);

impl Troubles {
    /// Those of a seed. The last begins when all has healed, and does not end.
    pub(crate) fn new(seed: u64, scenario: &Scenario) -> Self {
        let mut random = Random::new(seed, "troubles");
        let count = random.within(1..=6);
        let trouble = |_| {
            let rule = *random.one_of(&["queue_full", "limiter_failing", "mode_change"]);
            let node = (rule == "limiter_failing").then(|| random.within(1..=scenario.nodes));
            let from = random.within(2_000..=FAULTS_UNTIL - 2_000);
            Trouble { rule, node, from, until: from + random.within(1_000..=8_000) }
        };
        let some: Vec<Trouble> = (0..count).map(trouble).collect();
        let last = Trouble { rule: LAST_RULE, node: None, from: FAULTS_UNTIL + 1_000, until: LENGTH };
        Self(some.into_iter().chain([last]).collect())
    }

    /// Has every node that runs measure, when it is time.
    pub(crate) fn measure(&self, world: &World) {
        if !world.now.is_multiple_of(SAMPLED) {
            return;
        }
        for (id, machine) in &world.machines {
            let sample = self.sample(*id, world.now);
            machine.spawn(|node| async move { node.observe(sample) });
        }
    }

    fn sample(&self, node: NodeId, now: Ms) -> Sample {
        let is_on = |trouble: &Trouble| {
            (trouble.from..trouble.until).contains(&now) && trouble.node.is_none_or(|its| its == node)
        };
        let has = |rule: &str| self.0.iter().any(|trouble| trouble.rule == rule && is_on(trouble));
        let of = |rule: &str, bad: f64| if has(rule) { bad } else { 0.0 };
        Sample {
            queue: of("queue_full", 0.9),
            mode: u8::from(has("mode_change")),
            disk: Disk { has_failed: has("limiter_failing"), fill: Some(0.5) },
            redis: Some(Redis { latency_ms: of(LAST_RULE, 200.0), unavailable_ms: 0 }),
            ..Sample::default()
        }
    }
}

/// The rules of every run.
pub(crate) fn options() -> AlertOptions {
    let rule = |name: &str, signal, fire: f64, fires_after_ms, severity, receivers: &[&str]| Rule {
        name: name.to_owned(),
        signal,
        fire,
        clear: fire,
        fires_after_ms,
        keep_firing_for_ms: 1_000,
        severity,
        receivers: receivers.iter().map(|name| (*name).to_owned()).collect(),
    };
    use Severity::{Critical, Error, Warning};
    let rules = vec![
        rule("queue_full", Signal::QueueFull, 80.0, 1_000, Warning, &RECEIVERS),
        rule("limiter_failing", Signal::DiskFailed, 0.0, 0, Error, &RECEIVERS[1..]),
        rule("node_down", Signal::NodeDown, 0.0, 0, Error, &RECEIVERS[1..]),
        rule("mode_change", Signal::Mode, 0.5, 0, Warning, &RECEIVERS[..1]),
        rule(LAST_RULE, Signal::RedisLatency, 100.0, 1_000, Critical, &RECEIVERS),
    ];
    let receivers = RECEIVERS.map(str::to_owned).to_vec();
    AlertOptions { rules, policy: Policy { receivers, routes: Vec::new() }, digest: None }
}
