//! Mail, taken by a real mail server.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures::future::join_all;
use serde_json::Value;
use tollgate_cluster::{Attempt, Courier as _};

use super::servers::{Act, acting};
use super::{CLUSTER, check, deliver, every_kind, firing, hostile, settings};
use crate::config::{self, Secret};
use crate::receivers::Receivers;

const MAYBE: &str = "later, may have arrived";
const CANARY: &str = "CanaryBirdSings";

/// A mail server of aiosmtpd, ended with this.
struct MailServer {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Where it takes mail from anybody, and where only from those with an account.
    ports: [u64; 2],
}

impl MailServer {
    /// `None`, and a note, where there is no aiosmtpd.
    fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = folder.join("../../target/python/bin/python");
        let has_aiosmtpd = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !has_aiosmtpd.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no aiosmtpd in target/python; `cargo xtask test` installs it");
            return None;
        }
        let script = folder.join("src/receivers/tests/smtp_server.py");
        let mut process = Command::new(python).arg(script).stdout(Stdio::piped()).spawn().expect("a mail server");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let ports = read(&mut lines);
        let ports = [&ports[0], &ports[1]].map(|port| port.as_u64().expect("a port"));
        Some(Self { process, lines, ports })
    }

    /// The settings to send mail here.
    fn email(&self, to: &[&str]) -> config::Receivers {
        email(&format!("smtp://127.0.0.1:{}", self.ports[0]), to)
    }

    /// The next mail that was taken: who gets it, its headers without folds, and its content.
    fn mail(&mut self) -> (Value, String, String) {
        let mut taken = read(&mut self.lines);
        let mail = taken["mail"].as_str().expect("a mail").to_owned();
        let (headers, content) = mail.split_once("\r\n\r\n").expect("headers");
        (taken["to"].take(), headers.replace("\r\n ", " "), content.to_owned())
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(lines: &mut std::io::Lines<BufReader<ChildStdout>>) -> Value {
    serde_json::from_str(&lines.next().expect("the server runs").expect("UTF-8")).expect("JSON")
}

fn email(smtp: &str, to: &[&str]) -> config::Receivers {
    let email = config::Email {
        smtp: Secret::new(smtp),
        from: "tollgate@example.org".to_owned(),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        digest_at: None,
        time_zone: "UTC".to_owned(),
    };
    config::Receivers { email: Some(email), ..config::Receivers::default() }
}

#[tokio::test]
async fn a_message_is_mail_with_text_and_html_that_is_known_again() {
    let Some(mut server) = MailServer::start() else { return };
    for delivery in every_kind("email") {
        let attempt = deliver(&server.email(&["ops@example.org", "dev@example.org"]), delivery).await;
        check("a message", &attempt, "delivered", "queued as 7");
        let (to, headers, content) = server.mail();
        assert_eq!(to, serde_json::json!(["ops@example.org", "dev@example.org"]));
        for header in [
            &format!("Message-ID: <{CLUSTER}-17@example.org>"),
            "Date: Tue, 14 Nov 2023 22:13:19 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: multipart/alternative",
        ] {
            assert!(headers.contains(header), "{headers}");
        }
        assert!(content.contains("text/plain") && content.contains("text/html"), "{content}");
    }
}

#[tokio::test]
async fn nothing_in_a_message_becomes_a_header() {
    let Some(mut server) = MailServer::start() else { return };
    let mut delivery = hostile("email");
    if let tollgate_feedback::alert::Content::Alerts(alerts) = &mut delivery.message.content {
        alerts.rule = "rule\r\nBcc: evil@example.org\r\n\r\nbody".to_owned();
    }
    delivery.id = "a\r\nBcc: evil@example.org>-1".to_owned();
    let attempt = deliver(&server.email(&["ops@example.org"]), delivery).await;
    check("hostile", &attempt, "delivered", "queued");
    let (to, headers, _) = server.mail();
    assert_eq!(to, serde_json::json!(["ops@example.org"]));
    let names: Vec<_> = headers.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    assert!(!names.contains(&"Bcc") && names.iter().filter(|name| **name == "Subject").count() == 1, "{headers}");
    assert!(headers.lines().all(|line| line.contains(": ")), "{headers}");
}

#[tokio::test]
async fn what_the_server_says_decides_whether_there_is_another_attempt() {
    let Some(server) = MailServer::start() else { return };
    let account = format!("smtp://user:wrong{CANARY}@127.0.0.1:{}", server.ports[1]);
    let right = format!("smtp://user:{CANARY}@127.0.0.1:{}", server.ports[1]);
    let hangs_up = acting(Act::HangUp).await.replace("http", "smtp");
    let says_nothing = acting(Act::SayNothing).await.replace("http", "smtp");
    let cases = [
        (server.email(&["refused@a"]), "never", "email: the server takes none of the addresses: refused@a"),
        (server.email(&["greylisted@a"]), "later", "451"),
        (server.email(&["refused@a", "ops@a"]), "delivered", "but not to refused@a"),
        (email(&right, &["spam@a"]), "never", "looks like spam to (secret)"),
        (server.email(&["full@a"]), "later", "mailbox full"),
        (server.email(&["gone@a"]), MAYBE, "was sent and not confirmed"),
        (server.email(&["silent@a"]), MAYBE, "was sent, and the server did not answer in time"),
        (email(&account, &["ops@a"]), "never", "535"),
        (email(&right, &["ops@a"]), "delivered", "queued"),
        (email("smtp://127.0.0.1:1", &["ops@a"]), "later", "was not sent"),
        (email("smtp://no-such-host.invalid", &["ops@a"]), "later", "was not sent"),
        (email("smtps://127.0.0.1:1", &["ops@a"]), "later", "was not sent"),
        (email(&hangs_up, &["ops@a"]), "later", "was not sent"),
        (email(&says_nothing, &["ops@a"]), "later", "was not sent: the server did not answer in time"),
    ];
    let attempts = cases.map(|(settings, ends, says)| async move {
        let attempt = deliver(&settings, firing("email", &[])).await;
        check(says, &attempt, ends, says);
        assert!(!format!("{attempt:?}").contains(CANARY), "{attempt:?}");
    });
    join_all(attempts).await;
}

#[tokio::test]
async fn a_password_is_not_sayable_and_addresses_are_checked_at_the_start() {
    let receivers = email(&format!("smtp://user:{CANARY}@mail.example.org"), &["ops@example.org"]);
    let made = Receivers::new(settings(&receivers)).expect("they can be made");
    assert!(!format!("{made:?}").contains(CANARY));
    let error = Receivers::new(settings(&email("smtp://host", &["a@b@c"]))).expect_err("no address");
    assert!(error.to_string().starts_with("alerts.receivers.email: "), "{error}");
    let attempt: Attempt = made.deliver(firing("nobody", &[])).await;
    check("nobody", &attempt, "later", "is not configured");
}
