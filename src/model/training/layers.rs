//! A layer's forward and backward pass.

use super::plan::{Builder, Parts, Product};
use super::shapes::Form;
use crate::error::Result;
use crate::model::group::Group;
use crate::model::kernels::{
    AttentionProduct, AttentionShapes, GemmBuffers, Gradients, GradientsBuffers, PackBuffers, Rotary, Rotate,
    RotateBuffers, Softmax, SoftmaxBackward, ThetaBackward, ThetaBackwardBuffers, ThetaForward, ThetaForwardBuffers,
    Tokens,
};
use crate::model::stage::Stages;

impl Builder<'_> {
    /// From the stream before a layer to the scores of mlp.
    pub fn layer_activations(&mut self, layer: usize) -> Result<Stages> {
        let Parts { config, buffers: b, .. } = self.parts;
        let (own, d) = (b.of(layer), config.hidden_size);
        let (h, u, step) = (&b.streams[layer].buffer, &b.u.buffer, &b.step.buffer);
        let mut stages = Stages::default();
        self.layernorm(&mut stages, step, [h, u], None)?;
        self.weights(&mut stages, (layer, Group::Qkv), u)?;
        self.values(&mut stages, (layer, Group::Qkv), (&own.qkv.buffer, 3 * d), None)?;
        self.attention(&mut stages, layer)?;
        self.weights(&mut stages, (layer, Group::Proj), &own.mixed.buffer)?;
        self.values(&mut stages, (layer, Group::Proj), (&own.middle.buffer, d), Some(h))?;
        self.layernorm(&mut stages, step, [&own.middle.buffer, u], None)?;
        self.weights(&mut stages, (layer, Group::Mlp), u)?;
        Ok(stages)
    }

    /// From there to the stream after the layer.
    pub fn layer_output(&mut self, layer: usize) -> Result<Stages> {
        let Parts { config, buffers: b, .. } = self.parts;
        let mut stages = Stages::default();
        let y = (&b.streams[layer + 1].buffer, config.hidden_size);
        self.values(&mut stages, (layer, Group::Mlp), y, Some(&b.of(layer).middle.buffer))?;
        Ok(stages)
    }

    /// From the gradient w.r.t. the stream after a layer to that w.r.t. the stream before, as far as there are tokens.
    pub fn layer_backward(&mut self, layer: usize) -> Result<Stages> {
        let Parts { config, tokens, buffers: b, .. } = self.parts;
        let (own, counts, d) = (b.of(layer), &tokens[layer].counts, config.hidden_size);
        let (h, u, du) = (&b.streams[layer].buffer, &b.u.buffer, &b.du.buffer);
        let (g, dqkv, step) = ((&b.g.buffer, d), (&b.dqkv.buffer, 3 * d), &b.step.buffer);
        let mut stages = Stages::default();
        let below = tokens[..layer].iter().any(|layer| layer.counts.total() > 0);
        let to_qkv = below || counts.of(Group::Qkv) > 0;
        let to_proj = to_qkv || counts.of(Group::Proj) > 0;
        if !to_proj && counts.total() == 0 {
            return Ok(stages);
        }
        self.layernorm(&mut stages, step, [&own.middle.buffer, u], None)?;
        self.pattention_backward(&mut stages, (layer, Group::Mlp), (u, g), to_proj)?;
        if to_proj {
            self.layernorm_backward(&mut stages, step, [&own.middle.buffer, du], None)?;
            self.pattention_backward(&mut stages, (layer, Group::Proj), (&own.mixed.buffer, g), to_qkv)?;
        }
        if to_qkv {
            self.attention_backward(&mut stages, layer)?;
            self.layernorm(&mut stages, step, [h, u], None)?;
            self.pattention_backward(&mut stages, (layer, Group::Qkv), (u, dqkv), below)?;
        }
        if below {
            self.layernorm_backward(&mut stages, step, [h, du], None)?;
        }
        if counts.total() > 0 {
            self.gradients(&mut stages, layer)?;
        }
        Ok(stages)
    }

    /// Scores and weights of a group from its input.
    fn weights(&mut self, stages: &mut Stages, (layer, group): (usize, Group), x: &wgpu::Buffer) -> Result<()> {
        let Parts { config, buffers: b, sizes, tokens, .. } = self.parts;
        let (own, which) = (b.of(layer), group as usize);
        let scores = &own.scores[which].buffer;
        let [keys, _] = self.parts.tables(layer, group);
        self.product(stages, Product::new(keys, 1), x, (scores, sizes.scores[which]), None)?;
        self.pack_scores(stages, (layer, group), x)?;
        let count = tokens[layer].counts.of(group);
        let shape = tokens[layer].shape(group, sizes.token_parts(count), &mut self.uniforms);
        let packs = (count > 0).then(|| self.packs(layer, group, &shape));
        let kernel = ThetaForward { segments: group.kinds().len(), slots: group.pattention().slots(config) };
        let buffers = ThetaForwardBuffers { step: &b.step.buffer, scores, weights: &b.weights.buffer, packs };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// The output of a group from its weights.
    fn values(
        &mut self,
        stages: &mut Stages,
        (layer, group): (usize, Group),
        y: (&wgpu::Buffer, usize),
        base: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let [_, values] = self.parts.tables(layer, group);
        let product = Product::new(values, group.kinds().len());
        let weights = &self.parts.buffers.weights.buffer;
        self.product(stages, product, weights, y, base)?;
        self.pack_values(stages, (layer, group), y)
    }

    /// From the gradient w.r.t. the output of a group for `x` to those w.r.t. its tokens and, if wanted, x, in `du`.
    fn pattention_backward(
        &mut self,
        stages: &mut Stages,
        (layer, group): (usize, Group),
        (x, g): (&wgpu::Buffer, (&wgpu::Buffer, usize)),
        wanted: bool,
    ) -> Result<()> {
        let Parts { config, buffers: b, sizes, tokens, .. } = self.parts;
        let count = tokens[layer].counts.of(group);
        if count == 0 && !wanted {
            return Ok(());
        }
        let (weights, which) = (&b.weights.buffer, group as usize);
        let [keys, values] = self.parts.tables(layer, group);
        self.product_backward(stages, Product::new(values, group.kinds().len()), g, weights)?;
        self.pack_by_weights(stages, (layer, group), g)?;
        let shape = tokens[layer].shape(group, sizes.token_parts(count), &mut self.uniforms);
        let packs = (count > 0).then(|| (self.packs(layer, group, &shape), &b.dq.buffer));
        let kernel = ThetaBackward { segments: group.kinds().len(), slots: group.pattention().slots(config) };
        let scores = &b.of(layer).scores[which].buffer;
        let buffers = ThetaBackwardBuffers { step: &b.step.buffer, scores, gradients: weights, packs };
        self.stager.push(stages, &kernel.dispatch(&buffers))?;
        self.pack_gradients(stages, (layer, group), x, g)?;
        if wanted {
            self.product_backward(stages, Product::new(keys, 1), (weights, sizes.scores[which]), &b.du.buffer)?;
            self.pack_by_input(stages, (layer, group))?;
        }
        Ok(())
    }

    fn gradients(&mut self, stages: &mut Stages, layer: usize) -> Result<()> {
        let Parts { config, buffers: b, sizes, tokens, .. } = self.parts;
        let own = &tokens[layer];
        let tokens = Tokens { tokens: own.counts.total(), cols: config.hidden_size };
        let shape = self.uniforms.fixed(&tokens.shape(sizes.gradient_parts));
        let buffers = GradientsBuffers {
            batch: &b.batch.buffer,
            shape: &shape,
            parts: &b.gradient_parts.buffer,
            trained: &own.trained.buffer,
            grads: &own.grads.buffer,
            squares: &b.squares.buffer,
        };
        self.stager.push(stages, &Gradients { layer }.dispatch(&buffers))
    }

    /// Rotates queries and keys, and mixes the values.
    fn attention(&mut self, stages: &mut Stages, layer: usize) -> Result<()> {
        use AttentionProduct as A;
        let b = self.parts.buffers;
        let own = b.of(layer);
        let (qkv, p, batch) = (&own.qkv.buffer, &b.p.buffer, &b.batch.buffer);
        self.rotate(stages, qkv, false)?;
        for shapes in self.heads() {
            self.attention_product(stages, A::Scores, shapes, [qkv, qkv, p])?;
            self.stager.push(stages, &Softmax { heads: shapes.heads }.dispatch(batch, p))?;
            self.attention_product(stages, A::Mix, shapes, [p, qkv, &own.mixed.buffer])?;
        }
        Ok(())
    }

    /// From the gradient w.r.t. the mixed values, in `du`, to that w.r.t. queries, keys and values.
    fn attention_backward(&mut self, stages: &mut Stages, layer: usize) -> Result<()> {
        use AttentionProduct as A;
        let b = self.parts.buffers;
        let (qkv, p, dp, batch) = (&b.of(layer).qkv.buffer, &b.p.buffer, &b.dp.buffer, &b.batch.buffer);
        let (du, dqkv) = (&b.du.buffer, &b.dqkv.buffer);
        for shapes in self.heads() {
            let heads = shapes.heads;
            self.attention_product(stages, A::Scores, shapes, [qkv, qkv, p])?;
            self.stager.push(stages, &Softmax { heads }.dispatch(batch, p))?;
            self.attention_product(stages, A::ByProbabilities, shapes, [du, qkv, dp])?;
            self.attention_product(stages, A::ByValues, shapes, [p, du, dqkv])?;
            self.stager.push(stages, &SoftmaxBackward { heads }.dispatch(batch, [p, dp]))?;
            self.attention_product(stages, A::ByQueries, shapes, [dp, qkv, dqkv])?;
            self.attention_product(stages, A::ByKeys, shapes, [dp, qkv, dqkv])?;
        }
        self.rotate(stages, dqkv, true)
    }

    fn attention_product(
        &mut self,
        stages: &mut Stages,
        product: AttentionProduct,
        shapes: AttentionShapes,
        [a, b, c]: [&wgpu::Buffer; 3],
    ) -> Result<()> {
        let shape = self.uniforms.form(Form::Attention(product, shapes));
        self.stager.push(stages, &product.dispatch(shapes, &GemmBuffers { shape: &shape, a, b, c }))
    }

    /// The heads, in batches that are processed at a time.
    fn heads(&self) -> Vec<AttentionShapes> {
        let Parts { config, sizes, .. } = self.parts;
        let (hidden, head, all) = (config.hidden_size, config.head_size(), config.num_attention_heads);
        let of = |first| AttentionShapes { length: 0, hidden, head, heads: sizes.heads.min(all - first), first };
        (0..all).step_by(sizes.heads).map(of).collect()
    }

    fn rotate(&mut self, stages: &mut Stages, qkv: &wgpu::Buffer, backward: bool) -> Result<()> {
        let Parts { config, buffers: b, .. } = self.parts;
        let rotary = Rotary::new(config);
        if rotary.dims == 0 {
            return Ok(());
        }
        let kernel = Rotate { hidden: config.hidden_size, rotary, backward };
        let buffers = RotateBuffers { step: &b.step.buffer, batch: &b.batch.buffer, qkv, angles: &b.angles.buffer };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// The buffers of a group's tokens for the kernels of Θ.
    fn packs<'b>(&self, layer: usize, group: Group, shape: &'b wgpu::Buffer) -> PackBuffers<'b>
    where
        Self: 'b,
    {
        let Parts { buffers: b, tokens, .. } = self.parts;
        let which = group as usize;
        PackBuffers {
            shape,
            strengths: &tokens[layer].strengths[which].buffer,
            parts: &b.pack_products.buffer,
            q: &b.of(layer).pack_scores[which].buffer,
            weights: &b.pack_weights.buffer,
        }
    }
}
