//! Where a model goes in a browser: the GPU, or the CPU for a reason.

use super::progress::Reporter;
use super::request::{Request, Wanted};
use super::target::{Device, Target};
use super::tuned::{self, Trials};
use super::upload::Devices;
use super::verdict::Verdict;
use crate::any_model::AnyModel;
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::cpu::{self, Reason};
use crate::error::{ErrorCode, Result};
use crate::gpu::{Gpu, GpuOptions};
use crate::hub::retry::SILENCE;
use crate::model::{Ahead, Known};
use crate::platform::Platform;
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use crate::store::indexed_db::IndexedDb;
use crate::store::remembered::recall;
use futures_channel::oneshot;
use js_sys::Uint8Array;
use std::rc::Rc;

/// The devices of one load.
pub struct BrowserDevices<'a> {
    request: &'a Request,
    progress: Rc<Reporter<Browser>>,
    store: Option<IndexedDb>,
    /// The device that is being opened, until it is needed.
    opening: Option<oneshot::Receiver<Result<Gpu>>>,
    gpu: Option<Rc<Gpu>>,
    /// What is compiled for it before the model is known.
    ahead: Option<Ahead>,
    /// Why the model goes to the CPU, once that is known.
    on_cpu: Option<Reason>,
    /// Whether the GPU computes what it should, and is faster than the CPU.
    verdict: Option<Verdict>,
}

impl<'a> BrowserDevices<'a> {
    /// Begins to open a GPU, unless the model goes to the CPU.
    pub fn begin(request: &'a Request, progress: &Rc<Reporter<Browser>>, on_cpu: Option<Reason>) -> Self {
        let (sender, receiver) = oneshot::channel();
        if on_cpu.is_none() {
            let options = gpu_options(request);
            Browser.spawn(async move {
                // The receiver may be gone.
                let _ = sender.send(Gpu::open(&options).await);
            });
        }
        let (progress, opening) = (progress.clone(), Some(receiver));
        let (store, gpu, ahead, verdict) = (None, None, None, None);
        Self { request, progress, store, opening, gpu, ahead, on_cpu, verdict }
    }

    /// Sets the store that remembers what the self-test finds.
    pub fn remember_in(&mut self, store: Option<IndexedDb>) {
        self.store = store;
    }

    /// True once it is known that the model goes to the CPU.
    pub fn are_on_cpu(&self) -> bool {
        self.on_cpu.is_some()
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

    /// The device for this model: the CPU where the GPU is slower. A software GPU is; others are if that was measured before.
    async fn device_for(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<Device> {
        let device = self.device().await?;
        self.verdict = None;
        let Device::Gpu(gpu) = &device else { return Ok(device) };
        let context = self.request.context_length.unwrap_or_else(|| config.default_context_length());
        let may_give_way = !self.request.insists_on_gpu() && cpu::runs(config, quantization, context);
        let slow = if may_give_way && gpu.is_software {
            Some(Reason::SoftwareGpu)
        } else {
            let store = self.store.as_ref();
            let verdict = Verdict::recall(store, gpu, config, quantization, may_give_way).await;
            let slow = verdict.says_slow().then_some(Reason::SlowGpu);
            self.verdict = Some(verdict);
            slow
        };
        let Some(reason) = slow else { return Ok(device) };
        (self.gpu, self.verdict) = (None, None);
        self.on_cpu = Some(reason.clone());
        Ok(Device::Cpu(reason))
    }

    async fn gpu(&mut self) -> Result<Rc<Gpu>> {
        // It may have been lost while this tab waited for another one.
        if let Some(gpu) = self.gpu.as_ref().filter(|gpu| gpu.check().is_ok()) {
            return Ok(gpu.clone());
        }
        let opened = match self.opening.take() {
            Some(mut opening) => match within(&Browser, SILENCE, &mut opening).await {
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
            None => Gpu::open(&gpu_options(self.request)).await?,
        };
        // What was begun on another device is useless on this one.
        self.ahead = None;
        Ok(self.gpu.insert(Rc::new(gpu)).clone())
    }
}

impl Devices<Uint8Array> for BrowserDevices<'_> {
    type Room = Target;
    type Model = AnyModel;

    async fn find(&mut self, likely: Option<&ModelConfig>) -> Result<()> {
        let device = self.device().await?;
        // A software GPU, whose compiler takes the CPU's time, usually gives way to the CPU.
        if let Device::Gpu(gpu) = &device
            && (!gpu.is_software || self.request.insists_on_gpu())
        {
            self.ahead = Some(Ahead::begin(gpu, likely));
        }
        likely.map_or(Ok(()), |config| device.check(config))
    }

    async fn room(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<Target> {
        let mut team = None;
        if let (Device::Gpu(gpu), Some(store)) = (self.device().await?, &self.store) {
            let name = tuned::name(&gpu, config, quantization, self.request.context_length);
            let trials: Trials = recall(store, &name).await.unwrap_or_default();
            if let Some(choice) = trials.choice.filter(|_| trials.may_go_on()) {
                team = choice.team;
                if choice.is_in_bytes == Some(true) {
                    gpu.multiply_bytes();
                }
            }
        }
        let device = self.device_for(config, quantization).await?;
        let known = Known { team, ahead: self.ahead.take().unwrap_or_default() };
        device.room(config.clone(), quantization, self.request.context_length, known).await
    }

    async fn finish(&mut self, room: Target, config: &ModelConfig, notes: &mut Vec<String>) -> Result<AnyModel> {
        if self.request.context_length.is_none() {
            notes.extend(room.shortened(config.default_context_length()));
        }
        match &self.on_cpu {
            Some(reason) => notes.push(reason.note()),
            None => self.progress.phase("compile"),
        }
        let verdict = self.verdict.take();
        // Kernels are still being compiled.
        let sample = match (&room, &verdict) {
            (Target::Gpu(loading), Some(verdict)) => verdict.sample(loading).await?,
            _ => None,
        };
        let mut model = room.finish().await?;
        if let (Some(model), Some(verdict)) = (model.on_gpu_mut(), verdict) {
            verdict.find(model, sample).await?;
        }
        Ok(model)
    }
}

/// How the GPU is opened for a request.
fn gpu_options(request: &Request) -> GpuOptions {
    GpuOptions { insists: request.insists_on_gpu(), ..Default::default() }
}
