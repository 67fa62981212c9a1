//! What an `Engine` and its `Generation` share: the model, which one call at a time takes out.

use super::js;
use super::loading::LoadedModel;
use super::tuning::Tuning;
use crate::any_model::AnyModel;
use crate::checkpoint::layout::Quantization;
use crate::engine::AbortFlag;
use crate::error::{Error, ErrorCode};
use crate::generate::Model;
use crate::gpu::Memory;
use crate::load::reload::Reload;
use crate::packs::{Ablation, ActivePack};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

pub(super) struct Inner {
    /// Taken out while an asynchronous call uses it, gone forever after `dispose`.
    pub(super) model: RefCell<Option<Model<LoadedModel>>>,
    pub(super) abort: AbortFlag,
    pub(super) is_disposed: Cell<bool>,
    pub(super) info: RefCell<Info>,
    /// The notes of loading.
    pub(super) load_notes: Vec<String>,
    /// The tuning of decode steps, where they are tuned.
    pub(super) tuning: Option<Tuning>,
    /// Outlives the model, so that `info` shows what `dispose` left.
    pub(super) memory: RefCell<Option<Rc<Memory>>>,
    /// The active token packs.
    pub(super) packs: RefCell<Vec<HeldPack>>,
    /// The parameter tokens whose activations are multiplied.
    pub(super) ablations: RefCell<Vec<Ablation>>,
    /// Reloads the model if its device is lost.
    pub(super) reload: Rc<Reload>,
}

/// An active pack.
#[derive(Clone)]
pub(super) struct HeldPack {
    pub(super) active: ActivePack,
    /// What to say about it: that it was made for another model, for example.
    pub(super) note: Option<String>,
}

/// The contract's `info`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub(super) id: String,
    pub(super) revision: String,
    pub(super) config: crate::config::ModelConfig,
    pub(super) quantization: Quantization,
    pub(super) backend: &'static str,
    pub(super) adapter: Adapter,
    pub(super) features: Vec<String>,
    pub(super) variants: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) context_length: usize,
    pub(super) weight_bytes: u64,
    pub(super) kv_bytes: u64,
    pub(super) gpu_bytes: u64,
    pub(super) wasm_heap_bytes: u64,
    /// A note reports it.
    #[serde(skip)]
    pub(super) device_losses: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Adapter {
    pub(super) vendor: String,
    pub(super) architecture: String,
    pub(super) device: String,
    pub(super) description: String,
}

impl Inner {
    pub(super) fn take(&self) -> Result<Model<LoadedModel>, JsValue> {
        let model = self.model.try_borrow_mut().ok().and_then(|mut m| m.take());
        model.ok_or_else(|| js::error(&Error::new(ErrorCode::Disposed, "The model is disposed, or in another call.")))
    }

    pub(super) fn put_back(&self, model: Model<LoadedModel>) {
        *self.memory.borrow_mut() = memory(model.backend().engine());
        if !self.is_disposed.get() {
            *self.model.borrow_mut() = Some(model);
        }
    }

    pub(super) async fn tune(&self) -> Result<(), JsValue> {
        let Some(tuning) = self.tuning.as_ref().filter(|t| t.is_pending()) else { return Ok(()) };
        let mut model = self.take()?;
        let result = match model.backend_mut().engine_mut().on_gpu_mut() {
            Some(model) => tuning.when_ready(model, &self.abort).await,
            None => Ok(()),
        };
        self.put_back(model);
        match result {
            // The next call detects it as well, and gets another device.
            Err(e) if e.code == ErrorCode::DeviceLost => Ok(()),
            result => result.map_err(|e| js::error(&e)),
        }
    }

    /// Lets kernels be compiled if `next`, what a text gave last, is its end.
    pub(super) fn go_on_after<T>(&self, next: &Result<Option<T>, JsValue>) {
        if let (Ok(None) | Err(_), Some(tuning)) = (next, &self.tuning) {
            tuning.go();
        }
    }

    /// Makes the running call end soon.
    pub(super) fn stop(&self) {
        self.reload.abort();
    }

    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Model<LoadedModel>) -> crate::error::Result<T>,
    ) -> Result<T, JsValue> {
        let mut model = self.take()?;
        let result = work(&mut model);
        self.put_back(model);
        result.map_err(|e| js::error(&e))
    }
}

/// The counter of bytes on the GPU, if the model is there.
pub(super) fn memory(model: &AnyModel) -> Option<Rc<Memory>> {
    model.on_gpu().map(|model| model.gpu().memory.clone())
}
