//! A machine's clocks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tollgate_cluster::Clock;
use tollgate_limiter::{ClockReading, Planted};

use crate::kernel::MS_NS;

/// 2026-01-01T00:00:00Z, when every simulation begins.
pub(crate) const BEGINNING_NS: i64 = 1_767_225_600_000_000_000;

/// How much later each reading within a millisecond is: time does not stand still while a machine computes.
const READING_NS: i64 = 137;

/// The clocks of a machine. They go on while no process runs.
#[derive(Debug)]
pub(crate) struct MachineClock(Mutex<Clocks>);

#[derive(Debug)]
struct Clocks {
    /// Names this boot: the monotonic clock counts from its beginning.
    boot: u128,
    /// The monotonic clock at the last full millisecond that the kernel told of.
    mono_ns: i64,
    /// What the wall clock is ahead of the monotonic one.
    wall_ahead_ns: i64,
    /// When that millisecond was, by the clock of the process that runs.
    process: Option<Instant>,
    /// The last reading, than which none is earlier.
    latest_ns: i64,
}

impl MachineClock {
    /// The clocks of a machine that has booted this long ago, and whose wall clock is so much ahead.
    pub(crate) fn new(boot: u128, up_ns: i64, ahead_ns: i64) -> Self {
        let wall_ahead_ns = BEGINNING_NS + ahead_ns - up_ns;
        Self(Mutex::new(Clocks { boot, mono_ns: up_ns, wall_ahead_ns, process: None, latest_ns: up_ns }))
    }

    /// Lets time pass. To be called at the end of each window of time, whether a process ran in it or not.
    pub(crate) fn pass(&self, ms: u64) {
        self.clocks().mono_ns += ms as i64 * MS_NS;
    }

    /// Tells what the clock of the running process shows now; `None` when none runs.
    pub(crate) fn anchor(&self, process: Option<Instant>) {
        self.clocks().process = process;
    }

    /// Steps the wall clock alone, as an operator or NTP does.
    pub(crate) fn step_wall(&self, step_ns: i64) {
        self.clocks().wall_ahead_ns += step_ns;
    }

    /// The machine boots anew: its monotonic clock begins at 0, and its wall clock goes on.
    pub(crate) fn reboot(&self) {
        let mut clocks = self.clocks();
        clocks.boot += 1;
        clocks.wall_ahead_ns += clocks.mono_ns;
        (clocks.mono_ns, clocks.latest_ns, clocks.process) = (0, 0, None);
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clocks {
    fn now(&mut self) -> i64 {
        let since = self.process.map_or(0, |process| Instant::now().duration_since(process).as_nanos() as i64);
        let exact = self.mono_ns + since;
        let end_of_ms = exact - exact.rem_euclid(MS_NS) + MS_NS - 1;
        self.latest_ns = exact.max((self.latest_ns + READING_NS).min(end_of_ms));
        self.latest_ns
    }
}

impl Clock for MachineClock {
    fn read(&self) -> ClockReading {
        let mut clocks = self.clocks();
        let mono_ns = clocks.now();
        let wall_ns = mono_ns + clocks.wall_ahead_ns;
        if Planted::WallClock.is_made() {
            return ClockReading { mono_ns: wall_ns, wall_ns, boot: clocks.boot };
        }
        ClockReading { mono_ns, wall_ns, boot: clocks.boot }
    }
}

/// Numbers that nobody draws twice, and that follow from the seed.
#[derive(Debug)]
pub(crate) struct MachineEntropy(pub(crate) Mutex<crate::random::Random>);

impl tollgate_cluster::Entropy for MachineEntropy {
    fn bits(&self) -> u128 {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(random.bits()) << 64 | u128::from(random.bits())
    }
}

/// A clock that many hold.
pub(crate) type SharedClock = Arc<MachineClock>;
