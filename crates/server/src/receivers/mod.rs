//! Those who are told of alerts: a channel of Slack, a service of PagerDuty, mail, any HTTP server, an Alertmanager.
//!
//! ```text
//! Delivery ─► Facts ─► Texts ─► Letter ─► Slack | PagerDuty | Email | Webhook | Alertmanager ─► Attempt
//!                  (templates)                        Http: one request                 Blanks: no secret
//! ```
//!
//! Each makes **one** attempt and says what became of it; when there is another is for the cluster to say, which writes down both.
//! An attempt ends within 20 seconds, whatever the receiver does, and reads at most 64 KiB of what it says by HTTP (16 MiB of the list of
//! alerts that an Alertmanager has). Of what a mail server says the time alone is a bound.
//!
//! Reasons are for the one who is on call: they name the receiver and the cause. They hold none of the secrets of the configuration,
//! even if a receiver sends one back, because all that leaves this module goes through [`blanks::Blanks`].

mod alertmanager;
mod blanks;
mod email;
mod facts;
mod http;
mod letter;
mod pagerduty;
mod printable;
mod slack;
mod text;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tollgate_cluster::{Attempt, Clock, Courier, Delivery};
use tollgate_feedback::alert::{Content, Message};

use self::alertmanager::Alertmanager;
use self::blanks::Blanks;
use self::email::Email;
use self::letter::{Letter, timestamp};
use self::pagerduty::PagerDuty;
use self::slack::Slack;
use self::text::Texts;
pub(crate) use self::text::check_summary;
use self::webhook::Webhook;
use crate::config;

/// How long an attempt may take: the cluster gives up after a minute one that does not end.
const ATTEMPT: Duration = Duration::from_secs(20);
/// Most characters of a reason or a receipt.
const MOST_WORDS: usize = 400;

/// The receivers that are configured, replaceable as the node runs.
#[derive(Debug)]
pub(crate) struct Receivers(ArcSwap<Configured>);

/// What the receivers are made from.
pub(crate) struct Settings<'a> {
    /// Who can be told.
    pub(crate) receivers: &'a config::Receivers,
    /// The lines that say what happened, by the names of the rules that have one of their own.
    pub(crate) templates: BTreeMap<String, String>,
    /// A URL where people see more, named in messages; `None` if there is no such place.
    pub(crate) client_url: Option<String>,
    /// What time it is: signatures and ends of alerts hold it.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A receiver that cannot be made from its configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("alerts.receivers.{receiver}: {problem}")]
pub struct ReceiversError {
    receiver: &'static str,
    problem: String,
}

/// The receivers of one configuration.
struct Configured {
    receivers: BTreeMap<&'static str, Receiver>,
    texts: Texts,
    blanks: Arc<Blanks>,
    client_url: Option<String>,
    clock: Arc<dyn Clock>,
}

/// One of them.
#[derive(Debug)]
enum Receiver {
    Slack(Slack),
    PagerDuty(PagerDuty),
    Email(Email),
    Webhook(Webhook),
    Alertmanager(Alertmanager),
}

impl Receivers {
    /// The receivers of a configuration.
    ///
    /// # Errors
    /// One that cannot be made, such as one with an address that is none.
    pub(crate) fn new(settings: Settings<'_>) -> Result<Self, ReceiversError> {
        Ok(Self(ArcSwap::from_pointee(Configured::new(settings)?)))
    }

    /// Puts the receivers of a new configuration in place of these. Attempts that are under way end by the old one.
    ///
    /// # Errors
    /// As [`Receivers::new`]; then the old ones stay.
    pub(crate) fn replace(&self, settings: Settings<'_>) -> Result<(), ReceiversError> {
        self.0.store(Arc::new(Configured::new(settings)?));
        Ok(())
    }
}

impl Courier for Receivers {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, Attempt> {
        let configured = self.0.load_full();
        async move { configured.deliver(delivery).await }.boxed()
    }
}

/// A message that shows whether `receiver` is reached, and that says of itself that nothing is wrong.
pub(crate) fn test_message(receiver: &str, at_ms: i64) -> Message {
    Message { receiver: receiver.to_owned(), at_ms, content: Content::Test }
}

impl ReceiversError {
    fn new(receiver: &'static str, problem: impl Into<String>) -> Self {
        Self { receiver, problem: problem.into() }
    }
}

impl Configured {
    fn new(settings: Settings<'_>) -> Result<Self, ReceiversError> {
        let blanks = Arc::new(Blanks::new(settings.receivers));
        Ok(Self {
            receivers: receivers(settings.receivers, &blanks)?,
            texts: Texts::new(&settings.templates),
            blanks,
            client_url: settings.client_url,
            clock: settings.clock,
        })
    }

    async fn deliver(&self, delivery: Delivery) -> Attempt {
        let name = delivery.message.receiver.clone();
        let attempt = match self.receivers.get(name.as_str()) {
            Some(receiver) => receiver.deliver(&self.letter(delivery)).await,
            // Another node may have been configured already, and leads soon.
            None => Attempt::Later {
                after: None,
                may_have_arrived: false,
                reason: "is not configured on this node".to_owned(),
            },
        };
        self.cleaned(&name, attempt)
    }

    fn letter(&self, delivery: Delivery) -> Letter {
        let texts = self.texts.render(&delivery, self.client_url.as_deref());
        let Delivery { id, message, may_be_repeat } = delivery;
        Letter {
            id,
            message,
            may_be_repeat,
            summary: texts.summary,
            details: texts.details,
            page: texts.page,
            now: timestamp(self.clock.read().wall_ns / 1_000_000),
            deadline: Instant::now() + ATTEMPT,
            client_url: self.client_url.clone(),
        }
    }

    /// The same with words that are short, printable and without secrets, and that name the receiver.
    fn cleaned(&self, name: &str, attempt: Attempt) -> Attempt {
        let clean = |words: &str| self.blanks.clean(words, MOST_WORDS);
        match attempt {
            Attempt::Delivered { receipt } => Attempt::Delivered { receipt: clean(&receipt) },
            Attempt::Later { after, may_have_arrived, reason } => {
                Attempt::Later { after, may_have_arrived, reason: format!("{name}: {}", clean(&reason)) }
            }
            Attempt::Never { reason } => Attempt::Never { reason: format!("{name}: {}", clean(&reason)) },
        }
    }
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Configured").field("receivers", &self.receivers).finish_non_exhaustive()
    }
}

impl Receiver {
    async fn deliver(&self, letter: &Letter) -> Attempt {
        match self {
            Self::Slack(slack) => slack.deliver(letter).await,
            Self::PagerDuty(pagerduty) => pagerduty.deliver(letter).await,
            Self::Email(email) => email.deliver(letter).await,
            Self::Webhook(webhook) => webhook.deliver(letter).await,
            Self::Alertmanager(alertmanager) => alertmanager.deliver(letter).await,
        }
    }
}

fn receivers(
    settings: &config::Receivers,
    blanks: &Arc<Blanks>,
) -> Result<BTreeMap<&'static str, Receiver>, ReceiversError> {
    let made = [
        ("slack", settings.slack.as_ref().map(|slack| Slack::new(slack, blanks).map(Receiver::Slack))),
        (
            "pagerduty",
            settings.pagerduty.as_ref().map(|service| PagerDuty::new(service, blanks).map(Receiver::PagerDuty)),
        ),
        ("email", settings.email.as_ref().map(|email| Email::new(email).map(Receiver::Email))),
        ("webhook", settings.webhook.as_ref().map(|webhook| Webhook::new(webhook, blanks).map(Receiver::Webhook))),
        (
            "alertmanager",
            settings
                .alertmanager
                .as_ref()
                .map(|receiver| Alertmanager::new(receiver, blanks).map(Receiver::Alertmanager)),
        ),
    ];
    made.into_iter().filter_map(|(name, receiver)| Some(receiver?.map(|receiver| (name, receiver)))).collect()
}

#[cfg(test)]
mod tests;
