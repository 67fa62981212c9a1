//! What choosing a token needs to know (`shaders/sampling.wgsl`).

use crate::engine::Text;
use crate::sampling::SamplingOptions;

/// Bit of `seen`: prompt or output hold the token. The lower bits count how often the output does.
pub const SEEN: u32 = 1 << 31;
/// Bit of `seen`: the output's first token may not be this one.
pub const NOT_FIRST: u32 = 1 << 30;

/// `Sampling` of the shaders: word after word what the options say, made with the struct itself by `build.rs`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling([u32; WORDS]);

impl Sampling {
    /// The options of a completion that draws ids below `real_ids`.
    pub fn new(options: &SamplingOptions, real_ids: usize) -> Self {
        Self(words(options, real_ids as u32, options.keeps_all().into()))
    }
}

include!(concat!(env!("OUT_DIR"), "/sampling_words.rs"));

/// What `seen` holds when a text begins or goes on, u32 [vocab].
pub fn seen_of(options: &SamplingOptions, text: Text<'_>, vocab: usize) -> Vec<u32> {
    let mut seen = vec![0u32; vocab];
    for id in text.prompt {
        if let Some(s) = seen.get_mut(*id as usize) {
            *s = SEEN;
        }
    }
    for id in text.written {
        if let Some(s) = seen.get_mut(*id as usize) {
            *s = (*s | SEEN) + 1;
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
