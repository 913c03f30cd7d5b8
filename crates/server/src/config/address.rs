//! Network addresses as people write them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use tollgate_api::port_of_address;

/// A host and a port, `127.0.0.1:8080`, `[::1]:8080` or `tollgate-0.tollgate:9101`, as it was written.
///
/// A name is not resolved here: what it stands for may change while the node runs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Address {
    text: String,
    port: u16,
}

/// A text is not an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`")]
pub struct AddressError;

impl Address {
    /// The whole address, as sockets take it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the address stands for now: the first answer for a name.
    ///
    /// # Errors
    /// A name that cannot be resolved.
    pub async fn resolve(&self) -> io::Result<SocketAddr> {
        let mut addresses = tokio::net::lookup_host(self.as_str()).await?;
        addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    /// The port; 0 stands for any free one.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let port = port_of_address(text).ok_or(AddressError)?;
        Ok(Self { text: text.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AddressVisitor)
    }
}

struct AddressVisitor;

impl Visitor<'_> for AddressVisitor {
    type Value = Address;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
        text.parse().map_err(E::custom::<AddressError>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, port) in [
            ("127.0.0.1:8080", Some(8080)),
            ("0.0.0.0:0", Some(0)),
            ("[::1]:65535", Some(65535)),
            ("localhost:80", Some(80)),
            ("tollgate-0.tollgate:9101", Some(9101)),
            ("", None),
            (":8080", None),
            ("8080", None),
            ("localhost", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("localhost:+80", None),
            ("localhost:000080", None),
            ("::1:80", None),
            ("[::1]", None),
            ("[localhost]:80", None),
            ("http://localhost:80", None),
            ("local host:80", None),
            ("localhost:80/", None),
        ] {
            assert_eq!(text.parse().ok().map(|address: Address| address.port()), port, "{text:?}");
        }
    }
}
