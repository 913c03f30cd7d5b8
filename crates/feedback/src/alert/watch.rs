//! One rule on one thing: when it fires, and when it is over.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Rule;

/// An alert that fired so often within [`FLAPS_WITHIN_MS`] flaps: that is said once, and no more until it has been steady for as long.
pub(crate) const FLAPS: usize = 4;
pub(crate) const FLAPS_WITHIN_MS: i64 = 15 * 60_000;

/// What a watch has seen. Times are in milliseconds of whatever clock the caller goes by, which never goes back.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Watch {
    state: State,
    /// When it fired, the latest times within [`FLAPS_WITHIN_MS`].
    fired_ms: VecDeque<i64>,
    /// When it fired or cleared last.
    changed_ms: i64,
    flaps: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
enum State {
    /// The value is not above.
    #[default]
    Quiet,
    /// The value is above, but not for long enough yet.
    Pending { since_ms: i64 },
    /// It fires; `cleared_ms` is since when the value has been clear again.
    Firing { cleared_ms: Option<i64> },
}

/// What changed, as somebody would have to be told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Change {
    /// It fires now.
    Fired,
    /// It is over.
    Resolved,
    /// It goes on and off, and will not be told of any more until it is steady.
    Flaps,
}

impl Watch {
    /// Whether it fires, or flaps, which counts as firing.
    #[must_use]
    pub fn fires(&self) -> bool {
        self.flaps || matches!(self.state, State::Firing { .. })
    }

    /// Whether it flaps.
    #[must_use]
    pub fn flaps(&self) -> bool {
        self.flaps
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Quiet && !self.flaps && self.fired_ms.is_empty()
    }

    /// As it is for whoever looks on from now: nobody knows when it changed last while nobody looked.
    #[must_use]
    pub(crate) fn gone_on_with(self, now_ms: i64) -> Self {
        let changed_ms = if self.flaps { self.changed_ms.max(now_ms) } else { self.changed_ms };
        Self { changed_ms, ..self }
    }

    /// Looks at a value. `None`, a value that is missing, changes nothing.
    ///
    /// It fires when the value was above `fire` at each look for as long as `fires_after_ms`, and is over when the value was at or
    /// below `clear` at each look for as long as `keep_firing_for_ms`. In between it stays what it was.
    pub fn look(&mut self, now_ms: i64, value: Option<f64>, rule: &Rule) -> Option<Change> {
        let value = value.filter(|value| !value.is_nan())?;
        let fired = self.fires_steadily();
        self.state = match self.state {
            State::Quiet if value > rule.fire => Self::begun(now_ms, now_ms, rule),
            State::Pending { since_ms } if value > rule.fire => Self::begun(since_ms, now_ms, rule),
            State::Quiet | State::Pending { .. } => State::Quiet,
            State::Firing { cleared_ms } if value <= rule.clear => {
                let cleared_ms = cleared_ms.unwrap_or(now_ms);
                let is_over = now_ms.saturating_sub(cleared_ms) >= rule.keep_firing_for_ms;
                if is_over { State::Quiet } else { State::Firing { cleared_ms: Some(cleared_ms) } }
            }
            State::Firing { .. } => State::Firing { cleared_ms: None },
        };
        self.told(fired, now_ms)
    }

    fn begun(since_ms: i64, now_ms: i64, rule: &Rule) -> State {
        let is_long_enough = now_ms.saturating_sub(since_ms) >= rule.fires_after_ms;
        if is_long_enough { State::Firing { cleared_ms: None } } else { State::Pending { since_ms } }
    }

    fn fires_steadily(&self) -> bool {
        matches!(self.state, State::Firing { .. })
    }

    /// What is to be told, if the watch `fired` before it looked.
    fn told(&mut self, fired: bool, now_ms: i64) -> Option<Change> {
        let fires = self.fires_steadily();
        while self.fired_ms.front().is_some_and(|first| now_ms.saturating_sub(*first) >= FLAPS_WITHIN_MS) {
            self.fired_ms.pop_front();
        }
        if fires != fired {
            self.changed_ms = now_ms;
        }
        if fires && !fired {
            self.fired_ms.push_back(now_ms);
        }
        if self.flaps {
            let is_steady = now_ms.saturating_sub(self.changed_ms) >= FLAPS_WITHIN_MS;
            self.flaps = !is_steady;
            return is_steady.then_some(if fires { Change::Fired } else { Change::Resolved });
        }
        match (fired, fires) {
            (false, true) if self.fired_ms.len() >= FLAPS => {
                self.flaps = true;
                Some(Change::Flaps)
            }
            (false, true) => Some(Change::Fired),
            (true, false) => Some(Change::Resolved),
            (true, true) | (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Severity, Signal};

    /// A rule that fires above 5 after 30 s, and is over at or below 3 after 20 s.
    fn rule() -> Rule {
        Rule {
            name: "busy".to_owned(),
            signal: Signal::ErrorRate,
            fire: 5.0,
            clear: 3.0,
            fires_after_ms: 30_000,
            keep_firing_for_ms: 20_000,
            severity: Severity::Error,
            receivers: Vec::new(),
        }
    }

    /// The changes that a series makes, each with the second in which it does: one value every ten seconds, `-` for one that is missing.
    fn changes(rule: &Rule, series: &str) -> String {
        let mut watch = Watch::default();
        let looks = series.split_whitespace().enumerate().filter_map(|(index, value)| {
            let now_ms = index as i64 * 10_000;
            let change = watch.look(now_ms, value.parse().ok(), rule)?;
            Some(format!("{}:{change:?}", now_ms / 1_000))
        });
        looks.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fires_when_above_for_long_enough_and_is_over_when_clear_for_long_enough() {
        let cases = [
            ("never above", "0 5 5 5 5 5", ""),
            ("above, but not for long enough", "9 9 9 0 9 9 9 0", ""),
            ("above for long enough", "9 9 9 9", "30:Fired"),
            ("told once", "9 9 9 9 9 9 9 9", "30:Fired"),
            ("neither above nor clear", "9 9 9 9 4 4 4 4 4", "30:Fired"),
            ("clear, but not for long enough", "9 9 9 9 0 0 4 0 0 4", "30:Fired"),
            ("clear for long enough", "9 9 9 9 0 0 0", "30:Fired 60:Resolved"),
            ("at the bounds", "5.1 5.1 5.1 5.1 3 3 3", "30:Fired 60:Resolved"),
            ("missing values change nothing", "9 - 9 9 - - - - - - 0 - 0", "30:Fired 120:Resolved"),
            ("missing from the beginning", "- - - - -", ""),
            ("no number", "NaN NaN NaN NaN NaN", ""),
            ("infinite", "inf inf inf inf -inf -inf -inf", "30:Fired 60:Resolved"),
        ];
        for (claim, series, expected) in cases {
            assert_eq!(changes(&rule(), series), expected, "{claim}");
        }
    }

    #[test]
    fn what_goes_on_and_off_is_told_of_once_until_it_is_steady() {
        let rule = Rule { fires_after_ms: 0, keep_firing_for_ms: 0, ..rule() };
        let steady = |value: &str| [value; 91].join(" ");
        let begins = "0:Fired 10:Resolved 20:Fired 30:Resolved 40:Fired 50:Resolved 60:Flaps";
        let flapping = "9 0 9 0 9 0 9 0 9 0 9";
        assert_eq!(changes(&rule, flapping), begins);
        assert_eq!(changes(&rule, &format!("{flapping} {}", steady("9"))), format!("{begins} 1000:Fired"));
        assert_eq!(changes(&rule, &format!("{flapping} {}", steady("0"))), format!("{begins} 1010:Resolved"));
        let slow = ["9", &["0"; 50].join(" ")].join(" ");
        let slowly = [slow.as_str(); 4].join(" ");
        assert!(!changes(&rule, &slowly).contains("Flaps"), "four times in half an hour");
    }
}
