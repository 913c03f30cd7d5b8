//! Where nodes are: `host:port` as text, since what a name stands for may change while nodes run.

use thiserror::Error;

/// As long as the one byte that tells the length of an address in a hello allows.
const MAX_ADDRESS_BYTES: usize = u8::MAX as usize;

/// A text that is no address of a node.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// It does not fit in a hello.
    #[error("the address of a node has {bytes} bytes, and may have {MAX_ADDRESS_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is something else.
    #[error("{address:?} is not the address of a node: it must be host:port, as node-1.example:7000 or [::1]:7000")]
    NotHostAndPort {
        /// The text.
        address: String,
    },
}

/// Takes an address apart.
pub(crate) fn host_and_port(address: &str) -> Result<(&str, u16), AddressError> {
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::TooLong { bytes: address.len() });
    }
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parts.filter(|(host, _)| is_host(host)).ok_or_else(|| AddressError::NotHostAndPort { address: address.to_owned() })
}

/// Whether this may be a name or an address; the resolver knows better. Only visible characters, as it ends up in logs.
fn is_host(host: &str) -> bool {
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()) && (is_bracketed || !host.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Option<(&str, u16)>) {
        assert_eq!(host_and_port(address).ok(), expected, "{address:?}");
    }

    #[test]
    fn only_a_host_with_a_port_is_an_address() {
        check("node-1.example:7000", Some(("node-1.example", 7000)));
        check("127.0.0.1:0", Some(("127.0.0.1", 0)));
        check("[::1]:7000", Some(("[::1]", 7000)));
        for nonsense in ["", ":", "a", "a:", ":7000", "a:65536", "a:-1", "a:b", "::1:7000", "a b:7000", "a\n:7000"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn an_address_fits_in_a_hello() {
        let longest = format!("{}:7000", "a".repeat(250));
        assert!(host_and_port(&longest).is_ok());
        assert_eq!(host_and_port(&format!("a{longest}")), Err(AddressError::TooLong { bytes: 256 }));
    }
}
