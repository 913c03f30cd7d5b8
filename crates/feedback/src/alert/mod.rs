//! Alerts: from what was measured to who is told what.
//!
//! ```text
//! Sample ─► Window ─► Readings ─► Evaluator ─► Transition ┐
//! (a node's second)   (signals)   (rules, watches)        ├─► Ledger ─► Message ─► a receiver
//!                                    Policy (routes, …) ──┘
//! ```
//!
//! [`Window`] adds up what nodes measured into [`Readings`] of [`Signal`]s. The [`Evaluator`] watches each by its [`Rule`] and says what
//! changed. The [`Ledger`] is what a cluster agrees on: which alerts stand, who was told, what is still to be sent; every change of
//! it is one [`Entry`], planned by [`Ledger::plan`] and applied alike by all.

mod evaluator;
mod ledger;
mod message;
mod policy;
mod rule;
mod schedule;
mod severity;
mod signal;
mod spike;
mod watch;
mod window;

pub use evaluator::{Evaluator, Subject, Transition};
pub use ledger::{Applied, Entry, Hidden, Ledger, MAX_SILENCES, Outcome, Over, Standing, Undelivered, Waiting};
pub use message::{Alerts, Content, Digest, DigestedRule, MOST_NAMED, Message, Named, Status};
pub use policy::{Matcher, Policy, Route, Silence};
pub use rule::{Rule, Thresholds};
pub use schedule::DigestSchedule;
pub use severity::Severity;
pub use signal::{Labels, Readings, Signal, Values};
pub use spike::Spike;
pub use watch::{Change, Watch};
pub use window::Window;
