//! The client of a whole cluster: it asks the node that decides.

mod plan;
mod shard_map;
mod shard_memory;
mod view;

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireManyRequest, AcquireRequest, AddNodeRequest, BucketAnswer, ClusterAnswer,
    LimitDocument, LimitList, SettleAnswer, SettleRequest,
};

use crate::call::Call;
use crate::reply::Reply;
use crate::sender::{Sender, parse_base};
use crate::{BucketQuery, Error, Options};
use plan::SharedView;
use shard_memory::RequestKey;
use view::View;

/// How long a connection may take to be made before another node is tried: a machine that is gone does not refuse it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// Speaks to a cluster by several of its nodes. Clones share what is known of it, connections and the budget for repeats.
///
/// It learns from the answers to which shard a request goes, and sends the next one like it (the same prefix, endpoint
/// and labels) straight to the node that leads that shard. Who that is it asks the cluster itself, at first use, every
/// 10 s while there are requests, and when a node fails; no request waits for it. A node that cannot be reached is passed
/// over at once. Of all other failures the same holds as for [`Client`](crate::Client), with the next attempt at another
/// node.
///
/// Every method fails with [`Error::Connect`], [`Error::Interrupted`] or [`Error::Deadline`], which name the node that was
/// tried last, when there is no answer, with [`Error::Refused`] when a node refuses the call, and with [`Error::Garbled`]
/// when it is not a node that answers.
#[derive(Clone, Debug)]
pub struct ClusterClient {
    sender: Sender,
    view: SharedView,
}

impl ClusterClient {
    /// A client of the cluster that the nodes at `base_urls` belong to, such as `http://127.0.0.1:8081`, with the default
    /// [`Options`]. One address is enough to find the others; with several, any of them may be away.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] unless all are `http` addresses and there is one; [`Error::Setup`]. Nothing is sent yet.
    pub fn new(base_urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        Self::with_options(base_urls, Options::default())
    }

    /// A client of the cluster that the nodes at `base_urls` belong to.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] unless all are `http` addresses and there is one; [`Error::Setup`]. Nothing is sent yet.
    pub fn with_options(base_urls: impl IntoIterator<Item = impl AsRef<str>>, options: Options) -> Result<Self, Error> {
        let seeds = base_urls.into_iter().map(|url| parse_base(url.as_ref()).map(Arc::new));
        let seeds = seeds.collect::<Result<Vec<_>, Error>>()?;
        if seeds.is_empty() {
            return Err(Error::InvalidUrl { url: String::new(), problem: "a cluster needs one at least".to_owned() });
        }
        let http = reqwest::Client::builder().connect_timeout(CONNECT_DEADLINE);
        Ok(Self { sender: Sender::new(http, options)?, view: SharedView::new(View::new(seeds)) })
    }

    /// Asks for units, or with a cost of 0 only looks. A denial is an answer with `allowed: false`.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn acquire(&self, request: &AcquireRequest) -> Result<AcquireAnswer, Error> {
        self.ask_leader(&Call::acquire(request), request).await
    }

    /// Asks for many at once, at most [`tollgate_api::MAX_REQUESTS`], each decided on its own. Goes to any node, for they
    /// may belong to as many shards.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn acquire_many(&self, request: &AcquireManyRequest) -> Result<AcquireManyAnswer, Error> {
        self.ask_any(&Call::acquire_many(request)).await?.answer()
    }

    /// Asks for units whose real number is told later, with [`ClusterClient::settle`].
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn reserve(&self, request: &AcquireRequest) -> Result<AcquireAnswer, Error> {
        self.ask_leader(&Call::reserve(request), request).await
    }

    /// Tells what was really spent of a reservation; gives back a permit. Any node can be told.
    ///
    /// # Errors
    /// See [`ClusterClient`]. After [`Error::Interrupted`] or [`Error::Deadline`] it may be repeated: it counts once.
    pub async fn settle(&self, request: &SettleRequest) -> Result<SettleAnswer, Error> {
        self.ask_any(&Call::settle(request)).await?.answer()
    }

    /// All limits.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn limits(&self) -> Result<LimitList, Error> {
        self.ask_any(&Call::limits()).await?.answer()
    }

    /// The limit called `name`.
    ///
    /// # Errors
    /// See [`ClusterClient`]; [`Error::InvalidName`].
    pub async fn limit(&self, name: &str) -> Result<LimitDocument, Error> {
        self.ask_any(&Call::limit(name)).await?.answer()
    }

    /// Sets the limit of that name, new or not; it holds on every node from the next decision on.
    ///
    /// # Errors
    /// See [`ClusterClient`]; [`Error::InvalidName`].
    pub async fn put_limit(&self, limit: &LimitDocument) -> Result<(), Error> {
        self.ask_any(&Call::put_limit(limit)).await?.succeeded()
    }

    /// Removes the limit called `name`.
    ///
    /// # Errors
    /// See [`ClusterClient`]; [`Error::InvalidName`].
    pub async fn delete_limit(&self, name: &str) -> Result<(), Error> {
        self.ask_any(&Call::delete_limit(name)).await?.succeeded()
    }

    /// The state of one bucket.
    ///
    /// # Errors
    /// See [`ClusterClient`]; [`Error::InvalidName`].
    pub async fn bucket(&self, bucket: &BucketQuery) -> Result<BucketAnswer, Error> {
        self.ask_any(&Call::bucket(bucket)).await?.answer()
    }

    /// Makes one bucket as if nothing had been taken from it.
    ///
    /// # Errors
    /// See [`ClusterClient`]; [`Error::InvalidName`].
    pub async fn reset_bucket(&self, bucket: &BucketQuery) -> Result<(), Error> {
        self.ask_any(&Call::reset_bucket(bucket)).await?.succeeded()
    }

    /// The nodes and the shards of the cluster, as far as one of its nodes knows. The client goes by this answer from then
    /// on; calling it before the first request lets already the second one like it go to its leader.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn cluster(&self) -> Result<ClusterAnswer, Error> {
        self.ask_for_map(&Call::cluster()).await
    }

    /// Has the cluster expect a node; answers with the cluster after that.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn add_node(&self, node: &AddNodeRequest) -> Result<ClusterAnswer, Error> {
        self.ask_for_map(&Call::add_node(node)).await
    }

    /// Has the node with this number leave. Its shards move in their own time; [`ClusterClient::cluster`] lists it until
    /// they have.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn remove_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.ask_for_map(&Call::remove_node(id)).await
    }

    /// Has the node with this number lead nothing; it goes on answering.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn drain_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.ask_for_map(&Call::drain_node(id)).await
    }

    /// Has the node with this number lead its share again.
    ///
    /// # Errors
    /// See [`ClusterClient`].
    pub async fn undrain_node(&self, id: u64) -> Result<ClusterAnswer, Error> {
        self.ask_for_map(&Call::undrain_node(id)).await
    }

    async fn ask_leader(&self, call: &Call, request: &AcquireRequest) -> Result<AcquireAnswer, Error> {
        self.refresh_if_due();
        let key = RequestKey::from(request);
        let reply = self.sender.send(call, &mut self.view.plan(Some(key))).await?;
        let answer: AcquireAnswer = reply.answer_also_with(StatusCode::TOO_MANY_REQUESTS)?;
        if let Some(limit) = answer.limits.first() {
            self.view.lock().learn_shard(key, limit.shard);
        }
        Ok(answer)
    }

    async fn ask_any(&self, call: &Call) -> Result<Reply, Error> {
        self.refresh_if_due();
        self.sender.send(call, &mut self.view.plan(None)).await
    }

    async fn ask_for_map(&self, call: &Call) -> Result<ClusterAnswer, Error> {
        let answer = self.sender.send(call, &mut self.view.plan(None)).await?.answer()?;
        self.view.lock().learn_map(&answer, Instant::now());
        Ok(answer)
    }

    /// Has the map asked for beside the request that is to be made, if it is time. Should that fail, what is known holds,
    /// and a later request asks again.
    fn refresh_if_due(&self) {
        if self.view.lock().take_refresh(Instant::now()) {
            let client = self.clone();
            tokio::spawn(async move { client.cluster().await });
        }
    }
}
