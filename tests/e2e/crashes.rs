//! `kill -9`: nothing that was admitted is forgotten, nothing that was promised is lost.

use serde_json::json;

use crate::node::Node;

#[tokio::test]
async fn no_bucket_has_more_left_than_it_had() {
    let cases = [
        json!({"by": ["user"], "rate": 20, "per": "1h", "burst_limit": 20}),
        json!({"by": ["user"], "algorithm": "sliding_window", "rate": 20, "per": "1h"}),
        json!({"by": ["user"], "algorithm": "fixed_window", "rate": 20, "per": "1mo", "calendar": "utc"}),
        json!({"by": ["user"], "algorithm": "concurrency", "burst_limit": 20, "ttl": "1h"}),
    ];
    for document in cases {
        let mut node = Node::start();
        node.put_limit("only", document.clone()).await;
        let mut admitted = 0;
        for round in 0..4 {
            for _ in 0..=round {
                admitted += u64::from(node.acquire("a").await.status == 200);
            }
            node = node.kill_and_restart();
        }
        admitted += node.admitted("a").await;
        assert!(admitted <= 20, "{document}: {admitted} of 20 were admitted");
        assert!(admitted >= 10, "{document}: only {admitted} of 20 were admitted");
    }
}

#[tokio::test]
async fn a_burst_under_way_when_the_node_is_killed_is_not_given_twice() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 1, "per": "1h", "burst_limit": 300})).await;
    let request = json!({"endpoint": "e", "labels": {"user": "a"}});
    let url = format!("{}/v1/acquire", node.url);
    let client = reqwest::Client::new();
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let (client, url, body) = (client.clone(), url.clone(), request.to_string());
            tokio::spawn(async move {
                let mut admitted = 0_u64;
                while let Ok(response) = client.post(&url).body(body.clone()).send().await {
                    match response.status().as_u16() {
                        200 => admitted += 1,
                        _ => break,
                    }
                    if admitted == 10 {
                        break;
                    }
                }
                admitted
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let node = node.kill_and_restart();
    let mut admitted = 0;
    for asked in asking {
        admitted += asked.await.expect("the client does not fail");
    }
    admitted += node.admitted("a").await;
    assert!(admitted <= 300, "{admitted} of 300 were admitted");
}

#[tokio::test]
async fn a_limit_that_was_put_is_still_there() {
    let node = Node::start();
    node.put_limit("mine", json!({"by": ["user"], "rate": 7, "per": "1h"})).await;
    node.put_limit("pro", json!({"by": ["user"], "match": {"tier": "pro"}, "rate": 9, "per": "1s"})).await;
    let before = node.get("/v1/limits").await;
    let node = node.kill_and_restart();
    assert_eq!(node.get("/v1/limits").await, before);
}

#[tokio::test]
async fn stopping_in_order_loses_no_token() {
    let node = Node::start();
    node.put_limit("only", json!({"by": ["user"], "rate": 1, "per": "1h", "burst_limit": 100})).await;
    for _ in 0..37 {
        assert_eq!(node.acquire("a").await.status, 200);
    }
    let (code, log, home) = node.stop();
    assert_eq!(code, Some(0), "{log}");
    let node = home.start();
    assert_eq!(node.get("/v1/buckets/only?user=a").await.body["remaining"], json!(63));
}
