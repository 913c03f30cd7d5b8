//! The client: one method a call.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireManyRequest, AcquireRequest, BucketAnswer, Health, LimitDocument,
    LimitList, MAX_WAIT_MS, SettleAnswer, SettleRequest,
};

use crate::call::Call;
use crate::reply::Reply;
use crate::retries::Retries;
use crate::{BucketQuery, Error, Options};

/// Longest deadline that is kept to: a year, for a call that is not meant to end by itself.
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 86_400);

/// Speaks to one node, which answers for its cluster. Clones share connections and the budget for
/// repeats.
///
/// Every method fails with [`Error::Connect`], [`Error::Interrupted`] or [`Error::Deadline`] when
/// there is no answer, with [`Error::Refused`] when the node refuses the call, and with
/// [`Error::Garbled`] when it is not a node that answers.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    options: Options,
    retries: Arc<Mutex<Retries>>,
}

impl Client {
    /// A client of the node at `base_url`, such as `http://127.0.0.1:8080`, with the default
    /// [`Options`].
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] unless it is an `http` address; [`Error::Setup`]. Nothing is sent yet.
    pub fn new(base_url: &str) -> Result<Self, Error> {
        Self::with_options(base_url, Options::default())
    }

    /// A client of the node at `base_url`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] unless it is an `http` address; [`Error::Setup`]. Nothing is sent yet.
    pub fn with_options(base_url: &str, options: Options) -> Result<Self, Error> {
        let base = parse_base(base_url).map_err(|problem| Error::InvalidUrl { url: base_url.to_owned(), problem })?;
        let http = reqwest::Client::builder().redirect(Policy::none()).build();
        Ok(Self {
            http: http.map_err(|error| Error::Setup { problem: root_cause(&error) })?,
            base,
            options,
            retries: Arc::new(Mutex::new(Retries::new(fastrand::Rng::new()))),
        })
    }

    /// Asks for units, or with a cost of 0 only looks. A denial is an answer with `allowed: false`.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn acquire(&self, request: &AcquireRequest) -> Result<AcquireAnswer, Error> {
        self.send(&Call::acquire(request)).await?.answer_also_with(StatusCode::TOO_MANY_REQUESTS)
    }

    /// Asks for many at once, at most [`tollgate_api::MAX_REQUESTS`], each decided on its own.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn acquire_many(&self, request: &AcquireManyRequest) -> Result<AcquireManyAnswer, Error> {
        self.send(&Call::acquire_many(request)).await?.answer()
    }

    /// Asks for units whose real number is told later, with [`Client::settle`].
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn reserve(&self, request: &AcquireRequest) -> Result<AcquireAnswer, Error> {
        self.send(&Call::reserve(request)).await?.answer_also_with(StatusCode::TOO_MANY_REQUESTS)
    }

    /// Tells what was really spent of a reservation; gives back a permit.
    ///
    /// # Errors
    /// See [`Client`]. After [`Error::Interrupted`] or [`Error::Deadline`] it may be repeated: it
    /// counts once.
    pub async fn settle(&self, request: &SettleRequest) -> Result<SettleAnswer, Error> {
        self.send(&Call::settle(request)).await?.answer()
    }

    /// All limits.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn limits(&self) -> Result<LimitList, Error> {
        self.send(&Call::limits()).await?.answer()
    }

    /// The limit called `name`.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::InvalidName`].
    pub async fn limit(&self, name: &str) -> Result<LimitDocument, Error> {
        self.send(&Call::limit(name)).await?.answer()
    }

    /// Sets the limit of that name, new or not; it holds from the next decision on.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::InvalidName`].
    pub async fn put_limit(&self, limit: &LimitDocument) -> Result<(), Error> {
        self.send(&Call::put_limit(limit)).await?.succeeded()
    }

    /// Removes the limit called `name`.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::InvalidName`].
    pub async fn delete_limit(&self, name: &str) -> Result<(), Error> {
        self.send(&Call::delete_limit(name)).await?.succeeded()
    }

    /// The state of one bucket.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::InvalidName`].
    pub async fn bucket(&self, bucket: &BucketQuery) -> Result<BucketAnswer, Error> {
        self.send(&Call::bucket(bucket)).await?.answer()
    }

    /// Makes one bucket as if nothing had been taken from it.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::InvalidName`].
    pub async fn reset_bucket(&self, bucket: &BucketQuery) -> Result<(), Error> {
        self.send(&Call::reset_bucket(bucket)).await?.succeeded()
    }

    /// How the node is, also when it cannot serve.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.send(&Call::health()).await?.answer_also_with(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Whether the node is ready to serve.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn ready(&self) -> Result<bool, Error> {
        let reply = self.send(&Call::ready()).await?;
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(false);
        }
        reply.succeeded().map(|()| true)
    }

    /// Makes `call` until it is answered, is not to be repeated, or the deadline passes.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply, Error> {
        let request = self.request(call)?;
        let allowance = self.allowance(call);
        let until = Instant::now() + allowance;
        tokio::time::timeout_at(until, self.send_until(call, request, until))
            .await
            .unwrap_or_else(|_| Err(Error::Deadline { url: self.address(), deadline_ms: allowance.as_millis() }))
    }

    /// A repeat that would come after the deadline is not waited for: what is known now is the
    /// answer.
    async fn send_until(&self, call: &Call, request: reqwest::Request, until: Instant) -> Result<Reply, Error> {
        self.retries().earn();
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(&request).await;
            let Some(pause) = self.pause(call, attempt, &outcome) else { return outcome };
            if pause >= until.saturating_duration_since(Instant::now()) {
                return outcome;
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How long `call` may take in all; bounded, so that no deadline is beyond what the clock can
    /// hold.
    fn allowance(&self, call: &Call) -> Duration {
        let queueing = Duration::from_millis(call.wait_ms.min(MAX_WAIT_MS));
        self.options.deadline.min(LONGEST_DEADLINE) + queueing
    }

    async fn attempt(&self, request: &reqwest::Request) -> Result<Reply, Error> {
        let request = request.try_clone().expect("a body of bytes can be cloned");
        let response = self.http.execute(request).await.map_err(|error| self.failure(&error))?;
        read(response).await.map_err(|error| self.failure(&error))
    }

    /// How long to pause before trying again; `None` if this outcome is the last.
    fn pause(&self, call: &Call, attempt: u32, outcome: &Result<Reply, Error>) -> Option<Duration> {
        let at_least = least_pause(call, outcome)?;
        let pause = self.retries().pause(attempt, &self.options)?;
        Some(at_least.saturating_add(pause))
    }

    fn request(&self, call: &Call) -> Result<reqwest::Request, Error> {
        let builder = self.http.request(call.method.clone(), self.url(call)?);
        with_body(builder, call).build().map_err(|error| self.failure(&error))
    }

    fn url(&self, call: &Call) -> Result<Url, Error> {
        let is_lost = |segment: &&String| ["", ".", ".."].contains(&segment.as_str());
        if let Some(name) = call.path.iter().find(is_lost) {
            return Err(Error::InvalidName { name: name.clone() });
        }
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let (url, problem) = (self.address(), root_cause(error));
        if error.is_connect() { Error::Connect { url, problem } } else { Error::Interrupted { url, problem } }
    }

    fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// The budget is a pair of plain numbers, whole after every step, so a panic elsewhere does not
    /// spoil it.
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_base(base_url: &str) -> Result<Url, String> {
    const EXPECTED: &str = "expected something like http://127.0.0.1:8080";
    let url = Url::parse(base_url).map_err(|error| format!("{error}; {EXPECTED}"))?;
    match url.scheme() {
        "http" => Ok(url),
        "https" => Err("this client does not speak TLS; use http, or a proxy that adds it".to_owned()),
        _ => Err(EXPECTED.to_owned()),
    }
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
