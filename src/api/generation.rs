//! The class `Generation`: a text that an `Engine` writes.

use super::inner::Inner;
use super::js;
use crate::error::Error;
use crate::generate;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// A completion that is being written.
#[wasm_bindgen]
pub struct Generation {
    inner: Rc<Inner>,
    /// Taken out while `next` works with it.
    generation: RefCell<Option<generate::Generation>>,
}

impl Generation {
    pub(super) fn of(inner: &Rc<Inner>, generation: generate::Generation) -> Self {
        Self { inner: inner.clone(), generation: RefCell::new(Some(generation)) }
    }
}

#[wasm_bindgen]
impl Generation {
    /// The next chunk, or undefined at the end.
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let busy = || js::error(&Error::invalid_argument("The last next() has not ended yet."));
        let mut generation = self.generation.borrow_mut().take().ok_or_else(busy)?;
        let result = match self.inner.take() {
            Ok(mut model) => {
                let result = generation.next(&mut model).await;
                self.inner.put_back(model);
                result.map_err(|e| js::error(&e))
            }
            Err(e) => Err(e),
        };
        *self.generation.borrow_mut() = Some(generation);
        self.inner.go_on_after(&result);
        match result? {
            Some(chunk) => js::value(&chunk).map_err(|e| js::error(&e)),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// Aborts as if only the first `taken` chunks had been requested: for the worker, which writes ahead of its reader.
    pub fn rewind(&self, taken: usize) -> Result<(), JsValue> {
        let mut generation = self.generation.borrow_mut();
        let busy = || js::error(&Error::invalid_argument("The last next() has not ended yet."));
        let generation = generation.as_mut().ok_or_else(busy)?;
        self.inner.with(|model| {
            generation.rewind(model, taken);
            Ok(())
        })
    }

    /// The whole completion so far.
    pub fn result(&self) -> Result<JsValue, JsValue> {
        match self.generation.borrow().as_ref() {
            Some(g) => js::value(&g.result()).map_err(|e| js::error(&e)),
            None => Err(js::error(&Error::invalid_argument("next() has not ended yet."))),
        }
    }

    /// Ends it at the next step.
    pub fn abort(&self) {
        self.inner.stop();
    }
}
