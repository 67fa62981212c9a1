//! The connection to the database: one for all calls of a thread, opened when it is first needed.
//!
//! A request to open waits in a task of its own, which keeps the browser's callbacks until the request has ended.
//! Callers that need the database wait for that task for a while. A connection that comes later is used by the next
//! call.

use super::super::FORMAT;
use super::events::{failed, first_event, silent};
use crate::error::Result;
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use futures_channel::oneshot;
use js_sys::Reflect;
use std::cell::RefCell;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{IdbDatabase, IdbFactory, IdbOpenDbRequest};

pub(super) const MODELS: &str = "models";
pub(super) const UNITS: &str = "units";
pub(super) const DATA: &str = "data";
pub(super) const NOTES: &str = "notes";

/// Every format has a database of its own, so that versions of this program on one origin leave each other's alone, and
/// none has to wait until another tab closes an older one. (Format 2 and those before it share the bare name.)
pub const NAME: &str = "tokenformer-web";
/// How long a browser may take to open it.
const OPENING: Duration = Duration::from_secs(5);

/// Reports that a request has ended, and how.
type Ended = oneshot::Sender<Result<IdbDatabase, JsValue>>;

/// What the browser calls, by the names of its events.
type Listeners = Vec<(&'static str, Closure<dyn FnMut()>)>;

enum State {
    Closed,
    /// A request is under way; the senders notify those that wait for it.
    Opening(Vec<Ended>),
    /// The request took too long: it is no longer waited for.
    Silent,
    Open(IdbDatabase, Listeners),
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::Closed) };
}

/// The database's name.
pub fn database_name() -> String {
    format!("{NAME} {FORMAT}")
}

/// The browser's IndexedDB.
pub fn factory() -> Result<IdbFactory, JsValue> {
    Reflect::get(&js_sys::global(), &"indexedDB".into())?.dyn_into()
}

/// The connection of this thread.
///
/// # Errors
/// `quota` where the browser gives no storage, or does not answer.
pub async fn connect() -> Result<IdbDatabase> {
    let (sender, receiver) = oneshot::channel();
    let is_first = STATE.with_borrow_mut(|state| match state {
        State::Open(database, _) => Err(Ok(database.clone())),
        State::Silent => Err(Err(silent())),
        State::Opening(waiting) => {
            waiting.push(sender);
            Ok(false)
        }
        State::Closed => {
            *state = State::Opening(vec![sender]);
            Ok(true)
        }
    });
    match is_first {
        Err(known) => return known,
        Ok(true) => spawn_local(async {
            let opened = open().await;
            let waiting = STATE.with_borrow_mut(|state| {
                let next =
                    opened.as_ref().map_or(State::Closed, |database| State::Open(database.clone(), watch(database)));
                match std::mem::replace(state, next) {
                    State::Opening(waiting) => waiting,
                    _ => Vec::new(),
                }
            });
            for one in waiting {
                let _ = one.send(opened.clone()); // nobody may be left to hear of it
            }
        }),
        Ok(false) => {}
    }
    match within(&Browser, OPENING, receiver).await {
        Some(Ok(opened)) => opened.map_err(|e| failed(&e)),
        _ => {
            STATE.with_borrow_mut(|state| {
                if matches!(state, State::Opening(_)) {
                    *state = State::Silent;
                }
            });
            Err(silent())
        }
    }
}

/// The next call opens another connection.
pub fn disconnect() {
    let state = STATE.with_borrow_mut(|state| match state {
        State::Open(..) => std::mem::replace(state, State::Closed),
        _ => State::Closed,
    });
    if let State::Open(database, listeners) = state {
        for (name, listener) in &listeners {
            // It was added, so it can be removed.
            let _ = database.remove_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
        database.close();
    }
}

/// Gives up the connection when the browser closes it, or when the database is to be deleted: neither must wait for
/// this thread.
fn watch(database: &IdbDatabase) -> Listeners {
    let listener = |name| {
        // Not at once: this closure goes with the connection.
        let listener = Closure::<dyn FnMut()>::new(|| spawn_local(async { disconnect() }));
        database.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref()).ok()?;
        Some((name, listener))
    };
    ["versionchange", "close"].into_iter().filter_map(listener).collect()
}

async fn open() -> Result<IdbDatabase, JsValue> {
    let opening = factory()?.open_with_u32(&database_name(), 1)?;
    let request = opening.clone();
    let upgrade = Closure::<dyn FnMut() -> Result<(), JsValue>>::new(move || {
        let database: IdbDatabase = request.result()?.dyn_into()?;
        for store in [MODELS, UNITS, DATA, NOTES] {
            database.create_object_store(store)?;
        }
        Ok(())
    });
    opening.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
    ended(&opening).await
}

/// Waits for the end of a request.
pub async fn ended(opening: &IdbOpenDbRequest) -> Result<IdbDatabase, JsValue> {
    let error = || opening.error().ok().flatten().map_or(JsValue::UNDEFINED, JsValue::from);
    first_event(opening.as_ref(), &["success"], &["error"], error).await?;
    opening.result()?.dyn_into()
}
