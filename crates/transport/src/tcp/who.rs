//! Asking an address who is there.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::net::TcpStream;

use super::stream::{FrameReader, write_frames};
use crate::question::{decode_answer, encode_question};
use crate::{HelloRefusal, Introduced, PROTOCOL_VERSION};

/// The largest answer, with room for what later versions say in it.
const MAX_ANSWER_BYTES: usize = 1024;

/// Nobody said who is there.
#[derive(Debug, Error)]
pub enum WhoError {
    /// Nothing listens there, the name is unknown, or there is no way to it.
    #[error("cannot connect to {address}: {source}")]
    CannotConnect {
        /// The address that was asked.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing came in time.
    #[error("no answer from {address} within {timeout:?}")]
    Timeout {
        /// The address that was asked.
        address: String,
        /// The time it had.
        timeout: Duration,
    },
    /// Something listens there that answers as no node would, or closes the connection without an answer.
    #[error("what listens at {address} is no tollgate node, or it is the port for clients of one")]
    NotANode {
        /// The address that was asked.
        address: String,
    },
    /// A node of another release.
    #[error(
        "the node at {address} speaks version {theirs} of the protocol, and this one version {PROTOCOL_VERSION}: \
         run releases with the same version on all nodes"
    )]
    OtherProtocol {
        /// The address that was asked.
        address: String,
        /// The version that the node speaks.
        theirs: u32,
    },
}

/// Asks the node at `address`, which is `host:port`, who it is. For a node that is to join a cluster of which it knows
/// nothing else.
///
/// # Errors
/// See [`WhoError`].
pub async fn who_is_there(address: &str, timeout: Duration) -> Result<Introduced, WhoError> {
    let asked = tokio::time::timeout(timeout, ask(address)).await;
    asked.unwrap_or_else(|_| Err(WhoError::Timeout { address: address.to_owned(), timeout }))
}

async fn ask(address: &str) -> Result<Introduced, WhoError> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|source| WhoError::CannotConnect { address: address.to_owned(), source })?;
    let answer = exchange(stream).await.ok_or_else(|| WhoError::NotANode { address: address.to_owned() })?;
    decode_answer(answer).map_err(|refusal| match refusal {
        HelloRefusal::OtherProtocol { theirs } => WhoError::OtherProtocol { address: address.to_owned(), theirs },
        _ => WhoError::NotANode { address: address.to_owned() },
    })
}

/// The frame that comes back; `None` when none does, whatever the reason: a node would have answered.
async fn exchange(mut stream: TcpStream) -> Option<Bytes> {
    write_frames(&mut stream, [encode_question()]).await.ok()?;
    FrameReader::new(stream, MAX_ANSWER_BYTES).next().await.ok()
}
