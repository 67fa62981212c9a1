//! The class `Several`: texts that an `Engine` writes at once.

use super::inner::Inner;
use super::js;
use crate::engine::AbortFlag;
use crate::error::Error;
use crate::generate::{self, Chunk};
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Completions that are being written.
#[wasm_bindgen]
pub struct Several {
    inner: Rc<Inner>,
    /// Taken out while `next` works with them.
    several: RefCell<Option<generate::Several>>,
    /// One for each.
    aborts: Vec<AbortFlag>,
}

/// A chunk, and which of the completions it belongs to.
#[derive(Serialize)]
struct Indexed {
    index: usize,
    #[serde(flatten)]
    chunk: Chunk,
}

impl Several {
    pub(super) fn of(inner: &Rc<Inner>, several: generate::Several) -> Self {
        let aborts = several.aborts();
        Self { inner: inner.clone(), several: RefCell::new(Some(several)), aborts }
    }
}

#[wasm_bindgen]
impl Several {
    /// The next chunk of any of them, or undefined once all have ended.
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let busy = || js::error(&Error::invalid_argument("The last next() has not ended yet."));
        let mut several = self.several.borrow_mut().take().ok_or_else(busy)?;
        let result = match self.inner.take() {
            Ok(mut model) => {
                let result = several.next(&mut model).await;
                self.inner.put_back(model);
                result.map_err(|e| js::error(&e))
            }
            Err(e) => Err(e),
        };
        *self.several.borrow_mut() = Some(several);
        self.inner.go_on_after(&result);
        match result? {
            Some((index, chunk)) => js::value(&Indexed { index, chunk }).map_err(|e| js::error(&e)),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// What `complete` resolves to, for each in the order of the prompts, so far.
    pub fn result(&self) -> Result<JsValue, JsValue> {
        match self.several.borrow().as_ref() {
            Some(several) => js::value(&several.results()).map_err(|e| js::error(&e)),
            None => Err(js::error(&Error::invalid_argument("next() has not ended yet."))),
        }
    }

    /// Ends one of them at the next step.
    #[wasm_bindgen(js_name = abortOne)]
    pub fn abort_one(&self, index: usize) {
        self.aborts.get(index).iter().for_each(|abort| abort.set());
    }

    /// Ends all at the next step.
    pub fn abort(&self) {
        self.inner.stop();
    }
}

impl Drop for Several {
    /// Frees what the engine keeps for them, whether they have ended or not.
    fn drop(&mut self) {
        if let Some(mut several) = self.several.take() {
            // Without a model there is nothing that could be kept.
            let _ = self.inner.with(|model| {
                several.end(model);
                Ok(())
            });
        }
    }
}
