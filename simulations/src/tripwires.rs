//! What must not happen in any run, and shows nowhere else: a panic in a task, which its runtime catches, and a thread, which no seed
//! commands.

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

/// What has happened so far, each as a promise that was broken.
pub(crate) fn tripped() -> Vec<String> {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let panics = panics.iter().map(|how| format!("nothing panics: {how}"));
    let threads = fs::read_dir("/proc/self/task").map_or(THREADS, Iterator::count);
    let strays =
        (threads != THREADS).then(|| format!("one thread runs all: there are {threads}, of which {THREADS} are ours"));
    panics.chain(strays).collect()
}
