//! The answer to a disk operation that is already under way.
//!
//! Operations start when they are called, not when they are first polled: the order of writes is the order of calls,
//! whatever the callers do with their completions. Dropping a completion abandons the answer, not the operation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::oneshot;

use crate::StorageError;

/// Resolves when the operation that returned it is done.
///
/// It never hangs: when the thread that would have answered is gone, it resolves to [`StorageError::Stopped`].
#[derive(Debug)]
#[must_use = "an operation may fail, and its effect is only promised once the completion resolves"]
pub struct Completion<T = ()>(State<T>);

#[derive(Debug)]
enum State<T> {
    Ready(Option<Result<T, StorageError>>),
    Waiting(oneshot::Receiver<Result<T, StorageError>>),
}

// Nothing in it is ever pinned in place: the receiver is `Unpin` and a ready value is moved out.
impl<T> Unpin for Completion<T> {}

impl<T> Completion<T> {
    /// A completion that has its answer already.
    pub fn ready(result: Result<T, StorageError>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// A completion and the promise that will resolve it.
    pub fn pending() -> (Promise<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Promise(sender), Self(State::Waiting(receiver)))
    }
}

impl<T> Future for Completion<T> {
    type Output = Result<T, StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(result.take().unwrap_or(Err(StorageError::Stopped))),
            State::Waiting(receiver) => {
                Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or(Err(StorageError::Stopped)))
            }
        }
    }
}

/// The other end of a [`Completion`]. Dropping it unanswered resolves the completion to [`StorageError::Stopped`].
#[derive(Debug)]
pub struct Promise<T = ()>(oneshot::Sender<Result<T, StorageError>>);

impl<T> Promise<T> {
    /// Resolves the completion. A caller that no longer waits is not an error.
    pub fn resolve(self, result: Result<T, StorageError>) {
        drop(self.0.send(result));
    }
}
