//! How messages read.

use std::collections::BTreeMap;

use tollgate_feedback::alert::{Alerts, Content, Status};

use super::{alerts, delivery, every_kind, hostile};
use crate::receivers::text::Texts;

fn summary(templates: &[(&str, &str)], content: Content) -> String {
    let templates: BTreeMap<_, _> =
        templates.iter().map(|(rule, template)| ((*rule).to_owned(), (*template).to_owned())).collect();
    Texts::new(&templates).render(&delivery("slack", content), None).summary
}

#[test]
fn a_summary_says_in_a_line_what_happened() {
    let summaries: Vec<_> =
        every_kind("slack").into_iter().map(|delivery| summary(&[], delivery.message.content)).collect();
    let expected = [
        "[FIRING] error_rate: 7.2 % (limit=search)",
        "[FLAPPING] error_rate: 7.2 % (limit=search)",
        "[RESOLVED] error_rate: 7.2 % +3 more",
        "[FIRING] error_rate +3 more",
        "[UNDELIVERED] slack could not be told of error_rate: answered 404",
        "[DIGEST] 2023-11-13: 1 rule fired, 2 not delivered",
        "[DIGEST] : 0 rules fired",
        "[TEST] Somebody tests whether the receiver slack is reached: nothing is wrong",
    ];
    assert_eq!(summaries, expected);
}

#[test]
fn a_template_of_a_rule_is_its_line_and_one_that_fails_is_not() {
    let firing = |labels: &[(&str, &str)]| Content::Alerts(alerts(Status::Firing, labels));
    for (template, expected) in [
        ("{{ rule }} at {{ value }}{{ unit }} of {{ labels.limit }}", "error_rate at 7.2 % of {{ rule }}"),
        ("a\n\n b\t{{ status }}", "a b firing"),
        ("{{ labels.absent }} {{ episode }}", "5"),
        ("{{ alerts | length }}/{{ more }} since {{ since }}", "1/0 since 2023-11-14T22:12:20Z"),
        ("", "[FIRING] error_rate: 7.2 % (limit={{ rule }})"),
        ("{% for i in range(99999) %}x{% endfor %}", "[FIRING] error_rate: 7.2 % (limit={{ rule }})"),
    ] {
        assert_eq!(summary(&[("error_rate", template)], firing(&[("limit", "{{ rule }}")])), expected, "{template}");
    }
    assert_eq!(summary(&[("other", "x")], firing(&[])), "[FIRING] error_rate: 7.2 %");
}

#[test]
fn a_page_of_html_shows_what_labels_hold_and_does_nothing_of_it() {
    let page = Texts::new(&BTreeMap::new()).render(&hostile("email"), Some("https://a/?b=1&c=\"")).page;
    assert!(page.contains("&lt;script&gt;") && page.contains("{{ 7 * 7 }}"), "{page}");
    assert!(!page.contains("<script") && !page.contains("evil.example\""), "{page}");
    assert!(page.contains("+990 more"), "{page}");
}

#[test]
fn values_are_written_as_people_do() {
    for (value, expected) in [
        (5.0, "5 %"),
        (7.204, "7.2 %"),
        (0.016, "0.02 %"),
        (1e18, "1000000000000000000.0 %"),
        (f64::INFINITY, "inf"),
        (-0.001, "0 %"),
    ] {
        let mut alerts: Alerts = alerts(Status::Firing, &[]);
        alerts.named[0].value = value;
        let said = summary(&[], Content::Alerts(alerts));
        assert!(said.starts_with(&format!("[FIRING] error_rate: {expected}")), "{said}");
    }
}
