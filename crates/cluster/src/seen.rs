//! Tells frames that the network repeats from new ones.

use tollgate_limiter::Planted;

/// How far behind the latest a frame may come and still be taken.
const WINDOW: u64 = 64;

/// The sequence numbers seen of one run of one node.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    run: u64,
    latest: u64,
    /// Bit `n` stands for `latest - n`.
    recent: u64,
}

impl Seen {
    /// Whether this is the first frame with this number; numbers begin with 1. One that comes very late is taken for a repeat,
    /// which loses it, as a network may.
    pub(crate) fn is_new(&mut self, run: u64, sequence: u64) -> bool {
        if Planted::RepeatsAreDone.is_made() {
            return true;
        }
        if run != self.run {
            *self = Self { run, latest: 0, recent: 0 };
        }
        if sequence > self.latest {
            let ahead = sequence - self.latest;
            self.recent = if ahead < WINDOW { (self.recent << ahead) | 1 } else { 1 };
            self.latest = sequence;
            return true;
        }
        let behind = self.latest - sequence;
        let is_new = behind < WINDOW && self.recent & (1 << behind) == 0;
        if is_new {
            self.recent |= 1 << behind;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_of_a_run_is_new_once() {
        let mut seen = Seen::default();
        let cases = [
            (1, 1, true),
            (1, 1, false),
            (1, 3, true),
            (1, 2, true),
            (1, 2, false),
            (1, 3, false),
            (1, 100, true),
            (1, 37, true),
            (1, 37, false),
            (1, 36, false),
            (2, 1, true),
            (2, 1, false),
        ];
        for (step, (run, sequence, expected)) in cases.into_iter().enumerate() {
            assert_eq!(seen.is_new(run, sequence), expected, "step {step}: {sequence} of run {run}");
        }
    }
}
