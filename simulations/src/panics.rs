//! Panics: a runtime catches that of a task, and the run goes on, so they are counted here.

use std::panic;
use std::sync::{Mutex, PoisonError};

/// How many are told of.
const MOST: usize = 5;

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes every panic from here on.
pub(crate) fn watch() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST {
            seen.push(panic.to_string().replace('\n', " "));
        }
        drop(seen);
        usual(panic);
    }));
}

/// The panics so far.
pub(crate) fn seen() -> Vec<String> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
