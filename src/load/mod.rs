//! Loading a model: from its name to weights on the GPU (or in this module's memory), by way of the store or the
//! network.
//!
//! `source` finds it, `plan` (with `quantized` and `published`) says what is to be read, `units` does it (each by `unit`),
//! `upload` writes to where `target` says that it goes, `progress` tells. `stored` loads what is complete already, and
//! `turn` waits for another tab that loads the same.

mod digest;
mod instead;
mod plan;
mod progress;
mod published;
mod quantized;
mod reload;
mod request;
mod source;
mod stored;
mod target;
mod turn;
mod unit;
mod units;
mod upload;
mod verdict;

use crate::checkpoint::layout::Quantization;
use crate::checkpoint::stream::misplaced;
use crate::config::{ModelConfig, PartialConfig};
use crate::cpu::{self, Reason};
use crate::error::{ErrorCode, ErrorKind, Result};
use crate::generate::{MOST_LOSSES, Model, Recovering};
use crate::gpu::Gpu;
use crate::hash::sha256;
use crate::hub::fetch::{OnWait, aborted};
use crate::hub::retry::SILENCE;
use crate::hub::timer::{unless_aborted, within};
use crate::store::cache::{Cache, not_kept};
use crate::store::indexed_db::{IndexedDb, free_bytes};
use crate::store::list::advice;
use crate::store::lock::Lock;
use crate::store::serve::Version;
use crate::store::{ModelKey, ModelRecord, Store};
use crate::tokenizer::Tokenizer;
use futures_channel::oneshot;
use js_sys::{Date, Function, Uint8Array};
use plan::Plan;
use progress::Reporter;
pub use reload::Reload;
pub use request::Request;
use source::Source;
use std::rc::Rc;
pub use target::AnyModel;
use target::{Device, Target, Wanted};
use units::{UnitSource, Units};
use verdict::Verdict;
use wasm_bindgen_futures::spawn_local;
use web_sys::AbortSignal;

/// The engine of a loaded model: it is loaded again if its device is lost.
pub type LoadedModel = Recovering<AnyModel, Rc<Reload>>;

/// A loaded model and what is told about it.
pub struct Loaded {
    pub model: Model<LoadedModel>,
    pub quantization: Quantization,
    pub revision: String,
    pub notes: Vec<String>,
}

/// What a load makes.
struct Made {
    model: AnyModel,
    tokenizer: Option<Tokenizer>,
    quantization: Quantization,
    revision: String,
    notes: Vec<String>,
}

/// One load.
struct Load<'a> {
    request: &'a Request,
    signal: Option<AbortSignal>,
    progress: Rc<Reporter>,
    store: Option<IndexedDb>,
    /// The device that is being opened, until somebody needs it.
    opening: Option<oneshot::Receiver<Result<Gpu>>>,
    gpu: Option<Rc<Gpu>>,
    /// Why the model goes to the CPU, once that is known.
    on_cpu: Option<Reason>,
    /// Whether the GPU computes what it should.
    verdict: Option<Verdict>,
    /// Held while others that want the same are to wait.
    lock: Option<Lock>,
    notes: Vec<String>,
}

/// Loads the model that `request` names.
///
/// # Errors
/// The codes of the public interface.
pub async fn load(request: &Request, on_progress: &Function, signal: Option<AbortSignal>) -> Result<Loaded> {
    let progress = Rc::new(Reporter::new(Some(on_progress)));
    let Made { model, tokenizer, quantization, revision, notes } = make(request, &progress, signal).await?;
    let reload = Rc::new(Reload::new(request, &revision, quantization));
    let model = Model::new(Recovering::new(model, reload), tokenizer)?;
    progress.phase("ready")?;
    Ok(Loaded { model, quantization, revision, notes })
}

/// Makes the engine of a model. If the device is lost meanwhile, or turns out to be of no use, another one, or the CPU,
/// gets what is stored by then.
async fn make(request: &Request, progress: &Rc<Reporter>, signal: Option<AbortSignal>) -> Result<Made> {
    let mut losses = 0;
    let mut on_cpu = (request.backend == Wanted::Cpu).then_some(Reason::Asked);
    loop {
        progress.phase("resolve")?;
        let mut load = Load::begin(request, progress, signal.clone(), on_cpu.clone()).await;
        match load.run().await {
            Err(e) if e.code == ErrorCode::DeviceLost && losses + 1 < MOST_LOSSES => losses += 1,
            Err(e)
                if e.code == ErrorCode::WebgpuUnavailable
                    && request.backend == Wanted::Auto
                    && load.on_cpu.is_none() =>
            {
                on_cpu = Some(Reason::NoGpu(e.message));
            }
            result => return result,
        }
    }
}

impl<'a> Load<'a> {
    /// Opens what is needed in any case.
    async fn begin(
        request: &'a Request,
        progress: &Rc<Reporter>,
        signal: Option<AbortSignal>,
        on_cpu: Option<Reason>,
    ) -> Self {
        // A device takes as long to come as the small files do.
        let (sender, receiver) = oneshot::channel();
        if on_cpu.is_none() {
            let options = request.gpu_options();
            spawn_local(async move {
                // Nobody may be left to use it.
                let _ = sender.send(Gpu::open(&options).await);
            });
        }
        let (progress, opening, notes) = (progress.clone(), Some(receiver), Vec::new());
        let (store, gpu, verdict, lock) = (None, None, None, None);
        let mut load = Self { request, signal, progress, store, opening, gpu, on_cpu, verdict, lock, notes };
        if request.cache {
            match IndexedDb::open().await {
                Ok(store) => load.store = Some(store),
                Err(e) => load.notes.push(not_kept(&e)),
            }
        }
        load
    }
}

impl Load<'_> {
    async fn run(&mut self) -> Result<Made> {
        // A commit never changes: what is stored of it needs nobody's word.
        if let Some(commit) = self.request.commit()
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        let progress = self.progress.clone();
        let on_wait: OnWait = Rc::new(move |what| progress.waiting(what));
        let has_copy = self.has_copy().await;
        let source = match Source::open(self.request, self.signal.clone(), on_wait, has_copy).await {
            Ok(source) => source,
            Err(e) => return self.instead(e).await,
        };
        if let Some(commit) = &source.commit
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        // Without a device there is no use for the large download.
        let device = self.device().await?;
        if let Some(config) = likely_shape(&source, self.request) {
            device.check(&config)?;
        }
        // Another tab may be loading the same model: then it is waited for, and what it stored is used.
        self.turn().await;
        source.client.check_abort()?;
        if let (Some(_), Some(commit)) = (&self.lock, &source.commit)
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        match self.planned(&source, false).await {
            Err(e) if e.kind == ErrorKind::Misplaced => self.planned(&source, true).await,
            // A folder that went away says so only now.
            Err(e) if source.commit.is_none() && e.code == ErrorCode::ModelNotFound => self.instead(e).await,
            result => result,
        }
    }

    async fn device(&mut self) -> Result<Device> {
        if self.on_cpu.is_none() {
            match self.gpu().await {
                Ok(gpu) => return Ok(Device::Gpu(gpu)),
                Err(e) if self.request.backend == Wanted::Auto && e.code == ErrorCode::WebgpuUnavailable => {
                    self.on_cpu = Some(Reason::NoGpu(e.message));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Device::Cpu(self.on_cpu.clone().unwrap_or(Reason::Asked)))
    }

    /// The device for this model: a GPU that is a program on the CPU is slower than the CPU without it.
    async fn device_for(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<Device> {
        let device = self.device().await?;
        let may = !self.request.insists_on_gpu();
        let context = self.request.context_length.unwrap_or_else(|| config.default_context_length());
        match &device {
            Device::Gpu(gpu) if may && gpu.is_software && cpu::runs(config, quantization, context) => {
                self.gpu = None;
                self.on_cpu = Some(Reason::SoftwareGpu);
                Ok(Device::Cpu(Reason::SoftwareGpu))
            }
            _ => Ok(device),
        }
    }

    async fn gpu(&mut self) -> Result<Rc<Gpu>> {
        // It may have been lost while another tab was waited for.
        if let Some(gpu) = self.gpu.as_ref().filter(|gpu| gpu.check().is_ok()) {
            return Ok(gpu.clone());
        }
        let opened = match self.opening.take() {
            Some(mut opening) => match within(SILENCE, &mut opening).await {
                Some(opened) => opened.ok(),
                None => {
                    self.progress.waiting(Some("Waiting for the browser to open the GPU".into()));
                    let opened = opening.await.ok();
                    self.progress.waiting(None);
                    opened
                }
            },
            None => None,
        };
        let gpu = match opened {
            Some(gpu) => gpu?,
            None => Gpu::open(&self.request.gpu_options()).await?,
        };
        Ok(self.gpu.insert(Rc::new(gpu)).clone())
    }

    /// Room for a model, where its kernels begin to be compiled.
    async fn room(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<Target> {
        let device = self.device_for(config, quantization).await?;
        self.verdict = match &device {
            Device::Gpu(gpu) => Some(Verdict::recall(self.store.as_ref(), gpu, config, quantization).await),
            Device::Cpu(_) => None,
        };
        device.room(config.clone(), quantization, self.request.context_length).await
    }

    /// Loads from a source what is not stored.
    async fn planned(&mut self, source: &Source, exact: bool) -> Result<Made> {
        let plan = Plan::new(source, self.request, exact).await?;
        let revision = source.commit.clone().unwrap_or_else(|| plan.identity.clone());
        let mut cache = self.cache(&plan, &revision, exact).await?;
        let loading = self.room(&plan.config, plan.quantization).await?;
        let tokenizer_json = source.tokenizer().await?;
        let tokenizer = tokenizer_json.as_deref().map(Tokenizer::from_json).transpose()?;
        if let Some(json) = &tokenizer_json {
            cache.keep_tokenizer(&sha256(json), Uint8Array::from(json.as_slice())).await;
        }
        let (client, quantization, progress) = (&source.client, plan.quantization, &self.progress);
        let from = UnitSource { client, quantization };
        let signs_of_life = self.signs_of_life();
        let mut units = Units { source: from, loading: &loading, progress, cache: &mut cache };
        let result = turn::beside(units.load(&plan), signs_of_life).await;
        if result.is_ok() {
            cache.complete(Date::now()).await;
        }
        self.notes.append(&mut cache.notes);
        self.notes.append(&mut source.notes.borrow_mut());
        result?;
        self.finish(loading, &plan.config, tokenizer, plan.quantization, revision).await
    }

    /// The place in the store of what is planned.
    ///
    /// # Errors
    /// [`misplaced`] if what is there was made by an exact plan, and this one is not.
    async fn cache(&mut self, plan: &Plan, commit: &str, is_exact: bool) -> Result<Cache<IndexedDb>> {
        let request = self.request;
        let key = ModelKey {
            endpoint: request.endpoint().to_owned(),
            id: request.id.clone(),
            commit: commit.to_owned(),
            quantization: plan.quantization,
            plan: plan.digest(),
        };
        let record = ModelRecord {
            key,
            names: request.name().map(|name| (name.to_owned(), Date::now())).into_iter().collect(),
            told: plan.told.clone(),
            is_converted: plan.files.iter().any(|f| matches!(f.work, plan::Work::Convert(_))),
            has_tokenizer: false,
            units: plan.units(),
            is_exact,
            bytes: 0,
            complete: false,
            last_used: Date::now(),
        };
        let Some(store) = self.store.clone() else { return Ok(Cache::off(record)) };
        let models = store.models().await.unwrap_or_default();
        if !is_exact && models.iter().any(|m| m.is_exact && m.key.is_of_same_model(&record.key)) {
            return Err(misplaced());
        }
        let existing = models.iter().find(|m| m.key == record.key);
        let needed = plan.stored_bytes.saturating_sub(existing.map_or(0, |m| m.bytes));
        let too_little = free_bytes().await.filter(|free| *free < needed);
        if let Some(free) = too_little {
            self.notes.push(advice(needed, free, &models, &record.key));
        }
        let units = record.units;
        let mut cache = Cache::open(store, record, existing, too_little.is_none()).await;
        if cache.is_complete() && !cache.is_whole(&plan.config) {
            cache.forget(0..units).await;
        }
        Ok(cache)
    }

    async fn finish(
        &mut self,
        loading: Target,
        config: &ModelConfig,
        tokenizer: Option<Tokenizer>,
        quantization: Quantization,
        revision: String,
    ) -> Result<Made> {
        self.lock = None;
        if self.request.context_length.is_none() {
            self.notes.extend(loading.shortened(config.default_context_length()));
        }
        match &self.on_cpu {
            Some(reason) => self.notes.push(reason.note()),
            None => self.progress.phase("compile")?,
        }
        let verdict = self.verdict.take();
        let finishing = async {
            let mut model = loading.finish().await?;
            if let (Some(model), Some(verdict)) = (model.on_gpu_mut(), verdict) {
                verdict.find(model).await?;
            }
            Ok(model)
        };
        // Whoever aborts does not wait for a compiler.
        let model = unless_aborted(finishing, self.signal.as_ref()).await.ok_or_else(aborted)??;
        Ok(Made { model, tokenizer, quantization, revision, notes: std::mem::take(&mut self.notes) })
    }
}

/// The shape as far as it is told without the weights, for models that cannot be run whatever they hold.
fn likely_shape(source: &Source, request: &Request) -> Option<ModelConfig> {
    let told = source.config.as_deref().map(PartialConfig::of_published).unwrap_or_default();
    let preset = request.repository.as_deref().and_then(PartialConfig::preset).unwrap_or_default();
    request.config.clone().unwrap_or_default().or(told).or(preset).finish().ok()
}
