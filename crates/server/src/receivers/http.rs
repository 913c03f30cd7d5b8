//! One request to a receiver that speaks HTTP, and what its answer means.
//!
//! Certificates are trusted that the operating system trusts, so that an authority of a company's own, installed as on any of its
//! machines, is trusted here as well. Redirects are not followed: they may lead anywhere, and what is sent holds secrets. Proxies of
//! the environment are not used, because nobody would see from the configuration where secrets go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tollgate_cluster::Attempt;

use super::ReceiversError;
use super::blanks::Blanks;
use super::letter::Letter;

/// For how long a connection may take: names, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// How much is read of an answer to what was told. All that receivers say is shorter; one that streams for ever must end.
const MOST_BODY_BYTES: usize = 64 * 1024;
/// How much is read of what was asked for: thousands of alerts, each with its texts.
const MOST_LIST_BYTES: usize = 16 * 1024 * 1024;
/// Most characters of it that are told.
const MOST_SAID: usize = 200;
/// For how long a body is waited for, once there is a status that says what became of the request.
const BODY: Duration = Duration::from_secs(5);
/// The longest pause that a receiver can ask for: a message that is older is given up anyway.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// Makes requests.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    blanks: Arc<Blanks>,
}

/// An answer, as far as it was read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// For how long the receiver wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of the body.
    pub(super) body: String,
    /// What it says, fit to be shown.
    said: String,
    /// Whether it is all of the body.
    pub(super) is_whole: bool,
}

impl Http {
    /// Makes requests to `url`.
    ///
    /// # Errors
    /// The operating system trusts no certificates at all, as in a container without the package `ca-certificates`. That matters only
    /// where a URL begins with `https://`.
    pub(super) fn new(receiver: &'static str, url: &str, blanks: &Arc<Blanks>) -> Result<Self, ReceiversError> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            // Messages are minutes apart, and a connection of before may be dead without anybody knowing.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        let client = if url.starts_with("http://") { client.tls_certs_only([]) } else { client };
        let client = client.build().map_err(|error| ReceiversError::new(receiver, cause(error)))?;
        Ok(Self { client, blanks: Arc::clone(blanks) })
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// What to do where there was no answer.
    pub(super) async fn post(
        &self,
        letter: &Letter,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, Attempt> {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = self.client.post(url).headers(headers).header(json.0, json.1);
        self.send(letter, request.body(body), MOST_BODY_BYTES).await
    }

    /// Asks for what is at `url`.
    ///
    /// # Errors
    /// What to do where there was no answer.
    pub(super) async fn get(&self, letter: &Letter, url: reqwest::Url) -> Result<Answer, Attempt> {
        self.send(letter, self.client.get(url), MOST_LIST_BYTES).await
    }

    async fn send(&self, letter: &Letter, request: RequestBuilder, most_bytes: usize) -> Result<Answer, Attempt> {
        match timeout_at(letter.deadline, request.send()).await {
            Ok(Ok(response)) => Ok(self.read(response, letter, most_bytes).await),
            Ok(Err(error)) => Err(unanswered(error)),
            Err(_) => Err(Attempt::Later {
                after: None,
                may_have_arrived: true,
                reason: "took the request and did not answer in time".to_owned(),
            }),
        }
    }

    async fn read(&self, response: Response, letter: &Letter, most_bytes: usize) -> Answer {
        let (status, retry_after) = (response.status(), retry_after(response.headers(), letter.now));
        let deadline = letter.deadline.min(Instant::now() + BODY);
        let (body, is_whole) = read_body(response, deadline, most_bytes).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        let beginning: String = body.chars().take(MOST_BODY_BYTES).collect();
        Answer { status, retry_after, said: self.blanks.clean(&beginning, MOST_SAID), body, is_whole }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Http")
    }
}

impl Answer {
    /// What the answer says, in words: the status, and the beginning of the body.
    pub(super) fn words(&self) -> String {
        let answered = format!("answered {}", self.status);
        match self.said.trim() {
            "" => answered,
            body => format!("{answered}: {body}"),
        }
    }

    /// What it means by the rules of HTTP, where the receiver has none of its own.
    pub(super) fn attempt(&self) -> Attempt {
        match self.status.as_u16() {
            200..=299 => Attempt::Delivered { receipt: self.words() },
            408 | 425 | 429 | 500..=599 => self.later(),
            300..=399 => Attempt::Never {
                reason: format!("{}, a redirect, which is not followed: give the URL that it leads to", self.words()),
            },
            _ => Attempt::Never { reason: self.words() },
        }
    }

    /// Says that the message may arrive later.
    pub(super) fn later(&self) -> Attempt {
        // A gateway says so of what is behind it, and that may have heard.
        let of_gateway = matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        let may_have_arrived = of_gateway || (self.status.is_success() && !self.is_whole);
        Attempt::Later { after: self.retry_after, may_have_arrived, reason: self.words() }
    }
}

/// What to do after a request without an answer.
fn unanswered(error: reqwest::Error) -> Attempt {
    if error.is_builder() {
        return Attempt::Never { reason: format!("cannot be asked, its settings make no request: {}", cause(error)) };
    }
    let (may_have_arrived, problem) = if error.is_connect() {
        let timed_out = error.is_timeout();
        (false, if timed_out { "no connection within 5 s" } else { "no connection" })
    } else {
        (true, "took the request and gave no answer")
    };
    Attempt::Later { after: None, may_have_arrived, reason: format!("{problem}: {}", cause(error)) }
}

/// What is at the bottom of an error. The URL is a secret, and some of what is above says it.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Reads a body to its end, its limit or the deadline, and says whether it came to its end.
async fn read_body(mut response: Response, deadline: Instant, most_bytes: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while body.len() < most_bytes {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk[..chunk.len().min(most_bytes - body.len())]),
            Ok(Ok(None)) => return (body, true),
            Ok(Err(_)) | Err(_) => return (body, false),
        }
    }
    (body, false)
}

/// For how long a receiver wants to be left alone: seconds, or a time (RFC 9110, 10.2.3). What is neither says nothing.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// A header of ours with a text that may hold what a header cannot.
pub(super) fn header(name: &'static str, text: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static(name), HeaderValue::from_str(text).ok()?))
}
