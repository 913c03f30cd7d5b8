//! How everything that is stored or sent is encoded: a version byte, then bincode with fixed-size little-endian integers.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that is written. A later one that cannot be read as this one gets another number.
const VERSION: u8 = 3;

/// The most bytes that a decoder allocates for, whatever the input claims: a snapshot of a shard with ten million buckets.
const MAX_DECODED_BYTES: usize = 1 << 30;

/// Why bytes could not be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("there are no bytes")]
    Empty,
    #[error("encoded by version {found}, and this is version {VERSION}")]
    Version { found: u8 },
    #[error(transparent)]
    Malformed(#[from] bincode::error::DecodeError),
    #[error("{extra} bytes too many")]
    Trailing { extra: usize },
}

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

const fn configuration() -> Configuration<LittleEndian, Fixint, Limit<MAX_DECODED_BYTES>> {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit()
}

/// Encodes a value.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    encode_into(value, Vec::new())
}

/// Encodes a value into `bytes`, which are empty and have room for it.
pub(crate) fn encode_into(value: &impl Serialize, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(VERSION);
    bincode::serde::encode_into_std_write(value, &mut bytes, configuration())
        .expect("our own types encode, and memory takes every byte");
    bytes
}

/// Decodes what [`encode`] made.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if *version != VERSION {
        return Err(DecodeError::Version { found: *version });
    }
    let (value, read) = bincode::serde::decode_from_slice(body, configuration())?;
    match body.len() - read {
        0 => Ok(value),
        extra => Err(DecodeError::Trailing { extra }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes() {
        let value = (7_u64, "text".to_owned(), vec![Some(1_i64), None]);
        assert_eq!(decode::<(u64, String, Vec<Option<i64>>)>(&encode(&value)).expect("it decodes"), value);
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let huge_length = [&[VERSION][..], &u64::MAX.to_le_bytes()].concat();
        let mut trailing = encode(&1_u64);
        trailing.push(0);
        for bytes in [&[][..], &[0], &[VERSION], &[9, 1, 2], &huge_length, &trailing] {
            assert!(decode::<Vec<u64>>(bytes).is_err(), "{bytes:?}");
        }
    }
}
