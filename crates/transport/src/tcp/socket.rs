//! Settings of a connection.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::TcpOptions;

/// Sends small frames at once, and notices when the other end is gone without a word, as it is when a link fails: without
/// this a connection outlives the link by minutes.
pub(super) fn set_options(stream: &TcpStream, options: &TcpOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(options.keepalive_idle)
        .with_interval(options.keepalive_interval)
        .with_retries(options.keepalive_probes);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(options.unacknowledged_timeout))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_notices_that_its_link_is_dead() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).await.expect("it listens");
        set_options(&stream, &TcpOptions::default()).expect("the system knows these options");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("it can be asked"));
        assert_eq!(socket.tcp_keepalive_time().ok(), Some(Duration::from_secs(5)));
        assert_eq!(socket.tcp_keepalive_interval().ok(), Some(Duration::from_secs(1)));
        assert_eq!(socket.tcp_keepalive_retries().ok(), Some(3));
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().ok(), Some(Some(Duration::from_secs(2))));
    }
}
