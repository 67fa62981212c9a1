//! From a model's shape to buffers on the GPU, and from there to a model that can run.

use super::gpu_model::GpuModel;
use super::kernels::layers::Team;
use super::persistent;
use super::plan::{Parts, Plan};
use super::room;
use super::scratch::Scratch;
use super::several::Several;
use super::several_teams::SeveralTeams;
use super::weights::Weights;
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::engine::Changes;
use crate::error::{ErrorCode, Result};
use crate::gpu::{Gpu, Warm};
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
    /// The kernel of a team that will be tried first.
    team: Option<Warm>,
    /// The device. Last, so that it is dropped after its buffers.
    pub gpu: Rc<Gpu>,
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
        config.checked_context_length(context_length)?;
        let weights = room::for_weights(&gpu, &config, quantization).await?;
        let weight_bytes = gpu.memory.bytes();
        let scratch = room::for_context(&gpu, &config, &weights, context_length).await?;
        let parts = Parts { gpu: &gpu, config: &config, weights: &weights, scratch: &scratch, packs: None };
        let mut kernels = Plan::kernels(parts)?;
        // The slowest ones start first, so that loading does not end up waiting for them.
        kernels.sort_by_cached_key(|kernel| Reverse(kernel.source().map_or(0, |source| source.len())));
        kernels.iter_mut().for_each(|kernel| kernel.begin(&gpu));
        Ok(Self { weights, config, quantization, weight_bytes, scratch, kernels, team: None, gpu })
    }

    /// Also begins to compile the layers' kernel for a team; nobody waits for it.
    pub fn compile_team(&mut self, team: Team) {
        let Self { gpu, config, weights, scratch, .. } = self;
        let parts = Parts { gpu, config, weights, scratch, packs: None };
        self.team = persistent::warm(parts, team);
        self.team.iter_mut().for_each(|kernel| kernel.begin(&self.gpu));
    }

    /// Positions of the KV cache.
    pub fn context_length(&self) -> usize {
        self.scratch.context_length
    }

    /// A model that can run, once all bytes are written.
    ///
    /// # Errors
    /// `webgpu-unavailable` if a kernel does not compile.
    pub async fn finish(self) -> Result<GpuModel> {
        let Self { weights, config, quantization, weight_bytes, scratch, mut kernels, team, gpu } = self;
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
            quantization,
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
            _team: team,
            weight_bytes,
            len,
            gpu,
        })
    }
}
