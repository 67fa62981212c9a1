//! The dispatches of a step, and their order.

mod products;
pub mod several;
pub mod together;

use super::chunk_products::ChunkProducts;
use super::group::Group;
use super::kernels::{
    Append, AppendBuffers, AttentionDecode, AttentionDecodeBuffers, AttentionPrefill, AttentionPrefillBuffers, Embed,
    EmbedBuffers, InBytes, Keys, KeysBuffers, KeysInput, LayerNorm, LayerNormBuffers, PackValues, Repeats,
    RepeatsBuffers, Rotary, SampleAdjust, SampleAdjustBuffers, SamplePick, SamplePickBuffers, Score, ScoreBuffers,
    Sharing, Values, ValuesBuffers, ValuesOutput,
};
use super::pack_tables::{PackTable, PackTables};
use super::sampling_buffers::SamplingBuffers;
use super::scratch::Scratch;
use super::stage::{Stager, Stages};
use super::tables::Table;
use super::weights::{LayerTables, Weights};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, Warm};
use crate::pattention::Pattention;
use products::Rows;

/// The parts that dispatches are made of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a ModelConfig,
    pub weights: &'a Weights,
    pub scratch: &'a Scratch,
    /// Active packs.
    pub packs: Option<&'a PackTables>,
}

/// Everything that can be dispatched for a model.
pub struct Plan {
    /// Embedding lookup of a chunk.
    pub embed: Stages,
    /// All layers.
    pub layers: LayerStages,
    /// Logits of one row of h.
    pub logits_of_row: Stages,
    /// Logits of up to [`super::scratch::LOGIT_ROWS`] rows of h.
    pub logits_of_rows: Stages,
    /// Products of rows of u with the embedding, into the logits.
    pub embedding_product: Stages,
    /// Log-probabilities of tokens, from the logits of such rows.
    pub score: Stages,
    /// Choosing a token from the logits of a row.
    pub choose: Choose,
    /// Buffers in bind groups besides weights and scratch.
    _uniforms: Vec<GpuBuffer>,
}

/// Choosing a token, or one for each of several texts.
pub struct Choose {
    /// Searching for repeats, if they are penalized.
    repeats: Stages,
    /// The choice: two dispatches.
    pub stages: Stages,
}

impl Choose {
    /// Records it for `texts` texts; in the longest, this many tokens are searched for repeats.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, texts: usize, longest: usize) {
        if longest > 0 {
            self.repeats.record(pass, 0, longest);
        }
        self.stages.record(pass, 0, texts);
    }
}

/// The layers of a step.
pub struct LayerStages {
    /// For one token: seven dispatches each.
    pub decode: Stages,
    /// For a chunk of tokens.
    pub prefill: Stages,
    /// Buffers in bind groups besides weights, packs and scratch.
    _uniforms: Vec<GpuBuffer>,
}

impl LayerStages {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// See [`Plan::new`].
    pub fn new(parts: Parts<'_>) -> Result<Self> {
        Self::build(&mut Builder::new(parts, Stager::new(parts.gpu)))
    }

    /// All its kernels, as in [`Plan::kernels`].
    ///
    /// # Errors
    /// If a shader's files contradict each other.
    pub fn kernels(parts: Parts<'_>) -> Result<Vec<Warm>> {
        Builder::noting(parts).notes(Self::build)
    }

    fn build(b: &mut Builder<'_>) -> Result<Self> {
        let (mut decode, mut prefill) = (Stages::default(), Stages::default());
        for (layer, tables) in b.parts.weights.layers.iter().enumerate() {
            b.decode_layer(&mut decode, layer, tables)?;
            b.prefill_layer(&mut prefill, layer, None)?;
        }
        Ok(Self { decode, prefill, _uniforms: std::mem::take(&mut b.uniforms) })
    }
}

impl Plan {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// If a shader's files contradict each other; validation errors go to the caller's error scope.
    pub fn new(parts: Parts<'_>) -> Result<Self> {
        Self::with(parts, &parts.scratch.products)
    }

    /// The same with another way to make the products of a chunk.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn with(parts: Parts<'_>, products: &ChunkProducts) -> Result<Self> {
        Self::build(&mut Builder { products, ..Builder::new(parts, Stager::new(parts.gpu)) })
    }

    /// All its kernels: while the same kernels are kept compiled, [`new`](Self::new) does not wait for each.
    ///
    /// # Errors
    /// If a shader's files contradict each other.
    pub fn kernels(parts: Parts<'_>) -> Result<Vec<Warm>> {
        Self::kernels_with(parts, &parts.scratch.products)
    }

    /// The same for [`with`](Self::with).
    ///
    /// # Errors
    /// See [`kernels`](Self::kernels).
    pub fn kernels_with(parts: Parts<'_>, products: &ChunkProducts) -> Result<Vec<Warm>> {
        Builder { products, ..Builder::noting(parts) }.notes(Self::build)
    }

    fn build(b: &mut Builder<'_>) -> Result<Self> {
        let s = b.parts.scratch;
        let layers = LayerStages::build(b)?;
        Ok(Self {
            embed: b.embed()?,
            layers,
            logits_of_row: b.logits_of_row()?,
            logits_of_rows: b.logits_of_rows()?,
            embedding_product: b.embedding_product()?,
            score: b.score()?,
            choose: b.choose(&s.step.buffer, &s.choose, None)?,
            _uniforms: std::mem::take(&mut b.uniforms),
        })
    }
}

struct Builder<'a> {
    parts: Parts<'a>,
    /// How the products of a chunk are made.
    products: &'a ChunkProducts,
    stager: Stager<'a>,
    uniforms: Vec<GpuBuffer>,
}

/// A table, and packs for the same product.
type WithPacks<'a> = (&'a Table, Option<&'a PackTable>);

impl<'a> Builder<'a> {
    fn new(parts: Parts<'a>, stager: Stager<'a>) -> Self {
        Self { parts, products: &parts.scratch.products, stager, uniforms: Vec::new() }
    }

    fn noting(parts: Parts<'a>) -> Self {
        Self::new(parts, Stager::noting(parts.gpu))
    }

    /// What to compile for the stages that `build` makes.
    fn notes<T>(mut self, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<Vec<Warm>> {
        build(&mut self)?;
        Ok(self.stager.into_notes())
    }
}

impl Builder<'_> {
    fn decode_layer(&mut self, stages: &mut Stages, layer: usize, t: &LayerTables) -> Result<()> {
        let Parts { config, scratch: s, gpu, packs, .. } = self.parts;
        let [qkv, proj, mlp] = packs.map_or([None; 3], |packs| packs.layer(layer).each_ref().map(Option::as_ref));
        let h = KeysInput::Normalized(&s.h.buffer);
        self.keys(stages, (&t.qkv_keys, qkv), h)?;
        let [keys, values] = s.cache[layer].ranges();
        let rotary = Rotary::new(config);
        let y = ValuesOutput::Qkv { q: &s.q.buffer, keys, values, angles: &s.angles.buffer, rotary };
        self.values(stages, (&t.qkv_values, qkv), Pattention::Query, y)?;
        let [keys, values] = s.cache[layer].ranges();
        let attention = AttentionDecode { parts: s.attention, subgroups: gpu.has_subgroups() };
        let buffers =
            AttentionDecodeBuffers { step: &s.step.buffer, q: &s.q.buffer, keys, values, parts: &s.parts.buffer };
        self.stager.push(stages, &attention.dispatch(&buffers))?;
        self.keys(stages, (&t.proj_keys, proj), KeysInput::Attention(&s.parts.buffer, s.attention))?;
        self.values(stages, (&t.proj_values, proj), Pattention::Proj, ValuesOutput::Residual(&s.h.buffer))?;
        self.keys(stages, (&t.mlp_keys, mlp), h)?;
        self.values(stages, (&t.mlp_values, mlp), Pattention::Mlp, ValuesOutput::Residual(&s.h.buffer))
    }

    /// `starts`: see [`together`].
    fn prefill_layer(&mut self, stages: &mut Stages, layer: usize, starts: Option<&wgpu::Buffer>) -> Result<()> {
        let Parts { gpu, config, scratch: s, .. } = self.parts;
        let (d, head) = (config.hidden_size, config.head_size());
        let (step, u, q, qkv) = (&s.step.buffer, &s.u.buffer, &s.q.buffer, &s.qkv.buffer);
        let in_bytes = |b: &Self, group: Group| b.in_bytes(group.tables(&b.parts.weights.layers[layer])[0], None);
        self.layernorm(stages, None, in_bytes(self, Group::Qkv))?;
        self.pattention(stages, layer, Group::Qkv, None)?;
        let [keys, values] = s.cache[layer].ranges();
        let append = Append { hidden: d, rotary: Rotary::new(config) };
        let angles = &s.angles.buffer;
        let buffers = AppendBuffers { step, qkv, q, keys, values, angles };
        let dispatch = match starts {
            None => append.dispatch(&buffers),
            Some(starts) => append.dispatch_together(&buffers, starts),
        };
        self.stager.push(stages, &dispatch)?;
        let [keys, values] = s.cache[layer].ranges();
        let attention = AttentionPrefill::new(gpu, d, head);
        let buffers = AttentionPrefillBuffers { step, q, keys, values, out: u };
        let dispatch = match starts {
            None => attention.dispatch(&buffers),
            Some(starts) => attention.dispatch_together(&buffers, starts),
        };
        self.stager.push(stages, &dispatch)?;
        self.pattention(stages, layer, Group::Proj, None)?;
        self.layernorm(stages, None, in_bytes(self, Group::Mlp))?;
        self.pattention(stages, layer, Group::Mlp, None)
    }

    fn embed(&mut self) -> Result<Stages> {
        let Parts { weights, scratch: s, .. } = self.parts;
        let mut stages = Stages::default();
        let table = &weights.embedding;
        for part in &table.parts {
            let buffers = EmbedBuffers { step: &s.step.buffer, ids: &s.ids.buffer, h: &s.h.buffer };
            self.stager.push(&mut stages, &Embed { table, part }.dispatch(&buffers))?;
        }
        Ok(stages)
    }

    fn logits_of_row(&mut self) -> Result<Stages> {
        let Parts { weights, scratch: s, .. } = self.parts;
        let mut stages = Stages::default();
        let x = KeysInput::Final { h: &s.h.buffer, norm: &weights.norm.buffer };
        self.rows(&mut stages, (&weights.embedding, None), x, &s.logits.buffer)?;
        Ok(stages)
    }

    fn logits_of_rows(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let Weights { norm, embedding, .. } = self.parts.weights;
        self.layernorm(&mut stages, Some(&norm.buffer), self.in_bytes(embedding, None))?;
        self.times_embedding(&mut stages, true)?;
        Ok(stages)
    }

    fn embedding_product(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        self.times_embedding(&mut stages, false)?;
        Ok(stages)
    }

    fn times_embedding(&mut self, stages: &mut Stages, is_in_bytes: bool) -> Result<()> {
        let Parts { config, weights, scratch: s, .. } = self.parts;
        let logits = (&s.logits.buffer, config.padded_vocab_size);
        self.product(stages, (&weights.embedding, 1, None), Rows { x: &s.u.buffer, is_in_bytes }, logits, false)
    }

    fn score(&mut self) -> Result<Stages> {
        let Parts { config, scratch: s, .. } = self.parts;
        let mut stages = Stages::default();
        let buffers = ScoreBuffers {
            step: &s.step.buffer,
            logits: &s.logits.buffer,
            targets: &s.targets.buffer,
            scores: &s.target_scores.buffer,
        };
        self.stager.push(&mut stages, &Score { vocab: config.padded_vocab_size }.dispatch(&buffers))?;
        Ok(stages)
    }

    /// Choosing a token by `step`, with the buffers `c`; for several texts, one for each, whose logits are this far
    /// apart.
    fn choose(&mut self, step: &wgpu::Buffer, c: &SamplingBuffers, several: Option<usize>) -> Result<Choose> {
        let Parts { gpu, config, scratch: s, .. } = self.parts;
        let (mut repeats, mut stages) = (Stages::default(), Stages::default());
        let vocab = config.padded_vocab_size;
        let (seen, adjusted, partials) = (&c.seen.buffer, &c.adjusted.buffer, &c.partials.buffer);
        let (sampling, bias) = (&c.sampling.buffer, &c.bias.buffer);
        let (text, lengths, logits) = (&c.text.buffer, &c.lengths.buffer, &s.logits.buffer);
        let (ids, tokens) = (&s.ids.buffer, &c.tokens.buffer);
        let (adjust, pick) = (SampleAdjust { vocab }, SamplePick::new(gpu, vocab));
        let repeating = RepeatsBuffers { step, sampling, text, lengths };
        let adjusting = SampleAdjustBuffers { step, sampling, logits, seen, bias, adjusted, partials, lengths };
        let picking = SamplePickBuffers { step, sampling, adjusted, partials, seen, ids, tokens, text };
        let [looks, adjusts, picks] = match several {
            None => [Repeats.dispatch(&repeating), adjust.dispatch(&adjusting), pick.dispatch(&picking)],
            Some(stride) => [
                Repeats.dispatch_several(c.rows(), vocab, &repeating),
                adjust.dispatch_several(stride, &adjusting),
                pick.dispatch_several(&picking),
            ],
        };
        self.stager.push(&mut repeats, &looks)?;
        self.stager.push(&mut stages, &adjusts)?;
        self.stager.push(&mut stages, &picks)?;
        Ok(Choose { repeats, stages })
    }

    /// Scores of a Pattention for one token, followed by those of packs' tokens.
    fn keys(&mut self, stages: &mut Stages, (table, packs): WithPacks<'_>, x: KeysInput<'_>) -> Result<()> {
        let y = &self.parts.scratch.scores.buffer;
        self.rows(stages, (table, packs), x, y)
    }

    fn rows(
        &mut self,
        stages: &mut Stages,
        (table, packs): WithPacks<'_>,
        x: KeysInput<'_>,
        y: &wgpu::Buffer,
    ) -> Result<()> {
        let Parts { gpu, config, scratch, .. } = self.parts;
        for part in &table.parts {
            let (sharing, packs) = (Sharing::new(gpu, table, part.rows), packs.map(|packs| &packs.keys));
            let keys = Keys { table, part, sharing, epsilon: config.layernorm_epsilon, packs };
            self.stager.push(stages, &keys.dispatch(&KeysBuffers { step: &scratch.step.buffer, x, y }))?;
        }
        Ok(())
    }

    /// Outputs of a Pattention for one token, whose table has one part.
    fn values(
        &mut self,
        stages: &mut Stages,
        (table, packs): WithPacks<'_>,
        p: Pattention,
        y: ValuesOutput<'_>,
    ) -> Result<()> {
        let Parts { gpu, config, scratch: s, .. } = self.parts;
        let values = Values {
            table,
            part: &table.parts[0],
            sharing: Sharing::new(gpu, table, table.shape().rows),
            segment_rows: config.hidden_size,
            slots: p.slots(config),
            activation: config.norm_activation_type,
            packs: packs.map(|packs| PackValues { table: &packs.values, tokens: packs.tokens }),
        };
        let buffers = ValuesBuffers { step: &s.step.buffer, scores: &s.scores.buffer, y };
        self.stager.push(stages, &values.dispatch(&buffers))
    }

    /// u = LN(h), with weight and bias where there are any, and, if a product of bytes follows, what that needs.
    fn layernorm(
        &mut self,
        stages: &mut Stages,
        norm: Option<&wgpu::Buffer>,
        in_bytes: Option<InBytes<'_>>,
    ) -> Result<()> {
        let Parts { config, scratch: s, .. } = self.parts;
        let kernel = LayerNorm { cols: config.hidden_size, epsilon: config.layernorm_epsilon };
        let buffers = LayerNormBuffers { step: &s.step.buffer, h: &s.h.buffer, u: &s.u.buffer, norm, in_bytes };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// A small uniform buffer that never changes.
    fn uniform(&mut self, bytes: &[u8]) -> wgpu::Buffer {
        let uniform = GpuBuffer::uniform(self.parts.gpu, "shape", bytes);
        let buffer = uniform.buffer.clone();
        self.uniforms.push(uniform);
        buffer
    }
}
