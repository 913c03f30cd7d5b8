//! The cluster's own state, replicated by group 0: its identity and its limits.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tollgate_limiter::{Limit, LimitName, Limits};

use crate::consensus;

/// The most limits that a cluster may have. Every request is matched against all of them.
pub const MAX_LIMITS: usize = 10_000;

/// What a cluster is known by. Made once, when it is founded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Identity {
    /// Tells this cluster from all others.
    pub(crate) cluster: u128,
    /// Signs reservations.
    pub(crate) secret: [u8; 32],
    /// How many shards the buckets are spread over, for ever.
    pub(crate) shards: u32,
}

/// A change of the cluster's own state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Command {
    /// Gives the cluster its identity; void when it has one.
    Found(Identity),
    /// Creates or replaces a limit.
    PutLimit(Limit),
    /// Removes a limit.
    DeleteLimit(LimitName),
    /// The limits of the configuration file. Only what differs from the file as it was applied last takes effect, so that a
    /// limit that was changed by a call survives restarts with an unchanged file.
    ApplyFile(Vec<Limit>),
}

/// What applying a [`Command`] did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Applied {
    /// It holds.
    Done,
    /// A new limit was made.
    Created,
    /// There is no limit of this name.
    UnknownLimit,
    /// There are [`MAX_LIMITS`] already.
    TooManyLimits,
}

/// The replicated state of group 0.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ClusterState {
    identity: Option<Identity>,
    limits: Limits,
    /// The configuration file's limits as they were applied last.
    file: BTreeMap<LimitName, Limit>,
}

impl ClusterState {
    /// The cluster's identity; `None` until it is founded.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The limits that hold.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn apply(&mut self, command: &Command) -> Applied {
        match command {
            Command::Found(identity) => self.found(identity),
            Command::PutLimit(limit) => self.put(limit),
            Command::DeleteLimit(name) if self.limits.remove(name) => Applied::Done,
            Command::DeleteLimit(_) => Applied::UnknownLimit,
            Command::ApplyFile(limits) => self.apply_file(limits),
        }
    }

    fn found(&mut self, identity: &Identity) -> Applied {
        self.identity.get_or_insert_with(|| identity.clone());
        Applied::Done
    }

    fn put(&mut self, limit: &Limit) -> Applied {
        let exists = self.limits.get(limit.name.as_str()).is_some();
        if !exists && self.limits.len() >= MAX_LIMITS {
            return Applied::TooManyLimits;
        }
        self.limits.put(limit.clone());
        if exists { Applied::Done } else { Applied::Created }
    }

    fn apply_file(&mut self, limits: &[Limit]) -> Applied {
        let file: BTreeMap<_, _> = limits.iter().map(|limit| (limit.name.clone(), limit.clone())).collect();
        let before = std::mem::replace(&mut self.file, file.clone());
        for name in before.keys().filter(|name| !file.contains_key(name)) {
            self.limits.remove(name);
        }
        let changed = file.into_values().filter(|limit| before.get(&limit.name) != Some(limit));
        let full = changed.map(|limit| self.put(&limit)).any(|applied| applied == Applied::TooManyLimits);
        if full { Applied::TooManyLimits } else { Applied::Done }
    }
}

impl consensus::Machine for ClusterState {
    fn apply(&mut self, command: &consensus::Command) -> consensus::Applied {
        match command {
            consensus::Command::Cluster(command) => consensus::Applied::Cluster(self.apply(command)),
            consensus::Command::Shard(_) => consensus::Applied::Nothing,
        }
    }

    fn encoded_bytes(&self) -> usize {
        /// Names, patterns and figures.
        const BYTES_A_LIMIT: usize = 256;
        self.limits().len() * BYTES_A_LIMIT
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(_) => f.write_str("found the cluster"),
            Self::PutLimit(limit) => write!(f, "put limit {}", limit.name),
            Self::DeleteLimit(name) => write!(f, "delete limit {name}"),
            Self::ApplyFile(limits) => write!(f, "apply the file's {} limits", limits.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_limiter::{Algorithm, Consistency, OnUnavailable, Pace};

    use super::*;

    fn limit(name: &str, burst: u64) -> Limit {
        Limit {
            name: LimitName::new(name).expect("a valid name"),
            prefix: None,
            selectors: Vec::new(),
            by: Vec::new(),
            algorithm: Algorithm::TokenBucket(Pace::new(1, 1_000, burst).expect("a legal pace")),
            consistency: Consistency::Exact,
            on_unavailable: OnUnavailable::Local,
            shadow: false,
            reservation_ttl_ns: 1,
        }
    }

    fn bursts(state: &ClusterState) -> Vec<(String, u64)> {
        state.limits().iter().map(|(_, limit)| (limit.name.to_string(), limit.algorithm.capacity())).collect()
    }

    #[test]
    fn a_limit_that_a_call_changed_survives_a_restart_with_the_same_file() {
        let mut state = ClusterState::default();
        let file = vec![limit("a", 1), limit("b", 1)];
        state.apply(&Command::ApplyFile(file.clone()));
        assert_eq!(state.apply(&Command::PutLimit(limit("a", 5))), Applied::Done);
        assert_eq!(state.apply(&Command::DeleteLimit(limit("b", 1).name)), Applied::Done);
        assert_eq!(state.apply(&Command::PutLimit(limit("c", 3))), Applied::Created);
        state.apply(&Command::ApplyFile(file));
        assert_eq!(bursts(&state), [("a".to_owned(), 5), ("c".to_owned(), 3)]);
    }

    #[test]
    fn what_changes_in_the_file_takes_effect() {
        let mut state = ClusterState::default();
        state.apply(&Command::ApplyFile(vec![limit("a", 1), limit("b", 1), limit("c", 1)]));
        state.apply(&Command::PutLimit(limit("a", 5)));
        state.apply(&Command::ApplyFile(vec![limit("a", 2), limit("c", 1), limit("d", 4)]));
        let expected = [("a".to_owned(), 2), ("c".to_owned(), 1), ("d".to_owned(), 4)];
        assert_eq!(bursts(&state), expected);
    }

    #[test]
    fn an_identity_is_given_once() {
        let mut state = ClusterState::default();
        let identity = |cluster| Identity { cluster, secret: [0; 32], shards: 16 };
        state.apply(&Command::Found(identity(1)));
        state.apply(&Command::Found(identity(2)));
        assert_eq!(state.identity(), Some(&identity(1)));
    }

    #[test]
    fn removing_a_limit_that_is_not_there_is_told() {
        assert_eq!(ClusterState::default().apply(&Command::DeleteLimit(limit("a", 1).name)), Applied::UnknownLimit);
    }
}
