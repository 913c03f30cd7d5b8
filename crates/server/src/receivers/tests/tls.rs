//! Whom receivers trust.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{all_at, check, deliver, firing, webhook};

/// Where the operating system's certificates are, for those who look for them.
const STORE: &str = "SSL_CERT_FILE";
/// The server's certificate and key, in the folder of the store.
const CERTIFICATE: &str = "certificate.der";
const KEY: &str = "key.der";

/// A server that takes whatever it is told; its URL.
async fn taking(certificate: Vec<u8>, key: Vec<u8>) -> String {
    let certificates = vec![CertificateDer::from(certificate)];
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivatePkcs8KeyDer::from(key).into());
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            if let Ok(mut connection) = acceptor.accept(connection).await {
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = connection.shutdown().await;
            }
        }
    });
    format!("https://localhost:{port}")
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
}

#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_is_told_nothing() {
    let own = certificate();
    let url = taking(own.cert.der().to_vec(), own.signing_key.serialize_der()).await;
    for (name, receivers) in all_at(&url) {
        check(name, &deliver(&receivers, firing(name, &[])).await, "later", "no connection: invalid peer certificate");
    }
}

/// In a process of its own, since its variables are what it is about.
#[test]
fn whom_the_operating_system_trusts_is_trusted() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let own = certificate();
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("a file");
    write("store.pem", own.cert.pem().as_bytes());
    write(CERTIFICATE, own.cert.der());
    write(KEY, &own.signing_key.serialize_der());
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "receivers::tests::tls::a_server_of_the_store_is_told", "--ignored"])
        .env(STORE, folder.path().join("store.pem"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "started by the test above, with a store of its own"]
async fn a_server_of_the_store_is_told() {
    let store = env::var(STORE).expect("the test that starts this one says where it is");
    let folder = Path::new(&store).parent().expect("a folder");
    let read = |name: &str| fs::read(folder.join(name)).expect("a file");
    let url = taking(read(CERTIFICATE), read(KEY)).await;
    check("trusted", &deliver(&webhook(&url, None), firing("webhook", &[])).await, "delivered", "204 No Content");
}
