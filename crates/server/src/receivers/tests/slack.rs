//! Slack.

use serde_json::Value;

use super::servers::answering;
use super::{check, deliver, every_kind, firing, hostile, slack};

/// Expects a body to be of the form that Slack documents for incoming webhooks and blocks.
fn check_form(body: &Value) {
    let text = body["text"].as_str().expect("always a text");
    assert!(!text.is_empty(), "{body}");
    let Some(blocks) = body.get("blocks") else { return };
    let blocks = blocks.as_array().expect("a list");
    assert!((1..=50).contains(&blocks.len()), "{body}");
    for block in blocks {
        let (text, most) = match block["type"].as_str() {
            Some("header") => (&block["text"], 150),
            Some("section") => (&block["text"], 3_000),
            Some("context") => (&block["elements"][0], 3_000),
            other => panic!("{other:?} is not a block that is sent"),
        };
        assert!(["plain_text", "mrkdwn"].contains(&text["type"].as_str().expect("a type")), "{block}");
        let length = text["text"].as_str().expect("a text").chars().count();
        assert!((1..=most).contains(&length), "{length} characters in {block}");
    }
    let all: usize = texts(body).iter().map(|text| text.chars().count()).sum();
    assert!(all <= 12_000, "{all} characters");
}

/// Every text in a body.
fn texts(body: &Value) -> Vec<String> {
    match body {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(values) => values.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_message_has_the_form_that_slack_takes() {
    let server = answering(&[(200, "ok")]).await;
    for delivery in every_kind("slack").into_iter().chain([hostile("slack")]) {
        check("a message", &deliver(&slack(&server.url), delivery).await, "delivered", "ok");
    }
    server.bodies().iter().for_each(check_form);
    let first = server.bodies().remove(0);
    assert_eq!(first["text"], "[FIRING] error_rate: 7.2 % (limit=search)");
    assert!(first["blocks"][1]["text"]["text"].as_str().expect("a text").contains("Since: 2023-11-14T22:12:20Z"));
}

#[tokio::test]
async fn what_labels_hold_is_neither_a_mention_nor_a_link_nor_a_template() {
    let server = answering(&[(200, "ok")]).await;
    deliver(&slack(&server.url), hostile("slack")).await;
    let body = server.bodies().remove(0);
    // The link to Tollgate is the only one that is meant.
    let said = texts(&body).join("\n").replace("<https://tollgate.example.org/|Tollgate>", "");
    assert!(said.contains("&lt;!channel&gt;") && said.contains("{{ 7 * 7 }}"), "{said}");
    assert!(!said.contains(['<', '>', '\u{202e}', '\u{2066}', '\u{1b}', '\r']), "{said}");
    assert!(!said.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").contains('&'), "{said}");
    assert!(said.contains("+999 more") && said.contains('…'), "{said}");
}

#[tokio::test]
async fn what_may_be_a_repeat_says_so() {
    let server = answering(&[(200, "ok")]).await;
    for may_be_repeat in [false, true] {
        deliver(&slack(&server.url), tollgate_cluster::Delivery { may_be_repeat, ..firing("slack", &[]) }).await;
        let said = texts(server.bodies().last().expect("a request")).join("\n");
        assert_eq!(said.contains("may be a repeat"), may_be_repeat, "{said}");
    }
}

#[tokio::test]
async fn what_slack_does_not_take_in_blocks_it_gets_as_plain_text() {
    for (answers, ends, says) in [
        (&[(400, "invalid_blocks"), (200, "ok")][..], "delivered", "ok"),
        (
            &[(400, "invalid_blocks"), (400, "no_text")],
            "never",
            "answered 400 Bad Request: no_text, to plain text as well",
        ),
        (&[(400, "invalid_blocks"), (429, "retry-after: 3")], "later", "429"),
        (&[(403, "action_prohibited"), (200, "ok")], "never", "403"),
    ] {
        let server = answering(answers).await;
        check(says, &deliver(&slack(&server.url), firing("slack", &[])).await, ends, says);
        let bodies = server.bodies();
        bodies.iter().for_each(check_form);
        let has_blocks: Vec<_> = bodies.iter().map(|body| body.get("blocks").is_some()).collect();
        let expected: &[bool] = if answers[0].0 == 400 { &[true, false] } else { &[true] };
        assert_eq!(has_blocks, expected);
    }
}

#[tokio::test]
async fn only_ok_is_delivered() {
    for (status, body, ends, says) in [
        (200, "ok", "delivered", "ok"),
        (200, "ok\n", "delivered", "ok"),
        (200, "<html>Please log in</html>", "later, may have arrived", "is something between here and Slack?"),
        (200, "", "later, may have arrived", "where Slack says `ok`"),
        (200, "no_service", "never", "the webhook is broken"),
        (201, "ok", "never", "is this its URL?"),
        (403, "action_prohibited", "never", "slack: answered 403 Forbidden: action_prohibited: the webhook is broken"),
        (404, "no_service", "never", "the webhook is broken"),
        (410, "channel_is_archived", "never", "the webhook is broken"),
    ] {
        let server = answering(&[(status, body)]).await;
        check(body, &deliver(&slack(&server.url), firing("slack", &[])).await, ends, says);
    }
}
