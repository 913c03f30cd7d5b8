//! Who can be told of alerts.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use lettre::Address;
use reqwest::Url;
use serde::{Deserialize, Deserializer, de};
use tollgate_api::FieldError;

use super::Secret;
use super::checks::{not_empty, url};
use super::node::within;

const HTTP: [&str; 2] = ["https://", "http://"];
const SMTP: [&str; 2] = ["smtps://", "smtp://"];
const PAGERDUTY_EVENTS: &str = "https://events.pagerduty.com";
/// A time of day, hours and minutes.
const TIME_OF_DAY: &str = "%H:%M";
/// Longest name of a time zone; the longest that exists has 32 letters.
const MAX_TIME_ZONE_BYTES: usize = 64;

/// `alerts.receivers`: who can be told. Whatever lets its holder send in our name is a secret.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map of receivers")]
pub struct Receivers {
    /// A channel of Slack.
    pub slack: Option<Slack>,
    /// A service of PagerDuty.
    pub pagerduty: Option<PagerDuty>,
    /// Mail.
    pub email: Option<Email>,
    /// Any HTTP server.
    pub webhook: Option<Webhook>,
    /// An Alertmanager of Prometheus.
    pub alertmanager: Option<Alertmanager>,
}

/// An incoming webhook of Slack.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map with `url`")]
pub struct Slack {
    /// The webhook's URL, which is all that it takes to post.
    pub url: Secret,
}

/// An integration of PagerDuty's Events API v2.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map with `routing_key`")]
pub struct PagerDuty {
    /// The integration's key.
    pub routing_key: Secret,
    /// Where events are posted, without `/v2/enqueue`.
    #[serde(default = "pagerduty_events")]
    pub url: String,
}

/// Mail through a server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map with `smtp`, `from` and `to`")]
pub struct Email {
    /// The server with the account on it: `smtps://user:password@host`.
    pub smtp: Secret,
    /// The sender's address.
    pub from: String,
    /// The receivers' addresses; at least one.
    pub to: Vec<String>,
    /// When the digest of the day is sent, `08:00`; `None` for no digest.
    #[serde(default, deserialize_with = "time_of_day")]
    pub digest_at: Option<Time>,
    /// Whose time `digest_at` is, by its name in the IANA time zone database.
    #[serde(default = "universal_time")]
    pub time_zone: String,
}

/// Any HTTP server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map with `url`")]
pub struct Webhook {
    /// Where alerts are posted.
    pub url: Secret,
    /// The key with which they are signed; `None` for no signature.
    pub secret: Option<Secret>,
}

/// An Alertmanager of Prometheus.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a map with `url`")]
pub struct Alertmanager {
    /// Where it is, without `/api/v2/alerts`.
    pub url: Secret,
}

impl Receivers {
    /// The names of those that are configured, as rules and routes name them.
    pub fn names(&self) -> Vec<&'static str> {
        let configured = [
            ("slack", self.slack.is_some()),
            ("pagerduty", self.pagerduty.is_some()),
            ("email", self.email.is_some()),
            ("webhook", self.webhook.is_some()),
            ("alertmanager", self.alertmanager.is_some()),
        ];
        configured.into_iter().filter(|(_, is_configured)| *is_configured).map(|(name, _)| name).collect()
    }

    pub(super) fn check(&self) -> Result<(), FieldError> {
        if let Some(slack) = &self.slack {
            receiver_url("slack.url", slack.url.expose(), &HTTP)?;
        }
        if let Some(pagerduty) = &self.pagerduty {
            not_empty("pagerduty.routing_key", &pagerduty.routing_key)?;
            receiver_url("pagerduty.url", &pagerduty.url, &HTTP)?;
            if pagerduty.url.contains('@') {
                return Err(FieldError::new("pagerduty.url", "must hold no account: what is in it is no secret here"));
            }
        }
        if let Some(email) = &self.email {
            email.check().map_err(|error| within("email", error))?;
        }
        if let Some(webhook) = &self.webhook {
            receiver_url("webhook.url", webhook.url.expose(), &HTTP)?;
            webhook.secret.as_ref().map_or(Ok(()), |secret| not_empty("webhook.secret", secret))?;
        }
        let alertmanager = self.alertmanager.as_ref();
        alertmanager.map_or(Ok(()), |receiver| receiver_url("alertmanager.url", receiver.url.expose(), &HTTP))
    }
}

impl Email {
    fn check(&self) -> Result<(), FieldError> {
        receiver_url("smtp", self.smtp.expose(), &SMTP)?;
        check_mailbox("from", &self.from)?;
        if self.to.is_empty() {
            return Err(FieldError::new("to", "must hold at least one address"));
        }
        let mut addresses = self.to.iter().enumerate();
        addresses.try_for_each(|(index, address)| check_mailbox(&format!("to[{index}]"), address))?;
        check_time_zone(&self.time_zone)
    }
}

/// Expects a URL with one of `schemes` that can be asked: what cannot is to be found here, where the file and the line are known.
fn receiver_url(field: &str, text: &str, schemes: &[&str]) -> Result<(), FieldError> {
    url(field, text, schemes)?;
    if Url::parse(text).is_ok_and(|url| url.has_host()) {
        Ok(())
    } else {
        Err(FieldError::new(field, "must be a URL with a host, and a port that is a number if it has one"))
    }
}

/// Expects the shape of an address; whether mail arrives there only sending can tell.
fn check_mailbox(field: &str, address: &str) -> Result<(), FieldError> {
    if address.parse::<Address>().is_ok() {
        Ok(())
    } else {
        Err(FieldError::new(field, "must be a mail address such as `ops@example.org`"))
    }
}

/// Expects a name of the time zone database: that of the machine, or the one that this program brings along.
fn check_time_zone(name: &str) -> Result<(), FieldError> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'/');
    let is_name = (1..=MAX_TIME_ZONE_BYTES).contains(&name.len()) && name.bytes().all(is_name_byte);
    if is_name && TimeZone::get(name).is_ok() {
        Ok(())
    } else {
        Err(FieldError::new("time_zone", "must be the name of a time zone such as `Europe/Berlin`"))
    }
}

fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Time::strptime(TIME_OF_DAY, text).map(Some).map_err(|_| de::Error::custom("must be a time of day such as `08:00`"))
}

fn pagerduty_events() -> String {
    PAGERDUTY_EVENTS.to_owned()
}

fn universal_time() -> String {
    "UTC".to_owned()
}
