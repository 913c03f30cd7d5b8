//! Sends calls and repeats them, wherever they go.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;
use tollgate_api::MAX_WAIT_MS;

use crate::call::Call;
use crate::reply::Reply;
use crate::retries::Retries;
use crate::route::Route;
use crate::{Error, Options};

/// Longest deadline that is kept to: a year, for a call that is not meant to end by itself.
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 86_400);

/// Connections, patience and the budget for repeats. Clones share all of it.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    http: reqwest::Client,
    options: Options,
    retries: Arc<Mutex<Retries>>,
}

impl Sender {
    /// A sender over the connections that `http` makes.
    ///
    /// # Errors
    /// [`Error::Setup`].
    pub(crate) fn new(http: ClientBuilder, options: Options) -> Result<Self, Error> {
        // It speaks no TLS, but shares a program with what does: without this it would read the certificates of the operating
        // system for nothing, and fail where there are none.
        let http = http.redirect(Policy::none()).tls_certs_only([]).build();
        Ok(Self {
            http: http.map_err(|error| Error::Setup { problem: root_cause(&error) })?,
            options,
            retries: Arc::new(Mutex::new(Retries::new(fastrand::Rng::new()))),
        })
    }

    /// Makes `call` along `route` until it is answered, is not to be repeated, or the deadline passes.
    pub(crate) async fn send(&self, call: &Call, route: &mut impl Route) -> Result<Reply, Error> {
        let allowance = self.allowance(call);
        let until = Instant::now() + allowance;
        let mut node = route.next();
        let answered = tokio::time::timeout_at(until, self.send_until(call, route, &mut node, until)).await;
        answered.unwrap_or_else(|_| {
            let late = Err(Error::Deadline { url: address(&node), deadline_ms: allowance.as_millis() });
            route.observe(&node, &late);
            late
        })
    }

    /// A repeat that would come after the deadline is not waited for: what is known now is the
    /// answer.
    async fn send_until(
        &self,
        call: &Call,
        route: &mut impl Route,
        node: &mut Arc<Url>,
        until: Instant,
    ) -> Result<Reply, Error> {
        self.retries().earn();
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(node, call).await;
            route.observe(node, &outcome);
            // Nothing was sent, and to go to another node puts no load on the one that cannot be reached.
            let passes_over = matches!(outcome, Err(Error::Connect { .. })) && route.has_other();
            if !passes_over {
                let Some(pause) = self.pause(call, attempt, &outcome, route.has_other()) else { return outcome };
                if pause >= until.saturating_duration_since(Instant::now()) {
                    return outcome;
                }
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
            *node = route.next();
        }
    }

    /// How long `call` may take in all; bounded, so that no deadline is beyond what the clock can
    /// hold.
    fn allowance(&self, call: &Call) -> Duration {
        let queueing = Duration::from_millis(call.wait_ms.min(MAX_WAIT_MS));
        self.options.deadline.min(LONGEST_DEADLINE) + queueing
    }

    async fn attempt(&self, node: &Url, call: &Call) -> Result<Reply, Error> {
        let builder = self.http.request(call.method.clone(), url(node, call)?);
        let response = with_body(builder, call).send().await.map_err(|error| failure(node, &error))?;
        read(response).await.map_err(|error| failure(node, &error))
    }

    /// How long to pause before trying again, at another node if there is one; `None` if this outcome is the last.
    fn pause(&self, call: &Call, attempt: u32, outcome: &Result<Reply, Error>, has_other: bool) -> Option<Duration> {
        let asked = least_pause(call, outcome)?;
        let at_least = if has_other { Duration::ZERO } else { asked };
        let pause = self.retries().pause(attempt, &self.options)?;
        Some(at_least.saturating_add(pause))
    }

    /// The budget is a pair of plain numbers, whole after every step, so a panic elsewhere does not
    /// spoil it.
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address of a node, from the text that a person gave.
///
/// # Errors
/// [`Error::InvalidUrl`] unless it is an `http` address.
pub(crate) fn parse_base(base_url: &str) -> Result<Url, Error> {
    const EXPECTED: &str = "expected something like http://127.0.0.1:8080";
    let invalid = |problem: String| Error::InvalidUrl { url: base_url.to_owned(), problem };
    let url = Url::parse(base_url).map_err(|error| invalid(format!("{error}; {EXPECTED}")))?;
    match url.scheme() {
        "http" => Ok(url),
        "https" => Err(invalid("this client does not speak TLS; use http, or a proxy that adds it".to_owned())),
        _ => Err(invalid(EXPECTED.to_owned())),
    }
}

fn address(node: &Url) -> String {
    node.as_str().trim_end_matches('/').to_owned()
}

fn url(node: &Url, call: &Call) -> Result<Url, Error> {
    let is_lost = |segment: &&String| ["", ".", ".."].contains(&segment.as_str());
    if let Some(name) = call.path.iter().find(is_lost) {
        return Err(Error::InvalidName { name: name.clone() });
    }
    let mut url = node.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(&call.path);
    }
    if !call.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&call.query);
    }
    Ok(url)
}

fn failure(node: &Url, error: &reqwest::Error) -> Error {
    let (url, problem) = (address(node), root_cause(error));
    if error.is_connect() { Error::Connect { url, problem } } else { Error::Interrupted { url, problem } }
}

fn with_body(builder: RequestBuilder, call: &Call) -> RequestBuilder {
    match &call.body {
        Some(body) => builder.header(CONTENT_TYPE, "application/json").body(body.clone()),
        None => builder,
    }
}

async fn read(response: Response) -> Result<Reply, reqwest::Error> {
    let (status, retry_after) = (response.status(), retry_after(response.headers()));
    Ok(Reply { status, retry_after, body: response.bytes().await? })
}

/// Seconds only: a node never sends a date.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The pause that the node asks for before `call` is tried again; `None` if it is not to be.
fn least_pause(call: &Call, outcome: &Result<Reply, Error>) -> Option<Duration> {
    match outcome {
        Ok(reply) => {
            let is_unserved = reply.status == StatusCode::SERVICE_UNAVAILABLE && !call.reports_unavailable;
            is_unserved.then_some(reply.retry_after)
        }
        Err(Error::Connect { .. }) => Some(Duration::ZERO),
        Err(Error::Interrupted { .. }) => call.is_idempotent.then_some(Duration::ZERO),
        Err(
            Error::InvalidUrl { .. }
            | Error::Setup { .. }
            | Error::InvalidName { .. }
            | Error::Deadline { .. }
            | Error::Refused(_)
            | Error::Garbled { .. },
        ) => None,
    }
}

/// The innermost reason, which is what the system said; those round it only say that a request
/// failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
