//! Network addresses as people write them.

use std::net::Ipv6Addr;

/// Longest name of a host, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// The port of an address such as `127.0.0.1:8080`, `[::1]:8080` or `host:8080`; `None` if `text` is no address.
///
/// A name is not resolved, only looked at.
pub fn port_of_address(text: &str) -> Option<u16> {
    let (host, port) = text.rsplit_once(':')?;
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && is_host(host) { port.parse().ok() } else { None }
}

fn is_host(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().is_ok(),
        None => (1..=MAX_HOST_BYTES).contains(&host.len()) && host.bytes().all(is_name_byte),
    }
}
