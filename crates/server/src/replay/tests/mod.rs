mod harness;
mod lines;
mod live;
mod plots;
mod reports;
mod requests;
mod sources;
mod tallies;
