//! Checks the protocol, and prints a table of what was found.
#![expect(clippy::print_stdout, reason = "a command for people prints")]

use tollgate_model::{Bounds, Counterexample, Rule, Verified, falsify, verify};

fn main() {
    println!("| with all rules | states | steps to the farthest | invariant |");
    println!("| --- | --- | --- | --- |");
    Bounds::ALL.into_iter().for_each(|bounds| println!("{}", verified(bounds.name, &verify(bounds))));
    println!();
    println!("| without this rule | states looked at | steps to a violation | invariant |");
    println!("| --- | --- | --- | --- |");
    Rule::ALL.into_iter().for_each(|rule| println!("{}", falsified(rule, falsify(Bounds::to_miss(rule), rule))));
}

fn verified(name: &str, found: &Verified) -> String {
    let verdict = if found.holds() { "holds".to_owned() } else { format!("{found:?}") };
    format!("| {name} | {} | {} | {verdict} |", found.states, found.steps)
}

fn falsified(rule: Rule, found: Option<Counterexample>) -> String {
    match found {
        Some(Counterexample { states, trace }) => format!("| {rule:?} | {states} | {} | violated |", trace.len()),
        None => format!("| {rule:?} | | | holds |"),
    }
}
