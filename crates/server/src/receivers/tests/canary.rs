//! Secrets are nowhere in what is said, however a receiver fails, and even if it says them itself.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tollgate_cluster::Courier as _;
use tracing_subscriber::fmt::MakeWriter;

use super::servers::{Act, acting};
use super::{Receivers, firing, settings};
use crate::config::{Alertmanager, PagerDuty, Receivers as Settings, Secret, Slack, Webhook};

/// What is part of every secret here.
const CANARY: &str = "CanaryBirdSings";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics here").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Receivers at `url`, with the canary wherever a secret can be.
fn with_canary(url: &str) -> Settings {
    let authority = url.trim_start_matches("http://");
    let secret = |text: String| Secret::new(text);
    Settings {
        slack: Some(Slack { url: secret(format!("{url}/services/T0/{CANARY}%40/x?token=a%2B{CANARY}%3D%3D")) }),
        pagerduty: Some(PagerDuty { routing_key: secret(CANARY.to_owned()), url: url.to_owned() }),
        email: None,
        webhook: Some(Webhook {
            url: secret(format!("http://user:{CANARY}%21@{authority}/hooks/{CANARY}-2")),
            secret: Some(secret(format!("{CANARY}-3"))),
        }),
        alertmanager: Some(Alertmanager { url: secret(format!("http://{CANARY}@{authority}/{CANARY}-4")) }),
    }
}

#[tokio::test]
async fn no_failure_says_a_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut urls = vec![format!("http://no-such-host-{}.invalid", 1), "http://127.0.0.1:1".to_owned()];
    for status in ["200 OK", "202 A", "301 M", "400 B", "403 F", "404 N", "410 G", "429 T", "500 E", "503 U"] {
        urls.push(acting(Act::Echo(status)).await);
    }
    for act in [Act::HangUp, Act::ReadAndHangUp, Act::Say("garbage\r\n\r\n"), Act::Stream("500 E")] {
        urls.push(acting(act).await);
    }
    for url in urls {
        let receivers = Receivers::new(settings(&with_canary(&url))).expect("they can be made");
        for name in ["slack", "pagerduty", "webhook", "alertmanager"] {
            let attempt = receivers.deliver(firing(name, &[])).await;
            let said = format!("{attempt:?} {receivers:?}");
            // As it is, and as an account is sent (RFC 7617): whatever of it stands in base64.
            for secret in [CANARY, "Q2FuYXJ5QmlyZFNpbmdz", "NhbmFyeUJpcmRTaW5nc", "DYW5hcnlCaXJkU2luZ3"] {
                assert!(!said.contains(secret), "{url}: {said}");
            }
        }
    }
    let logged = String::from_utf8_lossy(&log.0.lock().expect("nobody panics here")).into_owned();
    assert!(!logged.contains(CANARY), "{logged}");
}
