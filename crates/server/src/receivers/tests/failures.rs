//! What becomes of a message when the receiver fails in one way or another: the same of all that speak HTTP.

use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpListener;
use tollgate_cluster::{Attempt, Delivery};
use tollgate_feedback::alert::Content;

use super::servers::{Act, acting, answering};
use super::{all_at, check, deliver, firing};

const MAYBE: &str = "later, may have arrived";

/// A message of more alerts than it names, which an Alertmanager gets without being asked what it has.
fn one_request(name: &str) -> Delivery {
    let mut delivery = firing(name, &[]);
    if let Content::Alerts(alerts) = &mut delivery.message.content {
        alerts.more = 1;
    }
    delivery
}

/// Expects all receivers at `url` to end in this way and say this.
async fn check_all(claim: &str, url: &str, ends: &str, says: &str) {
    let checks = all_at(url).into_iter().map(|(name, receivers)| async move {
        let attempt = deliver(&receivers, one_request(name)).await;
        check(&format!("{claim}, {name}"), &attempt, ends, says);
        assert!(
            matches!(&attempt, Attempt::Delivered { .. }) || super::outcome(&attempt).1.starts_with(name),
            "{attempt:?}"
        );
    });
    join_all(checks).await;
}

#[tokio::test]
async fn a_status_says_whether_it_is_worth_another_attempt() {
    for (status, ends, says) in [
        (301, "never", "a redirect, which is not followed"),
        (302, "never", "a redirect, which is not followed"),
        (401, "never", "answered 401 Unauthorized"),
        (403, "never", "answered 403 Forbidden"),
        (404, "never", "answered 404 Not Found"),
        (408, "later", "answered 408"),
        (410, "never", "answered 410 Gone"),
        (413, "never", "answered 413"),
        (425, "later", "answered 425"),
        (429, "later", "answered 429 Too Many Requests"),
        (500, "later", "answered 500"),
        (502, MAYBE, "answered 502"),
        (503, "later", "answered 503"),
        (504, MAYBE, "answered 504"),
    ] {
        let server = answering(&[(status, "why")]).await;
        check_all(&status.to_string(), &server.url, ends, says).await;
    }
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_is() {
    for (pause, expected) in [
        ("7", Some(7)),
        ("0", Some(0)),
        ("Tue, 14 Nov 2023 22:13:50 GMT", Some(30)),
        ("Tue, 14 Nov 2023 22:13:00 GMT", Some(0)),
        ("99999999999999999", Some(86_400)),
        ("-5", None),
        ("soon", None),
        ("7.5", None),
    ] {
        let server = answering(&[(429, &format!("retry-after: {pause}"))]).await;
        for (name, receivers) in all_at(&server.url) {
            let Attempt::Later { after, may_have_arrived: false, .. } = deliver(&receivers, one_request(name)).await
            else {
                panic!("{name}: {pause}");
            };
            assert_eq!(after, expected.map(Duration::from_secs), "{name}: {pause}");
        }
    }
}

#[tokio::test]
async fn whether_it_may_have_arrived_is_told_by_how_far_it_came() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound");
    let cases = [
        ("nobody listens", format!("http://{nobody}"), "later", "no connection: Connection refused"),
        ("no such host", "http://no-such-host.invalid".to_owned(), "later", "no connection"),
        ("no URL", "http://[".to_owned(), "never", "its settings make no request"),
        ("no answer", acting(Act::ReadAndHangUp).await, MAYBE, "took the request and gave no answer"),
        ("hangs up", acting(Act::HangUp).await, MAYBE, "took the request and gave no answer"),
        ("garbage", acting(Act::Say("\u{1}\u{2}garbage\r\n\r\n")).await, MAYBE, "took the request and gave no answer"),
        ("silence", acting(Act::SayNothing).await, MAYBE, "took the request and did not answer in time"),
        ("endless error", acting(Act::Stream("500 E")).await, "later", "answered 500 Internal Server Error: zzz"),
    ];
    let checks = cases.iter().filter(|(claim, ..)| *claim != "no URL");
    join_all(checks.map(|(claim, url, ends, says)| check_all(claim, url, ends, says))).await;
    for (claim, url, ends, says) in cases.iter().filter(|(claim, ..)| *claim == "no URL") {
        check(claim, &deliver(&super::webhook(url, None), firing("webhook", &[])).await, ends, says);
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_is_read_no_further_than_it_matters() {
    for act in [Act::Stream("200 OK"), Act::Stall("200 OK")] {
        let url = acting(act).await;
        let slack = deliver(&super::slack(&url), firing("slack", &[])).await;
        check(&format!("{act:?}"), &slack, MAYBE, "where Slack says `ok`");
        let webhook = deliver(&super::webhook(&url, None), firing("webhook", &[])).await;
        check(&format!("{act:?}"), &webhook, "delivered", "200 OK");
    }
}
