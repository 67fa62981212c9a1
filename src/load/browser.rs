//! A load in a page or a worker, from its beginning to a model that can write.

use super::devices::BrowserDevices;
use super::progress::{OnProgress, Reporter};
use super::reload::Reload;
use super::request::{Request, Wanted};
use super::target::AnyModel;
use super::{Load, Made};
use crate::checkpoint::layout::Quantization;
use crate::cpu::Reason;
use crate::error::{ErrorCode, Result};
use crate::generate::{MOST_LOSSES, Model, Recovering};
use crate::platform::abort::Signal;
use crate::platform::browser::{Browser, Linked};
use crate::store::cache::not_kept;
use crate::store::indexed_db::IndexedDb;
use std::rc::Rc;
use web_sys::AbortSignal;

/// The engine of a loaded model: it is loaded again if its device is lost.
pub type LoadedModel = Recovering<AnyModel, Rc<Reload>>;

/// A loaded model and what is told about it.
pub struct Loaded {
    /// What writes.
    pub model: Model<LoadedModel>,
    /// The precision of its tables.
    pub quantization: Quantization,
    /// The commit, or a hash that names its contents.
    pub revision: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Loads the model that `request` names.
///
/// # Errors
/// The codes of the public interface.
pub async fn load(request: &Request, on_progress: OnProgress, signal: Option<AbortSignal>) -> Result<Loaded> {
    let progress = Rc::new(Reporter::new(Browser, Some(on_progress)));
    let linked = Linked::to(signal.as_ref());
    let Made { model, tokenizer, quantization, revision, notes } = make(request, &progress, &linked.signal).await?;
    let reload = Rc::new(Reload::new(request, &revision, quantization));
    let model = Model::new(Recovering::new(model, reload), tokenizer)?;
    progress.phase("ready");
    Ok(Loaded { model, quantization, revision, notes })
}

/// Makes the engine of a model. If the device is lost meanwhile, or turns out to be of no use, another one, or the CPU,
/// gets what is stored by then.
pub async fn make(request: &Request, progress: &Rc<Reporter<Browser>>, signal: &Signal) -> Result<Made<AnyModel>> {
    let mut losses = 0;
    let mut on_cpu = (request.backend == Wanted::Cpu).then_some(Reason::Asked);
    loop {
        progress.phase("resolve");
        // A device takes as long to come as the small files do.
        let mut devices = BrowserDevices::begin(request, progress, on_cpu.clone());
        let opened = match request.cache {
            true => IndexedDb::open().await.map(Some),
            false => Ok(None),
        };
        let (store, note) = match opened {
            Ok(store) => (store, None),
            Err(e) => (None, Some(not_kept(&e))),
        };
        devices.remember_in(store.clone());
        let mut load = Load::new(Browser, request, signal.clone(), progress, store, devices);
        note.into_iter().for_each(|note| load.note(note));
        match load.run().await {
            Err(e) if e.code == ErrorCode::DeviceLost && losses + 1 < MOST_LOSSES => losses += 1,
            Err(e)
                if e.code == ErrorCode::WebgpuUnavailable
                    && request.backend == Wanted::Auto
                    && !load.devices().are_on_cpu() =>
            {
                on_cpu = Some(Reason::NoGpu(e.message));
            }
            result => return result,
        }
    }
}
