//! Web Locks: two tabs that load the same model share one download.

use futures_channel::oneshot;
use js_sys::{Function, Object, Promise, Reflect};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks`.
    type LockManager;
    #[wasm_bindgen(method, catch)]
    fn request(this: &LockManager, name: &str, options: &Object, callback: &Function) -> Result<Promise, JsValue>;
}

/// A lock that was requested: held from when it is granted until this is dropped or the tab is closed. Dropping it
/// before that withdraws the request.
pub struct Lock {
    release: Function,
    controller: AbortController,
    granted: oneshot::Receiver<bool>,
}

impl Lock {
    /// Asks for the lock of this name. `None` where there are no Web Locks (without a secure context).
    pub fn request(name: &str) -> Option<Self> {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        let manager = Reflect::get(&navigator, &"locks".into()).ok().filter(|l| !l.is_undefined())?;
        let mut release = None;
        let held = Promise::new(&mut |resolve, _| release = Some(resolve));
        let (sender, granted) = oneshot::channel();
        let sender = Rc::new(RefCell::new(Some(sender)));
        let granting = sender.clone();
        let callback = Closure::<dyn FnMut() -> Promise>::new(move || {
            if let Some(sender) = granting.borrow_mut().take() {
                let _ = sender.send(true); // the lock ends with its holder
            }
            held.clone()
        });
        let (options, controller) = (Object::new(), AbortController::new().ok()?);
        Reflect::set(&options, &"signal".into(), &controller.signal()).ok()?;
        let manager = manager.unchecked_into::<LockManager>();
        let request = manager.request(name, &options, callback.as_ref().unchecked_ref()).ok()?;
        spawn_local(async move {
            // The browser may call it until the request has ended, even if the `Lock` is dropped.
            let _callback = callback;
            let refused = JsFuture::from(request).await.is_err();
            if let Some(sender) = sender.borrow_mut().take().filter(|_| refused) {
                let _ = sender.send(false);
            }
        });
        Some(Self { release: release?, controller, granted })
    }
}

impl super::super::Lock for Lock {
    async fn is_granted(&mut self) -> bool {
        (&mut self.granted).await.unwrap_or(false)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.controller.abort(); // once it is granted, nothing comes of this
        let _ = self.release.call0(&JsValue::UNDEFINED); // resolving a promise never throws
    }
}
