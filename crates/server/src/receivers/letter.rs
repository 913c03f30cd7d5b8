//! A message on its way, with its texts.

use jiff::Timestamp;
use tokio::time::Instant;
use tollgate_feedback::alert::{Content, Message};

/// What a receiver gets to deliver: a message, and how it reads.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Tells the message from all others of the cluster.
    pub(super) id: String,
    /// What is told.
    pub(super) message: Message,
    /// An attempt was made of which nobody knows what became.
    pub(super) may_be_repeat: bool,
    /// What happened, on one line that is never empty.
    pub(super) summary: String,
    /// What else there is to know, in lines.
    pub(super) details: String,
    /// Both as a page of HTML.
    pub(super) page: String,
    /// What time it is.
    pub(super) now: Timestamp,
    /// When the attempt must have ended.
    pub(super) deadline: Instant,
    /// Where people see more; `None` if there is no such place.
    pub(super) client_url: Option<String>,
}

impl Letter {
    /// The cluster's name.
    pub(super) fn cluster(&self) -> &str {
        self.id.rsplit_once('-').map_or(&self.id, |(cluster, _)| cluster)
    }

    /// When the message was written.
    pub(super) fn written(&self) -> Timestamp {
        timestamp(self.message.at_ms)
    }

    /// What kind of message it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        kind(&self.message.content)
    }
}

/// What kind of message it is, in a word.
pub(super) fn kind(content: &Content) -> &'static str {
    match content {
        Content::Alerts(_) => "alerts",
        Content::Undelivered { .. } => "undelivered",
        Content::Digest(_) => "digest",
        Content::Test => "test",
    }
}

/// A time in Unix milliseconds; of one that no calendar has, the first or last that it has.
pub(super) fn timestamp(unix_ms: i64) -> Timestamp {
    let limit = if unix_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(unix_ms).unwrap_or(limit)
}
