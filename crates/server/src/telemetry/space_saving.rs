//! The most frequent of many, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and
//! Top-k Elements in Data Streams, ICDT 2005).
//!
//! Each counter may count too much by what its place had counted when its element took it. Here the counters are so few that looking
//! at all of them is quicker than to keep them in order.

/// Counts the most frequent of what it is offered.
pub(super) struct SpaceSaving<T> {
    capacity: usize,
    /// What tells the elements apart; likewise the others, each at its element's place.
    hashes: Vec<u64>,
    counts: Vec<u64>,
    errors: Vec<u64>,
    elements: Vec<T>,
}

impl<T: Default> SpaceSaving<T> {
    /// One with so many counters, at least 1. Whatever is more than that part of all that was offered has one of them.
    pub(super) fn new(capacity: usize) -> Self {
        let (hashes, counts, errors) = (Vec::new(), Vec::new(), Vec::new());
        Self { capacity, hashes, counts, errors, elements: Vec::new() }
    }

    /// Counts an element `weight` times. Where it has no counter yet, it gets one, and `write` is to make of whatever had that counter
    /// before the new element.
    pub(super) fn offer(&mut self, hash: u64, weight: u64, write: impl FnOnce(&mut T)) {
        if let Some(place) = self.hashes.iter().position(|known| *known == hash) {
            self.counts[place] += weight;
            return;
        }
        let place = if self.hashes.len() < self.capacity { self.new_place() } else { self.least() };
        self.hashes[place] = hash;
        self.errors[place] = self.counts[place];
        self.counts[place] += weight;
        write(&mut self.elements[place]);
    }

    fn new_place(&mut self) -> usize {
        self.hashes.push(0);
        self.counts.push(0);
        self.errors.push(0);
        self.elements.push(T::default());
        self.hashes.len() - 1
    }

    fn least(&self) -> usize {
        let counts = self.counts.iter().enumerate();
        counts.min_by_key(|(_, count)| **count).map_or(0, |(place, _)| place)
    }

    /// All elements, each with how often it was counted at least, and forgets them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (T, u64)> {
        self.hashes.clear();
        let counts = self.counts.drain(..).zip(self.errors.drain(..));
        self.elements.drain(..).zip(counts.map(|(count, error)| count - error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn offered(capacity: usize, stream: impl IntoIterator<Item = u64>) -> SpaceSaving<u64> {
        let mut sketch = SpaceSaving::new(capacity);
        stream.into_iter().for_each(|element| sketch.offer(element, 1, |place| *place = element));
        sketch
    }

    fn taken(mut sketch: SpaceSaving<u64>) -> BTreeMap<u64, u64> {
        sketch.take().collect()
    }

    #[test]
    fn as_many_as_there_are_counters_are_counted_exactly() {
        assert_eq!(taken(offered(3, [1, 2, 1, 3, 1, 2])), [(1, 3), (2, 2), (3, 1)].into());
    }

    #[test]
    fn one_more_takes_the_place_of_the_least_and_owns_nothing_of_its_count() {
        assert_eq!(taken(offered(2, [1, 1, 2, 3])), [(1, 2), (3, 1)].into());
    }

    #[test]
    fn what_was_taken_is_forgotten() {
        let mut sketch = offered(2, [1, 1, 2, 3]);
        drop(sketch.take());
        sketch.offer(4, 8, |place| *place = 4);
        assert_eq!(taken(sketch), [(4, 8)].into());
    }

    proptest! {
        #[test]
        fn what_is_frequent_is_there_and_nothing_is_overestimated(
            stream in prop::collection::vec(prop_oneof![0_u64..4, 0_u64..1_000], 0..2_000),
            capacity in 1_usize..32,
        ) {
            let mut exact = BTreeMap::<u64, u64>::new();
            stream.iter().for_each(|element| *exact.entry(*element).or_default() += 1);
            let sketch = offered(capacity, stream.iter().copied());
            prop_assert!(sketch.hashes.len() <= capacity);
            prop_assert_eq!(sketch.counts.iter().sum::<u64>(), stream.len() as u64);
            let found = taken(sketch);
            prop_assert!(found.iter().all(|(element, count)| *count <= exact[element]));
            let frequent = exact.iter().filter(|(_, count)| **count > (stream.len() / capacity) as u64);
            prop_assert!(frequent.map(|(element, _)| element).all(|element| found.contains_key(element)));
        }
    }
}
