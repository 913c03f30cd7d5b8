//! What must not happen in any run, and shows nowhere else: a panic in a task, which its runtime catches, and a thread, which no seed
//! commands.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fs, panic};

/// How many panics are told of.
const MOST: usize = 5;

/// The threads of a run: that of `main`, and the simulation's.
const THREADS: usize = 2;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes every panic from here on.
pub(crate) fn watch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let mut seen = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST {
            seen.push(panic.to_string().replace('\n', " "));
        }
        drop(seen);
        usual(panic);
    }));
}

/// The most threads that were seen.
static MOST_THREADS: AtomicUsize = AtomicUsize::new(THREADS);

/// Looks how many threads there are. One that cannot be looked for counts as one too many.
pub(crate) fn count_threads() {
    let threads = fs::read_dir("/proc/self/task").map_or(THREADS + 1, Iterator::count);
    MOST_THREADS.fetch_max(threads, Ordering::Relaxed);
}

/// What has happened so far, each as a promise that was broken.
pub(crate) fn tripped() -> Vec<String> {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let panics = panics.iter().map(|how| format!("nothing panics: {how}"));
    let threads = MOST_THREADS.load(Ordering::Relaxed);
    let stray = format!("one thread runs all: there were {threads}, of which {THREADS} are ours");
    panics.chain((threads != THREADS).then_some(stray)).collect()
}
