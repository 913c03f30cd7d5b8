//! Which indexes a log has, and how each operation changes that. Pure, and the same for every engine.

use std::ops::{Range, RangeInclusive};

use crate::LogConflict;
use crate::batch::Operation;

/// The indexes `first..next` of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogBounds {
    /// The first entry; of an empty log, the first index that was not purged.
    pub(crate) first: u64,
    /// One beyond the last entry; equal to `first` when the log is empty.
    pub(crate) next: u64,
    /// Whether entries were truncated at `next` and nothing has been appended since. An engine that cannot remove
    /// entries from the end hides them by this.
    pub(crate) truncated: bool,
}

impl LogBounds {
    pub(crate) fn is_empty(self) -> bool {
        self.first == self.next
    }

    pub(crate) fn indexes(self) -> Option<RangeInclusive<u64>> {
        (!self.is_empty()).then(|| self.first..=self.next - 1)
    }

    /// The part of `range` that the log has; empty ranges come back as `first..first`.
    pub(crate) fn clamp(self, range: &Range<u64>) -> Range<u64> {
        let start = range.start.max(self.first);
        let end = range.end.min(self.next);
        if start < end { start..end } else { self.first..self.first }
    }

    /// The bounds after `operation`.
    pub(crate) fn after(self, operation: &Operation) -> Result<Self, LogConflict> {
        match operation {
            Operation::Append { first_index, entries } => self.after_append(*first_index, entries.len()),
            Operation::TruncateFrom { index } => Ok(self.after_truncate(*index)),
            Operation::PurgeTo { index } => Ok(self.after_purge(*index)),
            Operation::PutMetadata { .. } | Operation::SnapshotSaved { .. } => Ok(self),
        }
    }

    fn after_append(self, first_index: u64, count: usize) -> Result<Self, LogConflict> {
        let first_allowed = self.first;
        if self.is_empty() && first_index < first_allowed {
            return Err(LogConflict::Purged { first_index, first_allowed });
        }
        if !self.is_empty() && first_index != self.next {
            return Err(LogConflict::NotNext { first_index, next_index: self.next });
        }
        let next = u64::try_from(count)
            .ok()
            .and_then(|count| first_index.checked_add(count))
            .ok_or(LogConflict::IndexOverflow { first_index, count })?;
        let first = if self.is_empty() { first_index } else { self.first };
        Ok(Self { first, next, truncated: false })
    }

    fn after_truncate(self, index: u64) -> Self {
        if index >= self.next {
            return self;
        }
        Self { next: index.max(self.first), truncated: true, ..self }
    }

    fn after_purge(self, index: u64) -> Self {
        let first = self.first.max(index.saturating_add(1));
        let next = self.next.max(first);
        Self { first, next, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(first: u64, next: u64) -> LogBounds {
        LogBounds { first, next, truncated: false }
    }

    fn append(first_index: u64, count: usize) -> Operation {
        Operation::Append { first_index, entries: vec![Vec::new(); count] }
    }

    fn check(before: LogBounds, operation: &Operation, expected: Result<(u64, u64), LogConflict>) {
        let after = before.after(operation).map(|bounds| (bounds.first, bounds.next));
        assert_eq!(after, expected, "{before:?} then {operation:?}");
    }

    #[test]
    fn an_append_continues_the_log() {
        check(bounds(3, 7), &append(7, 2), Ok((3, 9)));
        check(bounds(3, 7), &append(8, 1), Err(LogConflict::NotNext { first_index: 8, next_index: 7 }));
        check(bounds(3, 7), &append(6, 1), Err(LogConflict::NotNext { first_index: 6, next_index: 7 }));
    }

    #[test]
    fn an_empty_log_starts_anywhere_beyond_the_purge() {
        check(bounds(5, 5), &append(5, 1), Ok((5, 6)));
        check(bounds(5, 5), &append(9, 1), Ok((9, 10)));
        check(bounds(5, 5), &append(4, 1), Err(LogConflict::Purged { first_index: 4, first_allowed: 5 }));
    }

    #[test]
    fn indexes_do_not_overflow() {
        let conflict = LogConflict::IndexOverflow { first_index: u64::MAX, count: 1 };
        check(bounds(0, 0), &append(u64::MAX, 1), Err(conflict));
        check(bounds(0, 0), &append(u64::MAX - 1, 1), Ok((u64::MAX - 1, u64::MAX)));
        check(bounds(0, 9), &Operation::PurgeTo { index: u64::MAX }, Ok((u64::MAX, u64::MAX)));
    }

    #[test]
    fn truncation_never_reaches_before_the_first_entry() {
        check(bounds(3, 7), &Operation::TruncateFrom { index: 5 }, Ok((3, 5)));
        check(bounds(3, 7), &Operation::TruncateFrom { index: 1 }, Ok((3, 3)));
        check(bounds(3, 7), &Operation::TruncateFrom { index: 9 }, Ok((3, 7)));
    }

    #[test]
    fn a_purge_may_go_beyond_the_end_and_never_backwards() {
        check(bounds(3, 7), &Operation::PurgeTo { index: 4 }, Ok((5, 7)));
        check(bounds(3, 7), &Operation::PurgeTo { index: 99 }, Ok((100, 100)));
        check(bounds(3, 7), &Operation::PurgeTo { index: 1 }, Ok((3, 7)));
    }
}
