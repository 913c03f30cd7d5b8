//! The client against a real HTTP server that answers from a script.

mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use scripted::{Scripted, answer};
use serde_json::{Value, json};
use tollgate_api::{
    AcquireManyRequest, AcquireRequest, AddNodeRequest, HealthStatus, LimitDocument, Problem, SettleRequest,
};
use tollgate_client::{BucketQuery, Client, Error, Options};

const OPTIONS: Options = Options { deadline: Duration::from_secs(60), attempts: 3, backoff: Duration::from_millis(1) };

fn client(url: &str) -> Client {
    Client::with_options(url, OPTIONS).expect("the address of a test server")
}

fn allowed() -> Value {
    json!({"allowed":true,"remaining":99,"retry_after_ms":0,"reset_after_ms":600,"degraded":false,
        "limits":[{"name":"pro","allowed":true,"limit":100,"remaining":99,"retry_after_ms":0,"reset_after_ms":600,"shard":7}]})
}

fn denied() -> Value {
    json!({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded",
        "status":429,"detail":"denied by pro","violated-policies":["pro"],
        "allowed":false,"remaining":0,"retry_after_ms":700,"reset_after_ms":600,"degraded":false,
        "limits":[{"name":"pro","allowed":false,"limit":100,"remaining":0,"retry_after_ms":700,"reset_after_ms":600,"shard":7}]})
}

fn cluster() -> Value {
    json!({"nodes":[{"id":1,"http":null,"peer":"a:9101","alive":true,"leads":1,"duty":"serving"}],
        "shards":[{"id":0,"leader":null,"replicas":[1],"term":3}],"ready":false})
}

fn problem(status: u16, title: &'static str) -> Value {
    serde_json::to_value(Problem::new(status, title, "because")).expect("problems are JSON")
}

fn bucket_query() -> BucketQuery {
    BucketQuery {
        limit: "a/b c".to_owned(),
        prefix: Some("shop".to_owned()),
        labels: BTreeMap::from([("user".to_owned(), "4&2=é".to_owned())]),
    }
}

#[tokio::test]
async fn an_acquire_sends_the_request_and_reads_the_answer() {
    let server = Scripted::start([answer(200, &allowed())]).await;
    let request = AcquireRequest { cost: 2, ..AcquireRequest::new("users") };
    let answer = client(&server.url).acquire(&request).await.expect("an answer");
    assert_eq!(serde_json::to_value(answer).expect("JSON"), allowed());
    let body = json!({"prefix":"app","endpoint":"users","labels":{},"cost":2,"wait_ms":0});
    assert_eq!(server.seen(), [format!("POST /v1/acquire {body}")]);
}

#[tokio::test]
async fn a_denial_is_an_answer_and_not_an_error() {
    let server = Scripted::start([answer(429, &denied()), answer(429, &denied())]).await;
    let client = client(&server.url);
    for answer in
        [client.acquire(&AcquireRequest::new("users")).await, client.reserve(&AcquireRequest::new("users")).await]
    {
        let answer = answer.expect("an answer");
        assert_eq!((answer.allowed, answer.retry_after_ms), (false, 700));
    }
}

#[tokio::test]
async fn a_429_that_decides_nothing_is_a_refusal() {
    let server = Scripted::start([answer(429, &problem(429, "Too Many Requests"))]).await;
    let error = client(&server.url).acquire(&AcquireRequest::new("users")).await;
    assert_eq!(error, Err(Error::Refused(Problem::new(429, "Too Many Requests", "because"))));
}

#[tokio::test]
async fn every_call_goes_where_the_contract_says() {
    let limit = LimitDocument { name: "a/b c".to_owned(), ..LimitDocument::default() };
    let document = serde_json::to_value(&limit).expect("JSON");
    let state =
        json!({"name":"n","prefix":"p","labels":{},"limit":1,"remaining":1,"retry_after_ms":0,"reset_after_ms":0});
    let settled = json!({"reservation":"r","reserved":3,"actual":2,"returned":1,"charged":0});
    let server = Scripted::start([
        answer(200, &json!({"results":[]})),
        answer(200, &settled),
        answer(200, &json!({"limits":[document]})),
        answer(200, &document),
        answer(201, &Value::Null),
        answer(204, &Value::Null),
        answer(200, &state),
        answer(204, &Value::Null),
        answer(200, &cluster()),
        answer(201, &cluster()),
        answer(202, &cluster()),
        answer(200, &cluster()),
        answer(200, &cluster()),
        answer(200, &json!({"status":"ok","components":{}})),
        answer(200, &Value::Null),
    ])
    .await;
    let client = client(&format!("{}/base/", server.url));

    let many = client.acquire_many(&AcquireManyRequest { requests: vec![] }).await.expect("results");
    assert_eq!(many.results, []);
    let settle = SettleRequest { reservation: "r".to_owned(), actual: 2 };
    assert_eq!(client.settle(&settle).await.expect("settled").returned, 1);
    assert_eq!(client.limits().await.expect("limits").limits, std::slice::from_ref(&limit));
    assert_eq!(client.limit("a/b c").await.expect("a limit"), limit);
    client.put_limit(&limit).await.expect("set");
    client.delete_limit("a/b c").await.expect("deleted");
    assert_eq!(client.bucket(&bucket_query()).await.expect("a bucket").limit, 1);
    client.reset_bucket(&bucket_query()).await.expect("reset");
    let node = AddNodeRequest { id: 4, peer: "d:9101".to_owned() };
    for answered in [
        client.cluster().await,
        client.add_node(&node).await,
        client.remove_node(4).await,
        client.drain_node(2).await,
        client.undrain_node(2).await,
    ] {
        assert_eq!(serde_json::to_value(answered.expect("a cluster")).expect("JSON"), cluster());
    }
    assert_eq!(client.health().await.expect("health").status, HealthStatus::Ok);
    assert!(client.ready().await.expect("ready"));

    assert_eq!(
        server.seen(),
        [
            r#"POST /base/v1/acquire_many {"requests":[]}"#.to_owned(),
            r#"POST /base/v1/settle {"actual":2,"reservation":"r"}"#.to_owned(),
            "GET /base/v1/limits".to_owned(),
            "GET /base/v1/limits/a%2Fb%20c".to_owned(),
            format!("PUT /base/v1/limits/a%2Fb%20c {document}"),
            "DELETE /base/v1/limits/a%2Fb%20c".to_owned(),
            "GET /base/v1/buckets/a%2Fb%20c?prefix=shop&user=4%262%3D%C3%A9".to_owned(),
            "DELETE /base/v1/buckets/a%2Fb%20c?prefix=shop&user=4%262%3D%C3%A9".to_owned(),
            "GET /base/v1/cluster".to_owned(),
            r#"POST /base/v1/cluster/nodes {"id":4,"peer":"d:9101"}"#.to_owned(),
            "DELETE /base/v1/cluster/nodes/4".to_owned(),
            "POST /base/v1/cluster/nodes/2/drain".to_owned(),
            "DELETE /base/v1/cluster/nodes/2/drain".to_owned(),
            "GET /base/health".to_owned(),
            "GET /base/ready".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_503_is_tried_again() {
    let unavailable = answer(503, &problem(503, "Service Unavailable"));
    let server = Scripted::start([unavailable.clone(), unavailable, answer(200, &allowed())]).await;
    let answer = client(&server.url).acquire(&AcquireRequest::new("users")).await;
    assert!(answer.expect("an answer").allowed);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_503_that_stays_is_the_answer() {
    let server = Scripted::start(vec![answer(503, &problem(503, "Service Unavailable")); 4]).await;
    let error = client(&server.url).acquire(&AcquireRequest::new("users")).await;
    assert_eq!(error, Err(Error::Refused(Problem::new(503, "Service Unavailable", "because"))));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_503_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    for seconds in ["61", "18446744073709551615"] {
        let later = answer(503, &problem(503, "Service Unavailable")).with_header("retry-after", seconds);
        let server = Scripted::start([later]).await;
        let error = client(&server.url).acquire(&AcquireRequest::new("users")).await;
        assert!(matches!(error, Err(Error::Refused(_))), "{error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_is_asked_of_health_and_readiness_may_be_a_503() {
    let health = json!({"status":"unavailable","components":{"store":{"status":"unavailable","detail":"full"}}});
    let server = Scripted::start([answer(503, &health), answer(503, &Value::Null)]).await;
    let client = client(&server.url);
    assert_eq!(client.health().await.expect("health").status, HealthStatus::Unavailable);
    assert_eq!(client.ready().await, Ok(false));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn other_refusals_are_not_tried_again() {
    for status in [400, 404, 413, 422, 500, 502, 504] {
        let server = Scripted::start([answer(status, &problem(status, "No"))]).await;
        let error = client(&server.url).limit("x").await;
        assert_eq!(error, Err(Error::Refused(Problem::new(status, "No", "because"))));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_said_to_be_garbled() {
    for (status, body) in [
        (200, "<html>hello</html>"),
        (200, ""),
        (200, "{}"),
        (200, r#"{"allowed":true"#),
        (302, ""),
        (404, "not found"),
        (429, "slow down"),
        (503, "down"),
    ] {
        let script = vec![scripted::Answer::text(status, body); 3];
        let server = Scripted::start(script).await;
        let error = client(&server.url).acquire(&AcquireRequest::new("users")).await;
        assert!(matches!(error, Err(Error::Garbled { status: found, .. }) if found == status), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answer(307, &Value::Null).with_header("location", "/elsewhere");
    let server = Scripted::start([elsewhere, answer(200, &allowed())]).await;
    let error = client(&server.url).acquire(&AcquireRequest::new("users")).await;
    assert!(matches!(error, Err(Error::Garbled { status: 307, .. })), "{error:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_an_error_that_names_the_node() {
    let url = scripted::refusing_url();
    let error = client(&url).acquire(&AcquireRequest::new("users")).await.expect_err("nobody listens");
    assert!(matches!(&error, Error::Connect { url: named, .. } if *named == url), "{error:?}");
    let line = error.to_string();
    assert!(line.contains("Connection refused") && line.contains(&url), "{line}");
}

#[tokio::test]
async fn an_acquire_that_may_have_been_carried_out_is_not_repeated() {
    let server = Scripted::hanging_up().await;
    let client = client(&server.url);
    let settle = SettleRequest { reservation: "r".to_owned(), actual: 1 };
    for error in [
        client.acquire(&AcquireRequest::new("users")).await.err(),
        client.reserve(&AcquireRequest::new("users")).await.err(),
        client.settle(&settle).await.err(),
        client.reset_bucket(&bucket_query()).await.err(),
    ] {
        assert!(matches!(error, Some(Error::Interrupted { .. })), "{error:?}");
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn what_changes_nothing_is_repeated_after_a_lost_connection() {
    let peek = AcquireRequest { cost: 0, ..AcquireRequest::new("users") };
    let server = Scripted::hanging_up().await;
    let error = client(&server.url).acquire(&peek).await;
    assert!(matches!(error, Err(Error::Interrupted { .. })), "{error:?}");
    let error = client(&server.url).limits().await;
    assert!(matches!(error, Err(Error::Interrupted { .. })), "{error:?}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_server_that_does_not_answer_hits_the_deadline() {
    let server = Scripted::silent().await;
    let options = Options { deadline: Duration::from_millis(50), ..OPTIONS };
    let client = Client::with_options(&server.url, options).expect("an address");
    let error = client.acquire(&AcquireRequest::new("users")).await;
    assert_eq!(error, Err(Error::Deadline { url: server.url.clone(), deadline_ms: 50 }));
    let queueing = AcquireRequest { wait_ms: 20, ..AcquireRequest::new("users") };
    let error = client.acquire(&queueing).await;
    assert_eq!(error, Err(Error::Deadline { url: server.url, deadline_ms: 70 }));
}

#[tokio::test]
async fn extreme_patience_is_no_trouble() {
    let server = Scripted::start([answer(200, &allowed())]).await;
    let options = Options { deadline: Duration::MAX, ..OPTIONS };
    let client = Client::with_options(&server.url, options).expect("an address");
    let request = AcquireRequest { wait_ms: u64::MAX, ..AcquireRequest::new("users") };
    assert!(client.acquire(&request).await.expect("an answer").allowed);
}

#[tokio::test]
async fn a_name_that_a_path_would_lose_is_refused() {
    let client = client(&scripted::refusing_url());
    for name in ["", ".", ".."] {
        assert_eq!(client.limit(name).await, Err(Error::InvalidName { name: name.to_owned() }));
    }
}

#[test]
fn only_an_http_address_is_the_address_of_a_node() {
    for url in ["http://127.0.0.1:8080", "http://node/", "http://[::1]:8080/base"] {
        assert!(Client::new(url).is_ok(), "{url}");
    }
    for (url, problem) in [
        ("", "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://127.0.0.1:8080"),
        ("http://", "http://127.0.0.1:8080"),
        ("unix:/run/tollgate", "http://127.0.0.1:8080"),
        ("https://node", "TLS"),
    ] {
        let error = Client::new(url).expect_err(url).to_string();
        assert!(error.contains(problem), "{url}: {error}");
    }
}
