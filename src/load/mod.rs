//! Loading a model: from its name to weights on the GPU (or in this module's memory), by way of the store or the
//! network.
//!
//! `source` finds it, `planner` (with `quantized` and `published`) decides what to read, `units` reads it (each by
//! `unit`), `upload` says what it is written to, and `progress` reports. `stored` loads what is already complete,
//! `turn` waits for another tab that loads the same model. All of this runs on any [`Platform`].
//!
//! `hashing` compares what arrived, `diagnosis` says why a file cannot be understood, and `instead` falls back to a
//! stored copy of a model that cannot be reached. `attempts` says when a failed load is retried, and on what. In a
//! browser (wasm only), `make` makes an engine from a request, `devices` opens the GPU or the CPU, `target` is what
//! either makes of a model, `gpu_upload` writes to a GPU, `verdict` remembers the self-test, and `reload` loads again.

pub mod attempts;
#[cfg(target_arch = "wasm32")]
pub mod devices;
pub mod diagnosis;
#[cfg(target_arch = "wasm32")]
pub mod gpu_upload;
pub mod hashing;
pub mod instead;
#[cfg(target_arch = "wasm32")]
pub mod make;
pub mod plan;
pub mod planner;
pub mod progress;
pub mod published;
pub mod quantized;
#[cfg(target_arch = "wasm32")]
pub mod reload;
pub mod request;
pub mod source;
pub mod stored;
#[cfg(target_arch = "wasm32")]
pub mod target;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "wasm32")]
pub mod tuned;
pub mod turn;
pub mod unit;
pub mod units;
pub mod upload;
#[cfg(target_arch = "wasm32")]
pub mod verdict;

use crate::checkpoint::layout::Quantization;
use crate::checkpoint::stream::misplaced;
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{ErrorCode, ErrorKind, Result};
use crate::hash::sha256;
use crate::hub::client::OnWait;
use crate::platform::abort::Signal;
use crate::platform::wait::beside;
use crate::platform::{Bytes, Platform};
use crate::store::cache::Cache;
use crate::store::list::advice;
use crate::store::serve::Version;
use crate::store::{ModelKey, ModelRecord, Store};
use crate::tokenizer::Tokenizer;
use futures_util::future::{maybe_done, try_join, try_join3};
use plan::{Plan, Work};
use planner::plan;
use progress::Reporter;
use request::Request;
use source::Source;
use std::pin::pin;
use std::rc::Rc;
use unit::UnitSource;
use units::Units;
use upload::Devices;

/// What a load makes.
pub struct Made<M> {
    /// What runs.
    pub model: M,
    /// Its tokenizer, if it has one.
    pub tokenizer: Option<Tokenizer>,
    /// The precision of its tables.
    pub quantization: Quantization,
    /// The commit, or a hash that names its contents.
    pub revision: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// One load.
pub struct Load<'a, P: Platform, S, D> {
    platform: P,
    request: &'a Request,
    signal: Signal,
    progress: Rc<Reporter<P>>,
    store: Option<S>,
    devices: D,
    /// Held while other loads of the same model are to wait.
    lock: Option<P::Lock>,
    notes: Vec<String>,
}

impl<'a, P, S, D> Load<'a, P, S, D>
where
    P: Platform,
    S: Store<Bytes = P::Bytes> + Clone,
    D: Devices<P::Bytes>,
{
    /// A load of what `request` names onto one of `devices`, by way of `store` if there is one.
    pub fn new(
        platform: P,
        request: &'a Request,
        signal: Signal,
        progress: &Rc<Reporter<P>>,
        store: Option<S>,
        devices: D,
    ) -> Self {
        Self { platform, request, signal, progress: progress.clone(), store, devices, lock: None, notes: Vec::new() }
    }

    /// Adds something that the user should know.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Where the model goes.
    pub fn devices(&self) -> &D {
        &self.devices
    }

    /// Loads the model.
    ///
    /// # Errors
    /// The codes of the public interface.
    pub async fn run(&mut self) -> Result<Made<D::Model>> {
        // A commit never changes: what is stored of it can be used without asking the hub.
        if let Some(commit) = self.request.commit()
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        let progress = self.progress.clone();
        let on_wait: OnWait = Rc::new(move |what| progress.waiting(what));
        let has_copy = self.has_copy().await;
        let opening = Source::open(self.platform.clone(), self.request, self.signal.clone(), on_wait, has_copy);
        let source = match opening.await {
            Ok(source) => source,
            Err(e) => return self.instead(e).await,
        };
        if let Some(commit) = &source.commit
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        // Without a device, the large download would be useless. What it consists of is found out meanwhile, and the
        // tokenizer is read, which takes time that this thread has now.
        let likely = likely_shape(&source, self.request);
        let planning = async { Ok(plan(&source, self.request, false).await) };
        let opening = try_join(self.devices.find(likely.as_ref()), planning);
        let mut reading = pin!(maybe_done(read_tokenizer(source.twin())));
        let ((), mut planned) = beside(opening, reading.as_mut()).await?;
        // Another tab may be loading the same model: wait for it, and use what it stored.
        let has_waited = self.turn().await;
        self.signal.check()?;
        if let (Some(_), Some(commit)) = (&self.lock, &source.commit)
            && let Some(loaded) = self.stored(Version::Commit(commit)).await?
        {
            return Ok(loaded);
        }
        if has_waited {
            source.notes.take();
            planned = plan(&source, self.request, false).await;
            reading.set(maybe_done(read_tokenizer(source.twin())));
        }
        let tokenizer = async {
            reading.as_mut().await;
            reading.as_mut().take_output().unwrap_or_else(|| Ok(Read::default()))
        };
        match self.planned(&source, planned, tokenizer, false).await {
            Err(e) if e.kind == ErrorKind::Misplaced => {
                let planned = plan(&source, self.request, true).await;
                self.planned(&source, planned, read_tokenizer(source.twin()), true).await
            }
            // Only now is it clear that the folder no longer exists.
            Err(e) if source.commit.is_none() && e.code == ErrorCode::ModelNotFound => self.instead(e).await,
            result => result,
        }
    }

    /// Loads from a source what is not stored.
    async fn planned(
        &mut self,
        source: &Source<P>,
        plan: Result<Plan>,
        reading: impl Future<Output = Result<Read>>,
        exact: bool,
    ) -> Result<Made<D::Model>> {
        let plan = plan?;
        let revision = source.commit.clone().unwrap_or_else(|| plan.identity.clone());
        let record = self.record(&plan, &revision, exact);
        let Self { store, devices, notes, .. } = self;
        let cache = open_cache(store.clone(), record, &plan, notes);
        let room = devices.room(&plan.config, plan.quantization);
        let (mut cache, room, read) = try_join3(cache, room, reading).await?;
        let Read { tokenizer, json, notes: of_tokenizer } = read;
        if let Some(json) = json {
            cache.keep_tokenizer(&sha256(&json), P::Bytes::of(&json)).await;
        }
        let (client, quantization, progress) = (&source.client, plan.quantization, &self.progress);
        let from = UnitSource { client, quantization };
        let signs_of_life = self.signs_of_life();
        let mut units = Units { source: from, room: &room, progress, cache: &mut cache };
        let result = beside(units.load(&plan), signs_of_life).await;
        if result.is_ok() {
            cache.complete(self.platform.date()).await;
        }
        self.notes.append(&mut cache.notes);
        self.notes.append(&mut source.notes.borrow_mut());
        self.notes.extend(of_tokenizer);
        result?;
        self.finish(room, &plan.config, tokenizer, plan.quantization, revision).await
    }

    /// What the store is to know of what is planned.
    fn record(&self, plan: &Plan, commit: &str, is_exact: bool) -> ModelRecord {
        let (request, now) = (self.request, self.platform.date());
        let key = ModelKey {
            endpoint: request.endpoint().to_owned(),
            id: request.id.clone(),
            commit: commit.to_owned(),
            quantization: plan.quantization,
            plan: plan.digest(),
        };
        ModelRecord {
            key,
            names: request.name().map(|name| (name.to_owned(), now)).into_iter().collect(),
            declared: plan.declared.clone(),
            is_converted: plan.files.iter().any(|f| matches!(f.work, Work::Convert(_))),
            has_tokenizer: false,
            units: plan.units(),
            is_exact,
            bytes: 0,
            complete: false,
            last_used: now,
        }
    }

    async fn finish(
        &mut self,
        room: D::Room,
        config: &ModelConfig,
        tokenizer: Option<Tokenizer>,
        quantization: Quantization,
        revision: String,
    ) -> Result<Made<D::Model>> {
        self.lock = None;
        // A caller that aborts does not wait for the compiler.
        let model = self.signal.end(self.devices.finish(room, config, &mut self.notes)).await?;
        Ok(Made { model, tokenizer, quantization, revision, notes: std::mem::take(&mut self.notes) })
    }
}

/// The place in the store of what is planned; a note if there is too little room.
///
/// # Errors
/// [`misplaced`] if what is there was made by an exact plan, and this one is not.
async fn open_cache<S: Store>(
    store: Option<S>,
    record: ModelRecord,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Cache<S>> {
    let Some(store) = store else { return Ok(Cache::off(record)) };
    let models = store.models().await.unwrap_or_default();
    if !record.is_exact && models.iter().any(|m| m.is_exact && m.key.is_of_same_model(&record.key)) {
        return Err(misplaced());
    }
    let existing = models.iter().find(|m| m.key == record.key);
    let needed = plan.stored_bytes.saturating_sub(existing.map_or(0, |m| m.bytes));
    let too_little = store.free_bytes().await.filter(|free| *free < needed);
    if let Some(free) = too_little {
        notes.push(advice(needed, free, &models, &record.key));
    }
    let units = record.units;
    let mut cache = Cache::open(store, record, existing, too_little.is_none()).await;
    if cache.is_complete() && !cache.is_whole(&plan.config) {
        cache.forget(0..units).await;
    }
    Ok(cache)
}

/// What was read of a source's tokenizer.
#[derive(Default)]
struct Read {
    /// `None` without one.
    tokenizer: Option<Tokenizer>,
    /// Its file.
    json: Option<Vec<u8>>,
    /// What the user should know.
    notes: Vec<String>,
}

/// Reads the tokenizer of a source, if it has one.
async fn read_tokenizer<P: Platform>(source: Source<P>) -> Result<Read> {
    let json = source.tokenizer().await?;
    let tokenizer = json.as_deref().map(Tokenizer::from_json).transpose()?;
    Ok(Read { tokenizer, json, notes: source.notes.take() })
}

/// The shape as far as it is declared without the weights, for models that cannot be run whatever they hold.
fn likely_shape<P>(source: &Source<P>, request: &Request) -> Option<ModelConfig> {
    let declared = source.config.as_deref().map(PartialConfig::of_published).unwrap_or_default();
    let preset = request.repository.as_deref().and_then(PartialConfig::preset).unwrap_or_default();
    request.config.clone().unwrap_or_default().or(declared).or(preset).finish().ok()
}
