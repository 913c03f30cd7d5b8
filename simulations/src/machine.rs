//! A machine: its disk and its clocks, which outlive its process, and the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, sleep};
use tollgate_cluster::{
    Environment, Event, Events, Forming, Link, Node, NodeId, NodeIdentity, NodeOptions, StartError,
};
use tollgate_storage::Storage;

use crate::clock::{MachineClock, MachineEntropy, SharedClock};
use crate::disk::Disk;
use crate::kernel::{MS_NS, Ms};
use crate::network::Network;
use crate::random::Random;
use crate::receivers::{NodeCourier, Receivers};
use crate::scenario::Scenario;
use crate::{interposer, log, troubles};

/// What all nodes of a cluster are configured with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) founders: BTreeMap<NodeId, String>,
    pub(crate) scenario: Scenario,
    pub(crate) receivers: Arc<Receivers>,
}

/// What a node told of since it was looked at last.
pub(crate) type Told = Arc<Mutex<Vec<Event>>>;

/// A machine.
pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) disk: Disk,
    pub(crate) clock: SharedClock,
    pub(crate) told: Told,
    entropy: Arc<MachineEntropy>,
    random: Random,
    /// What the process draws its random numbers from.
    process_random: u64,
    /// So many millionths of a second its clocks gain each second.
    pub(crate) drift: i64,
    /// Millionths of a millisecond that its clocks have gained and not shown yet.
    gained: i64,
    /// While it is above 0 the process stands still.
    pub(crate) paused_until: Ms,
    /// Milliseconds that passed while the process stood still.
    missed: Ms,
    forming: Forming,
    /// How often a process was started.
    pub(crate) starts: u64,
    process: Option<Process>,
}

/// A process of a node.
struct Process {
    runtime: Runtime,
    start: Arc<Mutex<Start>>,
}

/// How far a process is.
#[derive(Clone)]
pub(crate) enum Start {
    /// It is starting.
    Starting,
    /// The node runs.
    Running(Arc<Node>),
    /// It has ended, for this reason.
    Ended(String),
}

struct Teller(Told);

impl Events for Teller {
    fn on(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl Machine {
    /// A machine that was never started.
    pub(crate) fn new(seed: u64, id: NodeId, forming: Forming, settings: &Settings) -> Self {
        let mut random = Random::new(seed, &format!("machine {id}"));
        let up_ns = random.within(1..=1_000_000) as i64 * MS_NS;
        let ahead_ns = random.within(0..=200) as i64 * MS_NS - 100 * MS_NS;
        let ahead_ns = if settings.scenario.power_fails { 0 } else { ahead_ns };
        let entropy = MachineEntropy(Mutex::new(Random::new(seed, &format!("entropy {id}"))));
        Self {
            id,
            disk: Disk::new(seed, id),
            clock: Arc::new(MachineClock::new(u128::from(id) << 64, up_ns, ahead_ns)),
            told: Arc::default(),
            entropy: Arc::new(entropy),
            process_random: random.bits(),
            random,
            drift: 0,
            gained: 0,
            paused_until: 0,
            missed: 0,
            forming,
            starts: 0,
            process: None,
        }
    }

    /// Whether a process is there.
    pub(crate) fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// The node, once it runs.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        match self.progress()? {
            Start::Running(node) => Some(node),
            Start::Starting | Start::Ended(_) => None,
        }
    }

    /// How far the process is; `None` when there is none.
    pub(crate) fn progress(&self) -> Option<Start> {
        let process = self.process.as_ref()?;
        Some(process.start.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Starts a process.
    pub(crate) fn start(&mut self, settings: &Settings, network: &Network) {
        assert!(self.process.is_none(), "machine {} has a process", self.id);
        let start = Arc::new(Mutex::new(Start::Starting));
        // How many tasks run between two looks at timers: the interleavings of tasks differ with it.
        let (global, events) = (self.random.within(1..=61) as u32, self.random.within(1..=61) as u32);
        let random = interposer::swap_random(self.process_random);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .global_queue_interval(global)
            .event_interval(events)
            .build()
            .expect("a runtime needs no more than memory");
        let (transport, inbound) = network.join(self.id);
        let link = Link { transport: Arc::new(transport), inbound };
        let life = Life {
            id: self.id,
            settings: settings.clone(),
            forming: self.forming.clone(),
            disk: self.disk.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            told: Arc::clone(&self.told),
            start: Arc::clone(&start),
        };
        runtime.spawn(life.live(link));
        self.process_random = interposer::swap_random(random);
        (self.paused_until, self.missed) = (0, 0);
        self.process = Some(Process { runtime, start });
        self.starts += 1;
    }

    /// Whether the machine's node joins the cluster by asking this one.
    pub(crate) fn joins_by(&self, node: NodeId) -> bool {
        matches!(self.forming, Forming::Join { contact, .. } if contact == node)
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self, network: &Network) {
        network.leave(self.id);
        self.end_process();
        self.disk.lose_process();
    }

    /// Cuts the machine's power; it boots anew when it is started next.
    pub(crate) fn lose_power(&mut self, network: &Network) {
        network.leave(self.id);
        self.end_process();
        self.disk.lose_power();
        self.clock.reboot();
    }

    fn end_process(&mut self) {
        let random = interposer::swap_random(self.process_random);
        drop(self.process.take());
        self.process_random = interposer::swap_random(random);
        self.clock.anchor(None);
    }

    /// Runs something in the node's runtime, if the node runs; `false` if not.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(Arc<Node>) -> F) -> bool {
        match (&self.process, self.node()) {
            (Some(process), Some(node)) => {
                process.runtime.spawn(task(node));
                true
            }
            _ => false,
        }
    }

    /// Stops the process in order, as SIGTERM does; `false` if no node runs.
    pub(crate) fn stop(&self) -> bool {
        let Some(start) = self.process.as_ref().map(|process| Arc::clone(&process.start)) else { return false };
        self.spawn(|node| async move {
            node.drain().await;
            node.stop().await;
            *start.lock().unwrap_or_else(PoisonError::into_inner) = Start::Ended("it was stopped".to_owned());
        })
    }

    /// Lets the next millisecond of true time, which ends at `until`, pass here.
    pub(crate) fn step(&mut self, until: Ms) {
        let ms = self.passing();
        let is_paused = until <= self.paused_until;
        if is_paused || self.process.is_none() {
            self.missed += if self.process.is_some() { ms } else { 0 };
            self.clock.pass(ms);
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        self.run(missed, ms);
        self.clock.pass(ms);
    }

    /// How many milliseconds its clocks show for one that is true.
    fn passing(&mut self) -> Ms {
        self.gained += self.drift;
        let whole = self.gained.div_euclid(1_000_000).clamp(-1, 1);
        self.gained -= whole * 1_000_000;
        1_u64.checked_add_signed(whole).expect("it loses at most one")
    }

    fn run(&mut self, missed: Ms, ms: Ms) {
        let Some(process) = &self.process else { return };
        let random = interposer::swap_random(self.process_random);
        log::set_speaker(self.id);
        let clock = &self.clock;
        process.runtime.block_on(async {
            if missed > 0 {
                advance(Duration::from_millis(missed)).await;
            }
            let begun = Instant::now();
            clock.anchor(Some(begun));
            if ms > 0 {
                sleep(Duration::from_millis(ms)).await;
            }
            assert_eq!(begun.elapsed(), Duration::from_millis(ms), "a window is as long as it is");
            clock.anchor(None);
        });
        self.process_random = interposer::swap_random(random);
    }
}

/// All that a process takes from its machine.
struct Life {
    id: NodeId,
    settings: Settings,
    forming: Forming,
    disk: Disk,
    clock: SharedClock,
    entropy: Arc<MachineEntropy>,
    told: Told,
    start: Arc<Mutex<Start>>,
}

impl Life {
    async fn live(self, link: Link) {
        let end = match self.start(link).await {
            Ok(node) => {
                self.set(Start::Running(Arc::clone(&node)));
                tokio::select! {
                    biased;
                    () = node.left() => "it was removed from its cluster".to_owned(),
                    () = node.failed() => "an actor failed that it cannot do without".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        self.set(Start::Ended(end));
    }

    fn set(&self, start: Start) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    async fn start(&self, link: Link) -> Result<Arc<Node>, StartError> {
        let storage: Arc<dyn Storage> = Arc::new(self.disk.open());
        let identity = NodeIdentity::of_data(&*storage, self.id, &*self.entropy).await?;
        let Settings { founders, scenario, receivers } = self.settings.clone();
        let options = NodeOptions {
            identity,
            forming: self.forming.clone(),
            cluster: tollgate_cluster::cluster_of(&founders),
            peer: address(self.id),
            http: address(self.id),
            shards: scenario.shards,
            replication: 3,
            horizon_lead: scenario.horizon_lead,
            deadline: scenario.deadline,
            max_buckets: 1_000_000,
            snapshot_log_bytes: scenario.snapshot_log_bytes,
            limits: scenario.limits,
            alerts: troubles::options(),
        };
        let environment = Environment {
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
            events: Arc::new(Teller(Arc::clone(&self.told))),
            storage,
            courier: Arc::new(NodeCourier { node: self.id, receivers }),
        };
        Node::start(options, environment, link).await
    }
}

/// Where a node is.
pub(crate) fn address(id: NodeId) -> String {
    format!("node-{id}:1")
}
