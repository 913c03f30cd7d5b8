//! Replicas that apply the same commands hold the same, wherever they began.

use proptest::prelude::*;
use tollgate_limiter::{Applied, State};

use crate::changes::change;
use crate::cluster::Cluster;
use crate::shard::{decoded, encoded};
use crate::takeover::{histories, limits, run};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_that_is_restored_from_a_snapshot_stays_equal(
        steps in histories(3, 200),
        at in any::<prop::sample::Index>(),
    ) {
        let mut cluster = Cluster::new(&[0, 0, 0], &limits(), 1_000_000_000);
        run(&mut cluster, &steps, change);
        let midway = at.index(cluster.log.len());
        let mut one = State::default();
        let results: Vec<Applied> = cluster.log[..midway].iter().map(|command| one.apply(command)).collect();
        prop_assert_eq!(results.len(), midway);
        let mut other: State = decoded(&encoded(&one));
        prop_assert_eq!(&one, &other);
        for command in &cluster.log[midway..] {
            prop_assert_eq!(one.apply(command), other.apply(&decoded(&encoded(command))));
            prop_assert_eq!(&one, &other);
        }
    }
}

#[test]
fn states_that_hold_different_grants_are_not_equal() {
    let mut cluster = Cluster::new(&[0], &limits(), 1_000_000_000);
    let before = cluster.nodes[0].state.clone();
    cluster.acquire(0, limits()[1].0, 0, 1);
    cluster.settle_down(0);
    assert_ne!(cluster.nodes[0].state, before);
}
