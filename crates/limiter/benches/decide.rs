//! Nanoseconds per decision, single-threaded, on a million buckets over 16 shards.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tollgate_limiter::{
    Algorithm, Applied, Ask, Budget, ClockReading, Command, Consistency, Decision, Key, Leader, LeaderOptions, LimitId,
    LimitName, Pace, Shape, ShardTime, Stamp, State, Table,
};

const SHARDS: u32 = 16;
const BUCKETS: u64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// Decisions that one reading of the clock serves.
const BATCH: usize = 64;

/// What a decision is supposed to cost: by so much the clock moves for each.
const DECISION_NS: i64 = 60;

struct Shard {
    state: State,
    leader: Leader,
}

impl Shard {
    fn new(stamp: Stamp) -> Self {
        let mut state = State::default();
        let Applied::TookOver(leadership) = state.apply(&Command::TakeOver { stamp }) else {
            unreachable!("a takeover never fails")
        };
        let budget = Budget::new(u64::MAX);
        let options = LeaderOptions { horizon_lead_ns: 2 * SECOND_NS, commit_ns: 1_000_000, budget };
        let mut leader = Leader::new(leadership, options);
        leader.follow(&state);
        // So fast that even the hot bucket admits all.
        let pace = Pace::new(1_000_000_000, SECOND_NS, 1_000_000_000).expect("a legal pace");
        let shape = Shape { id: LimitId(0), algorithm: Algorithm::TokenBucket(pace) };
        state.apply(&leader.reshape(stamp, 1, vec![shape]));
        leader.follow(&state);
        Self { state, leader }
    }

    fn decide(&mut self, key: Key, now: ShardTime) -> Decision {
        let ask = Ask { limit: LimitId(0), key, cost: 1, consistency: Consistency::Exact, ahead: 0, permit: None };
        self.leader.decide(&self.state, now, &ask, None)
    }

    fn commit(&mut self, stamp: Stamp) {
        if let Some(command) = self.leader.proposal(&self.state, stamp) {
            self.state.apply(&command);
            self.leader.follow(&self.state);
            self.leader.granted(&self.state);
        }
    }
}

/// All shards of a node.
struct Node {
    shards: Vec<Shard>,
    now: ShardTime,
}

impl Node {
    /// Every bucket has been used within the horizon.
    fn warm(keys: &[Vec<Key>]) -> Self {
        let now = ShardTime::from_nanos(1_700_000_000 * SECOND_NS);
        let shards = (0..SHARDS).map(|_| Shard::new(stamp(now))).collect();
        let mut node = Self { shards, now };
        node.warm_up(keys);
        node
    }

    /// Uses every bucket, so that no shard is idle and each has a fresh horizon.
    fn warm_up(&mut self, keys: &[Vec<Key>]) {
        for _ in 0..2 {
            for keys in keys {
                black_box(self.decide_all(keys));
            }
            self.commit();
        }
    }

    /// Decides a batch of one shard at one instant, as its actor does, and returns how many were admitted.
    fn decide_all(&mut self, batch: &[Key]) -> usize {
        self.now = self.now.plus(DECISION_NS * batch.len() as i64);
        let now = self.now;
        let Some(shard) = batch.first().map(|key| &mut self.shards[key.shard(SHARDS) as usize]) else { return 0 };
        shard.leader.fetch(batch.iter().map(|key| (LimitId(0), *key)));
        let mut admitted = |key: &Key| matches!(black_box(shard.decide(*key, now)), Decision::Admitted(..));
        batch.iter().filter(|key| admitted(key)).count()
    }

    /// Renews the horizons, if that is due.
    fn commit(&mut self) {
        let stamp = stamp(self.now);
        self.shards.iter_mut().for_each(|shard| shard.commit(stamp));
    }
}

fn stamp(at: ShardTime) -> Stamp {
    Stamp { at, reading: ClockReading::default() }
}

fn bucket(user: u64) -> Key {
    let name = LimitName::new("pro").expect("a valid name");
    Key::of_bucket("app", &name, [Some(format!("user-{user:09}").as_str())])
}

/// A stream of numbers that is the same in every run (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn uniform(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// The ranks of a Zipf distribution with exponent 1: the logarithm of the rank is uniform.
    fn zipf(&mut self, end: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((end as f64).powf(unit) as usize).min(end) - 1
    }
}

fn decide(criterion: &mut Criterion) {
    let mut keys = vec![Vec::new(); SHARDS as usize];
    for key in (0..BUCKETS).map(bucket) {
        keys[key.shard(SHARDS) as usize].push(key);
    }
    let mut random = Random(42);
    let mut node = Node::warm(&keys);
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut run = |name: &str, next: fn(&mut Random, usize) -> usize| {
        node.warm_up(&keys);
        let mut decided = 0_usize;
        let batch = |random: &mut Random| -> Vec<Key> {
            let keys = &keys[random.uniform(keys.len())];
            (0..BATCH).map(|_| keys[next(random, keys.len())]).collect()
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || batch(&mut random),
                |batch| {
                    decided += 1;
                    if decided.is_multiple_of(1 << 12) {
                        node.commit();
                    }
                    assert_eq!(node.decide_all(&batch), BATCH, "a warm bucket waits for nothing");
                },
                BatchSize::LargeInput,
            );
        });
    };
    run("hot", |_, _| 0);
    run("zipf", Random::zipf);
    run("uniform", Random::uniform);
    group.bench_function("uniform, bare table", |bencher| {
        let mut table = Table::default();
        let keys: Vec<_> = keys.iter().flatten().copied().collect();
        for key in &keys {
            table.insert(*key, ShardTime::MIN);
        }
        bencher.iter_batched(
            || (0..BATCH).map(|_| keys[random.uniform(keys.len())]).collect::<Vec<_>>(),
            |batch| batch.iter().for_each(|key| *table.get_or_insert_with(*key, ShardTime::default) = ShardTime::MAX),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
