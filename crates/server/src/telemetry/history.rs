//! Rolling statistics: what was measured in the last minute, quarter of an hour and day.
//!
//! Memory: a series has 438 slots of 76 bytes, 33 KiB. The node has one, and each endpoint with series of its own from its first request
//! on: 6.5 MiB with all 200. Denials of the last minute take a few KiB, at most 0.4 MiB when keys are as long as they can be.

mod denied_recently;
mod ring;

use std::collections::BTreeMap;

use tollgate_feedback::sample::{Batches, DeniedKey, Requests, Sample};

use denied_recently::DeniedRecently;
use ring::{Ring, Rings};

pub(crate) use ring::Window;

/// What a node measured since it started, as far as it remembers.
pub(crate) struct History {
    /// The seconds since the start, of the latest sample.
    now_s: u64,
    node: Rings,
    batches: BTreeMap<Window, Ring<Batches>>,
    endpoints: BTreeMap<String, Rings>,
    denied: DeniedRecently,
}

/// What happened within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rolling {
    /// How much of the window the node knows of, in seconds.
    pub(crate) seconds: u64,
    pub(crate) requests: Requests,
    /// `None` for an endpoint: batches are counted of the node.
    pub(crate) batches: Option<Batches>,
}

impl History {
    /// One of a node that has measured nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            now_s: 0,
            node: Rings::new(),
            batches: Window::ALL.map(|window| (window, Ring::new(window))).into(),
            endpoints: BTreeMap::new(),
            denied: DeniedRecently::new(),
        }
    }

    /// Adds a sample that was taken so many seconds after the start.
    pub(crate) fn add(&mut self, now_s: u64, sample: &Sample) {
        self.now_s = self.now_s.max(now_s);
        self.node.add(self.now_s, &sample.requests);
        self.batches.values_mut().for_each(|ring| ring.add(self.now_s, &sample.batches));
        for (endpoint, requests) in &sample.endpoints {
            self.add_endpoint(endpoint, requests);
        }
        self.denied.add(self.now_s, sample);
    }

    fn add_endpoint(&mut self, endpoint: &str, requests: &Requests) {
        if let Some(rings) = self.endpoints.get_mut(endpoint) {
            rings.add(self.now_s, requests);
        } else if *requests != Requests::default() {
            let mut rings = Rings::new();
            rings.add(self.now_s, requests);
            self.endpoints.insert(endpoint.to_owned(), rings);
        }
    }

    /// What happened within a window: on the node, or at one endpoint.
    pub(crate) fn rolling(&self, window: Window, endpoint: Option<&str>) -> Rolling {
        let seconds = window.seconds_known(self.now_s);
        let sum = |rings: &Rings| rings.sum(window, self.now_s);
        match endpoint {
            Some(endpoint) => {
                let requests = self.endpoints.get(endpoint).map(sum).unwrap_or_default();
                Rolling { seconds, requests, batches: None }
            }
            None => {
                let batches = self.batches.get(&window).map(|ring| ring.sum(self.now_s));
                Rolling { seconds, requests: sum(&self.node), batches }
            }
        }
    }

    /// The limits that denied most within the last minute.
    pub(crate) fn denials(&self) -> Vec<(String, u64)> {
        self.denied.limits(self.now_s)
    }

    /// The keys that were denied most within the last minute.
    pub(crate) fn denied_keys(&self) -> Vec<DeniedKey> {
        self.denied.keys(self.now_s)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(allowed: u64) -> Sample {
        let requests = Requests { allowed, ..Requests::default() };
        let batches = Batches { partial: allowed, ..Batches::default() };
        let endpoints = [("search".to_owned(), requests)].into();
        Sample { requests, batches, endpoints, ..Sample::default() }
    }

    /// One request a second, from second 1 on.
    fn steady(seconds: u64) -> History {
        let mut history = History::new();
        (1..=seconds).for_each(|second| history.add(second, &sample(1)));
        history
    }

    #[test]
    fn a_window_has_what_happened_in_it_and_says_how_much_of_it_is_known() {
        for (seconds, window, known, allowed) in [
            (1, Window::Minute, 1, 1),
            (59, Window::Minute, 59, 59),
            (60, Window::Minute, 60, 60),
            (1_000, Window::Minute, 60, 60),
            (60, Window::Quarter, 60, 60),
            // 89 slots are whole, and the last has begun.
            (1_000, Window::Quarter, 891, 891),
            (1_009, Window::Quarter, 900, 900),
            (1_000, Window::Day, 1_000, 1_000),
            (100_000, Window::Day, 287 * 300 + 101, 287 * 300 + 101),
        ] {
            let history = steady(seconds);
            let found = history.rolling(window, None);
            assert_eq!((found.seconds, found.requests.allowed), (known, allowed), "{seconds} s, {window:?}");
            assert_eq!(found.batches.map(|batches| batches.partial), Some(allowed));
            assert_eq!(history.rolling(window, Some("search")).requests, found.requests);
        }
    }

    #[test]
    fn what_is_not_measured_for_long_is_forgotten() {
        let mut history = steady(100);
        history.add(1_000_000, &Sample::default());
        for window in Window::ALL {
            assert_eq!(history.rolling(window, None).requests, Requests::default(), "{window:?}");
            assert_eq!(history.rolling(window, Some("search")).requests, Requests::default(), "{window:?}");
        }
    }

    #[test]
    fn an_endpoint_without_requests_takes_no_memory_and_has_zeros() {
        let mut history = History::new();
        let idle = Sample { endpoints: [("idle".to_owned(), Requests::default())].into(), ..Sample::default() };
        history.add(1, &idle);
        assert!(history.endpoints.is_empty());
        assert_eq!(history.rolling(Window::Day, Some("idle")).requests, Requests::default());
    }

    proptest! {
        #[test]
        fn a_window_is_the_sum_of_its_seconds(gaps in prop::collection::vec((1_u64..400, 0_u64..10), 1..300)) {
            let mut history = History::new();
            let mut told = Vec::new();
            let mut now_s = 0;
            for (gap, allowed) in gaps {
                now_s += gap;
                told.push((now_s, allowed));
                history.add(now_s, &sample(allowed));
            }
            for window in Window::ALL {
                let Rolling { seconds, requests, .. } = history.rolling(window, None);
                let within = told.iter().filter(|(second, _)| *second + seconds > now_s);
                prop_assert_eq!(requests.allowed, within.map(|(_, allowed)| allowed).sum::<u64>());
            }
        }
    }
}
