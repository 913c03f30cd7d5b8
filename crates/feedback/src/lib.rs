//! Observations in, adjusted decision out. Pure: the time is passed in, nothing waits, and nothing here is ours but this.

#![warn(missing_docs)]

pub mod alert;
pub mod sample;
