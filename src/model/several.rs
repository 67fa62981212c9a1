//! Several texts at once on the GPU: the state of each besides the KV cache that all share.

use super::choosing::Choosing;
use super::flights::Flights;
use super::kernels::TextStep;
use super::kernels::layers::Team;
use super::persistent::Persistent;
use super::plan::Parts;
use super::plan::several::{SeveralPlan, Texts};
use super::sampling_buffers::SamplingBuffers;
use super::tails::Tails;
use crate::engine::MOST_ROWS;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};

/// A text that is being generated.
pub(super) struct Text {
    pub(super) place: usize,
    /// Position of the token that the next step reads.
    pub(super) past: usize,
    pub(super) choosing: Choosing,
}

/// Several texts, and what their steps need.
#[derive(Default)]
pub struct Several {
    pub(super) tails: Tails,
    /// Uniform `TextStep` [MOST_ROWS], and parts of the attention, f32 [MOST_ROWS, parts].
    pub(super) buffers: Option<[GpuBuffer; 2]>,
    /// For the largest number of texts generated at once so far, or more.
    pub(super) sampling: Option<SamplingBuffers>,
    /// Their tokens on their way to the host.
    pub(super) flights: Flights,
    /// For this many tokens; made again when the buffers are.
    pub(super) plan: Option<(usize, SeveralPlan)>,
    /// The persistent workgroups that run the layers, for as many texts and the same buffers as the plan.
    pub(super) persistent: Option<Persistent>,
    pub(super) texts: Vec<Text>,
    /// Tokens that the texts share.
    pub(super) common: usize,
}

impl Several {
    /// Capacity of a tail, in tokens.
    pub fn capacity(&self) -> usize {
        self.tails.capacity()
    }

    /// How many steps should be queued before the tokens of the first are requested.
    pub fn ahead(&self) -> usize {
        let compares_here = self.texts.iter().any(|text| text.choosing.compares_here());
        if compares_here { 1 } else { self.flights.steps_ahead() }
    }

    /// Drops tokens that were not requested.
    pub fn stop(&mut self) {
        self.texts.clear();
        self.flights.stop();
    }
}

impl Several {
    /// The dispatches of steps of up to `tokens` texts, and the buffers that they refer to.
    pub(super) fn prepare(&mut self, parts: Parts<'_>, tokens: usize) -> Result<SeveralPlan> {
        let (gpu, stride) = (parts.gpu, parts.scratch.attention.stride());
        let [steps, attention] = self.buffers.get_or_insert_with(|| new_buffers(gpu, stride));
        let enough = self.sampling.take().filter(|sampling| sampling.rows() >= tokens);
        let sampling = self.sampling.insert(enough.unwrap_or_else(|| SamplingBuffers::new(gpu, parts.config, tokens)));
        let tails = &self.tails;
        let (steps, attention) = (&steps.buffer, &attention.buffer);
        SeveralPlan::new(parts, &Texts { steps, parts: attention, sampling, tails, tokens })
    }
}

impl Several {
    /// The layers of the plan's steps as a team runs them; `None` where that is not possible, or nothing is planned.
    pub(super) fn persistent_of(&self, parts: Parts<'_>, team: Team) -> Result<Option<Persistent>> {
        let (Some((tokens, _)), Some([steps, attention])) = (&self.plan, &self.buffers) else { return Ok(None) };
        let Some(sampling) = &self.sampling else { return Ok(None) };
        let (steps, attention) = (&steps.buffer, &attention.buffer);
        let texts = Texts { steps, parts: attention, sampling, tails: &self.tails, tokens: *tokens };
        Persistent::for_texts(parts, team, &texts)
    }
}

/// Records all layers for `count` texts, the longest of which has `longest` tokens before this step: by persistent
/// workgroups, if there are any.
pub(super) fn record_layers(
    pass: &mut wgpu::ComputePass<'_>,
    (plan, persistent): (&SeveralPlan, Option<&Persistent>),
    longest: usize,
    count: usize,
) {
    match persistent {
        Some(persistent) => persistent.record(pass, longest),
        None => plan.layers.record(pass, longest, count),
    }
}

fn new_buffers(gpu: &Gpu, parts: usize) -> [GpuBuffer; 2] {
    use wgpu::BufferUsages as U;
    let steps = (MOST_ROWS * size_of::<TextStep>()) as u64;
    let steps = GpuBuffer::new(gpu, "steps of several texts", steps, U::UNIFORM | U::COPY_DST);
    [steps, GpuBuffer::storage(gpu, "parts of several texts", (MOST_ROWS * parts * 4) as u64)]
}
