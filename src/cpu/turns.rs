//! Yielding: a forward pass takes longer than a page may be unresponsive, and longer than an abort may wait.

#[cfg(target_arch = "wasm32")]
pub use here::Turns;
#[cfg(not(target_arch = "wasm32"))]
pub use native::Turns;

#[cfg(target_arch = "wasm32")]
mod here {
    use crate::platform::browser::{Browser, has_page};
    use crate::platform::turns::{self, OF_A_PAGE};
    use std::cell::Cell;
    use std::time::Duration;

    /// Longest that others wait for their turn in a worker, where only messages wait.
    const OF_A_WORKER: Duration = Duration::from_millis(40);

    /// Products between two looks at the clock, which costs as much as a thousand: a fraction of a millisecond.
    const LOOK: usize = 1 << 20;

    /// Yields to waiting tasks.
    pub struct Turns {
        turns: turns::Turns<Browser>,
        /// Products since the last look at the clock.
        done: Cell<usize>,
    }

    impl Turns {
        pub fn new() -> Self {
            let length = if has_page() { OF_A_PAGE } else { OF_A_WORKER };
            Self { turns: turns::Turns::new(Browser, length), done: Cell::new(0) }
        }

        /// Yields if it is time to; to be called after this many products.
        pub async fn give_way(&self, products: usize) {
            self.done.set(self.done.get() + products);
            if self.done.get() >= LOOK {
                self.done.set(0);
                self.turns.give_way().await;
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    /// Nothing else waits.
    pub struct Turns;

    impl Turns {
        pub fn new() -> Self {
            Self
        }

        pub async fn give_way(&self, _products: usize) {}
    }
}
