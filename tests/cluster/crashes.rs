//! `kill -9` under load: nothing is admitted twice, and who comes back is taken in without anybody's help.

use crate::cluster::Cluster;
use crate::load::Load;

/// Kills these nodes under load, starts them anew, and expects exact answers then; whoever is left, if a quorum, goes on meanwhile.
async fn check_kill(rounds: &[&[usize]]) {
    let mut cluster = Cluster::of_three().await;
    let load = Load::start(&cluster).await;
    for killed in rounds {
        killed.iter().for_each(|node| cluster.kill(*node));
        let left = cluster.started();
        if left.len() >= 2 {
            eprintln!("without {killed:?}, answers resume after {:?}", load.answers_resume(&left).await);
        }
        killed.iter().for_each(|node| cluster.start(*node));
        cluster.ready().await;
        eprintln!("{killed:?} killed and restarted: exact {:?} after being ready", cluster.exact().await);
        load.answers_resume(&cluster.started()).await;
    }
    load.checked().await;
}

#[tokio::test]
async fn each_node_may_be_killed_in_turn() {
    check_kill(&[&[1], &[2], &[3]]).await;
}

#[tokio::test]
async fn two_of_three_may_be_killed() {
    check_kill(&[&[1, 2], &[2, 3]]).await;
}

#[tokio::test]
async fn all_three_may_be_killed() {
    check_kill(&[&[1, 2, 3], &[3, 2, 1]]).await;
}
