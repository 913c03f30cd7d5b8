//! Any HTTP server.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::servers::answering;
use super::{CLUSTER, NOW_S, check, deliver, every_kind, firing, hostile, webhook};
use crate::receivers::pagerduty::hex;

#[tokio::test]
async fn every_message_has_the_documented_form() {
    let server = answering(&[(204, "")]).await;
    for delivery in every_kind("webhook").into_iter().chain([hostile("webhook")]) {
        check("a message", &deliver(&webhook(&server.url, None), delivery).await, "delivered", "204");
    }
    for body in server.bodies() {
        let names = ["version", "id", "receiver", "kind", "at_ms", "may_be_repeat", "severity", "summary"];
        assert!(names.iter().all(|name| !body[name].is_null()), "{body}");
        let of_kind: &[&str] = match body["kind"].as_str() {
            Some("alerts") => &["rule", "status", "episode", "since_ms", "alerts", "more"],
            Some("undelivered") => &["undelivered"],
            Some("digest") => &["digest"],
            Some("test") => &[],
            other => panic!("{other:?} is not a documented kind"),
        };
        assert!(of_kind.iter().all(|name| !body[name].is_null()), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(names.len() + of_kind.len()), "{body}");
    }
    let alert = json!({
        "labels": {"limit": "search"}, "signal": "error_rate", "value": 7.204, "unit": "%",
        "since_ms": NOW_S * 1_000 - 60_000, "flaps": false,
    });
    assert_eq!(server.bodies()[0]["alerts"], json!([alert]));
    let labels = server.bodies().last().map(|body| body["alerts"][0]["labels"].clone());
    assert_eq!(labels.map(|labels| labels["long"].as_str().map(str::len)), Some(Some(17_500)), "labels are whole");
}

#[tokio::test]
async fn who_has_the_secret_knows_that_the_request_is_ours() {
    let server = answering(&[(200, "")]).await;
    deliver(&webhook(&server.url, Some("s3cr3t")), firing("webhook", &[])).await;
    deliver(&webhook(&server.url, None), firing("webhook", &[])).await;
    let seen = server.seen();
    let header =
        |index: usize, name: &str| seen[index].headers.get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    assert_eq!(header(0, "idempotency-key"), Some(format!("{CLUSTER}-17")));
    assert_eq!(header(0, "tollgate-timestamp"), Some(NOW_S.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cr3t").expect("a key");
    mac.update(format!("{NOW_S}.").as_bytes());
    mac.update(&seen[0].body);
    assert_eq!(header(0, "tollgate-signature"), Some(format!("v1={}", hex(&mac.finalize().into_bytes()))));
    assert_eq!((header(1, "tollgate-signature"), header(1, "tollgate-timestamp")), (None, None));
    assert_eq!(serde_json::from_slice::<Value>(&seen[1].body).expect("JSON")["id"], format!("{CLUSTER}-17"));
}
