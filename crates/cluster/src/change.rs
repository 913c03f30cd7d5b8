//! Changes of the cluster's own state, as callers see them.

use tollgate_feedback::alert::{Applied as Ledgered, MAX_SILENCES};

use crate::meta::{Applied, MAX_LIMITS, MAX_NODES};

/// Why a limit or a node was not changed, or is not known to be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// There is no limit of this name.
    #[error("there is no limit of this name")]
    UnknownLimit,
    /// The cluster has as many limits as it may.
    #[error("the cluster has {MAX_LIMITS} limits already")]
    TooManyLimits,
    /// There is no node of this number.
    #[error("there is no node of this number")]
    UnknownNode,
    /// The cluster has as many nodes as it may.
    #[error("the cluster has {MAX_NODES} nodes already")]
    TooManyNodes,
    /// A node of this number has other data.
    #[error("a node of this number has other data")]
    OtherData,
    /// Another node has this address.
    #[error("another node has this address")]
    AddressTaken,
    /// The node has said itself that it is elsewhere.
    #[error("the node is in the cluster already, at another address, which it says itself when it is started")]
    ElsewhereAlready,
    /// No other node serves.
    #[error("no other node serves: the last one cannot leave")]
    LastNode,
    /// There is no silence of this number that still lasts.
    #[error("there is no silence of this number, or it is over")]
    UnknownSilence,
    /// The cluster has as many silences as it may.
    #[error("the cluster has {MAX_SILENCES} silences already")]
    TooManySilences,
    /// It was not committed in time, or does not hold everywhere yet; it may still.
    #[error("the change could not be made: {0}")]
    Unavailable(String),
}

/// What was applied, unless it was nothing.
pub(crate) fn checked(applied: Applied) -> Result<Applied, ChangeError> {
    match applied {
        Applied::Done | Applied::Created | Applied::Alerts(Ledgered::Done | Ledgered::Silenced(_)) => Ok(applied),
        Applied::Alerts(Ledgered::Unknown | Ledgered::Stale) => Err(ChangeError::UnknownSilence),
        Applied::Alerts(Ledgered::TooMany) => Err(ChangeError::TooManySilences),
        Applied::UnknownLimit => Err(ChangeError::UnknownLimit),
        Applied::TooManyLimits => Err(ChangeError::TooManyLimits),
        Applied::UnknownNode => Err(ChangeError::UnknownNode),
        Applied::TooManyNodes => Err(ChangeError::TooManyNodes),
        Applied::OtherData => Err(ChangeError::OtherData),
        Applied::AddressTaken => Err(ChangeError::AddressTaken),
        Applied::ElsewhereAlready => Err(ChangeError::ElsewhereAlready),
        Applied::LastNode => Err(ChangeError::LastNode),
    }
}
