//! Loading a model once more, on another device: from the store as a rule, without the network.

use super::target::{AnyModel, Wanted};
use super::{Request, make, progress::Reporter};
use crate::checkpoint::layout::Quantization;
use crate::error::{Error, ErrorCode, Result};
use crate::generate::{Backend, Revive};
use crate::hub::fetch::controller;
use crate::hub::listing::is_commit;
use crate::model::GpuModel;
use std::cell::RefCell;
use std::rc::Rc;
use web_sys::AbortController;

/// How a model was loaded.
pub struct Reload {
    /// `None` for a model that came from nowhere.
    request: Option<Request>,
    revision: String,
    /// Ends the load that runs.
    running: RefCell<Option<AbortController>>,
}

impl Reload {
    /// For a model that `request` made, of this revision and precision.
    pub fn new(request: &Request, revision: &str, quantization: Quantization) -> Self {
        // The same kernels are to go on, and only a GPU is ever lost.
        let (quantization, backend) = (Some(quantization), Wanted::Webgpu);
        let mut request = Request { quantization, backend, ..request.clone() };
        // A branch may have moved on. (A folder has no revisions: its contents are compared.)
        if is_commit(revision) && request.repository.is_some() {
            revision.clone_into(&mut request.revision);
        }
        Self { request: Some(request), revision: revision.to_owned(), running: RefCell::default() }
    }

    /// For a model that cannot be had again.
    pub fn never() -> Self {
        Self { request: None, revision: String::new(), running: RefCell::default() }
    }

    /// Ends the load that runs, if there is one.
    pub fn abort(&self) {
        if let Some(controller) = self.running.borrow().as_ref() {
            controller.abort();
        }
    }
}

impl Revive<AnyModel> for Rc<Reload> {
    async fn revive(&self, lost: &AnyModel) -> Result<AnyModel> {
        let gone = |message: &str| Error::new(ErrorCode::DeviceLost, message).hint("Load the model again.");
        let Some(request) = &self.request else { return Err(gone("The GPU device was lost.")) };
        let request = Request { context_length: Some(lost.context_length()), ..request.clone() };
        let controller = controller()?;
        *self.running.borrow_mut() = Some(controller.clone());
        let made = make(&request, &Rc::new(Reporter::new(None)), Some(controller.signal())).await;
        *self.running.borrow_mut() = None;
        let mut made = made?;
        if made.revision != self.revision {
            // The text would not go on as it began.
            return Err(gone("The GPU device was lost, and the model's files have changed since it was loaded."));
        }
        if let Some(team) = lost.on_gpu().and_then(GpuModel::team)
            && let Some(model) = made.model.on_gpu_mut()
        {
            model.employ(team).await?;
        }
        Ok(made.model)
    }
}
