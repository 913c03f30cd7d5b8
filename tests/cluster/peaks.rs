//! A segment tree over positions that are opened one by one: adds to all positions from one on, and finds the highest open one.

/// The height of a position that is not open: lower than any sum of adds can lift it to.
const CLOSED: i128 = -(1 << 120);

/// The heights of all positions.
pub(crate) struct Peaks {
    /// A power of two.
    positions: usize,
    /// Of each part, the highest height below it, without what was added to parts that contain it.
    highest: Vec<i128>,
    /// What was added to all of a part.
    added: Vec<i128>,
}

impl Peaks {
    /// All positions are closed.
    pub(crate) fn new(positions: usize) -> Self {
        let positions = positions.next_power_of_two();
        Self { positions, highest: vec![CLOSED; 2 * positions], added: vec![0; 2 * positions] }
    }

    /// Opens a position at `height`, to which everything is added that was added there before.
    pub(crate) fn open(&mut self, position: usize, height: i128) {
        let mut part = self.positions + position;
        self.highest[part] += height - CLOSED;
        while part > 1 {
            part /= 2;
            self.renew(part);
        }
    }

    /// Adds to all positions from `first` on.
    pub(crate) fn add_from(&mut self, first: usize, height: i128) {
        let mut part = self.positions + first;
        self.add_to(part, height);
        while part > 1 {
            if part.is_multiple_of(2) {
                self.add_to(part + 1, height);
            }
            part /= 2;
            self.renew(part);
        }
    }

    /// The height of the highest position.
    pub(crate) fn highest(&self) -> i128 {
        self.highest[1]
    }

    /// The highest position.
    pub(crate) fn highest_position(&self) -> usize {
        let mut part = 1;
        while part < self.positions {
            part *= 2;
            if self.highest[part + 1] > self.highest[part] {
                part += 1;
            }
        }
        part - self.positions
    }

    fn add_to(&mut self, part: usize, height: i128) {
        self.highest[part] += height;
        self.added[part] += height;
    }

    fn renew(&mut self, part: usize) {
        self.highest[part] = self.highest[2 * part].max(self.highest[2 * part + 1]) + self.added[part];
    }
}
