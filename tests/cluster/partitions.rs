//! Networks that fall apart, under load: never over, and exact again when they are whole.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::load::Load;
use crate::namespaces::{Namespaces, others};

/// How long a fault lasts: longer than elections, leases and horizons do.
const FAULT: Duration = Duration::from_secs(5);

/// Lets the network of a cluster under load be broken and mended by `fault`, which is given the node that leads the most shards.
async fn check_fault(fault: impl AsyncFn(&Namespaces, &Load, usize)) {
    let Some(network) = Namespaces::make(3) else { return };
    let cluster = Cluster::of(&network.places()).await;
    let load = Load::start(&cluster).await;
    let leader = cluster.busiest().await;
    fault(&network, &load, leader).await;
    eprintln!("exact {:?} after the network is whole", cluster.exact().await);
    load.answers_resume(&[1, 2, 3]).await;
    load.checked().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_alone_gives_its_place_to_another() {
    check_fault(async |network, load, leader| {
        load.keep_away(leader);
        network.cut(leader);
        eprintln!("without the leader, answers resume after {:?}", load.answers_resume(&others(leader)).await);
        tokio::time::sleep(FAULT).await;
        network.mend(leader);
        load.come_back(leader);
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_with_clients_spends_nothing_that_another_spends() {
    check_fault(async |network, load, leader| {
        network.cut(leader);
        eprintln!("with clients at both sides, answers resume after {:?}", load.answers_resume(&others(leader)).await);
        tokio::time::sleep(FAULT).await;
        network.mend(leader);
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_is_heard_by_nobody_but_hears_all_spends_nothing_twice() {
    check_fault(async |network, _, leader| network.make_unheard(leader, FAULT).await).await;
}

#[tokio::test]
async fn a_leader_that_hears_nobody_but_is_heard_spends_nothing_twice() {
    check_fault(async |network, _, leader| network.make_deaf(leader, FAULT).await).await;
}

#[tokio::test]
async fn a_link_that_comes_and_goes_admits_nothing_twice() {
    check_fault(async |network, _, leader| network.flap(leader).await).await;
}
