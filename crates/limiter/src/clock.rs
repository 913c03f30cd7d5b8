//! The shard clock: only ever moves forward, and continues across leaders and restarts.

use serde::{Deserialize, Serialize};

use crate::ShardTime;

/// What a node's clocks show at one moment.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClockReading {
    /// Nanoseconds on the monotonic clock, counted from an origin that `boot` names.
    pub mono_ns: i64,
    /// Unix time in nanoseconds. May step at any moment; used only where nothing better is known.
    pub wall_ns: i64,
    /// Identifies the origin of `mono_ns`: two readings compare only when their `boot` is equal.
    pub boot: u128,
}

/// What a leader writes into every entry: when it was proposed, by the shard's clock and by its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stamp {
    /// The shard's time.
    pub at: ShardTime,
    /// The proposing node's clocks at that time.
    pub reading: ClockReading,
}

/// The clock of one shard on one node.
///
/// Between the stamps it advances with the monotonic clock alone, so neither an NTP step nor a zone change refills or
/// starves a bucket; only the *rate* of the node's clock matters.
#[derive(Clone, Copy, Debug)]
pub struct ShardClock {
    /// The latest instant that was told.
    latest: ShardTime,
    /// Shard time at `anchor_mono_ns`.
    anchor: ShardTime,
    /// The node's monotonic clock at `anchor`.
    anchor_mono_ns: i64,
}

/// What a process saw of a shard's last stamp.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it came here.
    pub at: ClockReading,
    /// Whether it, or one before it, came from the leader who stamped it: then the process was there at that time. What a later leader
    /// sends may be of any age.
    pub was_there: bool,
    /// When the process began to look.
    pub since: ClockReading,
}

impl Seen {
    /// This, after what the same process saw `before`: who was there then was there all the time.
    #[must_use]
    pub fn after(self, before: Option<Self>) -> Self {
        Self { was_there: self.was_there || before.is_some_and(|before| before.was_there), ..self }
    }
}

impl ShardClock {
    /// Starts the clock of a shard that has no stamp yet: at Unix time.
    pub fn start(now: ClockReading) -> Self {
        Self::anchored(ShardTime::from_nanos(now.wall_ns), now.mono_ns)
    }

    /// Continues from the last `stamp`, after this process (and perhaps the whole cluster) was down.
    ///
    /// Time away is measured by the monotonic clock when the machine has not rebooted since, else by the wall clock, and
    /// never counts backwards.
    pub fn resume(stamp: Stamp, now: ClockReading) -> Self {
        let away_ns = if stamp.reading.boot == now.boot {
            now.mono_ns.saturating_sub(stamp.reading.mono_ns)
        } else {
            now.wall_ns.saturating_sub(stamp.reading.wall_ns)
        };
        Self::anchored(stamp.at.plus(away_ns.max(0)), now.mono_ns)
    }

    /// Continues from a `stamp` that was seen here, in this process, when the monotonic clock showed `seen_mono_ns`. Time between
    /// the stamp and its sight is not counted, so the clock may be late and is never early.
    pub fn seen(stamp: Stamp, seen_mono_ns: i64) -> Self {
        Self::anchored(stamp.at, seen_mono_ns)
    }

    /// Continues from a `stamp` as its time was seen to pass here: by this machine, if it stamped itself and has not booted since, or by
    /// this process, if it was there. `None` when neither did. At least so much time has passed.
    pub fn witnessed(stamp: Stamp, seen: Option<Seen>, now: ClockReading) -> Option<Self> {
        if stamp.reading.boot == now.boot {
            return Some(Self::resume(stamp, now));
        }
        let was_there = |seen: &Seen| seen.was_there || seen.since.wall_ns < stamp.reading.wall_ns;
        seen.filter(was_there).map(|seen| Self::seen(stamp, seen.at.mono_ns))
    }

    /// Takes over a stamp of another node, which was seen here when this node's monotonic clock showed `seen_mono_ns`.
    pub fn follow(&mut self, stamp: Stamp, seen_mono_ns: i64) {
        if stamp.at > self.at(seen_mono_ns) {
            self.anchor = stamp.at;
            self.anchor_mono_ns = seen_mono_ns;
        }
    }

    /// The shard's time now; never earlier than any time told before.
    pub fn now(&mut self, mono_ns: i64) -> ShardTime {
        self.latest = self.at(mono_ns);
        self.latest
    }

    fn at(&self, mono_ns: i64) -> ShardTime {
        self.anchor.plus(mono_ns.saturating_sub(self.anchor_mono_ns)).max(self.latest)
    }

    fn anchored(anchor: ShardTime, anchor_mono_ns: i64) -> Self {
        Self { latest: anchor, anchor, anchor_mono_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(mono_ns: i64, wall_ns: i64, boot: u128) -> ClockReading {
        ClockReading { mono_ns, wall_ns, boot }
    }

    #[test]
    fn resuming_counts_the_time_away_and_never_backwards() {
        let stamp = Stamp { at: ShardTime::from_nanos(1_000), reading: reading(500, 9_000, 1) };
        let cases = [
            ("same boot: monotonic, whatever the wall says", reading(700, 1, 1), 1_200),
            ("rebooted: wall time", reading(5, 9_400, 2), 1_400),
            ("rebooted, wall stepped back: stands still", reading(5, 100, 2), 1_000),
            ("extremes saturate", reading(5, i64::MAX, 2), i64::MAX - 8_000),
        ];
        for (claim, now, expected) in cases {
            assert_eq!(ShardClock::resume(stamp, now).now(now.mono_ns).nanos(), expected, "{claim}");
        }
    }

    #[test]
    fn time_counts_as_this_process_or_this_machine_saw_it_pass() {
        let stamp = Stamp { at: ShardTime::from_nanos(1_000), reading: reading(100, 5_000, 1) };
        let seen = |was_there, wall_ns| Some(Seen { at: reading(50, 0, 2), was_there, since: reading(1, wall_ns, 2) });
        let cases = [
            ("the machine has not booted since", None, reading(400, 0, 1), Some(1_300)),
            ("this process saw the stamp", seen(true, 9_000), reading(90, 99_999, 2), Some(1_040)),
            (
                "it was sent the stamp later, and was there before it",
                seen(false, 4_999),
                reading(90, 99_999, 2),
                Some(1_040),
            ),
            ("it was sent the stamp later, and was started after it", seen(false, 5_000), reading(90, 99_999, 2), None),
            ("nobody here did", None, reading(90, 99_999, 2), None),
        ];
        for (claim, seen, now, expected) in cases {
            let clock = ShardClock::witnessed(stamp, seen, now);
            assert_eq!(clock.map(|mut clock| clock.now(now.mono_ns).nanos()), expected, "{claim}");
        }
    }

    #[test]
    fn a_followed_stamp_moves_the_clock_forward_only() {
        let mut clock = ShardClock::start(reading(0, 1_000, 1));
        let stamp = |at| Stamp { at: ShardTime::from_nanos(at), reading: ClockReading::default() };
        clock.follow(stamp(5_000), 10);
        assert_eq!(clock.now(20).nanos(), 5_010);
        clock.follow(stamp(2_000), 30);
        assert_eq!(clock.now(30).nanos(), 5_020);
        assert_eq!(clock.now(0).nanos(), 5_020, "a monotonic clock that misbehaves does not turn time back");
    }
}
