//! What choosing a token needs to know (`shaders/sampling.wgsl`).

use crate::sampling::SamplingOptions;

/// Bit of `seen`: prompt or output hold the token. The lower bits count how often the output does.
pub const SEEN: u32 = 1 << 31;
/// Bit of `seen`: the output's first token may not be this one.
pub const NOT_FIRST: u32 = 1 << 30;

/// `Sampling` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling {
    pub temperature: f32,
    pub top_p: f32,
    pub min_p_floor: f32,
    pub top_k: u32,
    pub repetition: f32,
    pub presence: f32,
    pub frequency: f32,
    pub real_ids: u32,
    pub seed: [u32; 2],
    padding: [u32; 2],
}

impl Sampling {
    /// The options of a completion that draws ids below `real_ids`.
    pub fn new(options: &SamplingOptions, real_ids: usize) -> Self {
        Self {
            temperature: if options.is_greedy() { 0.0 } else { options.temperature },
            top_p: options.top_p,
            min_p_floor: if options.min_p > 0.0 { options.min_p.ln() } else { f32::MIN },
            top_k: options.top_k,
            repetition: options.repetition_penalty,
            presence: options.presence_penalty,
            frequency: options.frequency_penalty,
            real_ids: real_ids as u32,
            seed: [options.seed as u32, (options.seed >> 32) as u32],
            padding: [0; 2],
        }
    }
}

/// What `seen` holds when a completion of `prompt` begins, u32 [vocab].
pub fn seen_of(options: &SamplingOptions, prompt: &[u32], vocab: usize) -> Vec<u32> {
    let mut seen = vec![0u32; vocab];
    for id in prompt {
        if let Some(s) = seen.get_mut(*id as usize) {
            *s = SEEN;
        }
    }
    for (id, s) in (0..).zip(&mut seen) {
        if !options.allows(0, id) {
            *s |= NOT_FIRST;
        }
    }
    seen
}

/// The bias of every token, f32 [vocab].
pub fn bias_of(options: &SamplingOptions, vocab: usize) -> Vec<f32> {
    let mut bias = vec![0f32; vocab];
    for (id, b) in &options.logit_bias {
        if let Some(x) = bias.get_mut(*id as usize) {
            *x += b;
        }
    }
    bias
}
