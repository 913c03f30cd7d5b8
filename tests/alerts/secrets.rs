//! No secret of a receiver is said anywhere, however sending fails: not in the logs, the API, the metrics, nor on the disks.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::capture::Answering;
use crate::cluster::{Cluster, places};
use crate::harness::tollgate;
use crate::mail::{Mailing, mail_server};
use crate::scene::{CALM, SOON, Scene};
use crate::wait::until;

/// Is in every secret, plain or as SMTP sends it.
const CANARY: &str = "s3cr3tcanary";
const ENCODED: &str = "czNjcjN0Y2FuYXJ5";

/// Is in what is written to the disks and is no secret: where this is not found, the search finds nothing.
const NO_SECRET: &str = "n0s3cr3tcomment";

const RECEIVERS: [&str; 5] = ["slack", "webhook", "pagerduty", "alertmanager", "email"];

/// Every way in which an HTTP receiver fails, also by saying all that it was sent.
const FAILURES: [Answering; 12] = [
    Answering::Echoes(500),
    Answering::Echoes(400),
    Answering::Echoes(400),
    Answering::HangsUp,
    Answering::Says(429, "retry-after: 1\r\n", CANARY),
    Answering::Echoes(200),
    Answering::Says(302, "location: http://127.0.0.1:9/s3cr3tcanary\r\n", ""),
    Answering::Echoes(403),
    Answering::Says(404, "", "no s3cr3tcanary here"),
    Answering::Echoes(410),
    Answering::Echoes(502),
    Answering::Holds,
];

/// How many rules tell every receiver, so that some messages are given up and others are tried again.
const RULES: usize = 6;

/// At least so many messages are given up before what is said of them is searched.
const GIVEN_UP: usize = 4;

/// Receivers with the canary in each secret: in the configuration at the odd nodes, in files at the even ones.
fn receivers(scene: &Scene, node: usize, mail_port: u16, folder: &Path) -> Value {
    let authority = |port: u16| format!("u:{CANARY}@127.0.0.1:{port}");
    let (http, mail, host) = (authority(scene.capture.port), authority(mail_port), scene.url(node, ""));
    let secrets = [
        ("slack", "url", format!("{host}slack/{CANARY}")),
        ("webhook", "url", format!("{host}webhook/{CANARY}?token={CANARY}")),
        ("webhook", "secret", CANARY.to_owned()),
        ("pagerduty", "routing_key", CANARY.to_owned()),
        ("alertmanager", "url", format!("http://{http}/n{node}/alertmanager/{CANARY}")),
        ("email", "smtp", format!("smtp://{mail}")),
    ];
    let mut receivers = json!({
        "pagerduty": {"url": format!("{host}pagerduty")},
        "email": {"from": "a@example.org", "to": ["b@example.org"]},
    });
    for (receiver, key, secret) in secrets {
        let (key, value) = if node % 2 == 1 {
            (key.to_owned(), secret)
        } else {
            let file = folder.join(format!("{receiver}-{key}-{node}"));
            fs::write(&file, secret).expect("it can be written");
            (format!("{key}_file"), file.display().to_string())
        };
        receivers[receiver][key] = json!(value);
    }
    receivers
}

fn config(receivers: &Value) -> String {
    let rules = (0..RULES).map(|rule| (format!("rule{rule}"), json!({"metric": "disk_full", "fire": 0})));
    let routes = json!([{"to": RECEIVERS}]);
    let alerts = json!({"receivers": receivers, "rules": Value::Object(rules.collect()), "routes": routes});
    // All that our own code, and the HTTP client, would log of it.
    json!({"alerts": alerts, "log": "info,openraft=off,tollgate=trace,tollgate_server=trace,tollgate_cluster=trace,reqwest=trace,hyper_util=trace"}).to_string()
}

fn check_clean(place: &str, bytes: &[u8]) {
    for canary in [CANARY, ENCODED] {
        let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
        let around =
            |at: usize| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..bytes.len().min(at + 50)]).into_owned();
        assert!(found.is_none(), "{place} says a secret: …{}…", found.map(around).unwrap_or_default());
    }
}

/// Calls `look` with every file below a folder, and what is in it.
fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            // A running node removes some of its files.
            fs::read(&path).iter().for_each(|bytes| look(&path, bytes));
        }
    }
}

fn check_disk(scene: &Scene, node: usize) {
    let mut has_marker = false;
    each_file(&scene.data(node), &mut |path, bytes| {
        check_clean(&format!("node {node}: {}", path.display()), bytes);
        has_marker |= bytes.windows(NO_SECRET.len()).any(|window| window == NO_SECRET.as_bytes());
    });
    assert!(has_marker, "node {node}: the search finds what is on its disk");
}

async fn check_answers(cluster: &Cluster, node: usize) {
    for path in [
        "/v1/alerts",
        "/health",
        "/openapi.json",
        "/v1/cluster",
        "/v1/stats",
        "/v1/silences",
        "/v1/alerts/explain?rule=rule0",
    ] {
        let answer = cluster.get(node, path).await;
        assert_eq!(answer.status, 200, "{path}");
        check_clean(&format!("node {node}: {path}"), answer.body.to_string().as_bytes());
    }
    check_clean(&format!("node {node}: metrics"), cluster.metrics(node).await.expect("it answers").as_bytes());
}

/// Tests of receivers that fail say so to whoever asks, over HTTP and on the command line.
async fn check_tests(scene: &Scene, node: usize) {
    for receiver in RECEIVERS {
        scene.capture.answers(receiver, &[Answering::Echoes(400)]);
        let answer = scene.cluster.post(node, "/v1/alerts/test", json!({"receiver": receiver})).await;
        assert_eq!(answer.status, 502, "{receiver}: {answer:?}");
        check_clean(&format!("a test of {receiver}"), answer.body.to_string().as_bytes());
        let url = &scene.cluster.urls()[node - 1];
        let output = tollgate().args(["--url", url, "alerts", "test", "--receiver", receiver]).output();
        let output = output.expect("the binary starts");
        assert!(!output.status.success(), "{receiver}: {output:?}");
        check_clean(&format!("tollgate alerts test of {receiver}"), &[output.stdout, output.stderr].concat());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_sending_fails_no_secret_is_said_or_kept() {
    let files = tempfile::TempDir::new().expect("a temporary folder can be made");
    let places = places(3);
    let mut scene = Scene::unstarted(places).await;
    RECEIVERS.into_iter().for_each(|receiver| scene.capture.answers(receiver, &FAILURES));
    let mail_port = mail_server(Mailing::Refusing).await;
    for node in scene.cluster.numbers() {
        let config = config(&receivers(&scene, node, mail_port, files.path()));
        fs::write(scene.config(node), config).expect("it can be written");
    }
    scene.cluster.start_all().await;
    let silence = json!({"matchers": {"rule": "none"}, "duration_ms": 600_000, "author": "eve", "comment": NO_SECRET});
    assert_eq!(scene.cluster.post(1, "/v1/silences", silence).await.status, 201);
    let first = scene.evaluator().await;
    let given_up = async || scene.alerts_at(first).await["undelivered"].as_array().map_or(0, Vec::len) >= GIVEN_UP;
    until("some messages are given up", SOON, given_up).await;
    scene.cluster.kill(first);
    let next = scene.evaluator().await;
    sleep(2 * CALM).await;
    check_tests(&scene, next).await;
    for node in scene.cluster.started() {
        check_answers(&scene.cluster, node).await;
        check_disk(&scene, node);
    }
    let undelivered = scene.alerts_at(next).await["undelivered"].to_string();
    assert!(undelivered.contains("answered"), "it says what receivers said: {undelivered}");
    for node in scene.cluster.started() {
        assert_eq!(scene.cluster.stop(node, SOON).await.0, Some(0));
    }
    for node in scene.cluster.numbers() {
        let log = scene.cluster.log(node);
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "node {node} logs everything: {log}");
        check_clean(&format!("node {node}: its log"), log.as_bytes());
        check_disk(&scene, node);
    }
    let sent = scene.capture.seen();
    let has_canary = |receiver: &str| {
        sent.iter().any(|seen| seen.receiver == receiver && format!("{}{}", seen.head, seen.body).contains(CANARY))
    };
    for receiver in ["slack", "webhook", "pagerduty", "alertmanager"] {
        assert!(has_canary(receiver), "{receiver} itself was sent its secret, and said it");
    }
}
