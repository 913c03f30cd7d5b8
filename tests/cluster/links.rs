//! Slow, half-open and dropped connections between nodes: each is reached by the others through a proxy.

use std::time::Duration;

use crate::cluster::{Cluster, patient_places};
use crate::load::Load;
use crate::proxy::Proxy;

/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(4);

/// Three nodes, each behind a proxy. All lists hold the proxies.
async fn behind_proxies() -> (Cluster, Vec<Proxy>) {
    let mut places = patient_places(6);
    let fronts = places.split_off(3);
    let mut proxies = Vec::new();
    for (place, front) in places.iter_mut().zip(fronts) {
        place.advertised = front.peer;
        proxies.push(Proxy::start(&place.advertised, place.peer.clone()).await);
    }
    let mut cluster = Cluster::at(&places).await;
    cluster.start_all().await;
    (cluster, proxies)
}

#[tokio::test]
async fn with_50_ms_on_every_link_answers_are_exact() {
    let (cluster, proxies) = behind_proxies().await;
    let load = Load::start(&cluster).await;
    proxies.iter().for_each(|proxy| proxy.delay(Duration::from_millis(25)));
    cluster.exact().await;
    load.answers_resume(&[1, 2, 3]).await;
    tokio::time::sleep(FAULT).await;
    cluster.exact().await;
    load.checked().await;
}

#[tokio::test]
async fn half_open_links_to_one_node_heal() {
    let (cluster, proxies) = behind_proxies().await;
    let load = Load::start(&cluster).await;
    let silent = cluster.busiest().await;
    proxies[silent - 1].fall_silent();
    tokio::time::sleep(FAULT).await;
    proxies[silent - 1].speak();
    eprintln!("exact {:?} after the links to node {silent} heal", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}

#[tokio::test]
async fn connections_that_are_dropped_again_and_again_are_made_anew() {
    let (cluster, proxies) = behind_proxies().await;
    let load = Load::start(&cluster).await;
    for round in 0..12 {
        proxies[round % 3].drop_connections();
        tokio::time::sleep(FAULT / 12).await;
    }
    eprintln!("exact {:?} after the last was dropped", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}
