//! Waits until everything that is already queued has run: a message to oneself arrives after it. Outside a browser
//! `setImmediate` does this, since an open channel would keep the process from ending.
//!
//! `scheduler.yield()` would resume before messages and timers, which carry the aborts, and timers wait 4 ms.

use js_sys::{Function, Promise, Reflect};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

/// Waiters for their messages; messages arrive in the order in which they were sent.
type Waiting = Rc<RefCell<VecDeque<Function>>>;

struct Messages {
    channel: MessageChannel,
    waiting: Waiting,
    /// Called by the channel as long as the thread lives.
    _deliver: Closure<dyn FnMut()>,
}

thread_local! {
    /// `setImmediate`, where there is such a thing.
    static SET_IMMEDIATE: Option<Function> =
        Reflect::get(&js_sys::global(), &"setImmediate".into()).ok().and_then(|f| f.dyn_into().ok());
    /// `None` only where there are no channels.
    static MESSAGES: Option<Messages> = Messages::new();
}

impl Messages {
    fn new() -> Option<Self> {
        let channel = MessageChannel::new().ok()?;
        let waiting = Waiting::default();
        let arrived = waiting.clone();
        let deliver = Closure::<dyn FnMut()>::new(move || {
            let first = arrived.borrow_mut().pop_front();
            if let Some(resolve) = first {
                let _ = resolve.call0(&JsValue::UNDEFINED); // resolving a promise never throws
            }
        });
        channel.port2().set_onmessage(Some(deliver.as_ref().unchecked_ref()));
        Some(Self { channel, waiting, _deliver: deliver })
    }

    fn send(&self) -> Option<Promise> {
        self.channel.port1().post_message(&JsValue::NULL).ok()?;
        Some(Promise::new(&mut |resolve, _| self.waiting.borrow_mut().push_back(resolve)))
    }
}

/// Ends once everything queued before it has run; false at once if there is no such mechanism here.
pub async fn after_all() -> bool {
    if let Some(set_immediate) = SET_IMMEDIATE.with(Clone::clone) {
        let called = Promise::new(&mut |resolve, _| {
            let _ = set_immediate.call1(&JsValue::UNDEFINED, &resolve); // it throws for what is no function
        });
        return JsFuture::from(called).await.is_ok();
    }
    let sent = MESSAGES.with(|messages| messages.as_ref().and_then(Messages::send));
    match sent {
        Some(message) => JsFuture::from(message).await.is_ok(), // it never rejects
        None => false,
    }
}
