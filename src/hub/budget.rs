//! Bytes that have arrived and were not taken yet: the task that brings more of them waits.

use futures_channel::oneshot;
use std::cell::{Cell, RefCell};

/// Most bytes that are buffered for one request. A range never has as many; a server that sends whole files does.
const MOST: u64 = 32 << 20;

/// Counts the bytes between a task that brings them and one that takes them.
#[derive(Debug, Default)]
pub struct Budget {
    lying: Cell<u64>,
    waiting: RefCell<Option<oneshot::Sender<()>>>,
}

impl Budget {
    /// Bytes were brought: waits while there are too many.
    pub async fn bring(&self, bytes: u64) {
        self.lying.set(self.lying.get() + bytes);
        while self.lying.get() > MOST {
            let (sender, receiver) = oneshot::channel();
            self.waiting.replace(Some(sender));
            let _ = receiver.await; // either way it is time to look again
        }
    }

    /// Bytes were taken.
    pub fn take(&self, bytes: u64) {
        self.lying.set(self.lying.get().saturating_sub(bytes));
        if self.lying.get() <= MOST / 2 {
            self.waiting.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn who_brings_too_much_waits_until_half_is_taken() {
        let context = &mut Context::from_waker(Waker::noop());
        let budget = Budget::default();
        assert_eq!(pin!(budget.bring(MOST)).poll(context), Poll::Ready(()));
        let mut more = pin!(budget.bring(1));
        assert_eq!(more.as_mut().poll(context), Poll::Pending);
        budget.take(MOST / 2 - 1);
        assert_eq!(more.as_mut().poll(context), Poll::Pending);
        budget.take(2);
        assert_eq!(more.as_mut().poll(context), Poll::Ready(()));
    }
}
