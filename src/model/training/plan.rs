//! The dispatches of a training, and their order.

use super::room::{Buffers, Sizes};
use super::shapes::{Shapes, Uniforms};
use super::tokens::LayerTokens;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::group::Group;
use crate::model::kernels::{
    AdamwStep, AdamwStepBuffers, AddParts, AddPartsBuffers, CrossEntropy, CrossEntropyBuffers, Embed, EmbedBuffers,
    LayerNorm, LayerNormBackward, LayerNormBackwardBuffers, LayerNormBuffers, Matmul, MatmulBuffers, MatmulTransposed,
    MatmulTransposedBuffers, SumLosses, SumLossesBuffers, Tokens,
};
use crate::model::scratch::LOGIT_ROWS;
use crate::model::stage::{Stager, Stages};
use crate::model::tables::Table;
use crate::model::weights::Weights;

/// Dispatches of a layer.
pub struct LayerPlan {
    /// All that the backward pass needs: up to the scores of mlp.
    pub activations: Stages,
    /// From there to the stream after the layer.
    pub output: Stages,
    /// From the gradient w.r.t. that stream to that w.r.t. the stream before the layer.
    pub backward: Stages,
    /// AdamW.
    pub update: Stages,
}

/// Everything that can be dispatched for a training.
pub struct Plan {
    /// Embedding lookup.
    pub embed: Stages,
    pub layers: Vec<LayerPlan>,
    /// Logits of rows, their losses and gradients, and the gradient w.r.t. the stream after the last layer.
    pub logits: Stages,
    /// Logits of rows and their losses.
    pub losses: Stages,
    /// The loss of a step.
    pub sum: Stages,
    /// Uniforms that depend on the sequences.
    pub shapes: Shapes,
}

/// The parts that dispatches are made of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a ModelConfig,
    pub weights: &'a Weights,
    /// Logits of rows, f32 [LOGIT_ROWS, V].
    pub logits: &'a wgpu::Buffer,
    pub sizes: &'a Sizes,
    pub buffers: &'a Buffers,
    pub tokens: &'a [LayerTokens],
}

impl<'a> Parts<'a> {
    /// Keys and values of a group.
    pub fn tables(self, layer: usize, group: Group) -> [&'a Table; 2] {
        group.tables(&self.weights.layers[layer])
    }
}

impl Plan {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// If a shader's files contradict each other; validation errors go to the caller's error scope.
    pub fn new(parts: Parts<'_>) -> Result<Self> {
        let mut b = Builder { parts, stager: Stager::new(parts.gpu), uniforms: Uniforms::new(parts.gpu) };
        let layers = (0..parts.tokens.len()).map(|layer| {
            Ok(LayerPlan {
                activations: b.layer_activations(layer)?,
                output: b.layer_output(layer)?,
                backward: b.layer_backward(layer)?,
                update: b.update(layer)?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self {
            embed: b.embed()?,
            layers,
            logits: b.logits(true)?,
            losses: b.logits(false)?,
            sum: b.sum()?,
            shapes: b.uniforms.into_shapes(),
        })
    }
}

pub struct Builder<'a> {
    pub parts: Parts<'a>,
    pub stager: Stager<'a>,
    pub uniforms: Uniforms<'a>,
}

/// A product with a table.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub table: &'a Table,
    /// Runs of rows, each of which reads its own columns of the input.
    pub segments: usize,
    /// Its rows are those of logits, not all.
    pub of_logits: bool,
}

impl<'a> Product<'a> {
    pub fn new(table: &'a Table, segments: usize) -> Self {
        Self { table, segments, of_logits: false }
    }
}

impl Builder<'_> {
    fn embed(&mut self) -> Result<Stages> {
        let Parts { weights, buffers: b, .. } = self.parts;
        let mut stages = Stages::default();
        let table = &weights.embedding;
        for part in &table.parts {
            let buffers = EmbedBuffers { step: &b.step.buffer, ids: &b.ids.buffer, h: &b.streams[0].buffer };
            self.stager.push(&mut stages, &Embed { table, part }.dispatch(&buffers))?;
        }
        Ok(stages)
    }

    fn logits(&mut self, gradient: bool) -> Result<Stages> {
        let Parts { config, weights, logits, buffers: b, .. } = self.parts;
        let (vocab, step) = (config.padded_vocab_size, &b.chunk.buffer);
        let (h, norm) = (&b.streams[config.num_layers].buffer, &weights.norm.buffer);
        let mut stages = Stages::default();
        self.layernorm(&mut stages, step, [h, &b.u.buffer], Some(norm))?;
        let product = Product { table: &weights.embedding, segments: 1, of_logits: true };
        self.product(&mut stages, product, &b.u.buffer, (logits, vocab), None)?;
        let buffers = CrossEntropyBuffers {
            step,
            batch: &b.batch.buffer,
            targets: &b.targets.buffer,
            logits,
            losses: &b.losses.buffer,
        };
        self.stager.push(&mut stages, &CrossEntropy { vocab, gradient }.dispatch(&buffers))?;
        if gradient {
            self.product_backward(&mut stages, product, (logits, vocab), &b.du.buffer)?;
            self.layernorm_backward(&mut stages, step, [h, &b.du.buffer], Some(norm))?;
        }
        Ok(stages)
    }

    fn sum(&mut self) -> Result<Stages> {
        let Parts { buffers: b, .. } = self.parts;
        let mut stages = Stages::default();
        let buffers = SumLossesBuffers {
            step: &b.step.buffer,
            batch: &b.batch.buffer,
            losses: &b.losses.buffer,
            sums: &b.sums.buffer,
        };
        self.stager.push(&mut stages, &SumLosses.dispatch(&buffers))?;
        Ok(stages)
    }

    fn update(&mut self, layer: usize) -> Result<Stages> {
        let Parts { config, tokens, buffers: b, .. } = self.parts;
        let own = &tokens[layer];
        let mut stages = Stages::default();
        if own.counts.total() > 0 {
            let tokens = Tokens { tokens: own.counts.total(), cols: config.hidden_size };
            let shape = self.uniforms.fixed(&tokens.shape(1));
            let buffers = AdamwStepBuffers {
                update: &b.update.buffer,
                shape: &shape,
                squares: &b.squares.buffer,
                trained: &own.trained.buffer,
                grads: &own.grads.buffer,
                moments: &own.moments.buffer,
                values: &own.values.buffer,
            };
            let kernel = AdamwStep { layers: config.num_layers, tokens };
            self.stager.push(&mut stages, &kernel.dispatch(&buffers))?;
        }
        Ok(stages)
    }

    /// u = LN(h) of `[h, u]`.
    pub fn layernorm(
        &mut self,
        stages: &mut Stages,
        step: &wgpu::Buffer,
        [h, u]: [&wgpu::Buffer; 2],
        norm: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let config = self.parts.config;
        let kernel = LayerNorm { cols: config.hidden_size, epsilon: config.layernorm_epsilon };
        self.stager.push(stages, &kernel.dispatch(&LayerNormBuffers { step, h, u, norm, in_bytes: None }))
    }

    /// The backward pass from ∂L/∂u of `[h, du]` to the gradient w.r.t. the stream.
    pub fn layernorm_backward(
        &mut self,
        stages: &mut Stages,
        step: &wgpu::Buffer,
        [h, du]: [&wgpu::Buffer; 2],
        norm: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let Parts { config, buffers: b, .. } = self.parts;
        let kernel = LayerNormBackward { cols: config.hidden_size, epsilon: config.layernorm_epsilon };
        let buffers = LayerNormBackwardBuffers { step, h, du, g: &b.g.buffer, norm };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// Y = X·Wᵀ, or base + X·Wᵀ: `y` with its number of columns.
    pub fn product(
        &mut self,
        stages: &mut Stages,
        Product { table, segments, of_logits }: Product<'_>,
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        base: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let Parts { config, sizes, buffers: b, .. } = self.parts;
        let step = if of_logits { &b.chunk.buffer } else { &b.step.buffer };
        // Only narrow products are split, or added to the stream.
        let is_narrow = y_stride == config.hidden_size && segments == 1 && !of_logits;
        let parts = if is_narrow { sizes.parts(sizes.rows, y_stride) } else { 1 };
        let goes_by_parts = parts > 1 || base.is_some();
        let out = if goes_by_parts { &b.products.buffer } else { y };
        for part in &table.parts {
            let kernel = Matmul { table, part, segments, parts, y_stride, residual: false };
            let shape = self.uniforms.fixed(&kernel.shape());
            self.stager.push(stages, &kernel.dispatch(&MatmulBuffers { step, x, y: out, shape: &shape }))?;
        }
        if goes_by_parts { self.add_parts(stages, step, (y, y_stride, parts), base, false) } else { Ok(()) }
    }

    /// dX = dY·W: `dy` with its number of columns.
    pub fn product_backward(
        &mut self,
        stages: &mut Stages,
        Product { table, segments, of_logits }: Product<'_>,
        (dy, dy_stride): (&wgpu::Buffer, usize),
        dx: &wgpu::Buffer,
    ) -> Result<()> {
        let Parts { config, sizes, buffers: b, .. } = self.parts;
        let step = if of_logits { &b.chunk.buffer } else { &b.step.buffer };
        let columns = segments * table.shape().cols;
        let rows = if of_logits { LOGIT_ROWS.min(sizes.rows) } else { sizes.rows };
        let is_narrow = columns == config.hidden_size;
        let parts = if is_narrow { sizes.parts(rows, columns) } else { 1 };
        let goes_by_parts = parts > 1 || table.parts.len() > 1;
        let out = if goes_by_parts { &b.products.buffer } else { dx };
        for (i, part) in table.parts.iter().enumerate() {
            let kernel = MatmulTransposed { table, part, segments, parts, dy_stride };
            let shape = self.uniforms.fixed(&kernel.shape());
            let buffers = MatmulTransposedBuffers { step, dy, dx: out, shape: &shape };
            self.stager.push(stages, &kernel.dispatch(&buffers))?;
            if goes_by_parts {
                self.add_parts(stages, step, (dx, columns, parts), None, i > 0)?;
            }
        }
        Ok(())
    }

    fn add_parts(
        &mut self,
        stages: &mut Stages,
        step: &wgpu::Buffer,
        (y, cols, parts): (&wgpu::Buffer, usize, usize),
        base: Option<&wgpu::Buffer>,
        further: bool,
    ) -> Result<()> {
        let kernel = AddParts { cols, parts, further };
        let shape = self.uniforms.fixed(&kernel.shape());
        let buffers = AddPartsBuffers { step, shape: &shape, parts: &self.parts.buffers.products.buffer, y, base };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }
}
