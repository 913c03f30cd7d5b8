//! What must come about in some state: an invariant of a model in which nothing happens holds, too.

use stateright::Property;

use crate::leader::{InFlight, Leader};
use crate::{Bounds, Entry, Protocol, World};

/// What is to be reached within these bounds.
pub(crate) fn of(bounds: &Bounds) -> Vec<Property<Protocol>> {
    let mut witnesses = vec![
        Property::sometimes("a leader spends after another has taken over", a_deposed_leader_spends),
        Property::sometimes("a takeover finds an open ceiling", a_takeover_finds_an_open_ceiling),
        Property::sometimes("a takeover makes a proposal void", a_takeover_makes_a_proposal_void),
        Property::sometimes("a grant commits after its leader has crashed", a_grant_outlives_its_leader),
        Property::sometimes("a leader has handed over what it spent", a_leader_hands_over),
        Property::sometimes("a bucket is spent to its last unit", a_bucket_is_empty),
    ];
    if bounds.leaders > 2 {
        witnesses.push(Property::sometimes("two deposed leaders spend", two_deposed_leaders_spend));
    }
    if bounds.lateness > 0 {
        witnesses.push(Property::sometimes("leaders' clocks differ", clocks_differ));
    }
    if bounds.receipts > 0 {
        witnesses.push(Property::sometimes("a refund gives something back", a_refund_gives_back));
    }
    if bounds.receipts > 1 {
        witnesses.push(Property::sometimes("a refund moves what was spent behind it", a_refund_moves_others));
    }
    if bounds.interval > 1 {
        witnesses.push(Property::sometimes("a ceiling is lowered", a_ceiling_is_lowered));
    }
    witnesses
}

fn can_spend(leader: &Leader, protocol: &Protocol) -> bool {
    (0..protocol.bounds.buckets).any(|bucket| leader.end_of(bucket, 1, protocol).is_some())
}

fn deposed_that_can_spend(protocol: &Protocol, world: &World) -> usize {
    world.leaders.iter().filter(|leader| !leader.is_current && can_spend(leader, protocol)).count()
}

fn a_deposed_leader_spends(protocol: &Protocol, world: &World) -> bool {
    world.leaders.iter().any(|leader| leader.is_current) && deposed_that_can_spend(protocol, world) > 0
}

fn two_deposed_leaders_spend(protocol: &Protocol, world: &World) -> bool {
    deposed_that_can_spend(protocol, world) > 1
}

fn can_be_taken_over(protocol: &Protocol, world: &World) -> bool {
    world.leaders.len() < protocol.bounds.leaders
}

fn a_takeover_finds_an_open_ceiling(protocol: &Protocol, world: &World) -> bool {
    let granted = &world.shard.granted;
    let open = granted.ceilings.iter().any(|ceiling| *ceiling > granted.horizon.max(world.shard.floor).max(0));
    open && can_be_taken_over(protocol, world)
}

fn a_takeover_makes_a_proposal_void(protocol: &Protocol, world: &World) -> bool {
    let proposed = |leader: &Leader| matches!(leader.in_flight, Some(InFlight::Proposed(_)));
    world.leaders.iter().any(proposed) && can_be_taken_over(protocol, world)
}

fn a_grant_outlives_its_leader(_: &Protocol, world: &World) -> bool {
    world.orphans.iter().any(|orphan| matches!(orphan.entry, Entry::Horizon(_) | Entry::Ceiling(..)))
}

fn a_leader_hands_over(_: &Protocol, world: &World) -> bool {
    world.orphans.iter().any(|orphan| orphan.entry == Entry::HandOver)
}

fn a_bucket_is_empty(protocol: &Protocol, world: &World) -> bool {
    let one_more = |admitted: &crate::admitted::Admitted| admitted.exceeds(protocol.bounds.tolerance() - 1);
    world.admitted.iter().any(one_more)
}

fn clocks_differ(_: &Protocol, world: &World) -> bool {
    world.leaders.windows(2).any(|pair| pair[0].late != pair[1].late)
}

/// For each bucket, whether each receipt of the leader that is still open would give something back.
fn refunds(protocol: &Protocol, leader: &Leader) -> Vec<Vec<bool>> {
    let of_bucket = |bucket: usize| {
        let receipts = leader.buckets[bucket].receipts.iter();
        receipts.map(|receipt| leader.back(bucket, receipt, receipt.units, protocol) > 0).collect()
    };
    (0..protocol.bounds.buckets).map(of_bucket).collect()
}

fn a_refund_gives_back(protocol: &Protocol, world: &World) -> bool {
    world.leaders.iter().any(|leader| refunds(protocol, leader).iter().flatten().any(|gives| *gives))
}

fn a_refund_moves_others(protocol: &Protocol, world: &World) -> bool {
    world
        .leaders
        .iter()
        .any(|leader| refunds(protocol, leader).iter().any(|bucket| matches!(bucket[..], [true, _, ..])))
}

fn a_ceiling_is_lowered(_: &Protocol, world: &World) -> bool {
    world.leaders.iter().any(Leader::is_trimming)
}
