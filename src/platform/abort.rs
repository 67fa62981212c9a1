//! A request to stop, which may come at any time.

use crate::error::{Error, ErrorCode, Result};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Set once, for all that share it.
#[derive(Clone, Debug, Default)]
pub struct Signal(Rc<State>);

#[derive(Debug, Default)]
struct State {
    is_set: Cell<bool>,
    /// Wakers of the futures that wait, by number.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Signal {
    /// Sets it.
    pub fn set(&self) {
        self.0.is_set.set(true);
        for (_, waker) in self.0.waiting.take() {
            waker.wake();
        }
    }

    /// True once it is set.
    pub fn is_set(&self) -> bool {
        self.0.is_set.get()
    }

    /// # Errors
    /// `aborted` once it is set.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(aborted()) } else { Ok(()) }
    }

    /// The result of `work`; `None` once this signal is set: then the work is dropped.
    pub async fn unless_set<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let number = self.0.next.get();
        self.0.next.set(number + 1);
        // The signal takes precedence: a result that is ready at the same time came too late.
        match select(Waiting { signal: self, number }, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((result, _)) => Some(result),
        }
    }

    /// The same for work that may fail.
    ///
    /// # Errors
    /// `aborted` once this is set, and those of the work.
    pub async fn end<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.unless_set(work).await.unwrap_or_else(|| Err(aborted()))
    }
}

/// The error of an aborted load.
pub fn aborted() -> Error {
    Error::new(ErrorCode::Aborted, "Loading was aborted.")
}

/// Ends when the signal is set.
struct Waiting<'a> {
    signal: &'a Signal,
    number: u64,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.signal.is_set() {
            return Poll::Ready(());
        }
        self.signal.0.waiting.borrow_mut().insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.signal.0.waiting.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[test]
    fn work_ends_with_the_signal_and_leaves_nobody_waiting() {
        let context = &mut Context::from_waker(Waker::noop());
        let signal = Signal::default();
        let mut work = pin!(signal.unless_set(pending::<()>()));
        assert_eq!(work.as_mut().poll(context), Poll::Pending);
        assert_eq!(pin!(signal.unless_set(ready(1))).poll(context), Poll::Ready(Some(1)));
        assert_eq!(signal.0.waiting.borrow().len(), 1, "who is done waits no more");
        signal.set();
        assert_eq!(work.poll(context), Poll::Ready(None));
        assert_eq!(pin!(signal.unless_set(ready(1))).poll(context), Poll::Ready(None));
        assert_eq!(signal.check().expect_err("set").code, ErrorCode::Aborted);
        assert!(signal.0.waiting.borrow().is_empty());
    }
}
