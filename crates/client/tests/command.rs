//! The command line: arguments as data, and whole commands against a scripted node.

mod scripted;

use std::fs;

use clap::{CommandFactory, Parser};
use scripted::{Answer, Scripted, answer};
use serde_json::{Value, json};
use tollgate_client::command::{Command, Connection, Outcome, Verdict, execute};

/// A binary's parser, as the real one flattens it.
#[derive(Debug, Parser)]
#[command(name = "tollgate")]
struct CommandLine {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(line.split_whitespace())
}

async fn outcome(server: &Scripted, line: &str) -> Outcome {
    let parsed = parse(&format!("{line} --url {}", server.url)).unwrap_or_else(|error| panic!("{error}"));
    execute(&parsed.command, &parsed.connection, false).await
}

/// Expects `line` to send `request` and, when answered with `reply`, to print `text` and come to
/// `verdict`.
async fn check(line: &str, request: &str, reply: Answer, text: &str, verdict: Verdict) {
    let server = Scripted::start([reply]).await;
    let outcome = outcome(&server, line).await;
    assert_eq!(server.seen(), [request], "{line}");
    assert_eq!(outcome.text, text, "{line}");
    assert_eq!(outcome.verdict.expect(line), verdict, "{line}");
}

/// Expects `line`, answered with `reply`, to fail with a message that contains `message`.
async fn fails(line: &str, reply: Answer, message: &str) {
    let server = Scripted::start([reply]).await;
    let failure = outcome(&server, line).await.verdict.expect_err(line).to_string();
    assert!(failure.contains(message), "{line}: {failure}");
}

fn acquired(allowed: bool) -> Value {
    let (remaining, retry_after_ms) = if allowed { (99, 0) } else { (0, 1200) };
    json!({"allowed":allowed,"remaining":remaining,"retry_after_ms":retry_after_ms,"reset_after_ms":600,
        "degraded":!allowed,
        "limits":[
            {"name":"pro","allowed":allowed,"limit":100,"remaining":remaining,"retry_after_ms":retry_after_ms,
                "reset_after_ms":600,"shard":7},
            {"name":"new-rule","allowed":false,"limit":1,"remaining":0,"retry_after_ms":0,"reset_after_ms":90000,
                "shard":0,"shadow":true}]})
}

#[test]
fn the_parser_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_shows_examples() {
    let root = CommandLine::command();
    for command in root.get_subcommands() {
        let help = command.clone().render_long_help().to_string();
        let example = format!("Examples:\n  tollgate {}", command.get_name());
        assert!(help.contains(&example), "{help}");
    }
}

#[test]
fn good_lines_are_accepted() {
    for line in [
        "tollgate acquire users",
        "tollgate acquire users --cost 0 --wait-ms 10 --prefix p --label a=b --label c=d=e --label f=",
        "tollgate --url http://x --json acquire users",
        "tollgate acquire users --json --url http://x",
        "tollgate peek users --label user=42",
        "tollgate reserve users --cost 18446744073709551615",
        "tollgate settle 3-9f --actual 0",
        "tollgate limits",
        "tollgate limits --json",
        "tollgate limits list --json",
        "tollgate limits get pro",
        "tollgate limits put -",
        "tollgate limits delete pro",
        "tollgate buckets get pro --label user=42 --prefix shop",
        "tollgate buckets reset pro",
        "tollgate cluster",
        "tollgate cluster --json",
        "tollgate cluster show",
        "tollgate cluster add 4 node-4:9101",
        "tollgate cluster remove 4",
        "tollgate cluster drain 2 --url http://x",
        "tollgate cluster undrain 2",
        "tollgate alerts",
        "tollgate alerts list --json",
        "tollgate alerts test --receiver slack",
        "tollgate alerts silence rule=disk_full node=1 node=2 --for 2h --author eve --comment noon",
        "tollgate alerts silences",
        "tollgate alerts unsilence 17",
        "tollgate alerts explain limiter_failing --label node=2",
        "tollgate health",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn bad_lines_are_refused_with_the_reason() {
    for (line, reason) in [
        ("tollgate", "Usage"),
        ("tollgate acquire", "<ENDPOINT>"),
        ("tollgate acquire users --cost -1", "-1"),
        ("tollgate acquire users --cost 1.5", "invalid digit"),
        ("tollgate acquire users --label user", "expected NAME=VALUE"),
        ("tollgate acquire users --label =42", "expected NAME=VALUE"),
        ("tollgate acquire users --lable user=42", "--lable"),
        ("tollgate peek users --cost 1", "--cost"),
        ("tollgate settle 3-9f", "--actual"),
        ("tollgate limits get", "<NAME>"),
        ("tollgate limits set x", "set"),
        ("tollgate buckets", "Usage"),
        ("tollgate buckets get", "<LIMIT>"),
        ("tollgate cluster add 4", "<PEER>"),
        ("tollgate cluster drain", "<ID>"),
        ("tollgate cluster remove 0", "0"),
        ("tollgate cluster remove two", "two"),
        ("tollgate cluster join 4", "join"),
        ("tollgate alerts test slack", "slack"),
        ("tollgate alerts silence --for 2h", "<NAME=PATTERN>"),
        ("tollgate alerts silence rule=a", "--for"),
        ("tollgate alerts silence rule --for 2h", "expected NAME=VALUE"),
        ("tollgate alerts silence rule=a --for 2", "2"),
        ("tollgate alerts silence rule=a --for 1mo", "no fixed length"),
        ("tollgate alerts silence rule=a --for 0s", "at least"),
        ("tollgate alerts unsilence x", "x"),
        ("tollgate alerts explain", "<RULE>"),
    ] {
        let error = parse(line).expect_err(line).to_string();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[tokio::test]
async fn an_acquire_prints_the_decision_and_every_limit() {
    check(
        "tollgate acquire users --label user=42 --prefix shop --cost 3 --wait-ms 5",
        r#"POST /v1/acquire {"cost":3,"endpoint":"users","labels":{"user":"42"},"prefix":"shop","wait_ms":5}"#,
        answer(200, &acquired(true)),
        "allowed\n\
         LIMIT     DECISION         LEFT    RETRY  RESET\n\
         pro       allowed          99/100  -      600ms\n\
         new-rule  denied (shadow)  0/1     -      1m 30s\n",
        Verdict::Yes,
    )
    .await;
}

#[tokio::test]
async fn a_denied_acquire_says_when_to_come_back() {
    check(
        "tollgate acquire users",
        r#"POST /v1/acquire {"cost":1,"endpoint":"users","labels":{},"prefix":"app","wait_ms":0}"#,
        answer(429, &acquired(false)),
        "denied, retry in 1.2s, degraded\n\
         LIMIT     DECISION         LEFT   RETRY  RESET\n\
         pro       denied           0/100  1.2s   600ms\n\
         new-rule  denied (shadow)  0/1    -      1m 30s\n",
        Verdict::No,
    )
    .await;
}

#[tokio::test]
async fn a_peek_costs_nothing() {
    check(
        "tollgate peek users",
        r#"POST /v1/acquire {"cost":0,"endpoint":"users","labels":{},"prefix":"app","wait_ms":0}"#,
        answer(
            200,
            &json!({"allowed":true,"remaining":null,"retry_after_ms":0,"reset_after_ms":0,"degraded":false,
                "limits":[]}),
        ),
        "allowed, no limit matches\n",
        Verdict::Yes,
    )
    .await;
}

#[tokio::test]
async fn a_reserve_prints_what_settle_needs() {
    check(
        "tollgate reserve users --cost 10",
        r#"POST /v1/reserve {"cost":10,"endpoint":"users","labels":{},"prefix":"app","wait_ms":0}"#,
        answer(
            200,
            &json!({"allowed":true,"remaining":null,"retry_after_ms":0,"reset_after_ms":0,"degraded":false,
                "limits":[],"reservation":"3-9f","ttl_ms":60000}),
        ),
        "allowed, no limit matches, reservation 3-9f, settle within 1m\n",
        Verdict::Yes,
    )
    .await;
    check(
        "tollgate settle 3-9f --actual 7",
        r#"POST /v1/settle {"actual":7,"reservation":"3-9f"}"#,
        answer(200, &json!({"reservation":"3-9f","reserved":10,"actual":7,"returned":3,"charged":0})),
        "settled 3-9f: reserved 10, spent 7, returned 3, charged 0\n",
        Verdict::Yes,
    )
    .await;
}

fn limits() -> Value {
    json!({"limits":[
        {"name":"global","requests_per_minute":60000,"burst_limit":2000},
        {"name":"search","match":{"endpoint":"search","tier":["pro","ent*"]},"by":["user","ip"],"rate":5,"per":"1s"},
        {"name":"jobs","algorithm":"concurrency","rate":3,"ttl":"1m","prefix":"shop","shadow":true,
            "consistency":"eventual","on_unavailable":"allow"}]})
}

#[tokio::test]
async fn limits_are_listed_in_columns() {
    let table = "\
NAME    MATCH                          BY       ALGORITHM     RATE      BURST  NOTES
global  -                              -        token_bucket  60000/1m  2000   -
search  endpoint=search tier=pro|ent*  user ip  token_bucket  5/1s      -      -
jobs    -                              -        concurrency   3         -      prefix shop, shadow, eventual, allow when unavailable
";
    for line in ["tollgate limits", "tollgate limits list"] {
        check(line, "GET /v1/limits", answer(200, &limits()), table, Verdict::Yes).await;
    }
}

#[tokio::test]
async fn a_limit_that_was_printed_can_be_put_back() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("search.yaml");
    let document = json!({"name":"search","match":{"tier":["pro","42","true"]},"by":["user"],
        "algorithm":"token_bucket","rate":5,"per":"1s","consistency":"exact","on_unavailable":"local",
        "shadow":false});

    let server = Scripted::start([answer(200, &document), answer(200, &document)]).await;
    let yaml = outcome(&server, "tollgate limits get search").await.text;
    fs::write(&file, yaml).expect("the folder is writable");
    let put = outcome(&server, &format!("tollgate limits put {}", file.display())).await;
    assert_eq!(put.text, "the limit is set\n");
    assert_eq!(server.seen(), ["GET /v1/limits/search".to_owned(), format!("PUT /v1/limits/search {document}")]);
}

#[tokio::test]
async fn limits_are_put_from_yaml_and_from_json() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("limit");
    let request = r#"PUT /v1/limits/search {"algorithm":"token_bucket","by":["user"],"consistency":"exact","name":"search","on_unavailable":"local","per":"1s","rate":5,"shadow":false}"#;
    for text in [
        "{name: search, by: [user], rate: 5, per: 1s}",
        "name: search\nby: [user]\nrate: 5\nper: 1s\n",
        r#"{"name":"search","by":["user"],"rate":5.0,"per":1}"#,
        "{\n\t\"name\": \"search\",\n\t\"by\": [\"user\"],\n\t\"rate\": 5,\n\t\"per\": \"1s\"\n}\n",
    ] {
        fs::write(&file, text).expect("the folder is writable");
        let line = format!("tollgate limits put {}", file.display());
        check(&line, request, answer(200, &Value::Null), "the limit is set\n", Verdict::Yes).await;
    }
}

#[tokio::test]
async fn a_limit_file_with_a_mistake_is_not_sent() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("limit.yaml");
    let server = Scripted::start([]).await;
    for (text, message) in [
        ("", "limit.yaml"),
        ("rate: 5", "needs a `name`"),
        ("name: a\nrates: 5", "unknown field `rates`"),
        ("name: a\nper: soon", "expected a duration such as `1s`, `500ms` or `1d`"),
        ("name: a\nper: soon", "line 2"),
        ("name: [", "limit.yaml"),
    ] {
        fs::write(&file, text).expect("the folder is writable");
        let outcome = outcome(&server, &format!("tollgate limits put {}", file.display())).await;
        let failure = outcome.verdict.expect_err(text).to_string();
        assert!(failure.contains(message), "{text}: {failure}");
    }
    let missing = outcome(&server, "tollgate limits put /nowhere/limit.yaml").await;
    let failure = missing.verdict.expect_err("there is no such file").to_string();
    assert!(failure.contains("cannot read /nowhere/limit.yaml"), "{failure}");
    assert_eq!(server.seen(), [""; 0]);
}

#[tokio::test]
async fn limits_are_deleted_and_buckets_are_reset() {
    check(
        "tollgate limits delete search",
        "DELETE /v1/limits/search",
        answer(204, &Value::Null),
        "search is deleted\n",
        Verdict::Yes,
    )
    .await;
    check(
        "tollgate buckets reset search --label user=42",
        "DELETE /v1/buckets/search?user=42",
        answer(204, &Value::Null),
        "the bucket of search is reset\n",
        Verdict::Yes,
    )
    .await;
}

#[tokio::test]
async fn a_bucket_is_shown_as_a_row() {
    check(
        "tollgate buckets get search --label user=42 --prefix shop",
        "GET /v1/buckets/search?prefix=shop&user=42",
        answer(
            200,
            &json!({"name":"search","prefix":"shop","labels":{"user":"42"},"limit":10,"remaining":4,
                "retry_after_ms":0,"reset_after_ms":3661000}),
        ),
        "LIMIT   PREFIX  LABELS   LEFT  RETRY  RESET\n\
         search  shop    user=42  4/10  -      1h 2m\n",
        Verdict::Yes,
    )
    .await;
}

fn cluster(ready: bool) -> Value {
    json!({"nodes":[
            {"id":1,"http":"127.0.0.1:8081","peer":"127.0.0.1:9101","alive":true,"leads":2,"duty":"serving"},
            {"id":2,"http":null,"peer":"127.0.0.1:9102","alive":false,"leads":0,"duty":"leaving"}],
        "shards":[{"id":0,"leader":1,"replicas":[1,2],"term":3},{"id":1,"leader":null,"replicas":[],"term":0}],
        "ready":ready})
}

#[tokio::test]
async fn a_cluster_is_shown_as_its_nodes_and_its_shards() {
    let tables = "
NODE  HTTP            PEER            ALIVE  DUTY     LEADS
1     127.0.0.1:8081  127.0.0.1:9101  yes    serving  2
2     -               127.0.0.1:9102  no     leaving  0

SHARD  LEADER  REPLICAS  TERM
0      1       1 2       3
1      -       -         0
";
    for (line, ready, headline, verdict) in
        [("tollgate cluster", true, "ready", Verdict::Yes), ("tollgate cluster show", false, "not ready", Verdict::No)]
    {
        let text = format!("{headline}\n{tables}");
        check(line, "GET /v1/cluster", answer(200, &cluster(ready)), &text, verdict).await;
    }
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_changed() {
    let add = r#"POST /v1/cluster/nodes {"id":4,"peer":"d:9101"}"#;
    for (line, request, status, text) in [
        ("tollgate cluster add 4 d:9101", add, 201, "node 4 is expected at d:9101\n"),
        ("tollgate cluster add 4 d:9101", add, 200, "node 4 was known, and is expected at d:9101\n"),
        (
            "tollgate cluster remove 2",
            "DELETE /v1/cluster/nodes/2",
            202,
            "node 2 leaves as soon as its shards have moved\n",
        ),
        ("tollgate cluster drain 2", "POST /v1/cluster/nodes/2/drain", 200, "node 2 is to lead nothing\n"),
        ("tollgate cluster undrain 2", "DELETE /v1/cluster/nodes/2/drain", 200, "node 2 may lead again\n"),
    ] {
        check(line, request, answer(status, &cluster(false)), text, Verdict::Yes).await;
    }
    let problem = json!({"title":"Conflict","status":409,"detail":"no other node serves"});
    fails("tollgate cluster remove 1", answer(409, &problem), "409 Conflict: no other node serves").await;
}

fn alerts(silenced_by: &[u64]) -> Value {
    json!({"evaluator":2,"receivers":["slack"],
        "firing":[{"rule":"limiter_failing","metric":"disk_full","labels":{"node":"2","signal":"disk_full"},
            "severity":"critical","value":93.5,"since_ms":1_795_453_751_490_u64,"flapping":true,
            "silenced_by":silenced_by,"inhibited_by":null}],
        "more_firing":3,
        "recent":[{"rule":"mode_change","labels":{},"from_ms":0,"until_ms":61_000}],
        "waiting":[{"id":7,"receiver":"slack","rule":null,"says":"digest","written_ms":0,"attempts":2,"due_ms":1000,
            "may_have_arrived":false}],
        "more_waiting":0,
        "undelivered":[{"receiver":"slack","rule":"breaches","says":"firing","written_ms":0,"given_up_ms":5000,
            "reason":"slack: no such hook"}]})
}

#[tokio::test]
async fn alerts_are_shown_with_what_could_not_be_told_and_are_a_no_unless_they_are_silenced() {
    let table = |notes: &str| {
        format!(
            "\
4 firing, 1 waiting, node 2 evaluates

RULE             ABOUT                    METRIC     SEVERITY  VALUE  SINCE                 NOTES
limiter_failing  node=2 signal=disk_full  disk_full  critical  93.5   2026-11-23T17:09:11Z  flapping{notes}

over lately:
RULE         ABOUT  FROM                  UNTIL
mode_change  -      1970-01-01T00:00:00Z  1970-01-01T00:01:01Z

not delivered yet:
ID  RECEIVER  RULE  SAYS    WRITTEN               ATTEMPTS  NEXT
7   slack     -     digest  1970-01-01T00:00:00Z  2         1970-01-01T00:00:01Z

given up:
RECEIVER  RULE      SAYS    GIVEN UP              REASON
slack     breaches  firing  1970-01-01T00:00:05Z  slack: no such hook
"
        )
    };
    for (line, silences, notes, verdict) in [
        ("tollgate alerts", &[][..], "", Verdict::No),
        ("tollgate alerts list", &[4, 9], ", silenced by 4, silenced by 9", Verdict::Yes),
    ] {
        check(line, "GET /v1/alerts", answer(200, &alerts(silences)), &table(notes), verdict).await;
    }
}

#[tokio::test]
async fn alerts_are_tested_silenced_and_explained() {
    let silence = json!({"id":17,"matchers":{"node":["1","2"],"rule":"disk_full"},"from_ms":0,"until_ms":7_200_000,
        "author":"eve","comment":"","active":true});
    let explained = json!({"rule":"redis_latency","labels":{"node":"2"},"metrics":[{"metric":"redis_latency","fire":100.0,
        "clear":100.0,"for_ms":30_000,"keep_firing_for_ms":60_000,"severity":"warning","route":1,"receivers":["slack","email"],
        "silenced_by":[17],"inhibited_by":"2"}]});
    let cases = [
        (
            "tollgate alerts test --receiver slack",
            r#"POST /v1/alerts/test {"receiver":"slack"}"#,
            answer(200, &json!({"receiver":"slack","receipt":"answered 200 OK: ok"})),
            "slack has got it: answered 200 OK: ok\n",
        ),
        (
            "tollgate alerts silence rule=disk_full node=1 node=2 --for 2h --author eve",
            r#"POST /v1/silences {"author":"eve","comment":"","duration_ms":7200000,"matchers":{"node":["1","2"],"rule":"disk_full"}}"#,
            answer(201, &silence),
            "silence 17 lasts until 1970-01-01T02:00:00Z\n",
        ),
        (
            "tollgate alerts silences",
            "GET /v1/silences",
            answer(200, &json!({"silences":[silence]})),
            "ID  MATCHERS                 FROM                  UNTIL                 AUTHOR  COMMENT\n\
             17  node=1|2 rule=disk_full  1970-01-01T00:00:00Z  1970-01-01T02:00:00Z  eve     -\n",
        ),
        ("tollgate alerts unsilence 17", "DELETE /v1/silences/17", answer(204, &Value::Null), "silence 17 is over\n"),
        (
            "tollgate alerts explain redis_latency --label node=2",
            "GET /v1/alerts/explain?rule=redis_latency&node=2",
            answer(200, &explained),
            "METRIC         FIRES ABOVE  FOR  CLEARS AT  KEEPS FIRING  SEVERITY  ROUTE      TOLD         NOTES\n\
             redis_latency  100          30s  100        1m            warning   routes[1]  slack email  silenced by 17, node 2 is down\n",
        ),
    ];
    for (line, request, reply, text) in cases {
        check(line, request, reply, text, Verdict::Yes).await;
    }
    let problem = json!({"title":"Bad Gateway","status":502,"detail":"slack: answered 404 Not Found"});
    fails("tollgate alerts test --receiver slack", answer(502, &problem), "answered 404 Not Found").await;
}

#[tokio::test]
async fn health_is_yes_or_no() {
    let healthy = json!({"status":"ok","components":{"raft":{"status":"ok"}}});
    check(
        "tollgate health",
        "GET /health",
        answer(200, &healthy),
        "ok\nCOMPONENT  STATUS  DETAIL\nraft       ok      -\n",
        Verdict::Yes,
    )
    .await;
    let sick = json!({"status":"unavailable","components":{"store":{"status":"unavailable","detail":"disk full"}}});
    check(
        "tollgate health",
        "GET /health",
        answer(503, &sick),
        "unavailable\nCOMPONENT  STATUS       DETAIL\nstore      unavailable  disk full\n",
        Verdict::No,
    )
    .await;
}

#[tokio::test]
async fn json_is_the_answer_as_it_came() {
    let body = acquired(false).to_string();
    let server = Scripted::start([Answer::text(429, &body)]).await;
    let denied = outcome(&server, "tollgate acquire users --json").await;
    assert_eq!(denied.text, format!("{body}\n"));
    assert_eq!(denied.verdict.expect("an answer"), Verdict::No);

    let problem = r#"{"title":"Not Found","status":404,"detail":"there is no limit `x`"}"#;
    let server = Scripted::start([Answer::text(404, problem)]).await;
    let refused = outcome(&server, "tollgate limits get x --json").await;
    assert_eq!(refused.text, format!("{problem}\n"));
    let failure = refused.verdict.expect_err("a refusal").to_string();
    assert_eq!(failure, "404 Not Found: there is no limit `x`");
}

#[tokio::test]
async fn a_command_that_cannot_be_carried_out_says_why() {
    let none = Answer::text(200, "");
    fails("tollgate acquire users --label a=1 --label a=2", none.clone(), "`a` is given twice").await;
    fails("tollgate limits get ..", none.clone(), "cannot be the name of a limit").await;
    fails("tollgate health", none, "is not one of Tollgate's").await;
    let line = format!("tollgate health --url {}", scripted::refusing_url());
    let parsed = parse(&line).expect(&line);
    let outcome = execute(&parsed.command, &parsed.connection, false).await;
    let failure = outcome.verdict.expect_err("nobody listens").to_string();
    assert!(failure.starts_with("cannot connect to http://127.0.0.1:"), "{failure}");
}

#[tokio::test]
async fn a_terminal_gets_a_rule_under_the_header() {
    let server = Scripted::start([answer(200, &limits())]).await;
    let parsed = parse(&format!("tollgate limits --url {}", server.url)).expect("a good line");
    let text = execute(&parsed.command, &parsed.connection, true).await.text;
    assert!(text.contains('═') && text.contains("search"), "{text}");
}

fn stats(endpoint: Option<&str>, denied: bool) -> Value {
    let window = |requests: u64, p99: Option<f64>| {
        json!({"seconds":60,"requests":requests,"allowed":requests - 3,"denied":2,"failed":1,"degraded":0,
            "requests_per_second":1.25,"error_rate":0.1,"latency_ms":{"p50":0.025,"p95":0.5,"p99":p99},
            "batches":null})
    };
    let (limits, keys) = if denied {
        (json!([{"name":"pro","denials":2}]), json!([{"limit":"pro","key":"42","denials":2}]))
    } else {
        (json!([]), json!([]))
    };
    json!({"endpoint":endpoint,"node":1,
        "windows":{"1m":window(10, None),"15m":window(100, Some(2.0)),"24h":window(1000, Some(2.0))},
        "queue":{"length":3,"limit":1000,"utilization":0.003},"breaker":{"state":"half_open","trips":4},
        "mode":"reduced","limits":limits,"denied_keys":keys})
}

#[tokio::test]
async fn statistics_are_a_table_of_windows_and_of_who_was_denied() {
    let windows = "\
WINDOW  REQUESTS  PER SECOND  ALLOWED  DENIED  FAILED  DEGRADED  P50      P95      P99
1m      10        1.2         7        2       1       0         0.025ms  0.500ms  -
15m     100       1.2         97       2       1       0         0.025ms  0.500ms  2.000ms
24h     1000      1.2         997      2       1       0         0.025ms  0.500ms  2.000ms
";
    let denied = "\nLIMIT  DENIALS\npro    2\n\nLIMIT  KEY  DENIALS\npro    42   2\n";
    let rest = "mode reduced, queue 3/1000, breaker half open";
    for (line, request, endpoint, text) in [
        ("tollgate stats", "GET /v1/stats", None, format!("node 1, {rest}\n\n{windows}{denied}")),
        (
            "tollgate stats reports/daily",
            "GET /v1/stats?endpoint=reports%2Fdaily",
            Some("reports/daily"),
            format!("node 1, endpoint reports/daily, {rest}\n\n{windows}"),
        ),
    ] {
        let reply = answer(200, &stats(endpoint, endpoint.is_none()));
        check(line, request, reply, &text, Verdict::Yes).await;
    }
    let problem = json!({"title":"Not Found","status":404,"detail":"those with statistics are: search, other"});
    fails("tollgate stats nothing", answer(404, &problem), "search, other").await;
}
