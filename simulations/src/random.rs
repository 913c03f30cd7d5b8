//! Random numbers, a stream of its own for each part of the simulation.
//!
//! With one stream for all, leaving out one fault would give every later draw another number, and the rest of the run would be another
//! run: no failure could be made smaller.

use std::ops::RangeInclusive;

use fastrand::Rng;

/// A stream of random numbers that follows from the seed and its own name.
#[derive(Clone, Debug)]
pub(crate) struct Random(Rng);

impl Random {
    /// The stream of this name.
    pub(crate) fn new(seed: u64, stream: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(stream.as_bytes());
        let hash = hasher.finalize();
        let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes");
        Self(Rng::with_seed(u64::from_le_bytes(first)))
    }

    /// Any number.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number of the range.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    /// `true` in so many of a million draws.
    pub(crate) fn happens(&mut self, per_million: u64) -> bool {
        self.0.u64(0..1_000_000) < per_million
    }

    /// One of these, all alike.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.usize(..choices.len())]
    }

    /// Puts them into any order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}
