//! What may happen to a bucket between a proposal and its commit.

use tollgate_limiter::{
    Algorithm, Applied, Ask, Consistency, Decision, Key, Leader, LimitId, Pace, Quota, Refusal, Standing,
};

use crate::cluster::{Cluster, key};
use crate::shard::{Shard, ask, at};
use crate::takeover::limits;

const SECOND: i64 = 1_000_000_000;

fn hourly() -> Algorithm {
    Algorithm::TokenBucket(Pace::new(1, 3_600 * SECOND, 10).expect("a legal pace"))
}

fn decide(shard: &mut Shard, ask: &Ask) -> Decision {
    shard.leader.decide(&shard.state, shard.now, ask, None)
}

/// Proposes what is due, lets `meanwhile` happen, then commits it.
fn commit_after(shard: &mut Shard, meanwhile: impl FnOnce(&mut Leader, &Shard)) {
    let command = shard.leader.proposal(&shard.state, shard.stamp()).expect("something is due");
    let mut leader = std::mem::replace(&mut shard.leader, Leader::new(0, shard.options.clone()));
    meanwhile(&mut leader, shard);
    shard.leader = leader;
    assert_eq!(shard.state.apply(&command), Applied::Granted);
    shard.leader.granted(&shard.state);
}

#[test]
fn a_bucket_is_not_forgotten_while_a_grant_for_it_is_in_flight() {
    let window = Algorithm::FixedWindow(Quota::new(5, 3_600 * SECOND).expect("a legal quota"), None);
    for algorithm in [hourly(), window] {
        let mut shard = Shard::of(algorithm, at(SECOND));
        assert_eq!(decide(&mut shard, &ask(key(0))), Decision::Wait(None));
        commit_after(&mut shard, |leader, shard| leader.forget(&shard.state, shard.now, usize::MAX));
        let decision = decide(&mut shard, &ask(key(0)));
        assert!(matches!(decision, Decision::Admitted(..)), "{algorithm:?}: what was granted counts as spent");
    }
}

#[test]
fn a_bucket_is_not_forgotten_while_its_grant_is_in_flight_whatever_was_asked_for_in_vain_before() {
    let mut shard = Shard::of(hourly(), at(SECOND));
    let fast = Algorithm::TokenBucket(Pace::new(1_000, SECOND, 10_000).expect("a legal pace"));
    shard.set_limit(LimitId(1), fast);
    for bucket in 0..3 {
        let (limit, cost) = (LimitId(1), 1_995);
        let (Decision::Admitted(_, receipt), _) = shard.decide(Ask { limit, cost, ..ask(key(bucket)) }) else {
            panic!("the horizon reaches as far")
        };
        shard.leader.give_back(&shard.state, shard.now, &receipt, cost);
    }
    assert_eq!(shard.leader.proposal(&shard.state, shard.stamp()), None, "what was given back needs no grant");
    assert_eq!(decide(&mut shard, &ask(key(0))), Decision::Wait(None));
    commit_after(&mut shard, |leader, shard| {
        for _limit in 0..2 {
            leader.forget(&shard.state, shard.now, usize::MAX);
        }
    });
    assert!(matches!(decide(&mut shard, &ask(key(0))), Decision::Admitted(Standing { remaining: 9, .. }, _)));
}

#[test]
fn a_request_that_is_decided_again_too_early_waits_for_the_same_permit() {
    let mut shard = Shard::of(Algorithm::Concurrency { permits: 3, ttl_ns: SECOND }, at(SECOND));
    let Decision::Wait(Some(permit)) = decide(&mut shard, &ask(key(0))) else { panic!("a permit is committed first") };
    let waiting = Ask { permit: Some(permit), ..ask(key(0)) };
    assert_eq!(decide(&mut shard, &waiting), Decision::Wait(Some(permit)));
    commit_after(&mut shard, |leader, shard| {
        let decision = leader.decide(&shard.state, shard.now, &waiting, None);
        assert_eq!(decision, Decision::Wait(Some(permit)));
    });
    assert!(matches!(decide(&mut shard, &waiting), Decision::Admitted(Standing { remaining: 2, .. }, _)));
}

#[test]
fn a_bucket_that_is_being_reset_spends_nothing_until_that_is_committed() {
    let mut shard = Shard::of(hourly(), at(SECOND));
    assert!(shard.acquire(key(0), 10).is_ok());
    shard.leader.reset(LimitId(0), key(0), shard.now);
    assert_eq!(decide(&mut shard, &ask(key(0))), Decision::Wait(None));
    let eventual = Ask { consistency: Consistency::Eventual, ..ask(key(1)) };
    assert!(matches!(decide(&mut shard, &eventual), Decision::Admitted(..)));
    commit_after(&mut shard, |leader, shard| {
        assert_eq!(leader.decide(&shard.state, shard.now, &ask(key(0)), None), Decision::Wait(None));
    });
    assert!(shard.acquire(key(0), 10).is_ok());
    shard.crash();
    assert!(shard.acquire(key(0), 1).is_err(), "what was spent after the reset is known to all");
}

#[test]
fn nothing_is_spent_by_an_old_pace_while_a_new_one_is_in_flight() {
    let mut cluster = Cluster::new(&[0], &limits(), SECOND);
    let mut faster = limits();
    faster[0].1 = Algorithm::TokenBucket(Pace::new(100, SECOND, 10).expect("a legal pace"));
    cluster.acquire(0, LimitId(0), 0, 1);
    cluster.settle_down(0);
    cluster.reshape(0, &faster);
    cluster.now = cluster.now.plus(SECOND);
    cluster.acquire(0, LimitId(0), 0, 10);
    cluster.settle_down(0);
    cluster.acquire(0, LimitId(0), 0, 9);
    cluster.settle_down(0);
    let admitted: u64 = cluster.admissions().iter().map(|admission| admission.units).sum();
    assert_eq!(admitted, 1 + 10);
}

#[test]
fn nothing_is_proposed_while_a_change_is_in_flight() {
    let mut shard = Shard::of(hourly(), at(SECOND));
    assert_eq!(decide(&mut shard, &ask(key(0))), Decision::Wait(None));
    let command = shard.leader.reshape(shard.stamp(), shard.state.limits_version() + 1, Vec::new());
    assert_eq!(shard.leader.proposal(&shard.state, shard.stamp()), None);
    shard.state.apply(&command);
    assert!(shard.leader.follow(&shard.state));
    assert_eq!(decide(&mut shard, &ask(key(0))), Decision::Refused(Refusal::UnknownLimit));
}

#[test]
fn a_bucket_whose_ceiling_is_being_trimmed_spends_nothing_by_the_old_one() {
    let mut shard = Shard::of(hourly(), at(SECOND));
    shard.commit_takes_ns = 1_000_000;
    let (Decision::Admitted(_, receipt), 1) = shard.decide(ask(key(0))) else { panic!("one commit lets it pass") };
    shard.leader.forget(&shard.state, shard.now, usize::MAX);
    assert_eq!(decide(&mut shard, &ask(key(1))), Decision::Wait(None), "its entry takes the trim along");
    commit_after(&mut shard, |leader, shard| {
        let later = shard.now.plus(5_000_000);
        assert_eq!(leader.give_back(&shard.state, shard.now, &receipt, 1), 1);
        assert_eq!(leader.decide(&shard.state, later, &ask(key(0)), None), Decision::Wait(None));
    });
}

#[test]
fn one_entry_asks_for_4096_buckets_and_the_others_have_their_turn_with_the_next() {
    let mut shard = Shard::of(hourly(), at(SECOND));
    let mut waiting: Vec<_> = (1..=10_000).map(Key::from_bits).collect();
    for left in [5_904, 1_808, 0] {
        waiting.iter().for_each(|key| assert_eq!(decide(&mut shard, &ask(*key)), Decision::Wait(None)));
        assert!(shard.commit());
        waiting.retain(|key| shard.leader.decide(&shard.state, shard.now, &ask(*key), None) == Decision::Wait(None));
        assert_eq!(waiting.len(), left);
    }
}

#[test]
fn what_is_taken_and_given_back_without_end_leaves_a_bucket_as_it_was() {
    let day = Pace::new(1, 86_400 * SECOND, 30_000).expect("a legal pace");
    let mut shard = Shard::of(Algorithm::TokenBucket(day), at(SECOND));
    assert!(shard.acquire(key(0), 100).is_ok());
    for round in 0..2_000 {
        let (Decision::Admitted(standing, receipt), _) = shard.decide(Ask { cost: 500, ..ask(key(0)) }) else {
            panic!("round {round}: there are units enough")
        };
        assert_eq!(standing.remaining, 29_400, "round {round}");
        shard.leader.give_back(&shard.state, shard.now, &receipt, 500);
    }
    assert_eq!(shard.peek(key(0)).remaining, 29_900);
}

#[test]
fn what_was_spent_behind_a_refund_refills_though_its_bucket_was_forgotten() {
    let tenth = SECOND / 10;
    let pace = Pace::new(10, SECOND, 2).expect("a legal pace");
    let mut shard = Shard::of(Algorithm::TokenBucket(pace), at(100 * SECOND));
    let take = |shard: &mut Shard| match shard.decide(ask(key(0))).0 {
        Decision::Admitted(_, receipt) => receipt,
        other => panic!("there is a unit: {other:?}"),
    };
    let pass = |shard: &mut Shard, ns| {
        shard.now = shard.now.plus(ns);
        shard.leader.forget(&shard.state, shard.now, usize::MAX);
    };
    pass(&mut shard, 100 * SECOND);
    let first = take(&mut shard);
    take(&mut shard);
    shard.leader.give_back(&shard.state, shard.now, &first, 1);
    let behind = take(&mut shard);
    pass(&mut shard, 2 * tenth);
    take(&mut shard);
    let given_back = shard.leader.give_back(&shard.state, shard.now, &behind, 1);
    let standing = shard.peek(key(0));
    assert_eq!((given_back, standing.remaining), (0, 1), "what was spent two tenths ago has refilled");
}
