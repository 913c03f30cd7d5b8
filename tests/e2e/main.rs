//! The real binary, driven from outside as its users drive it.

mod node;

mod bad_input;
mod command_line;
mod contract;
mod crashes;
mod data_directory;
mod first_minutes;
mod reload;
mod reservations;
