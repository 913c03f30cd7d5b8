//! Where the attempts of a call go.

use std::sync::Arc;

use reqwest::Url;

use crate::Error;
use crate::reply::Reply;

/// Where the attempts of one call go, one after the other.
pub(crate) trait Route {
    /// Where the next attempt goes.
    fn next(&mut self) -> Arc<Url>;

    /// Whether the next attempt goes to a node that this call has not tried yet.
    fn has_other(&self) -> bool;

    /// Is told how an attempt ended.
    fn observe(&mut self, node: &Arc<Url>, outcome: &Result<Reply, Error>);
}

/// The same node every time.
pub(crate) struct OneNode(pub(crate) Arc<Url>);

impl Route for OneNode {
    fn next(&mut self) -> Arc<Url> {
        Arc::clone(&self.0)
    }

    fn has_other(&self) -> bool {
        false
    }

    fn observe(&mut self, _node: &Arc<Url>, _outcome: &Result<Reply, Error>) {}
}
