//! Loading a model again, on another device: usually from the store, without the network.

use super::Made;
use super::make::make;
use super::progress::Reporter;
use super::request::{Request, Wanted};
use crate::any_model::AnyModel;
use crate::checkpoint::layout::Quantization;
use crate::engine::{AbortFlag, Backend, Revive};
use crate::error::{Error, ErrorCode, Result};
use crate::hub::listing::is_commit;
use crate::platform::Clock;
use crate::platform::abort::Signal;
use crate::platform::browser::Browser;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How a model was loaded.
pub struct Reload {
    /// `None` for a model that cannot be loaded again.
    request: Option<Request>,
    revision: String,
    /// Set to end the call that waits for it.
    flag: AbortFlag,
    /// Ends the load that runs.
    running: RefCell<Signal>,
}

/// Waits, in seconds, between attempts to get a device: a browser whose GPU process has crashed has none for a while.
const WAITS: [f64; 3] = [0.5, 1.0, 2.0];

impl Reload {
    /// For a model that `request` made, of this revision and precision.
    pub fn new(request: &Request, revision: &str, quantization: Quantization) -> Self {
        // The kernels must stay the same, and only a GPU is ever lost.
        let (quantization, backend) = (Some(quantization), Wanted::Webgpu);
        let mut request = Request { quantization, backend, ..request.clone() };
        // A branch may have moved on. (A folder has no revisions: its contents are compared.)
        if is_commit(revision) && request.repository.is_some() {
            revision.clone_into(&mut request.revision);
        }
        Self { request: Some(request), revision: revision.to_owned(), ..Self::never() }
    }

    /// For a model that cannot be loaded again.
    pub fn never() -> Self {
        let (flag, running) = (AbortFlag::default(), RefCell::default());
        Self { request: None, revision: String::new(), flag, running }
    }

    /// Ends the engine's calls, including a reload.
    pub fn flag(&self) -> AbortFlag {
        self.flag.clone()
    }

    /// Ends the call that runs, and the load that it may be waiting for.
    pub fn abort(&self) {
        self.flag.set();
        self.running.borrow().set();
    }
}

impl Revive<AnyModel> for Rc<Reload> {
    async fn revive(&self, lost: &AnyModel) -> Result<AnyModel> {
        let gone = |message: &str| Error::new(ErrorCode::DeviceLost, message).hint("Load the model again.");
        let Some(request) = &self.request else { return Err(gone("The GPU device was lost.")) };
        let request = Request { context_length: Some(lost.context_length()), ..request.clone() };
        // If only a single readback was lost, the old model would take up as much memory again beside the new one.
        if let Some(model) = lost.on_gpu() {
            model.gpu().device.destroy();
        }
        let signal = Signal::default();
        self.running.replace(signal.clone());
        let made = self.load(&request, &signal).await?;
        if made.revision != self.revision {
            // The text would not continue as it began.
            return Err(gone("The GPU device was lost, and the model's files have changed since it was loaded."));
        }
        Ok(made.model)
    }

    fn check(&self) -> Result<()> {
        self.flag.check()
    }
}

impl Reload {
    async fn load(&self, request: &Request, signal: &Signal) -> Result<Made<AnyModel>> {
        let mut waits = WAITS.into_iter();
        loop {
            self.flag.check()?;
            match make(request, &Rc::new(Reporter::new(Browser, None)), signal).await {
                Err(e) if e.code == ErrorCode::WebgpuUnavailable => {
                    let Some(wait) = waits.next() else { return Err(e) };
                    signal.unless_set(Browser.sleep(Duration::from_secs_f64(wait))).await;
                }
                result => return result,
            }
        }
    }
}
