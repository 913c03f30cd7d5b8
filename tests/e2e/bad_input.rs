//! Whatever a client sends, it gets a clear answer, and the node goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use crate::node::Node;

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_by_name() {
    let node = Node::start();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_label = format!(r#"{{"endpoint":"e","labels":{}1{}}}"#, "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let long_label = format!(r#"{{"endpoint":"e","labels":{{"user":"{}"}}}}"#, "x".repeat(257));
    let many_labels: Vec<_> = (0..17).map(|label| format!(r#""l{label}":"v""#)).collect();
    let many_labels = format!(r#"{{"endpoint":"e","labels":{{{}}}}}"#, many_labels.join(","));
    let cases: [(&str, u16, Option<&str>); 27] = [
        ("", 400, None),
        ("not json", 400, None),
        ("null", 400, None),
        ("[]", 400, None),
        (&deep, 400, None),
        (&deep_label, 400, Some("labels.a")),
        ("{}", 400, Some("endpoint")),
        (r#"{"endpoint":"e""#, 400, None),
        (r#"{"endpoint":"e","cots":1}"#, 400, Some("cots")),
        (r#"{"endpoint":"e","cost":-1}"#, 400, Some("cost")),
        (r#"{"endpoint":"e","cost":1.5}"#, 400, Some("cost")),
        (r#"{"endpoint":"e","cost":"1"}"#, 400, Some("cost")),
        (r#"{"endpoint":"e","cost":NaN}"#, 400, None),
        (r#"{"endpoint":"e","cost":1e400}"#, 400, None),
        (r#"{"endpoint":"e","cost":18446744073709551616}"#, 400, Some("cost")),
        (r#"{"endpoint":"e","cost":null}"#, 400, Some("cost")),
        (r#"{"endpoint":"e","wait_ms":9e18}"#, 400, Some("wait_ms")),
        (r#"{"endpoint":"a:b"}"#, 400, Some("endpoint")),
        (r#"{"endpoint":""}"#, 400, Some("endpoint")),
        (r#"{"endpoint":7}"#, 400, Some("endpoint")),
        (r#"{"endpoint":"e","prefix":"-a"}"#, 400, Some("prefix")),
        (r#"{"endpoint":"e","prefix":""}"#, 400, Some("prefix")),
        (&long_label, 400, Some("labels.user")),
        (&many_labels, 400, Some("labels")),
        (r#"{"endpoint":"e","labels":{"a b":"c"}}"#, 400, None),
        (r#"{"endpoint":"e","labels":{"user":7}}"#, 400, Some("labels.user")),
        (r#"{"endpoint":"e","endpoint":"f"}"#, 400, Some("endpoint")),
    ];
    for (body, status, field) in cases {
        let answer = node.call_text(Method::POST, "/v1/acquire", body.to_owned()).await;
        assert_eq!(answer.status, status, "{body:.80}: {answer:?}");
        assert!(answer.body["detail"].is_string(), "{body:.80}: {answer:?}");
        if let Some(field) = field {
            assert_eq!(answer.body["field"], json!(field), "{body:.80}: {answer:?}");
        }
    }
    assert_eq!(node.acquire("a").await.status, 200, "the node goes on");
}

#[tokio::test]
async fn numbers_that_are_whole_are_integers_however_they_are_written() {
    let node = Node::start();
    for body in [r#"{"endpoint":"e","cost":1.0}"#, r#"{"endpoint":"e","cost":1e0,"wait_ms":0.0}"#] {
        assert_eq!(node.call_text(Method::POST, "/v1/acquire", body.to_owned()).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn limits_that_cannot_be_are_refused_by_name() {
    let node = Node::start();
    let cases = [
        (json!({}), "rate"),
        (json!({"rate": 0, "per": "1s"}), "rate"),
        (json!({"rate": -1, "per": "1s"}), "rate"),
        (json!({"rate": 1}), "per"),
        (json!({"rate": 1, "per": "0s"}), "per"),
        (json!({"rate": 1, "per": 9e18}), "per"),
        (json!({"rate": 1, "per": "9000000000000000000s"}), "per"),
        (json!({"rate": u64::MAX, "per": "1s"}), "rate"),
        (json!({"rate": 1, "per": "1s", "burst_limit": 0}), "burst_limit"),
        (json!({"rate": 1, "per": "1s", "burst_limit": u64::MAX}), "burst_limit"),
        (json!({"rate": 1, "per": "1s", "algorithm": "guess"}), "algorithm"),
        (json!({"rate": 1, "per": "1s", "burst": 5}), "burst"),
        (json!({"requests_per_minute": 1, "rate": 1, "per": "1s"}), "rate"),
        (json!({"rate": 1, "per": "1h", "calendar": "utc"}), "calendar"),
    ];
    for (document, field) in cases {
        let answer = node.call(Method::PUT, "/v1/limits/bad", document.clone()).await;
        assert_eq!(answer.status, 400, "{document}: {answer:?}");
        assert_eq!(answer.body["field"], json!(field), "{document}: {answer:?}");
    }
    assert_eq!(node.get("/v1/limits/bad").await.status, 404);
    let answer = node.call(Method::PUT, "/v1/limits/b%20d", json!({"rate": 1, "per": "1s"})).await;
    assert_eq!((answer.status, &answer.body["field"]), (400, &json!("name")));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_the_client_sees_it() {
    let node = Node::start();
    let spaces = format!(r#"{{"endpoint":"e"}}{}"#, " ".repeat(10 << 20));
    for path in ["/v1/acquire", "/v1/acquire_many", "/v1/settle"] {
        assert_eq!(node.call_text(Method::POST, path, spaces.clone()).await.status, 413, "{path}");
    }
    let just_fits = format!(r#"{{"endpoint":"e"}}{}"#, " ".repeat((1 << 20) - 16));
    assert_eq!(just_fits.len(), 1 << 20);
    assert_eq!(node.call_text(Method::POST, "/v1/acquire", just_fits).await.status, 200);
}

#[tokio::test]
async fn calls_that_are_not_there_are_problems_too() {
    let node = Node::start();
    assert_eq!(node.get("/v1/buckets/pro?user=%ff").await.status, 400);
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::GET, "/v1/acquire", 405),
        (Method::POST, "/v1/limits/pro", 405),
        (Method::GET, "/v1/limits/%ff", 400),
    ] {
        let answer = node.call(method.clone(), path, json!(null)).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.body["status"], json!(status), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn too_many_requests_in_one_call_are_refused() {
    let node = Node::start();
    let requests = vec![json!({"endpoint": "e"}); 1_001];
    let answer = node.post("/v1/acquire_many", json!({"requests": requests})).await;
    assert_eq!((answer.status, &answer.body["field"]), (400, &json!("requests")));
}

#[tokio::test]
async fn bytes_that_are_no_http_and_clients_that_say_nothing_hurt_nobody() {
    let node = Node::start();
    let address = node.url.trim_start_matches("http://").to_owned();
    let _silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).expect("it takes connections")).collect();
    let mut half = TcpStream::connect(&address).expect("it takes connections");
    half.write_all(b"POST /v1/acquire HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").expect("it is written");
    for garbage in [&b"\x00\xff\xfe\r\n\r\n"[..], b"GET\r\n\r\n", b"POST /v1/acquire HTTP/9.9\r\n\r\n"] {
        let mut stream = TcpStream::connect(&address).expect("it takes connections");
        stream.write_all(garbage).expect("it is written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it is answered and closed");
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(node.acquire("a").await.status, 200);
    let mut answer = String::new();
    half.read_to_string(&mut answer).expect("it is answered and closed");
    assert!(answer.starts_with("HTTP/1.1 408"), "a body that does not come: {answer}");
}
