//! Nodes that talk over real loopback sockets and over memory, and others that talk nonsense.

mod calls;
mod membership;
mod nodes;
mod strangers;
mod tcp;
mod who;
