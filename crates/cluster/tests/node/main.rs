//! A whole node in this process, on real actors, real Raft and a clock that the tests turn.

mod harness;

mod decisions;
mod failures;
mod limits;
mod queues;
mod restarts;
mod several_limits;
