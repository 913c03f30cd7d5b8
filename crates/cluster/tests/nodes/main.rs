//! Several nodes in one process, each with clocks of its own that tests turn, on a network in memory.

// The clocks, limits and storage of the tests of one node serve here, too; not all of them.
#[path = "../node/harness.rs"]
#[allow(dead_code)]
mod harness;

mod alerts;
mod changes;
mod clocks;
mod cluster;
mod deciding;
mod membership;
