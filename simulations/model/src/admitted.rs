//! What was admitted from a bucket, in true time and whoever admitted it. Nobody in the model sees it.

use crate::Ticks;

/// The history of one bucket, as far as the invariant needs it.
///
/// Every window `[a, b]` has admitted at most `burst + (b − a)/T` units if and only if a limiter that knows of all admissions would
/// have let them pass, that is if its arrival never was more than `burst · T` ahead. So of all that cannot be given back any more,
/// one number is enough. What is given back no longer counts at the time at which it was taken.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Admitted {
    /// That limiter's arrival before `recent`.
    arrival: Ticks,
    /// How many ticks of the axis were taken when, the earliest first.
    recent: Vec<(Ticks, Ticks)>,
}

impl Admitted {
    /// Whether some window that ends now has admitted too much.
    pub(crate) fn exceeds(&self, tolerance: Ticks) -> bool {
        self.recent.iter().fold(self.arrival, after) > tolerance
    }

    /// So many ticks of the axis are taken now.
    pub(crate) fn take(&mut self, taken: Ticks) {
        match self.recent.last_mut() {
            Some((0, present)) => *present += taken,
            _ => self.recent.push((0, taken)),
        }
    }

    /// So many of those that were taken then come back.
    pub(crate) fn give_back(&mut self, then: Ticks, back: Ticks) {
        let entry = self.recent.iter_mut().find(|(at, _)| *at == then);
        entry.expect("what may be given back is not forgotten").1 -= back;
    }

    pub(crate) fn pass(&mut self) {
        self.arrival -= 1;
        self.recent.iter_mut().for_each(|(at, _)| *at -= 1);
    }

    /// Makes one number of what was taken before `oldest`, the first that may still be given back.
    pub(crate) fn forget(&mut self, oldest: Option<Ticks>) {
        self.recent.retain(|(_, taken)| *taken > 0);
        let settled = self.recent.partition_point(|(at, _)| oldest.is_none_or(|oldest| *at < oldest));
        self.arrival = self.recent.drain(..settled).fold(self.arrival, |arrival, taken| after(arrival, &taken));
        self.arrival = self.arrival.max(self.recent.first().map_or(0, |(at, _)| *at));
    }
}

fn after(arrival: Ticks, (at, taken): &(Ticks, Ticks)) -> Ticks {
    arrival.max(*at) + taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKS: usize = 6;
    const INTERVAL: Ticks = 2;
    const TOLERANCE: Ticks = 4;

    fn is_exceeded_in_some_window(units: &[Ticks]) -> bool {
        (0..units.len()).any(|from| {
            let until = &mut (from..units.len());
            until
                .any(|until| units[from..=until].iter().sum::<Ticks>() * INTERVAL > TOLERANCE + (until - from) as Ticks)
        })
    }

    fn is_exceeded(units: &[Ticks], is_open: impl Fn(usize) -> bool) -> bool {
        let mut admitted = Admitted::default();
        units.iter().enumerate().any(|(tick, units)| {
            admitted.pass();
            if *units > 0 {
                admitted.take(units * INTERVAL);
            }
            let oldest = (0..=tick).find(|at| is_open(*at)).map(|at| at as Ticks - tick as Ticks);
            admitted.forget(oldest);
            admitted.exceeds(TOLERANCE)
        })
    }

    #[test]
    fn one_number_says_the_same_as_every_window() {
        for history in 0..4_usize.pow(TICKS as u32) {
            let units: Vec<_> = (0..TICKS as u32).map(|tick| (history / 4_usize.pow(tick) % 4) as Ticks).collect();
            let expected = is_exceeded_in_some_window(&units);
            assert_eq!(is_exceeded(&units, |_| false), expected, "{units:?}, all at once");
            assert_eq!(is_exceeded(&units, |tick| tick >= 2), expected, "{units:?}, some of it open");
        }
    }
}
