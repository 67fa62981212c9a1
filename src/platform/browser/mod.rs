//! The platform of a page or a worker.

mod bytes;
mod digest;
mod fetch;
mod lock;
mod messages;

use super::abort::Signal;
use super::{Clock, Fetch, Platform, Request, Response};
use fetch::Stream;
pub use fetch::read_files_with;
use js_sys::{Date, Function, Promise, Reflect, Uint8Array};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortSignal;
use web_time::Instant;

/// This thread's browser.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser;

#[wasm_bindgen]
extern "C" {
    // The global functions, which both a page and a worker have.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

thread_local! {
    static BEGAN: Instant = Instant::now();
}

/// A timer; dropping this ends it. Whatever awaits a promise keeps its closures until the promise settles, so dropping
/// also settles it: merely clearing the timer would leak some of this module's memory.
struct Timer {
    promise: Promise,
    resolve: Function,
    id: JsValue,
}

impl Timer {
    fn new(time: Duration) -> Self {
        let (mut id, mut function) = (JsValue::UNDEFINED, None);
        let promise = Promise::new(&mut |resolve, _| {
            id = set_timeout(&resolve, time.as_secs_f64() * 1000.0);
            function = Some(resolve);
        });
        // `Promise::new` has called it.
        Self { promise, resolve: function.unwrap_or_default(), id }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
        let _ = self.resolve.call0(&JsValue::UNDEFINED);
    }
}

impl Clock for Browser {
    fn now(&self) -> Duration {
        BEGAN.with(Instant::elapsed)
    }

    fn date(&self) -> f64 {
        Date::now()
    }

    async fn sleep(&self, time: Duration) {
        let timer = Timer::new(time);
        let _ = JsFuture::from(timer.promise.clone()).await; // it never rejects
    }

    async fn give_way(&self) {
        if !messages::after_all().await {
            self.sleep(Duration::ZERO).await;
        }
    }
}

impl Fetch for Browser {
    type Bytes = Uint8Array;
    type Body = Stream;

    async fn fetch(&self, request: Request<'_>) -> Result<Response<Stream>, String> {
        fetch::fetch(request).await
    }

    fn is_offline(&self) -> bool {
        let online = Reflect::get(&global("navigator"), &"onLine".into());
        online.ok().and_then(|online| online.as_bool()) == Some(false)
    }

    fn origin(&self) -> String {
        global("origin").as_string().unwrap_or_default()
    }
}

impl Platform for Browser {
    type Lock = lock::Lock;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    async fn sha256(&self, bytes: &Uint8Array) -> String {
        digest::digest(bytes).await
    }

    fn lock(&self, name: &str) -> Option<lock::Lock> {
        lock::Lock::request(name)
    }
}

/// A signal that is set when a page's own signal aborts. Dropping this stops listening.
pub struct Linked {
    /// What is set.
    pub signal: Signal,
    listener: Option<(AbortSignal, Closure<dyn FnMut()>)>,
}

impl Linked {
    /// Linked to a page's signal, if it passed one.
    pub fn to(theirs: Option<&AbortSignal>) -> Self {
        let signal = Signal::default();
        let listener = theirs.map(|theirs| {
            let ours = signal.clone();
            let listener = Closure::<dyn FnMut()>::new(move || ours.set());
            // Adding a listener does not throw.
            let _ = theirs.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
            (theirs.clone(), listener)
        });
        if theirs.is_some_and(AbortSignal::aborted) {
            signal.set();
        }
        Self { signal, listener }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        if let Some((theirs, listener)) = &self.listener {
            let _ = theirs.remove_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        }
    }
}

/// True on a page's own thread, false in a worker.
pub fn has_page() -> bool {
    !global("document").is_undefined()
}

/// A property of the global object; undefined if there is none.
fn global(name: &str) -> JsValue {
    Reflect::get(&js_sys::global(), &name.into()).unwrap_or(JsValue::UNDEFINED)
}
