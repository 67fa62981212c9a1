//! The class `Training`: a token pack that an `Engine` trains.

use super::engine::{Engine, as_prompt};
use super::inner::Inner;
use super::js;
use crate::engine::Backend;
use crate::error::{Error, Result};
use crate::generate::Prompt;
use crate::packs::{PackAbout, PackBase, PackFile, check_activation};
use crate::training::{self, Progress, TrainOptions, TrainedPack, Validation};
use js_sys::{Array, Object, Uint8Array};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// A training that advances by `next`.
#[wasm_bindgen]
pub struct Training {
    inner: Rc<Inner>,
    /// Taken out while a call works with it, gone after `result`.
    training: RefCell<Option<training::Training>>,
    name: String,
}

/// What `startTraining` takes besides the options of the table.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What `next` returns.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    progress: Progress,
    is_epoch_end: bool,
}

/// How a pack was trained: its `training`, in the report and in its file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    tokens_seen: usize,
    tokens_per_second: f64,
    loss: Vec<f64>,
    validation: Option<Validation>,
    best_epoch: Option<usize>,
    seconds: f64,
    message: Option<String>,
}

#[wasm_bindgen]
impl Engine {
    /// Begins to train a pack. `documents` are texts or ids, the options those of `www/lib/api/train-options.js` and a
    /// name, all checked; `pack` is the file of the tokens to continue from.
    #[wasm_bindgen(js_name = startTraining)]
    pub async fn start_training(
        &self,
        documents: Array,
        options: JsValue,
        pack: Option<Vec<u8>>,
    ) -> std::result::Result<Training, JsValue> {
        let read = || -> Result<_> {
            let Named { name } = js::parse(options.clone())?;
            let documents = documents.iter().map(|text| as_prompt(&text)).collect::<Result<Vec<_>>>()?;
            Ok((name, documents, js::parse::<TrainOptions>(options)?))
        };
        let (name, documents, options) = read().map_err(|e| js::error(&e))?;
        let inner = self.inner();
        inner.abort.clear();
        let training = inner.with(|model| {
            model.backend().engine().check_training()?;
            let config = model.backend().config();
            check_activation(config)?;
            let pack = pack.map(|bytes| PackFile::read(&bytes, config)).transpose()?.map(|file| file.pack);
            let ids = |text: Prompt| match text {
                Prompt::Text(text) => model.tokenizer()?.encode(&text),
                Prompt::Ids(ids) => Ok(ids),
            };
            let documents = documents.into_iter().map(ids).collect::<Result<Vec<_>>>()?;
            training::Training::start(model.backend(), &documents, options, pack, inner.abort.clone())
        })?;
        Ok(Training { inner: inner.clone(), training: RefCell::new(Some(training)), name })
    }
}

#[wasm_bindgen]
impl Training {
    /// Makes some steps; undefined once all are made, or it was aborted.
    pub async fn next(&self) -> std::result::Result<JsValue, JsValue> {
        let mut training = self.take()?;
        self.inner.abort.clear();
        let progress = match self.inner.take() {
            Ok(mut model) => {
                let progress = training.next(model.backend_mut()).await;
                self.inner.put_back(model);
                let told = progress.map(|p| p.map(|progress| Told { progress, is_epoch_end: training.is_epoch_end() }));
                told.and_then(|told| told.as_ref().map_or(Ok(JsValue::UNDEFINED), js::value)).map_err(|e| js::error(&e))
            }
            Err(e) => Err(e),
        };
        *self.training.borrow_mut() = Some(training);
        progress
    }

    /// What was learnt so far. Until the next `next`, the engine is free for other calls.
    pub async fn pause(&self) -> std::result::Result<JsValue, JsValue> {
        let mut training = self.take()?;
        let learnt = match self.inner.take() {
            Ok(mut model) => {
                let learnt = training.pause(model.backend_mut()).await;
                self.inner.put_back(model);
                learnt.and_then(|learnt| self.told(learnt)).map_err(|e| js::error(&e))
            }
            Err(e) => Err(e),
        };
        *self.training.borrow_mut() = Some(training);
        learnt
    }

    /// Ends it: the file of what was learnt, and how.
    pub async fn result(&self) -> std::result::Result<JsValue, JsValue> {
        let training = self.take()?;
        let mut model = self.inner.take()?;
        let trained = training.finish(model.backend_mut()).await;
        self.inner.put_back(model);
        trained.and_then(|trained| self.told(trained)).map_err(|e| js::error(&e))
    }

    fn take(&self) -> std::result::Result<training::Training, JsValue> {
        let busy = || js::error(&Error::invalid_argument("The training has ended, or its last call has not."));
        self.training.borrow_mut().take().ok_or_else(busy)
    }

    /// `{ bytes, report }`.
    fn told(&self, trained: TrainedPack) -> Result<JsValue> {
        let TrainedPack { pack, losses, validation, best_epoch, tokens_seen, tokens_per_second, seconds, message } =
            trained;
        // Four digits are enough for a curve, and a file.
        let loss = losses.iter().map(|loss| (f64::from(*loss) * 1e4).round() / 1e4).collect();
        let report = Report { tokens_seen, tokens_per_second, loss, validation, best_epoch, seconds, message };
        let told = serde_json::to_value(&report).map_err(|e| Error::internal(format!("A report is no JSON: {e}.")))?;
        let info = self.inner.info.borrow();
        let about = PackAbout {
            name: Some(self.name.clone()),
            base: PackBase::new(info.id.clone(), info.revision.clone(), &info.config),
            training: Some(told),
            ..PackAbout::default()
        };
        let object = Object::new();
        let bytes = PackFile { about, pack }.to_bytes(&info.config);
        js::set(&object, "bytes", Uint8Array::from(bytes.as_slice()));
        js::set(&object, "report", js::value(&report)?);
        Ok(object.into())
    }
}

impl Drop for Training {
    /// Frees what the engine keeps for it, whether it has ended or not.
    fn drop(&mut self) {
        if self.training.take().is_some() {
            // Without a model there is nothing that could be kept.
            let _ = self.inner.with(|model| {
                crate::engine::Train::end_training(model.backend_mut());
                Ok(())
            });
        }
    }
}
