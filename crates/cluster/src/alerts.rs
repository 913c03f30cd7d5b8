//! What a node needs to raise alarms: by which rules, whom to tell, and who carries the messages.

use std::time::Duration;

use futures::future::BoxFuture;
use tollgate_feedback::alert::{DigestSchedule, Message, Policy, Rule, Signal};

/// By which rules a node raises alarms when it leads group 0, and whom it tells. All nodes are configured alike; the leader's settings
/// count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertOptions {
    /// The rules; no two have the same name and signal.
    pub rules: Vec<Rule>,
    /// Who is told of what.
    pub policy: Policy,
    /// When a digest of the day is sent; `None` for none.
    pub digest: Option<DigestSchedule>,
}

impl AlertOptions {
    /// The rule of this name that looks at this signal.
    #[must_use]
    pub fn rule(&self, name: &str, signal: Signal) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name && rule.signal == signal)
    }
}

/// A message on its way, and what its receiver may have to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Tells the message from all others of the cluster, and is the same at each attempt.
    pub id: String,
    /// What is to be told.
    pub message: Message,
    /// An attempt was made of which nobody knows what became: the message may have arrived already.
    pub may_be_repeat: bool,
}

/// What became of an attempt to deliver a message. Reasons are in words for people, and say no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// It arrived; the receiver's receipt, in words.
    Delivered {
        /// What the receiver answered.
        receipt: String,
    },
    /// It may arrive later.
    Later {
        /// For how long the receiver wants to be left alone; `None` if it did not say so.
        after: Option<Duration>,
        /// Whether it may have arrived all the same, as when it was sent and no answer was heard.
        may_have_arrived: bool,
        /// Why not now.
        reason: String,
    },
    /// It will never arrive.
    Never {
        /// Why.
        reason: String,
    },
}

/// Carries messages to receivers. Called by the leader of group 0, for each receiver with one message at a time.
pub trait Courier: Send + Sync + 'static {
    /// Makes one attempt to deliver a message to the receiver that it names. One that takes longer than a minute is given up.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt>;
}
