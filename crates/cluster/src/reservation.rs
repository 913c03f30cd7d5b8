//! Reservations: proof of what an admitted request took, in the client's hands.
//!
//! The shards keep nothing of an open reservation. Its token holds what each bucket gave, signed by the cluster, so it can
//! be settled on any node and after any failover; that it is settled only once, each shard sees to by itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tollgate_limiter::{Receipt, Settlement, SettlementId, ShardTime};

use crate::codec::{decode, encode};

/// Bytes of the signature: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// The longest token that is looked at. One of 64 limits is shorter.
const MAX_TOKEN_CHARS: usize = 16 << 10;

/// What an admitted request took.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Reservation {
    pub(crate) id: u128,
    /// Units that were reserved of each limit.
    pub(crate) cost: u64,
    pub(crate) parts: Vec<Part>,
}

/// What one bucket gave.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Part {
    pub(crate) receipt: Receipt,
    /// On the shard's clock.
    pub(crate) expires: ShardTime,
}

impl Reservation {
    /// The token that a client gets.
    pub(crate) fn to_token(&self, secret: &[u8; 32]) -> String {
        let mut bytes = encode(self);
        let signature = signature(secret, &bytes);
        bytes.extend_from_slice(&signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The reservation of a token; `None` when this cluster never gave it.
    pub(crate) fn from_token(token: &str, secret: &[u8; 32]) -> Option<Self> {
        if token.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, signed) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        let genuine = blake3::Hash::from(padded(&signature(secret, body))) == blake3::Hash::from(padded(signed));
        genuine.then(|| decode(body).ok()).flatten()
    }

    /// The settlement of each part, at what the request really cost.
    pub(crate) fn settlements(&self, actual: u64) -> impl Iterator<Item = Settlement> {
        let id = self.id;
        self.parts.iter().map(move |part| Settlement {
            id: SettlementId::new(id, part.receipt.key),
            receipt: part.receipt,
            actual,
            expires: part.expires,
        })
    }
}

fn signature(secret: &[u8; 32], body: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let mut bytes = [0; SIGNATURE_BYTES];
    bytes.copy_from_slice(&blake3::keyed_hash(secret, body).as_bytes()[..SIGNATURE_BYTES]);
    bytes
}

/// As long as a [`blake3::Hash`], whose comparison takes the same time wherever two differ.
fn padded(signature: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(signature).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_cluster_gave_is_a_reservation() {
        let reservation = Reservation { id: 7, cost: 1, parts: Vec::new() };
        let token = reservation.to_token(&[1; 32]);
        assert_eq!(Reservation::from_token(&token, &[1; 32]), Some(reservation));
        assert_eq!(Reservation::from_token(&token, &[2; 32]), None, "another cluster's secret");
        let altered = format!("B{}", &token[1..]);
        for forged in ["", "x", "not base64!", &altered, &token[..token.len() - 1], &"A".repeat(20_000)] {
            assert_eq!(Reservation::from_token(forged, &[1; 32]), None, "{forged:.40}");
        }
    }
}
