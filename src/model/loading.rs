//! From a model's shape to buffers on the GPU, and from there to a model that can run.

use super::ahead::Ahead;
use super::gpu_model::GpuModel;
use super::kernels::layers::Team;
use super::persistent;
use super::plan::{Parts, Plan};
use super::room;
use super::sample::{Sample, Whole};
use super::scratch::Scratch;
use super::several::Several;
use super::several_teams::SeveralTeams;
use super::weights::Weights;
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::engine::Changes;
use crate::error::{ErrorCode, Result};
use crate::gpu::{Gpu, Warm};
use std::cell::Cell;
use std::cmp::Reverse;
use std::rc::Rc;

/// A model that is being loaded: buffers on the GPU that are filled tensor by tensor, while its kernels are compiled.
pub struct Loading {
    /// Where the bytes are written.
    pub weights: Weights,
    config: ModelConfig,
    quantization: Quantization,
    weight_bytes: u64,
    pub(super) scratch: Scratch,
    /// Kernels that are being compiled.
    kernels: Vec<Warm>,
    /// The kernel of a team that will be tried first; `finish` does not wait for it.
    team: Option<(Team, Warm)>,
    /// The device. Last, so that it is dropped after its buffers.
    pub gpu: Rc<Gpu>,
}

/// What is known of a model and its device before it is loaded.
#[derive(Default)]
pub struct Known {
    /// The team that was the fastest before, whose kernel is compiled, too.
    pub team: Option<Team>,
    /// Kernels that are already being compiled.
    pub ahead: Ahead,
}

impl Loading {
    /// Allocates everything, and starts to compile, so that the slowest part runs in parallel with the download.
    ///
    /// # Errors
    /// `out-of-memory` if it does not fit, `invalid-argument` for an impossible context length.
    pub async fn new(
        gpu: Rc<Gpu>,
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
    ) -> Result<Self> {
        Self::with(gpu, config, quantization, context_length, Known::default()).await
    }

    /// The same with what is known besides.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub async fn with(
        gpu: Rc<Gpu>,
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
        known: Known,
    ) -> Result<Self> {
        config.checked_context_length(context_length)?;
        let weights = room::for_weights(&gpu, &config, quantization).await?;
        let weight_bytes = gpu.memory.bytes();
        let scratch = room::for_context(&gpu, &config, &weights, context_length).await?;
        let parts = Parts { gpu: &gpu, config: &config, weights: &weights, scratch: &scratch, packs: None };
        // A team's kernel takes longest, so it begins first.
        let mut team = known.team.and_then(|team| Some((team, persistent::warm(parts, team)?)));
        team.iter_mut().for_each(|(_, kernel)| kernel.begin(&gpu));
        let mut kernels = Plan::kernels(parts)?;
        known.ahead.give(&mut kernels);
        // The slowest ones start first, so that loading does not end up waiting for them.
        kernels.sort_by_cached_key(|kernel| Reverse(kernel.source().map_or(0, |source| source.len())));
        kernels.iter_mut().for_each(|kernel| kernel.begin(&gpu));
        Ok(Self { weights, config, quantization, weight_bytes, scratch, kernels, team, gpu })
    }

    /// Positions of the KV cache.
    pub fn context_length(&self) -> usize {
        self.scratch.context_length
    }

    /// A part of the model on the CPU, once all bytes are written, and what that computes; a step is timed if that
    /// matters. `None` for a toy.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn sample(&self, is_timed: bool) -> Result<Option<Sample>> {
        let Self { gpu, config, quantization, weights, .. } = self;
        let whole = Whole { gpu, config, quantization: *quantization, weights, context_length: self.context_length() };
        Sample::of(&whole, is_timed).await
    }

    /// A model that can run, once all bytes are written.
    ///
    /// # Errors
    /// `webgpu-unavailable` if a kernel does not compile.
    pub async fn finish(self) -> Result<GpuModel> {
        let Self { weights, config, weight_bytes, scratch, mut kernels, team, gpu, .. } = self;
        for kernel in &mut kernels {
            // What fails here fails again below, with a message.
            kernel.is_compiled().await;
        }
        let parts = Parts { gpu: &gpu, config: &config, weights: &weights, scratch: &scratch, packs: None };
        let make = || Plan::new(parts);
        let plan = match gpu.scoped("Compiling the kernels", make).await {
            Err(e) if e.code == ErrorCode::WebgpuUnavailable && gpu.forgo_subgroups("did not compile") => {
                gpu.scoped("Compiling the kernels", make).await?
            }
            result => result?,
        };
        let (choosing, flights) = Default::default();
        let (depth, dropped) = (config.num_layers, Vec::new());
        let (persistent, len) = (None, 0);
        Ok(GpuModel {
            config,
            depth,
            weights,
            scratch,
            plan,
            persistent,
            packs: None,
            changes: Changes::default(),
            inspecting: None,
            dropped,
            choosing,
            flights,
            several_teams: SeveralTeams::default(),
            several: Several::default(),
            together: None,
            training: None,
            begun: Cell::new(team),
            bytes_to_try: None,
            has_tried_bytes: false,
            weight_bytes,
            len,
            gpu,
        })
    }
}
