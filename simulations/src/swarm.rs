//! Which faults a run has, drawn from its seed before it begins, so that any of them can be left out.

use crate::disk::Condition;
use crate::fault::{Action, Down, Fault, Machine, Network, Operator, Point, Who};
use crate::kernel::Ms;
use crate::network::Weather;
use crate::random::Random;
use crate::scenario::{FAULTS_UNTIL, Profile, Scenario};

/// When the first fault may come: the cluster has formed by then, most often.
const FIRST: Ms = 1_500;

/// Draws the faults of a run. Each run has a mix of its own: of all kinds a few, at a rate of its own (swarm testing: Groce, Zhang, Eide,
/// Chen and Regehr, 2012).
pub(crate) fn draw(seed: u64, scenario: &Scenario) -> Vec<Fault> {
    let mut random = Random::new(seed, "faults");
    let kinds: Vec<Kind> = match scenario.profile {
        Profile::General => kinds(scenario).into_iter().filter(|_| random.happens(400_000)).collect(),
        Profile::Duel => vec![Kind::Isolation, Kind::OneWay, Kind::Flapping],
        Profile::Power => {
            let mut kinds = vec![Kind::Crash, Kind::CrashUnsynced, Kind::CrashAt, Kind::SlowDisk, Kind::Isolation];
            kinds.extend(random.happens(500_000).then_some(Kind::Blackout));
            kinds
        }
        Profile::Elections => vec![Kind::Crash, Kind::CrashVoting, Kind::CrashVoting],
        Profile::Calm => vec![Kind::Reordering, Kind::Duplication, Kind::Duplication],
    };
    if kinds.is_empty() {
        return Vec::new();
    }
    let pause = match scenario.profile {
        Profile::General | Profile::Duel => *random.one_of(&[300, 700, 1_500, 3_000, 6_000]),
        Profile::Power => *random.one_of(&[700, 1_500]),
        Profile::Elections => *random.one_of(&[150, 300, 700]),
        Profile::Calm => 1_500,
    };
    let mut at = FIRST;
    let mut faults =
        if scenario.profile == Profile::Elections { slow_disks(&mut random, scenario) } else { Vec::new() };
    loop {
        at += random.within(0..=2 * pause);
        if at >= FAULTS_UNTIL {
            return faults;
        }
        let kind = *random.one_of(&kinds);
        let lasts = match scenario.profile {
            Profile::General => *random.one_of(&[10, 100, 400, 1_000, 2_500, 5_000]),
            Profile::Power | Profile::Elections => *random.one_of(&[10, 10, 100, 400, 1_000]),
            Profile::Calm => *random.one_of(&[1_000, 5_000]),
            Profile::Duel => *random.one_of(&[1_000, 2_500]),
        };
        faults.push(Fault { at, lasts, action: kind.draw(&mut random, scenario) });
    }
}

/// Every disk is slow until all heals.
fn slow_disks(random: &mut Random, scenario: &Scenario) -> Vec<Fault> {
    let longest = *random.one_of(&[5, 30, 100]);
    let slow = |node| Action::Machine(Who::Node(node), Machine::Disk(Condition::Slow(longest)));
    let fault = |node| Fault { at: FIRST, lasts: FAULTS_UNTIL - FIRST, action: slow(node) };
    (1..=scenario.nodes).map(fault).collect()
}

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Loss,
    Delay,
    Reordering,
    Duplication,
    Isolation,
    OneWay,
    Flapping,
    Kill,
    Crash,
    CrashUnsynced,
    CrashAt,
    CrashVoting,
    CrashAlerting,
    SlowDisk,
    FullDisk,
    BrokenDisk,
    StepWall,
    Drift,
    Pause,
    Stop,
    Roll,
    Drain,
    Membership,
    Blackout,
}

fn kinds(scenario: &Scenario) -> Vec<Kind> {
    let mut kinds = vec![
        Kind::Loss,
        Kind::Delay,
        Kind::Reordering,
        Kind::Duplication,
        Kind::Isolation,
        Kind::OneWay,
        Kind::Flapping,
        Kind::Kill,
        Kind::CrashUnsynced,
        Kind::CrashAt,
        Kind::CrashAlerting,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::BrokenDisk,
        Kind::Pause,
        Kind::Stop,
        Kind::Roll,
        Kind::Drain,
        Kind::Membership,
    ];
    kinds.extend(if scenario.power_fails {
        &[Kind::Crash, Kind::Blackout][..]
    } else {
        &[Kind::StepWall, Kind::Drift]
    });
    kinds
}

impl Kind {
    fn draw(self, random: &mut Random, scenario: &Scenario) -> Action {
        let who = who(random, scenario);
        match self {
            Self::Loss | Self::Delay | Self::Reordering | Self::Duplication => {
                Action::Network(Network::Weather(self.weather(random)))
            }
            Self::Isolation => Action::Network(Network::Isolate(who)),
            Self::OneWay => {
                let cut = Network::CutLink(who, self::who(random, scenario));
                Action::Network(random.one_of(&[Network::Mute(who), Network::Deafen(who), cut]).clone())
            }
            Self::Flapping => Action::Network(Network::Flap(who, random.within(2..=10))),
            Self::SlowDisk => {
                Action::Machine(who, Machine::Disk(Condition::Slow(*random.one_of(&[5, 30, 200, 1_000]))))
            }
            Self::FullDisk => Action::Machine(who, Machine::Disk(Condition::Full)),
            Self::BrokenDisk => Action::Machine(who, Machine::Disk(Condition::Failed)),
            Self::StepWall => {
                let step = *random.one_of(&[100, 5_000, 3_600_000]);
                Action::Machine(who, Machine::StepWall(if random.happens(500_000) { step } else { -step }))
            }
            Self::Drift => {
                let drift = random.within(0..=2 * MAX_DRIFT as u64) as i64 - MAX_DRIFT;
                Action::Machine(who, Machine::Drift(drift))
            }
            Self::Pause => Action::Machine(who, Machine::Pause),
            Self::Kill => Action::Down(who, Down::Killed),
            Self::Crash => Action::Down(who, Down::PowerLost),
            Self::CrashUnsynced => Action::Down(who, Down::WhileUnsynced),
            Self::CrashAt => Action::Down(who, Down::At(*random.one_of(&Point::ALL), random.within(0..=6))),
            Self::CrashVoting => Action::Down(who, Down::At(Point::Voting, random.within(0..=3))),
            Self::CrashAlerting => {
                let point = *random.one_of(&Point::ALERTS);
                Action::Down(Who::LeaderOfAll, Down::At(point, *random.one_of(&[0, 0, 1, 10, 40])))
            }
            Self::Stop => Action::Down(who, Down::Stopped),
            Self::Roll => Action::Operator(Operator::Roll),
            Self::Drain => Action::Operator(Operator::Drain(who)),
            Self::Blackout => Action::Blackout,
            Self::Membership => {
                Action::Operator(if random.happens(500_000) { Operator::Join } else { Operator::Remove(who) })
            }
        }
    }

    fn weather(self, random: &mut Random) -> Weather {
        match self {
            Self::Loss => Weather {
                loss: *random.one_of(&[10_000, 100_000, 400_000]),
                duplication: *random.one_of(&[0, 50_000, 300_000]),
                ..Weather::FAIR
            },
            Self::Delay => {
                let slowest = *random.one_of(&[5, 20, 60, 200]);
                Weather { latency: (random.within(0..=slowest), slowest), ..Weather::FAIR }
            }
            Self::Duplication => Weather { duplication: *random.one_of(&[100_000, 500_000]), ..Weather::FAIR },
            _ => Weather {
                duplication: *random.one_of(&[0, 100_000]),
                latency: (0, *random.one_of(&[3, 10])),
                spikes: (*random.one_of(&[10_000, 200_000]), *random.one_of(&[30, 300, 2_000])),
                ..Weather::FAIR
            },
        }
    }
}

/// The most that a machine's clocks gain or lose, in millionths.
pub(crate) const MAX_DRIFT: i64 = 5_000;

/// Half of all faults are aimed at leaders: there they hurt.
fn who(random: &mut Random, scenario: &Scenario) -> Who {
    match random.within(0..=9) {
        0..4 => Who::LeaderOf(random.within(0..=u64::from(scenario.shards) - 1) as u32),
        4 => Who::LeaderOfAll,
        _ => Who::Node(random.within(1..=scenario.nodes)),
    }
}
