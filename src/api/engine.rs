//! The class `Engine`, which the JavaScript module drives: a loaded model.

use super::generation::Generation;
use super::inner::{Adapter, HeldPack, Info, Inner, memory};
use super::js;
use super::loading::{Loaded, LoadedModel, load};
use super::several::Several;
use super::tuning::Tuning;
use crate::any_model::AnyModel;
use crate::engine::Backend;
use crate::error::Error;
use crate::generate::{self, GenerateOptions, Model, Prompt, ScoreItem};
use crate::load::progress::Progress;
use crate::load::request::Request;
use crate::platform::browser::Linked;
use js_sys::{Array, Float32Array, Function, Reflect, Uint32Array};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

/// A loaded model. The JavaScript side never calls two methods at once, except `info` and `abort`.
#[wasm_bindgen]
pub struct Engine(Rc<Inner>);

impl Engine {
    /// What its generations share.
    pub(super) fn inner(&self) -> &Rc<Inner> {
        &self.0
    }

    /// Takes the model out for an asynchronous call.
    pub(super) fn take_model(&self) -> Result<Model<LoadedModel>, JsValue> {
        self.0.take()
    }

    /// Puts it back.
    pub(super) fn put_model_back(&self, model: Model<LoadedModel>) {
        self.0.put_back(model);
    }

    /// Works with the model while no other call does.
    pub(super) fn with_model<T>(
        &self,
        work: impl FnOnce(&mut Model<LoadedModel>) -> crate::error::Result<T>,
    ) -> Result<T, JsValue> {
        self.0.with(work)
    }
}

#[wasm_bindgen]
impl Engine {
    /// Loads a model; see `Request`.
    pub async fn load(request: JsValue, on_progress: Function, signal: Option<AbortSignal>) -> Result<Engine, JsValue> {
        let load = async {
            let request: Request = js::parse(request)?;
            let on_progress = move |progress: &Progress<'_>| {
                // A callback that throws is the caller's problem and must not break the load.
                let _ = js::value(progress).map(|progress| on_progress.call1(&JsValue::NULL, &progress));
            };
            let loaded = load(&request, Box::new(on_progress), signal.clone()).await?;
            let engine = Engine::new(request, loaded, true).await;
            let linked = Linked::to(signal.as_ref());
            linked.signal.unless_set(engine.use_what_was_fastest()).await;
            linked.signal.check()?;
            Ok(engine)
        };
        load.await.map_err(|e: Error| js::error(&e))
    }

    /// `is_tuned`: decode steps are to be tuned.
    pub(super) async fn new(request: Request, loaded: Loaded, is_tuned: bool) -> Self {
        let Loaded { model, quantization, revision, notes } = loaded;
        let reload = model.backend().source().clone();
        let backend = model.backend().engine();
        let tuning = match backend.on_gpu() {
            Some(model) if is_tuned => Some(Tuning::begin(model, quantization, &request).await),
            _ => None,
        };
        let info = Info {
            id: request.id,
            revision,
            config: backend.config().clone(),
            quantization,
            backend: backend.backend(),
            adapter: adapter(backend),
            features: features(backend),
            variants: backend.variants(),
            notes: notes_with(&notes, model.backend(), &[]),
            context_length: backend.context_length(),
            weight_bytes: backend.weight_bytes(),
            kv_bytes: backend.kv_bytes(),
            gpu_bytes: 0,
            wasm_heap_bytes: 0,
            device_losses: 0,
        };
        let memory = RefCell::new(memory(backend));
        let model = RefCell::new(Some(model));
        let (abort, is_disposed, info) = (reload.flag(), Cell::new(false), RefCell::new(info));
        let (packs, ablations) = Default::default();
        Self(Rc::new(Inner {
            model,
            abort,
            is_disposed,
            info,
            load_notes: notes,
            tuning,
            memory,
            packs,
            ablations,
            reload,
        }))
    }

    /// Waits a little for what was the fastest on an earlier visit, and uses it from the first text on.
    async fn use_what_was_fastest(&self) {
        if let Some(tuning) = &self.0.tuning {
            tuning.recalled().await;
            // If this fails, steps are made as on a first visit.
            let _ = self.0.tune().await;
        }
    }

    /// What the model is and what it occupies.
    pub fn info(&self) -> Result<JsValue, JsValue> {
        let mut info = self.0.info.borrow_mut();
        info.gpu_bytes = self.0.memory.borrow().as_ref().map_or(0, |memory| memory.bytes());
        // While a call uses the model: what was true before that call.
        if let Ok(model) = self.0.model.try_borrow()
            && let Some(model) = model.as_ref()
        {
            let (backend, engine) = (model.backend(), model.backend().engine());
            info.variants = engine.variants();
            info.notes = notes_with(&self.0.load_notes, backend, &self.0.packs.borrow());
            if info.device_losses != backend.losses() {
                info.device_losses = backend.losses();
                // It may be another GPU.
                (info.adapter, info.features) = (adapter(engine), features(engine));
            }
        }
        info.wasm_heap_bytes = heap_bytes();
        js::value(&*info).map_err(|e| js::error(&e))
    }

    /// The `GPUDevice`, or undefined.
    pub fn device(&self) -> JsValue {
        let device = self.0.model.try_borrow().ok();
        let model = device.as_ref().and_then(|m| m.as_ref()).and_then(|m| m.backend().engine().on_gpu());
        let device = model.and_then(|m| m.gpu().device.as_webgpu());
        device.map_or(JsValue::UNDEFINED, |d| AsRef::<JsValue>::as_ref(d).clone())
    }

    /// Token ids of a text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, JsValue> {
        self.0.with(|m| m.tokenizer()?.encode(text))
    }

    /// Text of token ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, JsValue> {
        self.0.with(|m| m.decode(ids))
    }

    /// Begins a completion. The options are those of `www/lib/api/generate-options.js`: all present, all checked.
    pub async fn start(&self, prompt: JsValue, options: JsValue) -> Result<Generation, JsValue> {
        let begin = || {
            let mut read = as_options(&options)?;
            if field(&options, "seed").is_undefined() {
                read.sampling.seed = random_seed();
            }
            Ok((as_prompt(&prompt)?, read))
        };
        let (prompt, options) = begin().map_err(|e: Error| js::error(&e))?;
        self.0.abort.clear();
        // A trial before the first token is part of the time to it, and bad arguments need no trial.
        let generation = self.0.with(|m| generate::Generation::start(m, &prompt, options, self.0.abort.clone()))?;
        self.0.tune().await?;
        Ok(Generation::of(&self.0, generation))
    }

    /// Begins several completions at once: `candidates` are `[{ prompt, seed }]`, and the options are those of `start`.
    #[wasm_bindgen(js_name = startSeveral)]
    pub async fn start_several(&self, candidates: Array, options: JsValue) -> Result<Several, JsValue> {
        let begin = || {
            let candidate = |item: JsValue| {
                let seed = field(&item, "seed").as_f64().unwrap_or_default() as u64;
                Ok((as_prompt(&field(&item, "prompt"))?, seed))
            };
            Ok((candidates.iter().map(candidate).collect::<crate::error::Result<Vec<_>>>()?, as_options(&options)?))
        };
        let (candidates, options) = begin().map_err(|e: Error| js::error(&e))?;
        self.0.abort.clear();
        let start = |m: &mut _| generate::Several::start(m, &candidates, &options, self.0.abort.clone());
        let several = self.0.with(start)?;
        self.0.tune().await?;
        Ok(Several::of(&self.0, several))
    }

    /// Waits for the tuning of decode steps.
    pub async fn settle(&self) -> Result<(), JsValue> {
        self.0.abort.clear();
        if let Some(tuning) = &self.0.tuning {
            loop {
                tuning.compiled().await;
                self.0.tune().await?;
                if !tuning.is_compiling() || self.0.abort.is_set() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Scores `[{ text, context }]`.
    pub async fn score(&self, items: Array) -> Result<JsValue, JsValue> {
        let parsed: crate::error::Result<Vec<ScoreItem>> = items
            .iter()
            .map(|i| Ok(ScoreItem { text: as_prompt(&field(&i, "text"))?, context: as_prompt(&field(&i, "context"))? }))
            .collect();
        let parsed = parsed.map_err(|e| js::error(&e))?;
        self.0.abort.clear();
        let mut model = self.0.take()?;
        let scores = model.score(&parsed, &self.0.abort).await;
        self.0.put_back(model);
        scores.and_then(|s| js::value(&s)).map_err(|e| js::error(&e))
    }

    /// Logits after the last id, V long.
    pub async fn logits(&self, ids: Vec<u32>) -> Result<Float32Array, JsValue> {
        self.0.abort.clear();
        let mut model = self.0.take()?;
        let logits = model.logits(&ids, &self.0.abort).await;
        self.0.put_back(model);
        logits.map(|l| Float32Array::from(l.as_slice())).map_err(|e| js::error(&e))
    }

    /// The ids in the KV cache.
    pub fn context(&self) -> Result<Vec<u32>, JsValue> {
        self.0.with(|m| Ok(m.context().to_vec()))
    }

    /// Makes the running call end soon.
    pub fn abort(&self) {
        self.0.stop();
    }

    /// Forgets the context.
    pub fn reset(&self) -> Result<(), JsValue> {
        self.0.with(|m| {
            m.reset();
            Ok(())
        })
    }

    /// Frees everything.
    pub fn dispose(&self) {
        self.0.stop();
        self.0.is_disposed.set(true);
        if let Ok(mut model) = self.0.model.try_borrow_mut() {
            *model = None;
        }
    }
}

/// The notes of loading, and those that were added since.
fn notes_with(load_notes: &[String], model: &LoadedModel, packs: &[HeldPack]) -> Vec<String> {
    let lost = match model.losses() {
        0 => None,
        1 => Some("once".to_owned()),
        n => Some(format!("{n} times")),
    };
    let lost = lost.map(|times| format!("The GPU device was lost {times}; the text went on, on a new one."));
    let of_packs = packs.iter().filter_map(|held| held.note.clone());
    load_notes.iter().cloned().chain(model.engine().notes()).chain(of_packs).chain(lost).collect()
}

/// The optional features of WebGPU, or of WebAssembly, that kernels may use.
fn features(model: &AnyModel) -> Vec<String> {
    let gpu = match model {
        AnyModel::Gpu(model) => model.gpu(),
        AnyModel::Cpu(model) => return model.features(),
    };
    let features = [("subgroups", gpu.has_subgroups()), ("shader-f16", gpu.has_f16)];
    features.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
}

/// What the browser reveals about the GPU; nothing on the CPU.
fn adapter(model: &AnyModel) -> Adapter {
    let text = |key: &str| model.on_gpu().map(|model| model.gpu().adapter_text(key)).unwrap_or_default();
    Adapter {
        vendor: text("vendor"),
        architecture: text("architecture"),
        device: text("device"),
        description: text("description"),
    }
}

fn field(item: &JsValue, key: &str) -> JsValue {
    Reflect::get(item, &key.into()).unwrap_or(JsValue::UNDEFINED)
}

/// Options of a completion; without a seed it is 0.
fn as_options(options: &JsValue) -> crate::error::Result<GenerateOptions> {
    let mut read: GenerateOptions = js::parse(options.clone())?;
    read.sampling = js::parse(options.clone())?;
    Ok(read)
}

pub(super) fn as_prompt(v: &JsValue) -> crate::error::Result<Prompt> {
    if let Some(text) = v.as_string() {
        return Ok(Prompt::Text(text));
    }
    let ids = v.dyn_ref::<Uint32Array>().ok_or_else(|| Error::invalid_argument("A text is neither text nor ids."))?;
    Ok(Prompt::Ids(ids.to_vec()))
}

/// An integer in [0, 2⁵³).
fn random_seed() -> u64 {
    (js_sys::Math::random() * (1u64 << 53) as f64) as u64
}

/// Size of this module's memory in bytes.
fn heap_bytes() -> u64 {
    let memory = wasm_bindgen::memory().dyn_into::<js_sys::WebAssembly::Memory>();
    let buffer = memory.ok().and_then(|m| m.buffer().dyn_into::<js_sys::ArrayBuffer>().ok());
    buffer.map_or(0, |b| u64::from(b.byte_length()))
}
