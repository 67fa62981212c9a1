//! The dispatches of a step of several texts: one token of each, through every layer.

use super::products::Rows;
use super::{Builder, Choose, Parts};
use crate::error::Result;
use crate::gpu::GpuBuffer;
use crate::model::group::Group;
use crate::model::kernels::{
    Append, AppendBuffers, AttentionDecode, AttentionDecodeBuffers, AttentionJoin, AttentionJoinBuffers, Rotary,
    TailRanges,
};
use crate::model::sampling_buffers::SamplingBuffers;
use crate::model::stage::{Stager, Stages};
use crate::model::tails::Tails;

/// What such a step reads and writes, besides the buffers of all steps.
pub struct Texts<'a> {
    /// Uniform `TextStep` [T].
    pub steps: &'a wgpu::Buffer,
    /// Parts of each text's attention, f32 [T, parts].
    pub parts: &'a wgpu::Buffer,
    /// For choosing each text's token.
    pub sampling: &'a SamplingBuffers,
    /// Keys and values of the tails.
    pub tails: &'a Tails,
    /// Largest number of tokens that kernels are compiled for.
    pub tokens: usize,
}

/// Everything that is dispatched for such a step after the embedding.
pub struct SeveralPlan {
    /// All layers.
    pub layers: Stages,
    /// Logits of every text, [`logits_stride`] apart.
    pub logits: Stages,
    /// Choosing the token of each text.
    pub choose: Choose,
    _uniforms: Vec<GpuBuffer>,
}

/// Stride in values from one text's logits to the next's.
pub fn logits_stride(vocab: usize) -> usize {
    vocab.next_multiple_of(64)
}

impl SeveralPlan {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// If a shader's files contradict each other; validation errors go to the caller's error scope.
    pub fn new(parts: Parts<'_>, texts: &Texts<'_>) -> Result<Self> {
        let mut b = Builder::new(parts, Stager::new(parts.gpu));
        let mut layers = Stages::default();
        for layer in 0..parts.weights.layers.len() {
            b.layer_of_several(&mut layers, layer, texts)?;
        }
        let vocab = parts.config.padded_vocab_size;
        let stride = logits_stride(vocab);
        let (u, logits) = (&parts.scratch.u.buffer, &parts.scratch.logits.buffer);
        let mut of_rows = Stages::default();
        b.layernorm(&mut of_rows, Some(&parts.weights.norm.buffer), None)?;
        let embedding = (&parts.weights.embedding, 1, Some(texts.tokens));
        b.product(&mut of_rows, embedding, Rows { x: u, is_in_bytes: false }, (logits, stride), false)?;
        let choose = b.choose(texts.steps, texts.sampling, Some(stride))?;
        Ok(Self { layers, logits: of_rows, choose, _uniforms: std::mem::take(&mut b.uniforms) })
    }
}

impl Builder<'_> {
    fn layer_of_several(&mut self, stages: &mut Stages, layer: usize, texts: &Texts<'_>) -> Result<()> {
        let Parts { config, scratch: s, gpu, .. } = self.parts;
        let d = config.hidden_size;
        let (step, u, q) = (&s.step.buffer, &s.u.buffer, &s.q.buffer);
        let (qkv, angles) = (&s.qkv.buffer, &s.angles.buffer);
        let ([steps, parts], few) = ([texts.steps, texts.parts], Some(texts.tokens));
        let [tail_keys, tail_values] = texts.tails.of_layer(layer);
        let tails = TailRanges { steps, keys: tail_keys, values: tail_values };
        self.layernorm(stages, None, None)?;
        self.pattention(stages, layer, Group::Qkv, few)?;
        let [keys, values] = s.cache[layer].ranges();
        let append = Append { hidden: d, rotary: Rotary::new(config) };
        let buffers = AppendBuffers { step, qkv, q, keys, values, angles };
        self.stager.push(stages, &append.dispatch_several(buffers, &tails))?;
        let [keys, values] = s.cache[layer].ranges();
        let attention = AttentionDecode { parts: s.attention, subgroups: gpu.has_subgroups() };
        let buffers = AttentionDecodeBuffers { step, q, keys, values, parts };
        self.stager.push(stages, &attention.dispatch_several(&buffers, &tails))?;
        let join = AttentionJoin { parts: s.attention };
        self.stager.push(stages, &join.dispatch(&AttentionJoinBuffers { steps, parts, u }))?;
        self.pattention(stages, layer, Group::Proj, few)?;
        self.layernorm(stages, None, None)?;
        self.pattention(stages, layer, Group::Mlp, few)
    }
}
