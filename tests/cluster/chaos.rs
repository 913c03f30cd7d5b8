//! What each fault costs: units admitted beyond a limit, tokens lost, and how long clients wait. `cargo xtask chaos` runs it in a
//! release build and prints the table that the README shows.
#![expect(clippy::print_stdout, reason = "the table is what this is for")]

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cluster::{Cluster, places};
use crate::disks;
use crate::history::now_ns;
use crate::load::Load;
use crate::machine::Machine;
use crate::namespaces::{self, Namespaces};
use crate::probes::{Bucket, Probes};
use crate::small_disk::SmallDisk;
use crate::wait::until;

/// How long a fault lasts: longer than elections, leases and horizons do.
const FAULT: Duration = Duration::from_secs(5);

/// How long all is well before a fault, and after it.
const CALM: Duration = Duration::from_secs(1);

/// For how long a process is stopped.
const STOPPED: Duration = Duration::from_secs(30);

/// How long a node may take to hand over all that it leads, or to end.
const HANDED_OVER: Duration = Duration::from_secs(10);

/// The size of a disk that fills up.
const DISK_BYTES: u64 = 64 << 20;

/// Buckets of the limit `saved`, of one unit a day, and what is spent of each before the fault.
const SAVED: usize = 64;
const SAVED_BURST: u64 = 100;
const SPENT: u64 = 10;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    KillLeader,
    KillTwo,
    KillAll,
    StopLeader,
    CutLeader { with_clients: bool },
    Unheard,
    Deaf,
    Flapping,
    FullDisk,
    WallClocks,
    Drain,
    RollingRestart,
}

const FAULTS: [Fault; 14] = [
    Fault::Nothing,
    Fault::KillLeader,
    Fault::KillTwo,
    Fault::KillAll,
    Fault::StopLeader,
    Fault::CutLeader { with_clients: false },
    Fault::CutLeader { with_clients: true },
    Fault::Unheard,
    Fault::Deaf,
    Fault::Flapping,
    Fault::FullDisk,
    Fault::WallClocks,
    Fault::Drain,
    Fault::RollingRestart,
];

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::KillLeader => "`kill -9` of the node that leads most",
            Self::KillTwo => "`kill -9` of two of three; gap since they were started again",
            Self::KillAll => "`kill -9` of all three; gap since they were started again",
            Self::StopLeader => "SIGSTOP of the node that leads most for 30 s, SIGCONT",
            Self::CutLeader { with_clients: false } => "the node that leads most is cut off",
            Self::CutLeader { with_clients: true } => "the same, with clients that go on asking it",
            Self::Unheard => "it hears the others, and they do not hear it",
            Self::Deaf => "the others hear it, and it does not hear them",
            Self::Flapping => "its links come and go, ten times in 6 s",
            Self::FullDisk => "the disk of one node is full for 5 s",
            Self::WallClocks => "wall clocks step by ±1 h, and the leader is killed and boots anew",
            Self::Drain => "a drain",
            Self::RollingRestart => "a rolling restart (SIGTERM)",
        }
    }

    fn needs_namespaces(self) -> bool {
        matches!(self, Self::CutLeader { .. } | Self::Unheard | Self::Deaf | Self::Flapping)
    }
}

/// A cluster under load, and what may be done to it.
struct Arena {
    cluster: Cluster,
    load: Load,
    probes: Probes,
    network: Option<Namespaces>,
    machines: Vec<Machine>,
    disk: Option<SmallDisk>,
}

/// A line of the table.
struct Cost {
    /// Buckets with a window in which more was admitted than their limit says.
    exceeded: usize,
    lost_of_ten_a_second: u64,
    lost_of_one_a_day: u64,
    warm_gap: Duration,
    cold_gap: Duration,
}

impl Arena {
    /// `None` where this machine does not allow the fault.
    async fn open(fault: Fault) -> Option<Self> {
        let mut places = places(3);
        let (mut network, mut machines, mut disk) = (None, Vec::new(), None);
        if fault.needs_namespaces() {
            let made = Namespaces::make(3)?;
            places = made.places();
            network = Some(made);
        }
        if matches!(fault, Fault::WallClocks) {
            machines = (0..3).map(|_| Machine::make()).collect::<Option<_>>()?;
            places = places.into_iter().zip(&machines).map(|(place, machine)| machine.place(place)).collect();
        }
        if matches!(fault, Fault::FullDisk) {
            let mounted = SmallDisk::mount(DISK_BYTES)?;
            places[0].data = Some(mounted.path().join("data"));
            disk = Some(mounted);
        }
        let cluster = Cluster::of(&places).await;
        let saved = json!({"match": {"endpoint": "saved"}, "by": ["user"], "rate": 1, "per": "24h",
            "burst_limit": SAVED_BURST, "on_unavailable": "deny"});
        cluster.put_limit(1, "saved", saved).await;
        let load = Load::start(&cluster).await;
        for user in 0..SAVED {
            let body = json!({"endpoint": "saved", "labels": {"user": user.to_string()}, "cost": SPENT});
            let answer = cluster.post(user % 3 + 1, "/v1/acquire", body).await;
            assert_eq!((answer.status, &answer.body["degraded"]), (200, &json!(false)), "{answer:?}");
        }
        let probes = Probes::start(&cluster).await;
        Some(Self { cluster, load, probes, network, machines, disk })
    }

    /// Lets the fault happen and pass; returns since when a gap is of its making.
    async fn strike(&mut self, fault: Fault) -> u64 {
        let begun = now_ns();
        let leader = self.cluster.busiest().await;
        let others = namespaces::others(leader);
        match fault {
            Fault::Nothing => sleep(FAULT).await,
            Fault::KillLeader => {
                self.cluster.kill(leader);
                sleep(FAULT).await;
                self.restart(&[leader]).await;
            }
            Fault::KillTwo => return self.kill_and_restart(&others).await,
            Fault::KillAll => return self.kill_and_restart(&[1, 2, 3]).await,
            Fault::StopLeader => {
                self.probes.ask_only(&others);
                self.cluster.pause(leader);
                sleep(STOPPED).await;
                self.cluster.resume(leader);
            }
            Fault::CutLeader { .. } | Fault::Unheard | Fault::Deaf | Fault::Flapping => {
                self.probes.ask_only(&others);
                self.break_network(fault, leader).await;
            }
            Fault::FullDisk => self.fill_disk().await,
            Fault::WallClocks => {
                for (node, step_s) in [(1, 3_600), (2, -3_600), (3, 3_600)] {
                    self.machines[node - 1].step_wall(step_s);
                }
                sleep(2 * CALM).await;
                self.cluster.kill(leader);
                self.machines[leader - 1].boot();
                sleep(FAULT).await;
                self.restart(&[leader]).await;
            }
            Fault::Drain => {
                self.drain(leader, Method::POST).await;
                let leads_nothing = async || self.cluster.leads(leader).await == 0;
                until("the drained node leads nothing", HANDED_OVER, leads_nothing).await;
                sleep(CALM).await;
                self.drain(leader, Method::DELETE).await;
                let leads_again = async || self.cluster.leads(leader).await > 0;
                until("the node leads again", HANDED_OVER, leads_again).await;
            }
            Fault::RollingRestart => {
                for node in 1..=3 {
                    assert_eq!(self.cluster.stop(node, HANDED_OVER).await.0, Some(0), "{}", self.cluster.log(node));
                    // As a load balancer does that asks for `/ready`.
                    self.probes.ask_only(&namespaces::others(node));
                    self.restart(&[node]).await;
                    self.probes.ask_only(&[1, 2, 3]);
                    sleep(CALM).await;
                }
            }
        }
        begun
    }

    async fn kill_and_restart(&mut self, nodes: &[usize]) -> u64 {
        nodes.iter().for_each(|node| self.cluster.kill(*node));
        sleep(FAULT).await;
        let restarted = now_ns();
        self.restart(nodes).await;
        restarted
    }

    async fn restart(&mut self, nodes: &[usize]) {
        nodes.iter().for_each(|node| self.cluster.start(*node));
        self.cluster.ready().await;
    }

    /// `POST` has a node lead nothing, `DELETE` takes that back.
    async fn drain(&self, node: usize, method: Method) {
        let answer = self.cluster.call(node, method, &format!("/v1/cluster/nodes/{node}/drain"), Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn break_network(&self, fault: Fault, leader: usize) {
        let network = self.network.as_ref().expect("this fault has one");
        match fault {
            Fault::Unheard => network.make_unheard(leader, FAULT).await,
            Fault::Deaf => network.make_deaf(leader, FAULT).await,
            Fault::Flapping => network.flap(leader).await,
            _ => {
                if matches!(fault, Fault::CutLeader { with_clients: false }) {
                    self.load.keep_away(leader);
                }
                network.cut(leader);
                sleep(FAULT).await;
                network.mend(leader);
                self.load.come_back(leader);
            }
        }
    }

    async fn fill_disk(&self) {
        let disk = self.disk.as_ref().expect("this fault has one");
        disks::fill(&self.cluster, 1, disk).await;
        sleep(FAULT).await;
        disks::freed(&self.cluster, 1, disk).await;
    }
}

/// What a fault costs, once it has passed and all answers are exact; `None` where this machine does not allow it.
async fn cost(fault: Fault) -> Option<Cost> {
    let mut arena = Arena::open(fault).await?;
    sleep(CALM).await;
    let from = arena.strike(fault).await;
    arena.cluster.exact().await;
    arena.probes.ask_only(&[1, 2, 3]);
    sleep(CALM).await;
    let span = (from, now_ns());
    let Arena { cluster, load, probes, .. } = arena;
    let waits = probes.waits().await;
    let (_, violations) = load.judged().await;
    let mut lost_of_one_a_day = 0;
    for user in 0..SAVED {
        let Value::Number(left) = cluster.remaining(1, "saved", &user.to_string()).await else {
            panic!("user {user}: how many are left is not told")
        };
        let lost = (SAVED_BURST - SPENT).checked_sub(left.as_u64().unwrap_or(u64::MAX));
        lost_of_one_a_day = lost_of_one_a_day.max(lost.expect("nothing comes back within a day"));
    }
    Some(Cost {
        exceeded: violations.len(),
        lost_of_ten_a_second: waits.most_lost(from),
        lost_of_one_a_day,
        warm_gap: waits.longest(Bucket::Warm, span),
        cold_gap: waits.longest(Bucket::Cold, span),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, for three minutes: cargo xtask chaos"]
async fn faults_cost_what_this_table_says() {
    println!("| fault | over-admitted | tokens lost, of 10 a second | of 1 a day | gap in ms, warm | cold |");
    println!("|---|---|---|---|---|---|");
    let mut exceeded_in_all = 0;
    for fault in FAULTS {
        let Some(Cost { exceeded, lost_of_ten_a_second, lost_of_one_a_day, warm_gap, cold_gap }) = cost(fault).await
        else {
            continue;
        };
        exceeded_in_all += exceeded;
        println!(
            "| {} | {exceeded} | {lost_of_ten_a_second} | {lost_of_one_a_day} | {} | {} |",
            fault.name(),
            warm_gap.as_millis(),
            cold_gap.as_millis(),
        );
    }
    assert_eq!(exceeded_in_all, 0, "a limit was exceeded");
}
