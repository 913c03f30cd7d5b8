//! Telling a cluster of a node that is to come.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FieldError, integer, port_of_address};

/// The body of `POST /v1/cluster/nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct AddNodeRequest {
    /// Number of the node, at least 1.
    #[serde(deserialize_with = "integer::whole")]
    #[schema(minimum = 1, format = "uint64")]
    pub id: u64,
    /// Where the other nodes reach it, as `host:port`.
    #[schema(example = "127.0.0.1:9104")]
    pub peer: String,
}

impl AddNodeRequest {
    /// Checks that the number is at least 1, and that the address is one with a port other than 0.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self) -> Result<(), FieldError> {
        if self.id == 0 {
            return Err(FieldError::new("id", "must be at least 1"));
        }
        match port_of_address(&self.peer) {
            Some(0) => Err(FieldError::new("peer", "must have a port other than 0")),
            Some(_) if self.peer.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified()) => {
                Err(FieldError::new("peer", "must be where the other nodes reach it, which is no address of this kind"))
            }
            Some(_) => Ok(()),
            None => Err(FieldError::new("peer", "must be an address such as `127.0.0.1:9101` or `host:9101`")),
        }
    }
}
