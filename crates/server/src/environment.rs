//! What a node takes from outside, as the operating system gives it.
#![expect(clippy::disallowed_types, reason = "here time comes in from outside")]

use std::time::{Duration, SystemTime};

use tollgate_cluster::{Clock, Entropy};
use tollgate_limiter::ClockReading;

/// The machine's clocks.
pub(crate) struct SystemClock {
    boot: u128,
}

impl SystemClock {
    /// The machine's clocks, with the identity of its present boot, so that monotonic readings from before a restart of this
    /// process still compare.
    pub(crate) fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let bits = boot.and_then(|id| u128::from_str_radix(&id.trim().replace('-', ""), 16).ok());
        // Without the kernel's word two boots must not seem the same: then the wall clock bridges every restart.
        Self { boot: bits.unwrap_or_else(|| OsEntropy.bits()) }
    }
}

impl Clock for SystemClock {
    fn read(&self) -> ClockReading {
        ClockReading { mono_ns: self.mono_ns(), wall_ns: wall_ns(), boot: self.boot }
    }

    fn mono_ns(&self) -> i64 {
        // Goes on while the machine is suspended, so that no lease outlives that.
        nanos(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
    }
}

/// Nanoseconds since 1970, by a clock that may be wrong, and may be set while this runs.
fn wall_ns() -> i64 {
    let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -nanos(before.duration()), nanos)
}

fn nanos(time: rustix::time::Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// The kernel's random numbers.
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("Linux gives random numbers once it has booted");
        u128::from_le_bytes(bytes)
    }
}
