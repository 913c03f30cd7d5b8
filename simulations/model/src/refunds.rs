//! How far refunds have moved what was spent behind them: the rule of the limiter's `leader/refunds.rs`.

use crate::Ticks;

/// Proof of an admission that may still be given back.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Receipt {
    /// Where its interval would end had nothing ever been given back to the bucket.
    pub(crate) end: Ticks,
    pub(crate) units: Ticks,
    /// When it was admitted, in true time.
    pub(crate) taken: Ticks,
}

/// What was given back to one bucket, as far as a receipt depends on it.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Refunds {
    /// The earliest end first.
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Run {
    /// The end of what was given back, as its receipt named it.
    end: Ticks,
    back: Ticks,
}

impl Refunds {
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The end of what is spent now as its receipt names it.
    pub(crate) fn end_in_receipt(&self, end: Ticks) -> Ticks {
        end + self.runs.iter().map(|run| run.back).sum::<Ticks>()
    }

    /// Where the interval ends by now whose receipt names `end`.
    pub(crate) fn end_now(&self, end: Ticks) -> Ticks {
        end - self.runs.iter().take_while(|run| run.end < end).map(|run| run.back).sum::<Ticks>()
    }

    /// The bucket goes back by `back`, of the interval whose receipt names `end`.
    pub(crate) fn note(&mut self, end: Ticks, back: Ticks) {
        let place = self.runs.partition_point(|run| run.end <= end);
        self.runs.insert(place, Run { end, back });
    }

    pub(crate) fn pass(&mut self) {
        self.runs.iter_mut().for_each(|run| run.end -= 1);
    }

    /// Forgets what lies behind all `receipts`, and what lies before all of them, by which their ends are lowered instead.
    pub(crate) fn forget(&mut self, receipts: &mut [Receipt]) {
        let ends = || receipts.iter().map(|receipt| receipt.end);
        let (first, last) = (ends().min(), ends().max());
        self.runs.retain(|run| last.is_some_and(|last| run.end < last));
        let before = self.runs.partition_point(|run| first.is_some_and(|first| run.end < first));
        let back: Ticks = self.runs.drain(..before).map(|run| run.back).sum();
        receipts.iter_mut().for_each(|receipt| receipt.end -= back);
        self.runs.iter_mut().for_each(|run| run.end -= back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket at one instant, in which units are taken and given back.
    #[derive(Clone, Default)]
    struct Bucket {
        arrival: Ticks,
        receipts: Vec<Receipt>,
        refunds: Refunds,
    }

    impl Bucket {
        /// One receipt is given back, or, if there are not so many, a unit is taken.
        fn after(&self, choice: usize) -> Self {
            let mut after = self.clone();
            if choice < self.receipts.len() {
                after.give_back(choice)
            } else {
                after.spend()
            }
            after
        }

        fn spend(&mut self) {
            self.arrival += 1;
            let end = self.refunds.end_in_receipt(self.arrival);
            self.receipts.push(Receipt { end, units: 1, taken: 0 });
        }

        fn give_back(&mut self, receipt: usize) {
            let Receipt { end, .. } = self.receipts.remove(receipt);
            self.arrival -= 1;
            self.refunds.note(end, 1);
        }

        fn ends(&self) -> Vec<Ticks> {
            self.receipts.iter().map(|receipt| self.refunds.end_now(receipt.end)).collect()
        }
    }

    /// Tries every sequence of so many steps from here.
    fn check(bucket: &Bucket, forgetful: &Bucket, steps: usize) {
        let dense: Vec<_> = (1..=bucket.arrival).collect();
        assert_eq!(bucket.ends(), dense, "one behind the other, with no gap");
        assert_eq!(forgetful.ends(), dense, "whatever was forgotten");
        let Some(steps) = steps.checked_sub(1) else { return };
        for choice in 0..=bucket.receipts.len() {
            let mut forgetful = forgetful.after(choice);
            forgetful.refunds.forget(&mut forgetful.receipts);
            check(&bucket.after(choice), &forgetful, steps);
        }
    }

    #[test]
    fn in_whatever_order_is_given_back_the_rest_lies_one_behind_the_other() {
        check(&Bucket::default(), &Bucket::default(), 9);
    }
}
