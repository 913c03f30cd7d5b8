//! A channel of Slack, by an incoming webhook.
//!
//! A webhook knows no idempotency, so what may be a repeat says so. Slack answers `ok` with status 200 and nothing else: another answer
//! with status 200 comes from something on the way, such as a proxy that wants a password, and is asked again later, unless it is one
//! of the words by which Slack says that the webhook is of no use any more.

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tollgate_cluster::Attempt;

use super::ReceiversError;
use super::blanks::Blanks;
use super::http::{Answer, Http};
use super::letter::Letter;
use super::printable::cut;
use crate::config;

const NAME: &str = "slack";

/// Slack's limits; where they are in characters, bytes are counted, of which there are never fewer.
const MOST_HEADER: usize = 150;
const MOST_SECTION: usize = 3_000;
/// With the header and `text` beside them, sections of this number stay below 12,000 characters.
const MOST_SECTIONS: usize = 3;
/// The most of one line, so that one that is too long leaves room for others.
const MOST_LINE: usize = 1_000;
const MOST_TEXT: usize = 1_500;

/// What Slack says when a webhook will never work again.
const BROKEN: [&str; 9] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "team_disabled",
];

/// A channel of Slack.
#[derive(Debug)]
pub(super) struct Slack {
    settings: config::Slack,
    http: Http,
}

impl Slack {
    pub(super) fn new(settings: &config::Slack, blanks: &Arc<Blanks>) -> Result<Self, ReceiversError> {
        Ok(Self { settings: settings.clone(), http: Http::new(NAME, settings.url.expose(), blanks)? })
    }

    /// Makes one attempt; if Slack does not take the form of the message, it includes another as plain text.
    pub(super) async fn deliver(&self, letter: &Letter) -> Attempt {
        let answer = match self.post(letter, &with_blocks(letter)).await {
            Ok(answer) if answer.status == StatusCode::BAD_REQUEST => self.post(letter, &plain(letter)).await,
            answer => answer,
        };
        answer.map_or_else(|attempt| attempt, |answer| judge(&answer))
    }

    async fn post(&self, letter: &Letter, body: &Value) -> Result<Answer, Attempt> {
        self.http.post(letter, self.settings.url.expose(), HeaderMap::new(), body.to_string().into_bytes()).await
    }
}

/// What Slack's answer means.
fn judge(answer: &Answer) -> Attempt {
    let said = answer.body.trim();
    match answer.status.as_u16() {
        200 if answer.is_whole && said == "ok" => Attempt::Delivered { receipt: "ok".to_owned() },
        200 if !BROKEN.contains(&said) => Attempt::Later {
            after: answer.retry_after,
            may_have_arrived: true,
            reason: format!("{}, where Slack says `ok`: is something between here and Slack?", answer.words()),
        },
        200 | 403 | 404 | 410 => {
            Attempt::Never { reason: format!("{}: the webhook is broken, make a new one in Slack", answer.words()) }
        }
        201..=299 => Attempt::Never { reason: format!("{}, where Slack says `ok`: is this its URL?", answer.words()) },
        400 => Attempt::Never { reason: format!("{}, to plain text as well", answer.words()) },
        _ => answer.attempt(),
    }
}

fn with_blocks(letter: &Letter) -> Value {
    let header = json!({
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(&letter.summary, MOST_HEADER), "emoji": false},
    });
    let sections = sections(&letter.details)
        .into_iter()
        .map(|text| json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}}));
    let mut blocks: Vec<Value> = [header].into_iter().chain(sections).collect();
    if let Some(url) = &letter.client_url {
        let link = format!("<{}|Tollgate>", escaped(&url.replace('|', "%7C"), MOST_LINE));
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]}));
    }
    json!({"text": text(letter), "blocks": blocks})
}

fn plain(letter: &Letter) -> Value {
    let details = sections(&letter.details).into_iter().next().unwrap_or_default();
    json!({"text": format!("{}\n{details}", text(letter))})
}

/// What notifications show.
fn text(letter: &Letter) -> String {
    let repeat = if letter.may_be_repeat { " (may be a repeat)" } else { "" };
    format!("{}{repeat}", escaped(&letter.summary, MOST_TEXT))
}

/// The lines, escaped, in as few sections as they fit in; what does not fit is cut off, and says so.
fn sections(text: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in text.lines().map(|line| escaped(line, MOST_LINE)) {
        let count = sections.len();
        match sections.last_mut() {
            Some(last) if last.len() + line.len() + '…'.len_utf8() < MOST_SECTION => {
                last.push('\n');
                last.push_str(&line);
            }
            Some(last) if count == MOST_SECTIONS => {
                last.push('…');
                break;
            }
            _ => sections.push(line),
        }
    }
    // Slack refuses a section without a text.
    sections.retain(|section| !section.trim().is_empty());
    sections
}

/// The text with what Slack would read as mentions and links escaped, at most `most` bytes long and cut between characters.
fn escaped(text: &str, most: usize) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let whole = escape(text);
    if whole.len() <= most {
        return whole;
    }
    let fitting = text.char_indices().map(|(_, character)| escape(&character.to_string()).len()).scan(0, |sum, len| {
        *sum += len;
        Some(*sum)
    });
    let characters = fitting.take_while(|sum| *sum + '…'.len_utf8() <= most).count();
    escape(&cut(text, characters + 1))
}
