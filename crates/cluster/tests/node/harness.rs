//! A node under test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tollgate_cluster::{
    AcquireError, AlertOptions, Attempt, Clock, Courier, Delivery, Entropy, Environment, Event, Events, Forming, Link,
    Node, NodeIdentity, NodeOptions, Request, SNAPSHOT_LOG_BYTES, Verdict,
};
use tollgate_limiter::{
    Algorithm, ClockReading, Consistency, Limit, LimitName, OnUnavailable, Pace, Pattern, Quota, Selector,
};
use tollgate_storage::{
    Completion, GroupId, LogBatch, MemoryStorage, MetadataKey, Promise, Snapshot, Storage, StorageError, StorageHealth,
};
use tollgate_transport::{MemoryNetwork, NodeId};

pub(crate) const SECOND: i64 = 1_000_000_000;

/// No two boots, of whichever machine, have the same number.
static BOOTS: AtomicU64 = AtomicU64::new(0);

/// Clocks that stand still until a test turns them.
pub(crate) struct TestClock {
    mono_ns: AtomicI64,
    wall_ns: AtomicI64,
    boot: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        // 2026-01-01T00:00:00Z
        let wall_ns = AtomicI64::new(1_767_225_600 * SECOND);
        Arc::new(Self {
            mono_ns: AtomicI64::new(5 * SECOND),
            wall_ns,
            boot: AtomicU64::new(BOOTS.fetch_add(1, Ordering::SeqCst)),
        })
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span_ns: i64) {
        self.mono_ns.fetch_add(span_ns, Ordering::SeqCst);
        self.wall_ns.fetch_add(span_ns, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an operator or NTP does.
    pub(crate) fn step_wall(&self, span_ns: i64) {
        self.wall_ns.fetch_add(span_ns, Ordering::SeqCst);
    }

    /// The machine boots anew: its monotonic clock begins at 0.
    pub(crate) fn reboot(&self) {
        self.mono_ns.store(0, Ordering::SeqCst);
        self.boot.store(BOOTS.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn read(&self) -> ClockReading {
        ClockReading {
            mono_ns: self.mono_ns.load(Ordering::SeqCst),
            wall_ns: self.wall_ns.load(Ordering::SeqCst),
            boot: u128::from(self.boot.load(Ordering::SeqCst)),
        }
    }
}

/// Numbers that are not random, and differ.
pub(crate) struct Numbers(pub(crate) AtomicU64);

impl Entropy for Numbers {
    fn bits(&self) -> u128 {
        u128::from(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst))
    }
}

/// Counts what happens, and makes the next bucket actor that decides fail when it is told to.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) proposed: AtomicU64,
    pub(crate) restarted: AtomicU64,
    pub(crate) panic_next: AtomicBool,
    /// Who starts a failed actor anew fails, too.
    pub(crate) panic_at_restart: AtomicBool,
}

impl Events for Recorder {
    fn on(&self, event: Event) {
        match event {
            Event::Proposed { .. } => drop(self.proposed.fetch_add(1, Ordering::SeqCst)),
            Event::ActorRestarted { .. } if self.panic_at_restart.load(Ordering::SeqCst) => panic!("a planted failure"),
            Event::ActorRestarted { .. } => drop(self.restarted.fetch_add(1, Ordering::SeqCst)),
            Event::Deciding { .. } if self.panic_next.swap(false, Ordering::SeqCst) => panic!("a planted failure"),
            _ => {}
        }
    }
}

/// A receiver of alerts, and what has arrived there.
#[derive(Clone, Default)]
pub(crate) struct Letters(pub(crate) Arc<Mutex<Vec<Delivery>>>);

impl Courier for Letters {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt> {
        self.0.lock().expect("nobody panics with it").push(delivery);
        Box::pin(std::future::ready(Attempt::Delivered { receipt: "ok".to_owned() }))
    }
}

/// Memory that a test can make as slow as a full disk: while it is stuck, no sync completes.
#[derive(Clone)]
pub(crate) struct StickyStorage {
    inner: MemoryStorage,
    stuck: tokio::sync::watch::Sender<bool>,
}

impl StickyStorage {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStorage::new(), stuck: tokio::sync::watch::Sender::new(false) }
    }

    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.stuck.send_replace(stuck);
    }
}

impl Storage for StickyStorage {
    fn write(&self, batch: LogBatch) -> Completion {
        self.inner.write(batch)
    }

    fn sync(&self) -> Completion {
        let inner = self.inner.sync();
        let mut stuck = self.stuck.subscribe();
        let (promise, completion): (Promise, Completion) = Completion::pending();
        tokio::spawn(async move {
            let released = stuck.wait_for(|stuck| !stuck).await.is_ok();
            promise.resolve(if released { inner.await } else { Err(StorageError::Stopped) });
        });
        completion
    }

    fn entries(&self, group: GroupId, range: std::ops::Range<u64>) -> Completion<Vec<(u64, Vec<u8>)>> {
        self.inner.entries(group, range)
    }

    fn log_bounds(&self, group: GroupId) -> Option<std::ops::RangeInclusive<u64>> {
        self.inner.log_bounds(group)
    }

    fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>> {
        self.inner.metadata(group, key)
    }

    fn save_snapshot(&self, group: GroupId, snapshot: Snapshot) -> Completion {
        self.inner.save_snapshot(group, snapshot)
    }

    fn load_snapshot(&self, group: GroupId) -> Completion<Option<Snapshot>> {
        self.inner.load_snapshot(group)
    }

    fn groups_to_purge(&self) -> Vec<GroupId> {
        self.inner.groups_to_purge()
    }

    fn health(&self) -> StorageHealth {
        self.inner.health()
    }
}

/// A node, and all that it takes from outside.
pub(crate) struct Fixture {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) storage: StickyStorage,
    pub(crate) node: Arc<Node>,
    limits: Vec<Limit>,
}

impl Fixture {
    pub(crate) async fn start(limits: Vec<Limit>) -> Self {
        let (clock, recorder, storage) = (TestClock::new(), Arc::new(Recorder::default()), StickyStorage::new());
        let node = start(&limits, &clock, &recorder, &storage, 1_000_000).await;
        Self { clock, recorder, storage, node, limits }
    }

    pub(crate) async fn start_with_room_for(max_buckets: u64, limits: Vec<Limit>) -> Self {
        let (clock, recorder, storage) = (TestClock::new(), Arc::new(Recorder::default()), StickyStorage::new());
        let node = start(&limits, &clock, &recorder, &storage, max_buckets).await;
        Self { clock, recorder, storage, node, limits }
    }

    /// Kills the node, with nothing handed over, and starts it anew on the same storage.
    pub(crate) async fn crash_and_restart(mut self, away: impl FnOnce(&TestClock)) -> Self {
        self.node.crash().await;
        away(&self.clock);
        self.node = start(&self.limits, &self.clock, &self.recorder, &self.storage, 1_000_000).await;
        self
    }

    /// Stops the node in order and starts it anew.
    pub(crate) async fn stop_and_restart(mut self) -> Self {
        self.node.stop().await;
        self.node = start(&self.limits, &self.clock, &self.recorder, &self.storage, 1_000_000).await;
        self
    }

    pub(crate) async fn acquire(&self, user: &str, cost: u64) -> Verdict {
        self.try_acquire(user, cost, Duration::ZERO).await.expect("the request is decided")
    }

    pub(crate) async fn try_acquire(&self, user: &str, cost: u64, patience: Duration) -> Result<Verdict, AcquireError> {
        let labels = BTreeMap::from([("user".to_owned(), user.to_owned())]);
        let request = Request { prefix: "app", endpoint: "test", labels: &labels, cost, patience };
        self.node.acquire(&request).await
    }

    /// How many requests of one unit pass until one is denied.
    pub(crate) async fn admitted(&self, user: &str) -> u64 {
        let mut admitted = 0;
        while self.acquire(user, 1).await.allowed {
            admitted += 1;
        }
        admitted
    }
}

async fn start(
    limits: &[Limit],
    clock: &Arc<TestClock>,
    recorder: &Arc<Recorder>,
    storage: &StickyStorage,
    max_buckets: u64,
) -> Arc<Node> {
    let entropy: Arc<dyn Entropy> = Arc::new(Numbers(AtomicU64::new(7)));
    let identity = NodeIdentity::of_data(storage, 1, &*entropy).await.expect("the data is this node's");
    let options = NodeOptions {
        identity,
        forming: Forming::Alone,
        cluster: 7,
        peer: String::new(),
        http: String::new(),
        shards: 4,
        replication: 3,
        horizon_lead: Duration::from_secs(2),
        deadline: Duration::from_millis(100),
        max_buckets,
        snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
        limits: limits.to_vec(),
        alerts: AlertOptions::default(),
    };
    let environment = Environment {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        entropy,
        events: Arc::clone(recorder) as Arc<dyn Events>,
        storage: Arc::new(storage.clone()),
        courier: Arc::new(Letters::default()),
    };
    let (transport, inbound) = MemoryNetwork::new().join(NodeId(1));
    let link = Link { transport: Arc::new(transport), inbound };
    Node::start(options, environment, link).await.expect("the node starts")
}

/// A limit by user that every request meets.
pub(crate) fn limit(name: &str, algorithm: Algorithm) -> Limit {
    Limit {
        name: LimitName::new(name).expect("a valid name"),
        prefix: None,
        selectors: vec![Selector { label: "endpoint".into(), any_of: vec![Pattern::new("*")] }],
        by: vec!["user".into()],
        algorithm,
        consistency: Consistency::Exact,
        on_unavailable: OnUnavailable::Local,
        shadow: false,
        reservation_ttl_ns: 60 * SECOND,
    }
}

pub(crate) fn token_bucket(rate: u64, per_ns: i64, burst: u64) -> Algorithm {
    Algorithm::TokenBucket(Pace::new(rate, per_ns, burst).expect("a legal pace"))
}

pub(crate) fn leaky_bucket(rate: u64, per_ns: i64, burst: u64) -> Algorithm {
    Algorithm::LeakyBucket(Pace::new(rate, per_ns, burst).expect("a legal pace"))
}

pub(crate) fn quota(units: u64, window_ns: i64) -> Quota {
    Quota::new(units, window_ns).expect("a legal quota")
}
