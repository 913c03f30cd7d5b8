//! What must not be seen, blanked out of what is said.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::printable::{cut, printable};
use crate::config::{Receivers, Secret};

/// What stands in place of a secret.
const BLANK: &str = "(secret)";

/// Parts of a URL's path and query that are shorter are words such as `services`; blanked out they would take words from reasons.
const SHORTEST_PART: usize = 8;

/// Every secret of the receivers, whole and in the parts in which a receiver may echo it.
pub(super) struct Blanks(Vec<String>);

impl Blanks {
    /// The secrets of all receivers: one may be behind the same proxy as another.
    pub(super) fn new(receivers: &Receivers) -> Self {
        let mut secrets = Self(Vec::new());
        let urls = [
            receivers.slack.as_ref().map(|slack| &slack.url),
            receivers.email.as_ref().map(|email| &email.smtp),
            receivers.webhook.as_ref().map(|webhook| &webhook.url),
            receivers.alertmanager.as_ref().map(|alertmanager| &alertmanager.url),
        ];
        urls.into_iter().flatten().for_each(|url| secrets.add_url(url));
        let keys = [
            receivers.pagerduty.as_ref().map(|pagerduty| &pagerduty.routing_key),
            receivers.webhook.as_ref().and_then(|webhook| webhook.secret.as_ref()),
        ];
        keys.into_iter().flatten().for_each(|key| secrets.add(key.expose()));
        // The longest first, or what is left of it after a shorter one would stay.
        secrets.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// What a text of somebody else says, printable, without secrets, and at most `most` characters of it.
    pub(super) fn clean(&self, text: &str, most: usize) -> String {
        // Secrets go before anything is cut, since half of one is not recognised.
        cut(&self.blank(&printable(&self.blank(text))), most)
    }

    fn blank(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, BLANK))
    }

    fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            let forms = [secret.to_owned(), printable(secret), json_text(secret), STANDARD.encode(secret)];
            self.0.extend(forms);
        }
    }

    fn add_url(&mut self, url: &Secret) {
        self.add(url.expose());
        let Ok(url) = Url::parse(url.expose()) else { return };
        self.add(url.as_str());
        let rest = url.path().trim_matches('/');
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        let parts = rest.split('/').map(str::to_owned).chain([rest.to_owned()]).chain(values);
        parts.filter(|part| part.len() >= SHORTEST_PART).for_each(|part| self.add(&part));
        self.add_account(&url);
    }

    fn add_account(&mut self, url: &Url) {
        let (user, password) = account(url);
        if let Some(password) = password {
            self.add(&password);
            self.add(url.password().unwrap_or_default());
            // As SMTP and HTTP send them.
            self.add(&format!("\0{user}\0{password}"));
            self.add(&format!("{user}:{password}"));
        }
    }
}

impl fmt::Debug for Blanks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(BLANK)
    }
}

/// The user and the password that a URL holds, decoded.
pub(super) fn account(url: &Url) -> (String, Option<String>) {
    (decoded(url.username()), url.password().map(decoded))
}

/// A text as it is without percent encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let encoded = others.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        let byte = encoded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as JSON holds it, without the quotes.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
