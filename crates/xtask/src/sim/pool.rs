//! Does jobs on all cores.

use std::num::NonZero;
use std::sync::{Mutex, MutexGuard};
use std::thread;

use anyhow::Result;

/// Jobs that are given out one by one, and learn what came of each.
pub(super) trait Queue: Send {
    /// What is to be done.
    type Job: Send;
    /// What came of it.
    type Done: Send;

    /// The next job; `None` when there is none and none will come.
    fn next(&mut self) -> Option<Self::Job>;

    /// A job is done.
    fn done(&mut self, job: Self::Job, done: Self::Done);
}

/// How many jobs are done at once: one a core, since each keeps one busy.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does all jobs of a queue.
///
/// # Errors
/// The first job that cannot be done; no further ones are given out then.
pub(super) fn work_off<Q: Queue>(queue: &mut Q, work: impl Fn(&Q::Job) -> Result<Q::Done> + Sync) -> Result<()> {
    let open = Mutex::new(Some(queue));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores()).map(|_| scope.spawn(|| work_on(&open, &work))).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.collect()
    })
}

/// One worker. The queue is `None` once a job could not be done.
fn work_on<Q: Queue>(open: &Mutex<Option<&mut Q>>, work: impl Fn(&Q::Job) -> Result<Q::Done>) -> Result<()> {
    while let Some(job) = next_of(open) {
        match work(&job) {
            Ok(done) => {
                if let Some(queue) = lock(open).as_mut() {
                    queue.done(job, done);
                }
            }
            Err(error) => {
                *lock(open) = None;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// In a function of its own, so that the queue is free again while the job is done.
fn next_of<Q: Queue>(open: &Mutex<Option<&mut Q>>) -> Option<Q::Job> {
    lock(open).as_mut()?.next()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no worker panics while it holds the queue")
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::time::Duration;

    use anyhow::bail;

    use super::*;

    #[derive(Default)]
    struct Numbers {
        given_out: u64,
        last: u64,
        results: Vec<(u64, u64)>,
    }

    impl Queue for Numbers {
        type Job = u64;
        type Done = u64;

        fn next(&mut self) -> Option<u64> {
            (self.given_out < self.last).then(|| {
                self.given_out += 1;
                self.given_out
            })
        }

        fn done(&mut self, number: u64, result: u64) {
            self.results.push((number, result));
        }
    }

    #[test]
    fn every_job_is_done_once() {
        let mut numbers = Numbers { last: 100, ..Numbers::default() };
        work_off(&mut numbers, |number| Ok(number * number)).expect("all can be done");
        numbers.results.sort_unstable();
        assert_eq!(numbers.results, (1..=100).map(|number| (number, number * number)).collect::<Vec<_>>());
    }

    #[test]
    fn as_many_jobs_are_done_at_once_as_there_are_cores() {
        let (at_work, has_come) = (Mutex::new(0), Condvar::new());
        let mut numbers = Numbers { last: cores() as u64, ..Numbers::default() };
        // Each job waits until all are under way.
        let work = |_: &u64| {
            let mut come = lock(&at_work);
            *come += 1;
            has_come.notify_all();
            let waited = has_come.wait_timeout_while(come, Duration::from_secs(20), |come| *come < cores());
            Ok(u64::from(waited.is_ok_and(|(_, waited)| !waited.timed_out())))
        };
        work_off(&mut numbers, work).expect("all can be done");
        assert!(numbers.results.iter().all(|(_, all_came)| *all_came == 1), "some job waited in vain");
    }

    #[test]
    fn no_job_follows_one_that_cannot_be_done() {
        let mut numbers = Numbers { last: u64::MAX, ..Numbers::default() };
        let ended = work_off(&mut numbers, |number| if *number == 7 { bail!("no 7") } else { Ok(0) });
        assert_eq!(ended.map_err(|error| error.to_string()), Err("no 7".to_owned()));
    }
}
