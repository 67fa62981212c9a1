//! When decode steps are tuned (`src/model/tune.rs`), and what is remembered of it between visits.

use super::engine::Adapter;
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::generate::Model;
use crate::model::{Choice, GpuModel, Prepared};
use crate::store::indexed_db::IndexedDb;
use futures_channel::oneshot;
use js_sys::Reflect;
use std::cell::RefCell;
use wasm_bindgen::JsValue;

/// Kernels that are being compiled for a model, then waiting to be tried.
pub struct Tuning {
    /// Name of what is remembered; `None` if nothing is to be kept in this browser.
    name: Option<String>,
    compiling: RefCell<Option<oneshot::Receiver<Prepared>>>,
    ready: RefCell<Option<Prepared>>,
}

impl Tuning {
    /// Begins to compile for a model. `keeps`: the outcome may be remembered, and was perhaps.
    pub async fn begin(model: &GpuModel, adapter: &Adapter, quantization: Quantization, keeps: bool) -> Self {
        let name = keeps.then(|| name(adapter, crate::generate::Backend::config(model), quantization));
        let remembered = match &name {
            Some(name) => recall(name).await,
            None => None,
        };
        let (sender, receiver) = oneshot::channel();
        let preparation = model.prepare(remembered);
        wasm_bindgen_futures::spawn_local(async move {
            // Nobody may be left to hear of it.
            let _ = sender.send(preparation.run().await);
        });
        Self { name, compiling: RefCell::new(Some(receiver)), ready: RefCell::new(None) }
    }

    /// Tries what is compiled, if it is.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn when_ready(&self, model: &mut Model<GpuModel>) -> Result<()> {
        let compiled = self.compiling.borrow_mut().as_mut().and_then(|c| c.try_recv().ok().flatten());
        if let Some(prepared) = compiled {
            self.compiling.take();
            self.ready.replace(Some(prepared));
        }
        let Some(prepared) = self.ready.take() else { return Ok(()) };
        match model.backend_mut().tune(&prepared).await? {
            None => {
                self.ready.replace(Some(prepared)); // another time
            }
            Some(choice) => self.remember(choice).await,
        }
        Ok(())
    }

    /// Waits until all is compiled.
    pub async fn compiled(&self) {
        let compiling = self.compiling.take();
        if let Some(compiling) = compiling
            && let Ok(prepared) = compiling.await
        {
            self.ready.replace(Some(prepared));
        }
    }

    async fn remember(&self, choice: Choice) {
        let Some(name) = &self.name else { return };
        // Without it the next visit tries again.
        if let (Ok(store), Ok(json)) = (IndexedDb::open().await, serde_json::to_string(&choice)) {
            let _ = store.put_note(name, &json).await;
        }
    }
}

async fn recall(name: &str) -> Option<Choice> {
    let note = IndexedDb::open().await.ok()?.note(name).await.ok()??;
    serde_json::from_str(&note).ok()
}

/// What the outcome depends on: kernels, browser, adapter, the model's shape and precision.
fn name(adapter: &Adapter, config: &ModelConfig, quantization: Quantization) -> String {
    let get = |object: &JsValue, key: &str| Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let browser = get(&get(&js_sys::global(), "navigator"), "userAgent").as_string().unwrap_or_default();
    let Adapter { vendor, architecture, device, description } = adapter;
    let shape = serde_json::to_string(config).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let precision = quantization.as_str();
    format!("tuning|{version}|{browser}|{vendor}|{architecture}|{device}|{description}|{precision}|{shape}")
}
