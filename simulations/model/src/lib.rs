//! The protocol by which no bucket ever admits more than its limit allows, as a model that is small enough to look at every state of it.
//!
//! Leaders of one shard spend from what their group has granted them, are deposed without knowing it, crash, hand over and give
//! back, in any order, for any length of time. Consensus is assumed: entries commit in one order, those of a leadership that is over
//! are void. The invariant [`EXACT`] holds in every state as long as all rules are followed, and whichever [`Rule`] is taken away,
//! it breaks. `README.md` says what is assumed and what was measured.
//!
//! Every instant in a state is counted from the present, and what can change nothing any more is forgotten. So neither time nor
//! the number of leaderships is bounded, and yet there are finitely many states.

mod action;
mod admitted;
mod bounds;
mod check;
mod leader;
mod model;
mod protocol;
mod refunds;
mod rule;
mod shard;
mod witnesses;
mod world;

pub use action::{Action, Refund, Spend};
pub use bounds::Bounds;
pub use check::{Counterexample, Verified, falsify, verify};
pub use model::EXACT;
pub use protocol::Protocol;
pub use rule::Rule;
pub use shard::Entry;
pub use world::World;

/// Ticks of time, or of a bucket's axis; an instant is so many ticks from the present: 0 is now, what has passed is negative.
pub type Ticks = i8;
