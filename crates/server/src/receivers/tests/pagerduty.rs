//! PagerDuty.

use serde_json::Value;
use tollgate_feedback::alert::{Alerts, Content, Status};

use super::servers::answering;
use super::{CLUSTER, alerts, check, deliver, delivery, every_kind, firing, hostile, pagerduty};

/// Expects a body to be of the form that PagerDuty documents for the Events API v2.
fn check_form(event: &Value) {
    let text = |value: &Value, most: usize| {
        let text = value.as_str().unwrap_or_else(|| panic!("a text is missing in {event}"));
        assert!((1..=most).contains(&text.chars().count()), "{text}");
    };
    text(&event["routing_key"], 32);
    text(&event["dedup_key"], 255);
    assert!(["trigger", "resolve"].contains(&event["event_action"].as_str().expect("an action")), "{event}");
    if event["event_action"] == "resolve" {
        return;
    }
    let payload = &event["payload"];
    text(&payload["summary"], 1_024);
    ["source", "component", "group", "class"].iter().for_each(|field| text(&payload[field], 255));
    let severity = payload["severity"].as_str().expect("a severity");
    assert!(["critical", "error", "warning", "info"].contains(&severity), "{severity}");
    payload["timestamp"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
    assert!(payload["custom_details"].is_object() && event["links"].is_array(), "{event}");
    event["links"].as_array().expect("a list").iter().for_each(|link| text(&link["href"], 2_048));
    ["client", "client_url"].iter().for_each(|field| text(&event[field], 2_048));
    assert!(event.to_string().len() < 512 * 1024, "PagerDuty takes no more");
}

#[tokio::test]
async fn every_message_has_the_form_that_pagerduty_takes() {
    let server = answering(&[(202, r#"{"status":"success"}"#)]).await;
    for delivery in every_kind("pagerduty").into_iter().chain([hostile("pagerduty")]) {
        let attempt = deliver(&pagerduty(&format!("{}/", server.url)), delivery).await;
        check("a message", &attempt, "delivered", "success");
    }
    server.bodies().iter().for_each(check_form);
    assert!(server.seen().iter().all(|seen| seen.path == "/v2/enqueue"));
    let actions: Vec<_> =
        server.bodies().iter().map(|event| event["event_action"].as_str().unwrap_or("").to_owned()).collect();
    let expected = "trigger trigger resolve trigger trigger trigger resolve trigger resolve trigger resolve trigger";
    assert_eq!(actions.join(" "), expected, "what is no incident is resolved at once");
}

#[tokio::test]
async fn what_is_told_of_an_episode_is_one_incident_and_of_others_is_another() {
    let server = answering(&[(202, "")]).await;
    let long = "r".repeat(300);
    let of =
        |status, episode, rule: &str| Content::Alerts(Alerts { episode, rule: rule.to_owned(), ..alerts(status, &[]) });
    let undelivered = |receiver: &str| {
        let (receiver, reason) = (receiver.to_owned(), "gone".to_owned());
        Content::Undelivered { receiver, rule: None, reason }
    };
    let own = format!("message/{}", delivery("pagerduty", Content::Test).id);
    let cases = [
        (of(Status::Firing, 1, "a"), "rule/a/1"),
        (of(Status::Flapping, 1, "a"), "rule/a/1"),
        (of(Status::Resolved, 1, "a"), "rule/a/1"),
        (of(Status::Firing, 2, "a"), "rule/a/2"),
        (of(Status::Firing, 1, "b"), "rule/b/1"),
        (undelivered("slack"), &own),
        (of(Status::Firing, 1, &long), ""),
        (of(Status::Resolved, 1, &long), ""),
    ];
    for (content, _) in &cases {
        deliver(&pagerduty(&server.url), delivery("pagerduty", content.clone())).await;
    }
    let bodies = server.bodies();
    let key = |index: usize| bodies[index]["dedup_key"].as_str().expect("a key");
    for (index, (_, expected)) in cases.iter().enumerate().filter(|(_, (_, expected))| !expected.is_empty()) {
        assert_eq!(key(index), format!("{CLUSTER}/{expected}"));
    }
    assert_eq!((key(6).len(), key(6)), (64, key(7)), "a key that is too long is its hash");
}

#[tokio::test]
async fn only_202_is_taken() {
    for (status, body, ends, says) in [
        (202, "", "delivered", "202 Accepted"),
        (200, "", "never", "where PagerDuty says 202"),
        (400, r#"{"errors":["invalid routing key"]}"#, "never", "pagerduty: answered 400 Bad Request: {\"errors\""),
        (403, "", "never", "403"),
        (429, "retry-after: 3", "later", "429"),
        (500, "", "later", "500"),
    ] {
        let server = answering(&[(status, body)]).await;
        check(body, &deliver(&pagerduty(&server.url), firing("pagerduty", &[])).await, ends, says);
        assert_eq!(server.seen().len(), 1, "one attempt");
    }
}
