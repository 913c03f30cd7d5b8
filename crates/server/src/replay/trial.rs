//! One configuration, and what it does to the requests.

use std::path::Path;
use std::time::Duration;

use tollgate_limiter::ShardTime;

use super::error::ReplayError;
use super::logged_request::LoggedRequest;
use super::replayer::{Replayer, ReplayerOptions};
use super::tally::{MOST_KEYS, Tally};
use crate::config::{Config, Flags};

/// A configuration that is tried.
pub(super) struct Trial {
    /// Its file, as it was given.
    pub(super) file: String,
    pub(super) tally: Tally,
    replayer: Replayer,
}

impl Trial {
    /// Reads a configuration. The environment does not change it: what is reported is what the file says.
    ///
    /// # Errors
    /// A mistake in the file.
    pub(super) fn load(file: &Path) -> Result<Self, ReplayError> {
        let flags = Flags { config: Some(file.to_owned()), ..Flags::default() };
        let config = Config::load(&flags, [])?;
        let options = ReplayerOptions {
            limits: config.limits,
            shards: config.cluster.shards,
            horizon_lead_ns: nanos(config.cluster.horizon_lead),
            max_buckets: config.max_buckets,
        };
        Ok(Self::new(file.display().to_string(), options))
    }

    /// A configuration that is called `file`.
    pub(super) fn new(file: String, options: ReplayerOptions) -> Self {
        let replayer = Replayer::new(options);
        Self { file, tally: Tally::new(replayer.limits(), MOST_KEYS), replayer }
    }

    /// Decides and counts a request; whether it may pass.
    pub(super) fn decide(&mut self, at: ShardTime, request: &LoggedRequest) -> bool {
        let ruling = self.replayer.decide(at, request);
        self.tally.count(request, &ruling);
        ruling.is_ok_and(|ruling| ruling.allowed)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
