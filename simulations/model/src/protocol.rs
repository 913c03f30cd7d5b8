//! What is checked: the rules, within bounds.

use crate::{Bounds, Rule, Ticks};

/// The protocol, with all of its rules or with all but one.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// How large it is.
    pub bounds: Bounds,
    /// The rule that nobody follows.
    pub without: Option<Rule>,
}

impl Protocol {
    pub(crate) fn follows(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// The earliest that any clock shows.
    pub(crate) fn past(&self) -> Ticks {
        -self.bounds.lateness
    }
}
