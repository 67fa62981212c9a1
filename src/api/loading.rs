//! A load in a page or a worker, from its beginning to a model that can write.

use crate::any_model::AnyModel;
use crate::checkpoint::layout::Quantization;
use crate::engine::Recovering;
use crate::error::Result;
use crate::generate::Model;
use crate::load::Made;
use crate::load::make::make;
use crate::load::progress::{OnProgress, Reporter};
use crate::load::reload::Reload;
use crate::load::request::Request;
use crate::platform::browser::{Browser, Linked};
use std::rc::Rc;
use web_sys::AbortSignal;

/// The engine of a loaded model: the model is reloaded if its device is lost.
pub type LoadedModel = Recovering<AnyModel, Rc<Reload>>;

/// A loaded model and what is known about it.
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
