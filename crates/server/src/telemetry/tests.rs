//! The metrics of a node as a whole.
