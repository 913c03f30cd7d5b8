//! The client of one node: one method a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::{StatusCode, Url};
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireManyRequest, AcquireRequest, AddNodeRequest, AlertsAnswer, BucketAnswer,
    ClusterAnswer, ExplainAnswer, Health, LimitDocument, LimitList, SettleAnswer, SettleRequest, SilenceAnswer,
    SilenceList, SilenceRequest, StatsAnswer, TestAlertAnswer, TestAlertRequest,
};

use crate::call::Call;
use crate::reply::Reply;
use crate::route::OneNode;
use crate::sender::{Sender, parse_base};
use crate::{BucketQuery, Error, Options};

/// Speaks to one node, which answers for its cluster. Clones share connections and the budget for
/// repeats.
///
/// Every method fails with [`Error::Connect`], [`Error::Interrupted`] or [`Error::Deadline`] when
/// there is no answer, with [`Error::Refused`] when the node refuses the call, and with
/// [`Error::Garbled`] when it is not a node that answers.
#[derive(Clone, Debug)]
pub struct Client {
    node: Arc<Url>,
    sender: Sender,
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
        let node = Arc::new(parse_base(base_url)?);
        Ok(Self { node, sender: Sender::new(reqwest::Client::builder(), options)? })
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

    /// The nodes and the shards of the cluster, as far as the node knows.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn cluster(&self) -> Result<ClusterAnswer, Error> {
        self.send(&Call::cluster()).await?.answer()
    }

    /// Has the cluster expect a node; answers with the cluster after that.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn add_node(&self, node: &AddNodeRequest) -> Result<ClusterAnswer, Error> {
        self.send(&Call::add_node(node)).await?.answer()
    }

    /// Has the node with this number leave. Its shards move in their own time; [`Client::cluster`] lists it until they have.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn remove_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.send(&Call::remove_node(id)).await?.answer()
    }

    /// Has the node with this number lead nothing; it goes on answering.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn drain_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.send(&Call::drain_node(id)).await?.answer()
    }

    /// Has the node with this number lead its share again.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn undrain_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.send(&Call::undrain_node(id)).await?.answer()
    }

    /// What the node measured lately: of all its requests, or of those to one endpoint.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::Refused`] with 404 for an endpoint without statistics of its own.
    pub async fn stats(&self, endpoint: Option<&str>) -> Result<StatsAnswer, Error> {
        self.send(&Call::stats(endpoint)).await?.answer()
    }

    /// How the alerts of the cluster stand, as far as the node knows.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn alerts(&self) -> Result<AlertsAnswer, Error> {
        self.send(&Call::alerts()).await?.answer()
    }

    /// Has a receiver of alerts get a test message; answers with its receipt.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::Refused`] with 404 for an unknown receiver, and with 502 and the reason for one that did not take it.
    pub async fn test_alert(&self, request: &TestAlertRequest) -> Result<TestAlertAnswer, Error> {
        self.send(&Call::test_alert(request)).await?.answer()
    }

    /// When an alert of a rule with these labels fires, and who is told.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::Refused`] with 404 for an unknown rule.
    pub async fn explain_alert(&self, rule: &str, labels: &BTreeMap<String, String>) -> Result<ExplainAnswer, Error> {
        self.send(&Call::explain_alert(rule, labels)).await?.answer()
    }

    /// The silences that last, or begin later.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn silences(&self) -> Result<SilenceList, Error> {
        self.send(&Call::silences()).await?.answer()
    }

    /// Has nobody be told of some alerts for a while.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn add_silence(&self, request: &SilenceRequest) -> Result<SilenceAnswer, Error> {
        self.send(&Call::add_silence(request)).await?.answer()
    }

    /// Ends the silence with this number.
    ///
    /// # Errors
    /// See [`Client`]; [`Error::Refused`] with 404 for one that is over.
    pub async fn end_silence(&self, id: u64) -> Result<(), Error> {
        self.send(&Call::end_silence(id)).await?.succeeded()
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

    pub(crate) async fn send(&self, call: &Call) -> Result<Reply, Error> {
        self.sender.send(call, &mut OneNode(Arc::clone(&self.node))).await
    }
}
