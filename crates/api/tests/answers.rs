//! What a node answers, to the letter, and that a client reads the same from it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireResult, BatchStats, BreakerState, BreakerStats, BucketAnswer,
    ClusterAnswer, ComponentHealth, FieldError, Health, HealthStatus, KeyDenials, LatencyStats, LimitAnswer,
    LimitDenials, NodeAnswer, NodeDuty, NodeMode, Problem, QueueStats, QuotaExceeded, SettleAnswer, ShardAnswer,
    StatsAnswer, StatsWindows, WindowStats,
};

/// Expects `answer` to be written as `expected`, and to be read back from it unchanged.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(answer: &T, expected: Value) {
    assert_eq!(serde_json::to_value(answer).expect("answers are JSON"), expected);
    assert_eq!(serde_json::from_value::<T>(expected).expect("what was written can be read"), *answer);
}

fn limit(name: &str, allowed: bool) -> LimitAnswer {
    LimitAnswer {
        name: name.to_owned(),
        allowed,
        limit: 100,
        remaining: 99,
        retry_after_ms: if allowed { 0 } else { 700 },
        reset_after_ms: 600,
        shard: 7,
        shadow: false,
    }
}

fn answer(limits: Vec<LimitAnswer>) -> AcquireAnswer {
    let allowed = limits.iter().all(|limit| limit.allowed || limit.shadow);
    AcquireAnswer {
        allowed,
        remaining: limits.first().map(|limit| limit.remaining),
        retry_after_ms: if allowed { 0 } else { 700 },
        reset_after_ms: 600,
        degraded: false,
        limits,
        reservation: None,
        ttl_ms: None,
    }
}

#[test]
fn an_allowed_answer_is_that_of_the_contract() {
    check(
        &answer(vec![limit("pro", true)]),
        json!({"allowed":true,"remaining":99,"retry_after_ms":0,"reset_after_ms":600,"degraded":false,
            "limits":[{"name":"pro","allowed":true,"limit":100,"remaining":99,"retry_after_ms":0,"reset_after_ms":600,"shard":7}]}),
    );
}

#[test]
fn an_answer_without_limits_has_no_figure_for_what_remains() {
    check(
        &answer(vec![]),
        json!({"allowed":true,"remaining":null,"retry_after_ms":0,"reset_after_ms":600,"degraded":false,"limits":[]}),
    );
}

#[test]
fn a_reserve_adds_the_reservation_and_its_life() {
    let reserved = AcquireAnswer { reservation: Some("3-00ff".to_owned()), ttl_ms: Some(60_000), ..answer(vec![]) };
    check(
        &reserved,
        json!({"allowed":true,"remaining":null,"retry_after_ms":0,"reset_after_ms":600,"degraded":false,"limits":[],
            "reservation":"3-00ff","ttl_ms":60000}),
    );
}

#[test]
fn a_shadow_is_marked_as_one() {
    check(
        &LimitAnswer { shadow: true, ..limit("new", false) },
        json!({"name":"new","allowed":false,"limit":100,"remaining":99,"retry_after_ms":700,"reset_after_ms":600,
            "shard":7,"shadow":true}),
    );
}

#[test]
fn a_denied_answer_is_a_problem_that_names_who_denied() {
    let watching = LimitAnswer { shadow: true, ..limit("new", false) };
    let denied = answer(vec![limit("pro", false), limit("global", true), watching]);
    let limits = serde_json::to_value(&denied.limits).expect("JSON");
    check(
        &QuotaExceeded::from(denied),
        json!({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded",
            "status":429,"detail":"The request was denied by pro; ask again in 700 ms.","violated-policies":["pro"],
            "allowed":false,"remaining":99,"retry_after_ms":700,"reset_after_ms":600,"degraded":false,
            "limits":limits}),
    );
}

#[test]
fn a_denial_can_be_read_as_an_answer() {
    let denied = answer(vec![limit("pro", false)]);
    let body = serde_json::to_string(&QuotaExceeded::from(denied.clone())).expect("JSON");
    assert_eq!(serde_json::from_str::<AcquireAnswer>(&body).expect("an answer"), denied);
}

#[test]
fn each_of_many_results_has_the_status_it_would_have_alone() {
    let problem = Problem::new(422, "Unprocessable Content", "the cost is above the burst");
    let results = vec![
        AcquireResult::from(answer(vec![])),
        AcquireResult::from(answer(vec![limit("pro", false)])),
        AcquireResult::from(problem),
    ];
    check(
        &AcquireManyAnswer { results },
        json!({"results":[
            {"status":200,"allowed":true,"remaining":null,"retry_after_ms":0,"reset_after_ms":600,"degraded":false,
                "limits":[]},
            {"status":429,"allowed":false,"remaining":99,"retry_after_ms":700,"reset_after_ms":600,"degraded":false,
                "limits":[{"name":"pro","allowed":false,"limit":100,"remaining":99,"retry_after_ms":700,
                    "reset_after_ms":600,"shard":7}],
                "type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded",
                "detail":"The request was denied by pro; ask again in 700 ms.","violated-policies":["pro"]},
            {"type":"about:blank","title":"Unprocessable Content","status":422,
                "detail":"the cost is above the burst"}]}),
    );
}

#[test]
fn a_settle_says_what_came_back_and_what_was_charged() {
    for (reserved, actual, returned, charged) in [(10, 7, 3, 0), (10, 7, 1, 0), (10, 12, 0, 2), (10, 10, 0, 0)] {
        check(
            &SettleAnswer::new("r", reserved, actual, returned),
            json!({"reservation":"r","reserved":reserved,"actual":actual,"returned":returned,"charged":charged}),
        );
    }
}

#[test]
fn a_bucket_says_whose_it_is() {
    let bucket = BucketAnswer {
        name: "pro".to_owned(),
        prefix: "app".to_owned(),
        labels: BTreeMap::from([("user".to_owned(), "42".to_owned())]),
        limit: 100,
        remaining: 40,
        retry_after_ms: 0,
        reset_after_ms: 7200,
    };
    check(
        &bucket,
        json!({"name":"pro","prefix":"app","labels":{"user":"42"},"limit":100,"remaining":40,"retry_after_ms":0,
            "reset_after_ms":7200}),
    );
}

#[test]
fn a_cluster_has_nodes_and_shards_some_of_them_without_an_address_or_a_leader() {
    let node = |id, http: Option<&str>, duty| NodeAnswer {
        id,
        http: http.map(str::to_owned),
        peer: format!("node-{id}:9101"),
        alive: http.is_some(),
        leads: 1,
        duty,
    };
    let nodes = vec![
        node(1, Some("node-1:8080"), NodeDuty::Serving),
        node(2, None, NodeDuty::Draining),
        node(3, None, NodeDuty::Leaving),
    ];
    let shard = |id, leader| ShardAnswer { id, leader, replicas: vec![1, 2], term: 3 };
    check(
        &ClusterAnswer { nodes, shards: vec![shard(0, Some(1)), shard(1, None)], ready: true },
        json!({"nodes":[
                {"id":1,"http":"node-1:8080","peer":"node-1:9101","alive":true,"leads":1,"duty":"serving"},
                {"id":2,"http":null,"peer":"node-2:9101","alive":false,"leads":1,"duty":"draining"},
                {"id":3,"http":null,"peer":"node-3:9101","alive":false,"leads":1,"duty":"leaving"}],
            "shards":[
                {"id":0,"leader":1,"replicas":[1,2],"term":3},
                {"id":1,"leader":null,"replicas":[1,2],"term":3}],
            "ready":true}),
    );
}

#[test]
fn health_lists_its_components() {
    let component = |status, detail: Option<&str>| ComponentHealth { status, detail: detail.map(str::to_owned) };
    let components = BTreeMap::from([
        ("raft".to_owned(), component(HealthStatus::Ok, None)),
        ("store".to_owned(), component(HealthStatus::Unavailable, Some("the disk is full"))),
    ]);
    check(
        &Health { status: HealthStatus::Degraded, components },
        json!({"status":"degraded","components":{"raft":{"status":"ok"},
            "store":{"status":"unavailable","detail":"the disk is full"}}}),
    );
}

#[test]
fn a_problem_is_a_problem_document() {
    check(
        &Problem::new(404, "Not Found", "there is no limit `x`"),
        json!({"type":"about:blank","title":"Not Found","status":404,"detail":"there is no limit `x`"}),
    );
    check(
        &Problem::from(FieldError::new("user", "must be short").within("labels")),
        json!({"type":"about:blank","title":"Bad Request","status":400,
            "detail":"labels.user: must be short","field":"labels.user"}),
    );
    check(
        &Problem::new(503, "Unavailable", "").with_kind("urn:x").with_field("f"),
        json!({"type":"urn:x","title":"Unavailable","status":503,"detail":"","field":"f"}),
    );
}

#[test]
fn a_problem_is_one_line_for_people() {
    for (problem, line) in [
        (Problem::new(404, "Not Found", "there is no limit `x`"), "404 Not Found: there is no limit `x`"),
        (Problem::new(500, "Internal Server Error", ""), "500 Internal Server Error"),
    ] {
        assert_eq!(problem.to_string(), line);
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for json in ["null", "7", "{}", r#"{"allowed":"yes"}"#, r#"{"allowed":true}"#] {
        assert!(serde_json::from_str::<AcquireAnswer>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<AcquireResult>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<Problem>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<Health>(json).is_err(), "{json}");
    }
}

prop_compose! {
    fn limit_answers()(name: String, shard: u32, flags: (bool, bool), figures: [u64; 4]) -> LimitAnswer {
        let [limit, remaining, retry_after_ms, reset_after_ms] = figures;
        LimitAnswer { name, allowed: flags.0, limit, remaining, retry_after_ms, reset_after_ms, shard, shadow: flags.1 }
    }
}

prop_compose! {
    fn acquire_answers()(
        flags: (bool, bool),
        remaining: Option<u64>,
        figures: [u64; 2],
        limits in prop::collection::vec(limit_answers(), 0..4),
        reserved: Option<(String, u64)>,
    ) -> AcquireAnswer {
        let (reservation, ttl_ms) = reserved.unzip();
        let [retry_after_ms, reset_after_ms] = figures;
        AcquireAnswer {
            allowed: flags.0, remaining, retry_after_ms, reset_after_ms, degraded: flags.1, limits, reservation, ttl_ms,
        }
    }
}

proptest! {
    #[test]
    fn every_answer_survives_the_wire(answer in acquire_answers()) {
        let json = serde_json::to_string(&AcquireResult::from(answer.clone())).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<AcquireResult>(&json).expect("JSON"), AcquireResult::from(answer.clone()));
        let json = serde_json::to_string(&QuotaExceeded::from(answer.clone())).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<QuotaExceeded>(&json).expect("JSON").answer, answer);
    }
}

#[test]
fn statistics_say_what_is_not_known() {
    let window = |seconds: u64, batches: Option<BatchStats>| WindowStats {
        seconds,
        requests: 8,
        allowed: 5,
        denied: 1,
        failed: 2,
        degraded: 1,
        requests_per_second: 0.5,
        error_rate: 0.25,
        latency_ms: LatencyStats { p50: Some(0.25), p95: None, p99: None },
        batches,
    };
    let written = |seconds: u64, batches: Value| {
        json!({"seconds":seconds,"requests":8,"allowed":5,"denied":1,"failed":2,"degraded":1,
            "requests_per_second":0.5,"error_rate":0.25,"latency_ms":{"p50":0.25,"p95":null,"p99":null},
            "batches":batches})
    };
    let batches = BatchStats { successful: 3, partial: 2, failed: 1 };
    check(
        &StatsAnswer {
            endpoint: None,
            node: 1,
            windows: StatsWindows {
                one_minute: window(16, Some(batches)),
                fifteen_minutes: window(17, None),
                one_day: window(18, None),
            },
            queue: QueueStats { length: 1, limit: 4, utilization: 0.25 },
            breaker: BreakerStats { state: BreakerState::HalfOpen, trips: 2 },
            mode: NodeMode::Normal,
            limits: vec![LimitDenials { name: "pro".to_owned(), denials: 7 }],
            denied_keys: vec![KeyDenials { limit: "pro".to_owned(), key: "42".to_owned(), denials: 6 }],
        },
        json!({"endpoint":null,"node":1,
            "windows":{"1m":written(16, json!({"successful":3,"partial":2,"failed":1})),
                "15m":written(17, Value::Null),"24h":written(18, Value::Null)},
            "queue":{"length":1,"limit":4,"utilization":0.25},"breaker":{"state":"half_open","trips":2},
            "mode":"normal","limits":[{"name":"pro","denials":7}],
            "denied_keys":[{"limit":"pro","key":"42","denials":6}]}),
    );
}
