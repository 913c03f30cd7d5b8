//! Why a peer cannot be reached.

use std::sync::{Arc, Mutex, PoisonError};

use super::stream::ConnectionError;
use crate::{HelloRefusal, NodeId};

/// Why the last attempt to connect to a peer failed because the peer refused. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct LastRefusal(Arc<Mutex<Option<HelloRefusal>>>);

impl LastRefusal {
    pub(super) fn get(&self) -> Option<HelloRefusal> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, refusal: Option<HelloRefusal>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// The failures to connect to a peer, one after the other; tells each of them loudly only when it is another one than
/// before.
pub(super) struct Failures {
    last_refusal: LastRefusal,
    /// The last one, since the peer was last reached.
    last: Option<String>,
}

impl Failures {
    pub(super) fn new(last_refusal: LastRefusal) -> Self {
        Self { last_refusal, last: None }
    }

    pub(super) fn end(&mut self) {
        self.last_refusal.set(None);
        self.last = None;
    }

    pub(super) fn add(&mut self, peer: NodeId, address: &str, error: &ConnectionError) {
        let refusal = match error {
            ConnectionError::RefusedThere(refusal) => Some(*refusal),
            _ => None,
        };
        self.last_refusal.set(refusal);
        if !self.is_news(error.to_string()) {
            tracing::debug!(%peer, address, %error, "still cannot connect to a peer");
        } else if refusal.is_some() {
            tracing::error!(%peer, address, %error, "cannot connect to a peer");
        } else {
            tracing::warn!(%peer, address, %error, "cannot connect to a peer");
        }
    }

    fn is_news(&mut self, error: String) -> bool {
        let is_news = self.last.as_ref() != Some(&error);
        self.last = Some(error);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_that_begins_or_changes_is_news() {
        let mut failures = Failures::new(LastRefusal::default());
        let news = ["refused", "refused", "lost", "refused"].map(|error| failures.is_news(error.to_owned()));
        assert_eq!(news, [true, false, true, true]);
        failures.end();
        assert!(failures.is_news("refused".to_owned()));
    }

    #[test]
    fn a_refusal_is_remembered_until_the_next_attempt() {
        let last_refusal = LastRefusal::default();
        let mut failures = Failures::new(last_refusal.clone());
        let mut check = |error, expected| {
            failures.add(NodeId(1), "a:1", &error);
            assert_eq!(last_refusal.get(), expected);
        };
        check(ConnectionError::RefusedThere(HelloRefusal::OtherData), Some(HelloRefusal::OtherData));
        check(ConnectionError::ClosedByPeer, None);
        check(ConnectionError::RefusedThere(HelloRefusal::Forgotten), Some(HelloRefusal::Forgotten));
        failures.end();
        assert_eq!(last_refusal.get(), None);
    }
}
