//! Waiting in a page or a worker.

use js_sys::{Array, Function, Promise, Reflect};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    // The global functions, which a page and a worker have alike.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

/// A promise that resolves to undefined; it is forgotten when this is dropped.
struct Timer {
    promise: Promise,
    id: JsValue,
}

impl Timer {
    fn new(time: Duration) -> Self {
        let mut id = JsValue::UNDEFINED;
        let promise = Promise::new(&mut |resolve, _| id = set_timeout(&resolve, time.as_secs_f64() * 1000.0));
        Self { promise, id }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}

/// What `promise` resolves to, or `None` after `time`. (It must not resolve to undefined.)
///
/// # Errors
/// What the promise rejects with.
pub async fn race(promise: &Promise, time: Duration) -> Result<Option<JsValue>, JsValue> {
    let timer = Timer::new(time);
    let first = JsFuture::from(Promise::race(&Array::of2(promise, &timer.promise))).await?;
    Ok((!first.is_undefined()).then_some(first))
}

/// Waits, but no longer than until `signal` aborts.
pub async fn sleep(time: Duration, signal: Option<&AbortSignal>) {
    let timer = Timer::new(time);
    let Some(signal) = signal.filter(|s| !s.aborted()) else {
        let _ = JsFuture::from(timer.promise.clone()).await; // it never rejects
        return;
    };
    let mut listener = JsValue::UNDEFINED;
    let aborted = Promise::new(&mut |resolve, _| {
        let _ = signal.add_event_listener_with_callback("abort", &resolve);
        listener = resolve.into();
    });
    let _ = JsFuture::from(Promise::race(&Array::of2(&timer.promise, &aborted))).await;
    if let Some(listener) = listener.dyn_ref::<Function>() {
        let _ = signal.remove_event_listener_with_callback("abort", listener);
    }
}

/// Lets the browser paint and answer before work goes on.
pub async fn breathe() {
    // `scheduler.yield()` goes on at once if nothing else waits; timers wait 4 ms.
    let scheduler = Reflect::get(&js_sys::global(), &"scheduler".into()).unwrap_or(JsValue::UNDEFINED);
    let go_on = Reflect::get(&scheduler, &"yield".into()).ok().and_then(|f| f.dyn_into::<Function>().ok());
    match go_on.and_then(|f| f.call0(&scheduler).ok()).and_then(|p| p.dyn_into::<Promise>().ok()) {
        Some(promise) => drop(JsFuture::from(promise).await), // it never rejects
        None => sleep(Duration::ZERO, None).await,
    }
}
