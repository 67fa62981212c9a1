//! Waiting for the events of IndexedDB, and what its errors mean.

use crate::error::{Error, ErrorCode};
use futures_channel::oneshot;
use js_sys::Reflect;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::IdbTransaction;

/// The name of what was thrown.
fn name(e: &JsValue) -> String {
    Reflect::get(e, &"name".into()).ok().and_then(|n| n.as_string()).unwrap_or_default()
}

/// True where another connection may do what this one could not.
pub fn is_lost_connection(e: &JsValue) -> bool {
    matches!(name(e).as_str(), "InvalidStateError" | "UnknownError")
}

/// The error of the public interface for what was thrown.
pub fn failed(e: &JsValue) -> Error {
    let message = Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default();
    let cause = format!("{}: {message}", name(e));
    if name(e) == "QuotaExceededError" {
        return Error::new(ErrorCode::Quota, "The browser's storage is full.")
            .hint("Delete models that are not needed, or free some space on the disk.")
            .caused_by(cause);
    }
    Error::new(ErrorCode::Storage, "The browser's storage cannot be used.")
        .hint("Private windows and blocked site data have none.")
        .caused_by(cause)
}

/// Where the storage does not answer at all.
pub fn silent() -> Error {
    Error::new(ErrorCode::Storage, "The browser's storage does not answer.")
        .hint("Restart the browser to keep models again.")
}

/// Waits until a transaction is complete.
pub async fn completion(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let error = || transaction.error().map_or(JsValue::UNDEFINED, JsValue::from);
    first_event(transaction.as_ref(), &["complete"], &["abort"], error).await
}

/// Listeners that are removed with this: the future that waits may be dropped before anything happens.
struct Listeners<'a> {
    target: &'a web_sys::EventTarget,
    added: Vec<(&'a str, Listener)>,
}

type Listener = Closure<dyn FnMut()>;

impl<'a> Listeners<'a> {
    fn add(&mut self, name: &'a str, listener: Listener) -> Result<(), JsValue> {
        self.target.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref())?;
        self.added.push((name, listener));
        Ok(())
    }
}

impl Drop for Listeners<'_> {
    fn drop(&mut self) {
        for (name, listener) in &self.added {
            // It was added, so it can be removed.
            let _ = self.target.remove_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
    }
}

/// Waits for the first of some events.
pub async fn first_event(
    target: &web_sys::EventTarget,
    good: &[&str],
    bad: &[&str],
    error: impl Fn() -> JsValue,
) -> Result<(), JsValue> {
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let mut listeners = Listeners { target, added: Vec::new() };
    for (names, is_good) in [(good, true), (bad, false)] {
        for name in names {
            let sender = sender.clone();
            listeners.add(
                name,
                Closure::new(move || {
                    if let Some(sender) = sender.borrow_mut().take() {
                        let _ = sender.send(is_good); // nobody waits any more: then nobody needs to know
                    }
                }),
            )?;
        }
    }
    if receiver.await.unwrap_or(false) { Ok(()) } else { Err(error()) }
}
