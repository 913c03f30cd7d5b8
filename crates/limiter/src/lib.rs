//! Decides whether a request fits under a limit.
//!
//! Everything here is a function of its arguments: no clock, no randomness, no float, no await, no order that depends
//! on a hasher's seed. The same commands give the same [`State`] on every replica, bit for bit.
//!
//! Two halves meet here:
//!
//! - [`State`] is what a shard's replicas agree on. It changes only by [`Command`]s, in log order.
//! - [`Leader`] is what the one leading node keeps in memory on top of it: what it has spent of the rights that the
//!   state grants it. It is lost in a crash, and that is safe: a new leader starts from what had been *granted*.
//!
//! The rule that makes this exact is told in `crates/README.md`; its source for the virtual time axis is GCRA
//! (ITU-T I.371, annex A).
#![deny(clippy::float_arithmetic, missing_docs)]

mod calendar;
mod clock;
mod gcra;
mod key;
mod leader;
mod limit;
mod limits;
mod permits;
mod planted;
mod queue;
mod reservation;
mod state;
mod table;
mod time;
mod window;

pub use calendar::Calendar;
pub use clock::{ClockReading, Seen, ShardClock, Stamp};
pub use gcra::Pace;
pub use key::{Key, ShardId};
pub use leader::{Ask, Budget, Decision, Leader, LeaderOptions, Refusal, SettleError, Standing, Unreplicated};
pub use limit::{Algorithm, Consistency, Limit, LimitError, LimitName, OnUnavailable, Pattern, Selector};
pub use limits::{LimitId, Limits, Matched};
pub use permits::PermitId;
pub use planted::Planted;
pub use queue::{Place, Queues, Turn};
pub use reservation::{Receipt, Settlement, SettlementId, SpentAt};
pub use state::{Applied, Command, Grants, Shape, State};
pub use table::Table;
pub use time::ShardTime;
pub use window::Quota;
