//! Takes a sample a second, and tells it to whoever wants it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tollgate_cluster::{ClusterStatus, Node};
use tollgate_feedback::sample::{Batches, Disk, Requests, Sample};
use tollgate_limiter::ShardId;
use tollgate_storage::StorageHealth;

use super::Telemetry;
use super::request_counts::Totals;

/// How often a sample is taken.
const PERIOD: Duration = Duration::from_secs(1);

/// Takes samples for as long as the node is there. Decisions do not know of it: it reads what they count.
pub(crate) struct MetricsActor {
    telemetry: Arc<Telemetry>,
    node: Weak<Node>,
    data: PathBuf,
    started: Instant,
    sampler: Sampler,
    /// How full the disk was, and whoever looks now.
    fill: Option<f64>,
    filling: Option<JoinHandle<Option<f64>>>,
}

/// What a sample is made from: how things stand now.
struct Now {
    status: ClusterStatus,
    disk: Disk,
    at: Instant,
}

/// What has to be remembered from one sample to the next.
#[derive(Default)]
struct Sampler {
    endpoints: BTreeMap<String, Totals>,
    batches: Batches,
    breaker_trips: u64,
    /// Since when shards have had no leader.
    leaderless: BTreeMap<ShardId, Instant>,
}

impl MetricsActor {
    /// Starts it; `data` is where the node's data is, whose disk is watched.
    pub(crate) fn spawn(telemetry: Arc<Telemetry>, node: &Arc<Node>, data: PathBuf) {
        let sampler = Sampler::default();
        let node = Arc::downgrade(node);
        // The data has just been read, so the disk answers.
        let fill = fill(&data);
        let actor = Self { telemetry, node, data, started: Instant::now(), sampler, fill, filling: None };
        tokio::spawn(actor.run());
    }

    async fn run(mut self) {
        let mut seconds = interval(PERIOD);
        // A machine that was asleep has nothing to say of that time.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        loop {
            seconds.tick().await;
            let Some(node) = self.node.upgrade() else { return };
            self.sample(&node);
        }
    }

    /// How full the disk is, as far as is known: a file system that hangs keeps nobody waiting, and says nothing.
    #[expect(clippy::disallowed_methods, reason = "a file system may hang, and the server is no part of simulations")]
    fn fill(&mut self) -> Option<f64> {
        match self.filling.take() {
            Some(filling) if filling.is_finished() => {
                self.fill = filling.now_or_never().and_then(Result::ok).flatten();
            }
            Some(filling) => {
                self.filling = Some(filling);
                return None;
            }
            None => {}
        }
        let data = self.data.clone();
        self.filling = Some(tokio::task::spawn_blocking(move || fill(&data)));
        self.fill
    }

    fn sample(&mut self, node: &Node) {
        self.telemetry.know(&node.limits());
        let has_failed = matches!(node.storage_health(), StorageHealth::Failed { .. });
        let disk = Disk { has_failed, fill: self.fill() };
        let now = Now { status: node.cluster_status(), disk, at: Instant::now() };
        self.telemetry.cluster.show(node.number(), &now.status);
        self.telemetry.cluster.show_disk(&now.disk);
        let sample = self.sampler.sample(&self.telemetry, &now);
        self.telemetry.tell(whole_seconds(now.at - self.started), sample);
    }
}

/// In seconds, to the nearest one: samples are taken a little after each.
fn whole_seconds(span: Duration) -> u64 {
    (span + Duration::from_millis(500)).as_secs()
}

/// How full a disk is, as `df` says it: what only the superuser may write counts as used.
fn fill(data: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(data).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let usable = used.saturating_add(disk.f_bavail);
    (usable > 0).then(|| used as f64 / usable as f64)
}

impl Sampler {
    fn sample(&mut self, telemetry: &Telemetry, now: &Now) -> Sample {
        let endpoints = self.endpoints(telemetry);
        let requests = endpoints.values().fold(Requests::default(), |mut sum, requests| {
            sum.add(requests);
            sum
        });
        let denied = telemetry.denials.take();
        let parts = telemetry.parts.status();
        let trips = parts.breaker_trips.saturating_sub(std::mem::replace(&mut self.breaker_trips, parts.breaker_trips));
        Sample {
            requests,
            endpoints,
            denials: denied.limits,
            denied_keys: denied.keys,
            batches: self.batches(parts.batches),
            queue: parts.queue.utilization(),
            circuit_trips: trips,
            redis: parts.redis,
            disk: now.disk,
            leaderless: self.leaderless(now),
            mode: parts.mode.number(),
        }
    }

    fn endpoints(&mut self, telemetry: &Telemetry) -> BTreeMap<String, Requests> {
        let series = telemetry.series.load();
        let mut counted = |(name, totals): (&str, Totals)| {
            let before = self.endpoints.insert(name.to_owned(), totals).unwrap_or_default();
            (name.to_owned(), totals.since(&before))
        };
        series.endpoints().map(|(name, endpoint)| counted((name, endpoint.counts.totals()))).collect()
    }

    fn batches(&mut self, now: Batches) -> Batches {
        let before = std::mem::replace(&mut self.batches, now);
        Batches {
            successful: now.successful.saturating_sub(before.successful),
            partial: now.partial.saturating_sub(before.partial),
            failed: now.failed.saturating_sub(before.failed),
        }
    }

    fn leaderless(&mut self, now: &Now) -> BTreeMap<ShardId, u64> {
        let shards = now.status.shards.iter().filter(|shard| shard.leader.is_none());
        let since = |shard: ShardId| (shard, self.leaderless.get(&shard).copied().unwrap_or(now.at));
        self.leaderless = shards.map(|shard| since(shard.id)).collect();
        let for_ms = |since: &Instant| u64::try_from((now.at - *since).as_millis()).unwrap_or(u64::MAX);
        self.leaderless.iter().map(|(shard, since)| (*shard, for_ms(since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_cluster::ShardStatus;
    use tollgate_feedback::sample::Redis;

    use super::*;
    use crate::telemetry::{BatchOutcome, BreakerState, Mode};

    /// Now, when these shards have no leader, of two.
    fn now(leaderless: &[ShardId]) -> Now {
        let shard = |id: ShardId| {
            let leader = (!leaderless.contains(&id)).then_some(1);
            ShardStatus { id, leader, leads: false, replicas: Vec::new(), term: 1, running: true }
        };
        let shards = (0..2).map(shard).collect();
        let status = ClusterStatus { nodes: Vec::new(), shards, leader: None, term: 1, has_lease: true, ready: true };
        Now { status, disk: Disk { has_failed: false, fill: Some(0.5) }, at: Instant::now() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_counts_as_leaderless_from_when_it_was_first_seen_so() {
        let (telemetry, mut sampler) = (Telemetry::new(true), Sampler::default());
        for (leaderless, expected) in [
            (&[1][..], vec![(1, 0)]),
            (&[0, 1], vec![(0, 0), (1, 1_000)]),
            (&[0], vec![(0, 1_000)]),
            (&[0, 1], vec![(0, 2_000), (1, 0)]),
            (&[], vec![]),
        ] {
            let sample = sampler.sample(&telemetry, &now(leaderless));
            assert_eq!(sample.leaderless.into_iter().collect::<Vec<_>>(), expected);
            tokio::time::advance(PERIOD).await;
        }
    }

    #[tokio::test]
    async fn a_sample_has_what_happened_since_the_one_before() {
        let (telemetry, mut sampler) = (Telemetry::new(true), Sampler::default());
        telemetry.refused("e", &tollgate_cluster::AcquireError::NoRoom);
        telemetry.batch(BatchOutcome::Partial, 7, 0.7);
        telemetry.queue(30, 40);
        telemetry.breaker(BreakerState::Open);
        telemetry.mode(Mode::Emergency);
        telemetry.redis_answered(Duration::from_millis(2));
        let failed = |failed: u64| Requests { failed, ..Requests::default() };
        let steady = Sample {
            endpoints: [("other".to_owned(), Requests::default())].into(),
            queue: 0.75,
            redis: Some(Redis { latency_ms: 2.0, unavailable_ms: 0 }),
            disk: Disk { has_failed: false, fill: Some(0.5) },
            mode: 2,
            ..Sample::default()
        };
        let first = Sample {
            requests: failed(1),
            endpoints: [("other".to_owned(), failed(1))].into(),
            batches: Batches { partial: 1, ..Batches::default() },
            circuit_trips: 1,
            ..steady.clone()
        };
        assert_eq!(sampler.sample(&telemetry, &now(&[])), first);
        assert_eq!(sampler.sample(&telemetry, &now(&[])), steady);
    }

    #[test]
    fn a_disk_is_as_full_as_df_says() {
        assert!(fill(Path::new("/")).is_some_and(|fill| (0.0..=1.0).contains(&fill)));
        assert_eq!(fill(Path::new("/no/such/directory")), None);
    }
}
