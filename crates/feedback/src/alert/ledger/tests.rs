use super::*;
use crate::alert::{Labels, Matcher, Signal};

const MINUTE_MS: i64 = 60_000;

/// A ledger, and whoever plans.
struct Fixture {
    ledger: Ledger,
    rules: Vec<Rule>,
    policy: Policy,
}

impl Fixture {
    /// Of rules `busy`, told Slack, and `down`, told PagerDuty, both also told the webhook.
    fn new() -> Self {
        let rule = |name: &str, signal, severity, receiver: &str| Rule {
            name: name.to_owned(),
            signal,
            fire: 0.0,
            clear: 0.0,
            fires_after_ms: 0,
            keep_firing_for_ms: 0,
            severity,
            receivers: vec![receiver.to_owned()],
        };
        let rules = vec![
            rule("busy", Signal::Breaches, Severity::Warning, "slack"),
            rule(NODE_DOWN, Signal::NodeDown, Severity::Critical, "pagerduty"),
        ];
        let receivers = ["slack", "pagerduty"].map(str::to_owned).to_vec();
        Self { ledger: Ledger::default(), rules, policy: Policy { receivers, routes: Vec::new() } }
    }

    /// Something of a rule changes on a node; returns what is said of it.
    fn change(&mut self, at_ms: i64, changes: &[(&str, &str, Change)]) -> String {
        let transition = |(rule, node, change): &(&str, &str, Change)| Transition {
            subject: Subject {
                rule: (*rule).to_owned(),
                labels: Labels::from([("node".to_owned(), (*node).to_owned())]),
            },
            change: *change,
            signal: if *rule == "busy" { Signal::Breaches } else { Signal::NodeDown },
            value: 1.0,
            watch: Watch::default(),
        };
        let transitions: Vec<Transition> = changes.iter().map(transition).collect();
        let mut next = self.ledger.clone();
        let after = self.ledger.advances();
        next.apply(&Entry::Advance { after, at_ms, transitions: transitions.clone(), messages: Vec::new() });
        let messages = next.plan(&self.rules, &self.policy, at_ms);
        let said = messages.iter().map(said).collect::<Vec<_>>().join(", ");
        let advance = Entry::Advance { after, at_ms, transitions, messages };
        assert_eq!([self.ledger.apply(&advance), self.ledger.apply(&advance)], [Applied::Done, Applied::Stale]);
        assert!(self.ledger.plan(&self.rules, &self.policy, at_ms).is_empty(), "what was said is said once");
        said
    }

    fn pass(&mut self, at_ms: i64) -> String {
        self.change(at_ms, &[])
    }

    /// What can be sent now, each as its receiver and rule.
    fn due(&self, now_ms: i64) -> String {
        let due = self.ledger.due(now_ms).into_iter().filter_map(|number| self.ledger.waiting(number));
        due.map(|waiting| said(&waiting.message)).collect::<Vec<_>>().join(", ")
    }

    /// Claims the next attempt, which nobody else can any more.
    fn claim(&mut self, message: u64) -> u32 {
        let attempt = self.ledger.waiting(message).expect("it waits").attempts + 1;
        let claim = Entry::Claim { message, attempt };
        assert_eq!([self.ledger.apply(&claim), self.ledger.apply(&claim)], [Applied::Done, Applied::Unknown]);
        attempt
    }

    fn deliver(&mut self, now_ms: i64, outcome: Outcome) {
        let message = self.ledger.due(now_ms)[0];
        let attempt = self.claim(message);
        let receipt = Entry::Receipt { message, attempt, at_ms: now_ms, outcome, messages: Vec::new() };
        assert_eq!(self.ledger.apply(&receipt), Applied::Done);
    }
}

fn said(message: &Message) -> String {
    match &message.content {
        Content::Alerts(alerts) => {
            let named: Vec<&str> =
                alerts.named.iter().flat_map(|named| named.labels.values()).map(String::as_str).collect();
            let more = if alerts.more > 0 { format!("+{}", alerts.more) } else { String::new() };
            format!("{} {} {:?} {}{more}", message.receiver, alerts.rule, alerts.status, named.join("/"))
        }
        Content::Undelivered { receiver, .. } => format!("{} not told {receiver}", message.receiver),
        Content::Digest(digest) => format!("{} digest {}", message.receiver, digest.day),
        Content::Test => format!("{} test", message.receiver),
    }
}

use Change::{Fired, Resolved};

#[test]
fn alerts_of_a_rule_are_told_together_at_first_then_what_came_to_them_and_that_all_is_over() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.change(0, &[("busy", "1", Fired), ("busy", "2", Fired)]), "slack busy Firing 1/2");
    assert_eq!(fixture.change(1_000, &[("busy", "3", Fired)]), "", "one message a window");
    assert_eq!(fixture.change(2_000, &[("busy", "1", Resolved)]), "", "not all is over");
    assert_eq!(fixture.pass(MORE_AFTER_MS - 1), "");
    assert_eq!(fixture.pass(MORE_AFTER_MS), "slack busy Firing 2/3");
    assert_eq!(fixture.pass(3 * MORE_AFTER_MS), "", "nothing came to them");
    assert_eq!(fixture.change(3 * MORE_AFTER_MS, &[("busy", "2", Resolved)]), "");
    assert_eq!(fixture.change(4 * MORE_AFTER_MS, &[("busy", "3", Resolved)]), "slack busy Resolved 2/3");
    assert_eq!(fixture.change(4 * MORE_AFTER_MS, &[("busy", "3", Fired)]), "slack busy Firing 3");
    let episodes: Vec<u64> = fixture
        .ledger
        .outbox()
        .filter_map(|(_, waiting)| match &waiting.message.content {
            Content::Alerts(alerts) => Some(alerts.episode),
            Content::Undelivered { .. } | Content::Digest(_) | Content::Test => None,
        })
        .collect();
    assert_eq!(episodes, [1, 1, 1, 5], "one number an episode");
}

#[test]
fn what_still_fires_is_told_again_after_four_hours() {
    let mut fixture = Fixture::new();
    fixture.change(0, &[("busy", "1", Fired)]);
    assert_eq!(fixture.pass(AGAIN_AFTER_MS - 1), "");
    assert_eq!(fixture.pass(AGAIN_AFTER_MS), "slack busy Firing 1");
    assert_eq!(fixture.pass(AGAIN_AFTER_MS + 1), "");
}

#[test]
fn of_ten_thousand_alerts_at_once_one_message_names_ten() {
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..10_000).map(|number| format!("{number:05}")).collect();
    let changes: Vec<_> = names.iter().map(|name| ("busy", name.as_str(), Fired)).collect();
    let named = names[..MOST_NAMED].join("/");
    assert_eq!(fixture.change(0, &changes), format!("slack busy Firing {named}+9990"));
}

#[test]
fn nobody_is_told_of_what_is_silenced_or_follows_from_a_node_that_is_down() {
    let mut fixture = Fixture::new();
    let silence = |label: &str, value: &str, until_ms| Silence {
        matchers: vec![Matcher { label: label.to_owned(), any_of: vec![value.to_owned()] }],
        from_ms: 0,
        until_ms,
        author: "eve".to_owned(),
        comment: "known".to_owned(),
    };
    let applied = fixture.ledger.apply(&Entry::Silence { silence: silence("node", "1", MINUTE_MS), at_ms: 0 });
    assert_eq!(applied, Applied::Silenced(1));
    assert_eq!(fixture.change(0, &[("busy", "1", Fired), ("busy", "2", Fired)]), "slack busy Firing 2");
    assert_eq!(fixture.change(1_000, &[("busy", "2", Resolved)]), "", "one that is silenced still fires");
    assert_eq!(fixture.pass(MINUTE_MS), "", "the silence is over, and it is told when others would be");
    assert_eq!(fixture.pass(MORE_AFTER_MS), "slack busy Firing 1");
    assert_eq!(fixture.change(MORE_AFTER_MS, &[("busy", "1", Resolved)]), "slack busy Resolved 1");
    let [down, up] = [MORE_AFTER_MS + 1, MORE_AFTER_MS + 2];
    let both = [(NODE_DOWN, "3", Fired), ("busy", "3", Fired)];
    assert_eq!(fixture.change(down, &both), "pagerduty node_down Firing 3");
    let after = fixture.change(up, &[(NODE_DOWN, "3", Resolved)]);
    assert_eq!(after, "pagerduty node_down Resolved 3, slack busy Firing 3");
    let ended = Entry::EndSilence { silence: 1, at_ms: 0 };
    assert_eq!([fixture.ledger.apply(&ended), fixture.ledger.apply(&ended)], [Applied::Done, Applied::Unknown]);
}

#[test]
fn the_most_urgent_is_sent_first_and_an_end_never_before_its_beginning() {
    let mut fixture = Fixture::new();
    fixture.change(0, &[("busy", "1", Fired)]);
    fixture.change(1_000, &[("busy", "1", Resolved)]);
    fixture.change(2_000, &[(NODE_DOWN, "2", Fired)]);
    assert_eq!(fixture.due(2_000), "pagerduty node_down Firing 2, slack busy Firing 1");
    fixture.deliver(2_000, Outcome::Delivered);
    let later = Outcome::Later { due_ms: 5_000, may_have_arrived: false, paused_until_ms: None };
    fixture.deliver(2_000, later);
    assert_eq!(fixture.due(4_999), "", "the end waits for the beginning");
    fixture.deliver(5_000, Outcome::Delivered);
    assert_eq!(fixture.due(5_000), "slack busy Resolved 1");
    fixture.deliver(5_000, Outcome::Later { due_ms: 5_000, may_have_arrived: false, paused_until_ms: Some(9_000) });
    fixture.change(6_000, &[("busy", "1", Fired)]);
    assert_eq!(fixture.due(8_999), "", "who wants to be left alone is");
    assert_eq!(fixture.due(9_000), "slack busy Resolved 1");
}

#[test]
fn what_is_given_up_is_remembered_and_told_others() {
    let mut fixture = Fixture::new();
    fixture.change(0, &[("busy", "1", Fired)]);
    let reason = "no such hook".to_owned();
    let content =
        Content::Undelivered { receiver: "slack".to_owned(), rule: Some("busy".to_owned()), reason: reason.clone() };
    let notice = Message { receiver: "pagerduty".to_owned(), at_ms: 7, content };
    let message = fixture.ledger.due(0)[0];
    let outcome = Outcome::GivenUp { reason };
    let attempt = fixture.claim(message);
    let receipt = Entry::Receipt { message, attempt, at_ms: 7, outcome, messages: vec![notice] };
    assert_eq!([fixture.ledger.apply(&receipt), fixture.ledger.apply(&receipt)], [Applied::Done, Applied::Unknown]);
    assert_eq!(fixture.due(7), "pagerduty not told slack");
    assert_eq!(fixture.ledger.undelivered().count(), 1);
    assert_eq!(fixture.ledger.apply(&Entry::Claim { message, attempt: 2 }), Applied::Unknown);
}

#[test]
fn a_digest_of_a_day_is_written_once() {
    let mut ledger = Ledger::default();
    let mut write = |day: &str| ledger.apply(&Entry::Digest { day: day.to_owned(), messages: Vec::new() });
    let days = ["2026-11-23", "2026-11-23", "2026-11-22", "2026-11-24"].map(&mut write);
    assert_eq!(days, [Applied::Done, Applied::Stale, Applied::Stale, Applied::Done]);
    assert_eq!(ledger.digested(), Some("2026-11-24"));
}

#[test]
fn a_digest_says_what_fired_since_the_last() {
    let mut fixture = Fixture::new();
    fixture.change(0, &[("busy", "1", Fired), ("busy", "2", Fired), (NODE_DOWN, "3", Fired)]);
    fixture.change(1, &[("busy", "1", Resolved)]);
    let said = |ledger: &Ledger| {
        let Digest { day, rules, undelivered } = ledger.digest("2026-11-23");
        let rules = rules.iter().map(|DigestedRule { rule, fired, firing }| format!("{rule} {fired}/{firing}"));
        format!("{day}: {}, {undelivered} undelivered", rules.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(said(&fixture.ledger), "2026-11-23: busy 2/1, node_down 1/1, 0 undelivered");
    fixture.deliver(1, Outcome::GivenUp { reason: "no such hook".to_owned() });
    assert_eq!(said(&fixture.ledger), "2026-11-23: busy 2/1, node_down 1/1, 1 undelivered");
    fixture.ledger.apply(&Entry::Digest { day: "2026-11-23".to_owned(), messages: Vec::new() });
    fixture.change(2, &[("busy", "2", Resolved)]);
    assert_eq!(said(&fixture.ledger), "2026-11-23: node_down 0/1, 0 undelivered");
}

#[test]
fn of_what_has_no_room_the_most_urgent_is_planned_first_and_each_receiver_has_room_of_its_own() {
    let mut fixture = Fixture::new();
    let digest = |_| Message { receiver: "pagerduty".to_owned(), at_ms: 0, content: Content::Test };
    let messages = (0..MAX_WAITING).map(digest).collect();
    fixture.ledger.apply(&Entry::Digest { day: "2026-11-23".to_owned(), messages });
    let both = [("busy", "1", Fired), (NODE_DOWN, "2", Fired)];
    assert_eq!(fixture.change(0, &both), "slack busy Firing 1");
    fixture.deliver(0, Outcome::Delivered);
    fixture.deliver(0, Outcome::Delivered);
    fixture.rules.iter_mut().for_each(|rule| rule.receivers = vec!["pagerduty".to_owned()]);
    assert_eq!(
        fixture.change(1, &[]),
        "pagerduty node_down Firing 2",
        "and slack not that what it was told of is over"
    );
}

#[test]
fn who_is_told_no_more_hears_of_the_end_when_it_comes_and_who_is_gone_hears_nothing() {
    let mut fixture = Fixture::new();
    fixture.change(0, &[("busy", "1", Fired), (NODE_DOWN, "2", Fired)]);
    fixture.rules[0].receivers = vec!["webhook".to_owned()];
    fixture.policy.receivers = ["slack", "webhook"].map(str::to_owned).to_vec();
    let others = "slack node_down Firing 2, webhook node_down Firing 2, webhook busy Firing 1";
    assert_eq!(fixture.pass(1), others, "and nothing is said to be over");
    let others = "slack node_down Resolved 2, webhook node_down Resolved 2";
    assert_eq!(fixture.change(2, &[(NODE_DOWN, "2", Resolved)]), others, "pagerduty is not configured any more");
    assert_eq!(fixture.change(3, &[("busy", "1", Resolved)]), "slack busy Resolved 1, webhook busy Resolved 1");
}

#[test]
fn that_an_attempt_arrived_counts_although_another_was_claimed_and_that_it_did_not_counts_no_more() {
    let later = Outcome::Later { due_ms: 0, may_have_arrived: false, paused_until_ms: None };
    for (outcome, applied, waits) in [(Outcome::Delivered, Applied::Done, false), (later, Applied::Unknown, true)] {
        let mut fixture = Fixture::new();
        fixture.change(0, &[("busy", "1", Fired)]);
        let message = fixture.ledger.due(0)[0];
        let attempt = fixture.claim(message);
        fixture.claim(message);
        let receipt = Entry::Receipt { message, attempt, at_ms: 0, outcome, messages: Vec::new() };
        assert_eq!((fixture.ledger.apply(&receipt), fixture.ledger.waiting(message).is_some()), (applied, waits));
    }
}

#[test]
fn silences_are_bounded_by_their_number_and_their_size_and_those_that_are_over_count_no_more() {
    let silence = |bytes: usize, until_ms| Silence {
        matchers: vec![Matcher { label: "rule".to_owned(), any_of: vec!["a".to_owned()] }],
        from_ms: 0,
        until_ms,
        author: "e".to_owned(),
        comment: "c".repeat(bytes),
    };
    for (bytes, at_most) in [(0, MAX_SILENCES), (MAX_SILENCES_BYTES / 10, 9)] {
        let mut ledger = Ledger::default();
        let mut put = |until_ms, at_ms| ledger.apply(&Entry::Silence { silence: silence(bytes, until_ms), at_ms });
        let held = (0..=at_most).filter(|_| matches!(put(10, 0), Applied::Silenced(_))).count();
        assert_eq!((held, put(10, 0)), (at_most, Applied::TooMany), "of {bytes} bytes each");
        assert_eq!(matches!(put(20, 10), Applied::Silenced(_)), bytes == 0, "their texts are known for a while");
    }
}

#[test]
fn what_waits_is_bounded_and_the_rest_is_planned_when_there_is_room() {
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..MAX_WAITING + 5).map(|number| format!("r{number}")).collect();
    fixture.rules = names.iter().map(|name| Rule { name: name.clone(), ..fixture.rules[0].clone() }).collect();
    let changes: Vec<_> = names.iter().map(|name| (name.as_str(), "1", Fired)).collect();
    let transition = |(rule, node, change): &(&str, &str, Change)| Transition {
        subject: Subject { rule: (*rule).to_owned(), labels: Labels::from([("node".to_owned(), (*node).to_owned())]) },
        change: *change,
        signal: Signal::Breaches,
        value: 1.0,
        watch: Watch::default(),
    };
    let transitions = changes.iter().map(transition).collect();
    fixture.ledger.apply(&Entry::Advance { after: 0, at_ms: 0, transitions, messages: Vec::new() });
    let messages = fixture.ledger.plan(&fixture.rules, &fixture.policy, 0);
    fixture.ledger.apply(&Entry::Advance { after: 1, at_ms: 0, transitions: Vec::new(), messages });
    assert_eq!(fixture.ledger.outbox().count(), MAX_WAITING);
    assert!(fixture.ledger.plan(&fixture.rules, &fixture.policy, 0).is_empty());
    fixture.deliver(0, Outcome::Delivered);
    assert_eq!(fixture.ledger.plan(&fixture.rules, &fixture.policy, 0).len(), 1);
}

#[test]
fn a_message_may_have_arrived_when_nobody_knows_what_became_of_an_attempt() {
    let later = |may_have_arrived| Outcome::Later { due_ms: 0, may_have_arrived, paused_until_ms: None };
    let cases = [
        ("refused, and known to be", Some(later(false)), false),
        ("not heard of", Some(later(true)), true),
        ("whoever made it was lost", None, true),
    ];
    for (claim, outcome, expected) in cases {
        let mut fixture = Fixture::new();
        fixture.change(0, &[("busy", "1", Fired)]);
        let message = fixture.ledger.due(0)[0];
        match outcome {
            Some(outcome) => fixture.deliver(0, outcome),
            None => drop(fixture.claim(message)),
        }
        fixture.deliver(0, later(false));
        fixture.claim(message);
        assert_eq!(fixture.ledger.waiting(message).map(|waiting| waiting.may_have_arrived), Some(expected), "{claim}");
    }
}
