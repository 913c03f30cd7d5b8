//! Mail servers that take no mail.
#![expect(clippy::disallowed_types, reason = "a server is made of sockets")]

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a mail server does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mailing {
    /// Takes connections and says nothing.
    Silent,
    /// Refuses every account, and says all that it was sent.
    Refusing,
}

/// A mail server, by its port. It ends with the runtime of the test.
pub(crate) async fn mail_server(mailing: Mailing) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                match mailing {
                    Mailing::Silent => {
                        let _kept_open = connection;
                        std::future::pending::<()>().await;
                    }
                    // A client that goes away was refused.
                    Mailing::Refusing => drop(refuse(connection).await),
                }
            });
        }
    });
    port
}

async fn refuse(connection: TcpStream) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    connection.write_all(b"220 here\r\n").await?;
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 0 {
        let said = match line.split_whitespace().next() {
            Some("EHLO") => "250-here\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            Some("QUIT") => return Ok(()),
            _ => format!("535 5.7.8 not with {}\r\n", line.trim()),
        };
        connection.write_all(said.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
