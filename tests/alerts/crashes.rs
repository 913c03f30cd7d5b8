//! `kill -9` of the node that evaluates, at each step of what it does with an alert: every receiver is told of it once, and a second
//! time only if the first may not have arrived, which the second says.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::capture::Answering;
use crate::scene::{CALM, SOON, Scene, Told};
use crate::wait::until;

/// How a receiver asks to be left alone, and for how long it then is.
const TOO_MANY: Answering = Answering::Says(429, "retry-after: 2\r\n", "");

/// How long a slow receiver takes.
const SLOW: Duration = Duration::from_secs(1);

/// When the evaluating node is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    /// The condition is there, and nothing is written down of it.
    BeforeProposal,
    /// The message is written down and waits, because receivers want to be left alone.
    AfterProposal,
    /// The attempt is written down, and the receiver took the connection but read nothing.
    AfterClaim,
    /// The receiver has the message, and has not answered.
    WhileReceiverHasIt,
    /// That it arrived is written down.
    AfterReceipt,
}

impl Moment {
    /// What each receiver is sent of the beginning, as what may be a repeat or not.
    fn sent(self) -> &'static [bool] {
        match self {
            Self::BeforeProposal | Self::AfterReceipt => &[false],
            Self::AfterProposal => &[false, false],
            Self::AfterClaim => &[true],
            Self::WhileReceiverHasIt => &[false, true],
        }
    }
}

async fn check_kill(moment: Moment) {
    let mut scene = Scene::of_three().await;
    let first = scene.evaluator().await;
    match moment {
        Moment::AfterProposal => answer(&scene, TOO_MANY),
        Moment::AfterClaim => scene.capture.is_deaf(true),
        Moment::WhileReceiverHasIt => answer(&scene, Answering::Holds),
        Moment::AfterReceipt => answer(&scene, Answering::Late(SLOW)),
        Moment::BeforeProposal => {}
    }
    scene.begin().await;
    until_it_comes(&scene, moment, first).await;
    scene.cluster.kill(first);
    scene.capture.is_deaf(false);
    answer(&scene, Answering::Fine);
    scene.until_told("firing").await;
    scene.cluster.start(first);
    scene.cluster.ready().await;
    check_waiting_is_over(&scene).await;
    let last = scene.evaluator().await;
    scene.end().await;
    scene.until_told("resolved").await;
    sleep(CALM).await;
    for receiver in ["slack", "webhook"] {
        check_told(&scene.told(receiver), moment, (first, last), receiver);
    }
}

fn answer(scene: &Scene, answering: Answering) {
    ["slack", "webhook"].into_iter().for_each(|receiver| scene.capture.answers(receiver, &[answering]));
}

async fn until_it_comes(scene: &Scene, moment: Moment, first: usize) {
    let has_come = async || {
        let alerts = scene.alerts_at(first).await;
        let waiting = alerts["waiting"].as_array().expect("a list");
        let fires = !alerts["firing"].as_array().expect("a list").is_empty();
        // What is to be tried again is due later than it was written.
        let is_later = |message: &Value| message["attempts"] == 1 && message["due_ms"] != message["written_ms"];
        match moment {
            Moment::BeforeProposal => true,
            Moment::AfterProposal => waiting.len() == 2 && waiting.iter().all(is_later),
            Moment::AfterClaim => scene.capture.unread() == 2,
            Moment::WhileReceiverHasIt => scene.capture.seen().len() == 2,
            Moment::AfterReceipt => fires && waiting.is_empty() && scene.capture.seen().len() == 2,
        }
    };
    until(&format!("{moment:?}"), SOON, has_come).await;
}

async fn check_waiting_is_over(scene: &Scene) {
    let nothing_waits = async || scene.alerts_at(scene.evaluator().await).await["waiting"] == json!([]);
    until("nothing waits to be sent", SOON, nothing_waits).await;
}

/// Expects the beginning as often as the moment allows, and the end once; before the kill from the first node, after it from another.
fn check_told(told: &[Told], moment: Moment, (first, last): (usize, usize), receiver: &str) {
    let said: Vec<_> = told.iter().map(|told| (told.status.as_str(), told.may_be_repeat)).collect();
    let expected: Vec<_> =
        moment.sent().iter().map(|may_be_repeat| ("firing", *may_be_repeat)).chain([("resolved", false)]).collect();
    assert_eq!(said, expected, "{moment:?}: what {receiver} was told: {told:?}");
    let taken = told.iter().filter(|told| told.is_taken).count();
    assert_eq!(taken, 2, "{moment:?}: {receiver} took the beginning once and the end once: {told:?}");
    let (end, beginnings) = told.split_last().expect("it was told");
    assert_eq!(end.node, last, "{moment:?}: the end is told by the one that evaluates: {told:?}");
    let taken_from = beginnings.iter().find(|told| told.is_taken).map(|told| told.node);
    let is_of_first = moment == Moment::AfterReceipt;
    assert_eq!(taken_from == Some(first), is_of_first, "{moment:?}: node {first} was killed: {told:?}");
}

#[tokio::test]
async fn what_a_killed_evaluator_did_not_send_the_next_one_sends() {
    tokio::join!(check_kill(Moment::BeforeProposal), check_kill(Moment::AfterProposal));
}

#[tokio::test]
async fn what_a_killed_evaluator_may_have_sent_is_sent_again_and_says_so() {
    tokio::join!(check_kill(Moment::AfterClaim), check_kill(Moment::WhileReceiverHasIt));
}

#[tokio::test]
async fn what_arrived_is_not_sent_again_by_the_next_evaluator() {
    check_kill(Moment::AfterReceipt).await;
}
