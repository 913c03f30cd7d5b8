//! Which refusals were told already.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{HelloRefusal, NodeId};

/// Refusals remembered at once. Beyond it all are forgotten, and told once more if they go on.
const MAX_REMEMBERED: usize = 1024;

/// Who connects: where from, and as whom if that can be known.
pub(super) type Caller = (IpAddr, Option<NodeId>);

/// Tells refusals that begin or change from those that go on as the other side tries again.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    told: BTreeMap<Caller, HelloRefusal>,
}

impl RefusalLog {
    /// Whether this refusal is another one than the last of the same caller.
    pub(super) fn is_news(&mut self, caller: Caller, refusal: HelloRefusal) -> bool {
        if self.told.len() >= MAX_REMEMBERED && !self.told.contains_key(&caller) {
            self.told.clear();
        }
        self.told.insert(caller, refusal) != Some(refusal)
    }

    /// The caller is refused no more.
    pub(super) fn end(&mut self, caller: Caller) {
        self.told.remove(&caller);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CALLER: Caller = (IpAddr::V4(Ipv4Addr::LOCALHOST), Some(NodeId(1)));

    #[test]
    fn only_a_refusal_that_begins_or_changes_is_news() {
        let mut log = RefusalLog::default();
        let refusals = [HelloRefusal::OtherData, HelloRefusal::OtherData, HelloRefusal::Forgotten];
        assert_eq!(refusals.map(|refusal| log.is_news(CALLER, refusal)), [true, false, true]);
        assert!(log.is_news((CALLER.0, None), HelloRefusal::NotANode));
        log.end(CALLER);
        assert!(log.is_news(CALLER, HelloRefusal::Forgotten));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut log = RefusalLog::default();
        for number in 0..=MAX_REMEMBERED as u64 {
            assert!(log.is_news((CALLER.0, Some(NodeId(number))), HelloRefusal::OtherData));
        }
        assert_eq!(log.told.len(), 1);
    }
}
