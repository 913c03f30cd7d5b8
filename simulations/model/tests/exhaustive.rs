//! In every state the protocol is exact, and it needs every rule for that.
//!
//! Nothing but the bounds themselves limits what is looked at: no depth, no time, no number of states.
#![expect(clippy::print_stdout, reason = "how many states there are is worth a look")]

use tollgate_model::{Bounds, Rule, falsify, verify};

fn holds(bounds: Bounds) {
    let found = verify(bounds);
    println!("{}: {} states, the farthest after {} steps", bounds.name, found.states, found.steps);
    assert!(found.is_exhausted, "some states were not looked at");
    assert_eq!(found.violation, None);
    assert!(found.unreached.is_empty(), "never seen: {:?}", found.unreached);
}

/// Without the rule it takes so many steps, and no fewer, to break the invariant.
fn needs(rule: Rule, steps: usize) {
    let bounds = Bounds::to_miss(rule);
    let found = falsify(bounds, rule).unwrap_or_else(|| panic!("{bounds:?}: the invariant holds without {rule:?}"));
    let lines: Vec<_> = found.trace.iter().map(|action| format!("    {action:?}")).collect();
    println!("without {rule:?}, {} states:\n{}", found.states, lines.join("\n"));
    assert_eq!(found.trace.len(), steps);
}

#[test]
fn exact_whatever_happens() {
    holds(Bounds::SMALL);
}

#[test]
fn exact_with_two_leaders_that_do_not_know_that_they_are_deposed() {
    holds(Bounds::DEPOSED);
}

#[test]
fn exact_with_clocks_that_are_very_late() {
    holds(Bounds::LATE);
}

#[test]
fn exact_with_refunds_that_overlap() {
    holds(Bounds::OVERLAPS);
}

#[test]
fn exact_with_two_buckets() {
    holds(Bounds::BUCKETS);
}

#[test]
fn exact_with_fractions_of_a_unit() {
    holds(Bounds::FRACTIONS);
}

#[test]
#[ignore = "takes minutes"]
fn exact_with_fractions_that_overlap() {
    holds(Bounds::LARGE);
}

#[test]
fn a_takeover_has_to_count_the_horizon_as_spent() {
    needs(Rule::HorizonCountsAsSpent, 14);
}

#[test]
fn a_takeover_has_to_count_ceilings_as_spent() {
    needs(Rule::CeilingsCountAsSpent, 14);
}

#[test]
fn spending_has_to_wait_for_the_commit() {
    needs(Rule::GrantsAreCommitted, 9);
}

#[test]
fn spending_has_to_wait_for_the_takeover() {
    needs(Rule::EarlierGrantsGiveNoRight, 10);
}

#[test]
fn entries_of_a_leadership_that_is_over_have_to_be_void() {
    needs(Rule::EntriesOfThePastAreVoid, 14);
}

#[test]
fn a_leader_that_was_started_anew_has_to_take_over_again() {
    needs(Rule::RestartTakesOver, 9);
}

#[test]
fn a_ceiling_that_is_being_trimmed_has_to_rest() {
    needs(Rule::TrimmedCeilingsRest, 20);
}

#[test]
fn a_refund_has_to_leave_what_has_refilled() {
    needs(Rule::RefundsAreCapped, 15);
}

#[test]
fn a_refund_has_to_leave_what_another_leadership_gave() {
    needs(Rule::RefundsAreOfThisLeadership, 20);
}

#[test]
fn a_refund_has_to_know_what_earlier_ones_moved() {
    needs(Rule::RefundsKnowHowFarTheyMoved, 17);
}

#[test]
fn the_clock_must_not_go_back() {
    needs(Rule::ClockNeverGoesBack, 15);
}

#[test]
fn a_late_clock_must_not_be_set_forward() {
    needs(Rule::LatenessNeverShrinks, 14);
}

#[test]
fn a_handover_has_to_stop_the_spending_first() {
    needs(Rule::HandoverStopsSpending, 16);
}

#[test]
fn a_handover_has_to_commit_what_was_spent() {
    needs(Rule::HandoverCommitsArrivals, 16);
}
