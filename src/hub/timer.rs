//! Waiting in a page or a worker.

use futures_util::future::{Either, select};
use js_sys::{Array, Function, Promise, Reflect};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortSignal;
use web_time::Instant;

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
    // The promise never rejects.
    unless_aborted(JsFuture::from(timer.promise.clone()), signal).await;
}

/// What `work` results in, or `None` if it takes longer than `time`, by the clock.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let began = Instant::now();
    let mut work = std::pin::pin!(work);
    while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        match select(work.as_mut(), std::pin::pin!(sleep(left, None))).await {
            Either::Left((result, _)) => return Some(result),
            Either::Right(_) => {}
        }
    }
    None
}

/// What `work` results in, or `None` if `signal` aborts first.
pub async fn unless_aborted<T>(work: impl Future<Output = T>, signal: Option<&AbortSignal>) -> Option<T> {
    let Some(signal) = signal else { return Some(work.await) };
    if signal.aborted() {
        return None;
    }
    let aborted = Aborted::of(signal);
    let promise = std::pin::pin!(JsFuture::from(aborted.promise.clone()));
    match select(std::pin::pin!(work), promise).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// A promise that resolves when a signal aborts; nobody listens any more once this is dropped.
struct Aborted<'a> {
    signal: &'a AbortSignal,
    promise: Promise,
    listener: Option<Function>,
}

impl<'a> Aborted<'a> {
    fn of(signal: &'a AbortSignal) -> Self {
        let mut listener = None;
        let promise = Promise::new(&mut |resolve, _| {
            let _ = signal.add_event_listener_with_callback("abort", &resolve);
            listener = Some(resolve);
        });
        Self { signal, promise, listener }
    }
}

impl Drop for Aborted<'_> {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            let _ = self.signal.remove_event_listener_with_callback("abort", listener);
        }
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
