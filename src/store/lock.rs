//! Web Locks: two tabs that load the same model share one download.

use futures_channel::oneshot;
use js_sys::{Function, Object, Promise, Reflect};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks`.
    type LockManager;
    #[wasm_bindgen(method, catch)]
    fn request(this: &LockManager, name: &str, options: &Object, callback: &Function) -> Result<Promise, JsValue>;
}

/// A lock that is held until this is dropped, or the tab is closed.
pub struct Lock {
    release: Function,
    _callback: Closure<dyn FnMut() -> Promise>,
}

impl Lock {
    /// Waits for the lock of this name. `None` where there are no Web Locks (without a secure context), or
    /// if `signal` aborts first.
    pub async fn acquire(name: &str, signal: Option<&AbortSignal>) -> Option<Self> {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        let manager = Reflect::get(&navigator, &"locks".into()).ok().filter(|l| !l.is_undefined())?;
        let mut release = None;
        let held = Promise::new(&mut |resolve, _| release = Some(resolve));
        let (sender, receiver) = oneshot::channel();
        let sender = Rc::new(RefCell::new(Some(sender)));
        let granted = sender.clone();
        let callback = Closure::<dyn FnMut() -> Promise>::new(move || {
            if let Some(sender) = granted.borrow_mut().take() {
                let _ = sender.send(true); // the lock ends with its holder
            }
            held.clone()
        });
        let options = Object::new();
        if let Some(signal) = signal {
            Reflect::set(&options, &"signal".into(), signal).ok()?;
        }
        let manager = manager.unchecked_into::<LockManager>();
        let request = manager.request(name, &options, callback.as_ref().unchecked_ref()).ok()?;
        spawn_local(async move {
            let refused = JsFuture::from(request).await.is_err();
            if let Some(sender) = sender.borrow_mut().take().filter(|_| refused) {
                let _ = sender.send(false);
            }
        });
        let lock = Self { release: release?, _callback: callback };
        receiver.await.unwrap_or(false).then_some(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::UNDEFINED); // resolving a promise never throws
    }
}
