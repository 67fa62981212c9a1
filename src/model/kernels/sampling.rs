//! Parameters for choosing a token (`shaders/sampling.wgsl`).

use crate::sampling::{SamplingOptions, Seen};

/// Bit in the `seen` counts of prompt and output: the next token may not be this one, but later ones may.
pub const BARRED: u32 = 1 << 31;
/// Bit in the `seen` counts of the output, and in the ids of a text: DRY's matches end at this token.
pub const BREAKS: u32 = 1 << 31;

/// `Sampling` of the shaders: the options as words; `build.rs` generates both this and the shaders' struct.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling([u32; WORDS]);

impl Sampling {
    /// The options of a completion that samples ids below `real_ids`, and resumes at its token number `begin` after a
    /// prompt of `prompt` tokens.
    pub fn new(options: &SamplingOptions, real_ids: usize, prompt: usize, begin: usize) -> Self {
        Self(words(options, real_ids as u32, options.keeps_all().into(), prompt as u32, begin as u32))
    }
}

/// `TextSampling` of the shaders: the options of one of several texts.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TextSampling {
    sampling: Sampling,
    /// Padding up to the next text.
    padding: [u32; TEXT_WORDS - WORDS],
}

/// Words from one text to the next.
const TEXT_WORDS: usize = 64;

impl From<Sampling> for TextSampling {
    fn from(sampling: Sampling) -> Self {
        Self { sampling, padding: [0; TEXT_WORDS - WORDS] }
    }
}

include!(concat!(env!("OUT_DIR"), "/sampling_words.rs"));

/// The shaders' `seen` at the point where a text resumes, [u32; 2] for each id: its count in the counted part of prompt
/// and output, with [`BARRED`], and in that of the output, with [`BREAKS`].
pub fn seen_words(options: &SamplingOptions, seen: &Seen) -> Vec<[u32; 2]> {
    let index = seen.written() as u32;
    let bar = |id| if options.allows(index, id) { 0 } else { BARRED };
    (0..).zip(seen.counts()).map(|(id, [all, output])| [all | bar(id), *output | breaks(options, id)]).collect()
}

/// The ids of a text that the shaders search for repeats, with [`BREAKS`].
pub fn text_words(options: &SamplingOptions, text: &[u32]) -> Vec<u32> {
    text.iter().map(|id| id | breaks(options, *id)).collect()
}

fn breaks(options: &SamplingOptions, id: u32) -> u32 {
    if options.breaks(id) { BREAKS } else { 0 }
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
