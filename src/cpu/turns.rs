//! Giving way: a forward pass takes longer than a page may be without answering, and longer than an abort may wait.

#[cfg(target_arch = "wasm32")]
pub use here::Turns;
#[cfg(not(target_arch = "wasm32"))]
pub use native::Turns;

#[cfg(target_arch = "wasm32")]
mod here {
    use crate::platform::Clock;
    use crate::platform::browser::Browser;
    use js_sys::{Promise, Reflect};
    use std::cell::Cell;
    use wasm_bindgen::JsValue;
    use wasm_bindgen_futures::JsFuture;
    use web_sys::MessageChannel;
    use web_time::{Duration, Instant};

    /// Longest that others wait for their turn on the page's own thread, …
    const OF_THE_PAGE: Duration = Duration::from_millis(12);
    /// … and in a worker, where only messages wait.
    const OF_A_WORKER: Duration = Duration::from_millis(40);

    /// Products between two looks at the clock, which costs as much as a thousand: a fraction of a millisecond.
    const LOOK: usize = 1 << 20;

    /// Lets tasks that wait have their turn.
    pub struct Turns {
        length: Duration,
        since: Cell<Instant>,
        /// Products since the last look at the clock.
        done: Cell<usize>,
        /// A message to oneself comes after everything that waits already: `scheduler.yield()` goes on before messages
        /// and timers, which bring the aborts, and timers wait 4 ms. `None` only where there are no channels.
        channel: Option<MessageChannel>,
    }

    impl Turns {
        pub fn new() -> Self {
            let has_page = Reflect::has(&js_sys::global(), &"document".into()).unwrap_or(false);
            let length = if has_page { OF_THE_PAGE } else { OF_A_WORKER };
            Self { length, since: Cell::new(Instant::now()), done: Cell::new(0), channel: MessageChannel::new().ok() }
        }

        /// After so many products.
        pub async fn give_way(&self, products: usize) {
            self.done.set(self.done.get() + products);
            if self.done.get() < LOOK {
                return;
            }
            self.done.set(0);
            if self.since.get().elapsed() < self.length {
                return;
            }
            match &self.channel {
                Some(channel) => {
                    let (to, from) = (channel.port1(), channel.port2());
                    let message = Promise::new(&mut |resolve, _| {
                        from.set_onmessage(Some(&resolve));
                        let _ = to.post_message(&JsValue::NULL); // null can be sent
                    });
                    let _ = JsFuture::from(message).await; // it never rejects
                }
                None => Browser.give_way().await,
            }
            self.since.set(Instant::now());
        }
    }

    impl Drop for Turns {
        fn drop(&mut self) {
            if let Some(channel) = &self.channel {
                channel.port1().close();
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    /// Nobody waits.
    pub struct Turns;

    impl Turns {
        pub fn new() -> Self {
            Self
        }

        pub async fn give_way(&self, _products: usize) {}
    }
}
