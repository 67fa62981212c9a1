//! Products of a step of several tokens: a chunk's, or one token of each of several texts.

use super::{Builder, Parts};
use crate::error::Result;
use crate::model::kernels::{
    Matmul, MatmulBuffers, MatmulFew, PackWeights, PackWeightsBuffers, SlotWeights, SlotWeightsBuffers, SumParts,
    SumPartsBuffers,
};
use crate::model::pack_tables::PackTable;
use crate::model::stage::{Mark, Stages};
use crate::model::tables::Table;
use crate::model::weights::LayerTables;
use crate::pattention::Pattention;

impl Builder<'_> {
    /// A Pattention of u, `Query` being those of query, key and value: qkv = …, or h += …. For a chunk, or with `few` for
    /// at most so many tokens.
    pub(super) fn pattention(
        &mut self,
        stages: &mut Stages,
        layer: usize,
        t: &LayerTables,
        p: Pattention,
        few: Option<usize>,
    ) -> Result<()> {
        let Parts { config, scratch: s, packs, .. } = self.parts;
        let d = config.hidden_size;
        let (keys, values, segments, group) = match p {
            Pattention::Proj => (&t.proj_keys, &t.proj_values, 1, 1),
            Pattention::Mlp => (&t.mlp_keys, &t.mlp_values, 1, 2),
            _ => (&t.qkv_keys, &t.qkv_values, 3, 0),
        };
        let table = packs.and_then(|packs| packs.layer(layer)[group].as_ref());
        let (y, residual) = if segments == 1 { (&s.h.buffer, true) } else { (&s.qkv.buffer, false) };
        let y = (y, segments * d);
        let (u, scores) = (&s.u.buffer, &s.scores.buffer);
        let to_scores = (scores, keys.shape().rows);
        match few {
            Some(tokens) => self.few(stages, keys, (1, tokens), u, to_scores, false)?,
            None => self.product(stages, keys, 1, u, to_scores, false)?,
        }
        let mark = |of_packs| Mark { layer, pattention: p, of_packs };
        if few.is_none() {
            stages.mark(mark(false));
        }
        self.slot_weights(stages, p, segments, table.is_some())?;
        match few {
            Some(tokens) => self.few(stages, values, (segments, tokens), scores, y, residual)?,
            None => self.product(stages, values, segments, scores, y, residual)?,
        }
        if let Some(table) = table {
            self.add_packs(stages, table, y, few)?;
            if few.is_none() {
                stages.mark(mark(true));
            }
        }
        Ok(())
    }

    /// y += gelu(u·Kpᵀ·√n/‖s‖)·Pp, after the base's weights have been made.
    fn add_packs(
        &mut self,
        stages: &mut Stages,
        table: &PackTable,
        y: (&wgpu::Buffer, usize),
        few: Option<usize>,
    ) -> Result<()> {
        let Parts { scratch: s, packs: Some(packs), .. } = self.parts else { return Ok(()) };
        let &PackTable { ref keys, ref values, tokens, segments, parts } = table;
        let (u, scores, weights) = (&s.u.buffer, (&packs.scores.buffer, segments * tokens), &packs.weights.buffer);
        let parts = if few.is_some() { 1 } else { parts };
        match few {
            Some(few) => self.few(stages, keys, (1, few), u, scores, false)?,
            None => self.parts_of_product(stages, keys, (1, parts), u, scores, false)?,
        }
        let buffers =
            PackWeightsBuffers { step: &s.step.buffer, scores: scores.0, scales: &packs.scales.buffer, weights };
        self.stager.push(stages, &PackWeights { segments, tokens, parts }.dispatch(&buffers))?;
        match few {
            Some(few) => self.few(stages, values, (segments, few), weights, y, true),
            None => self.parts_of_product(stages, values, (segments, 1), weights, y, true),
        }
    }

    fn slot_weights(&mut self, stages: &mut Stages, p: Pattention, segments: usize, for_packs: bool) -> Result<()> {
        let Parts { config, scratch: s, packs, .. } = self.parts;
        let kernel = SlotWeights { activation: config.norm_activation_type, segments, slots: p.slots(config) };
        let scales = packs.filter(|_| for_packs).map(|packs| &packs.scales.buffer);
        let buffers = SlotWeightsBuffers { step: &s.step.buffer, scores: &s.scores.buffer, scales };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// Y (+)= X·Wᵀ for every part of a table.
    pub(super) fn product(
        &mut self,
        stages: &mut Stages,
        table: &Table,
        segments: usize,
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let s = self.parts.scratch;
        let splits = s.splits.filter(|s| table.parts.len() == 1 && segments == 1 && s.applies_to(y_stride));
        let Some(splits) = splits else {
            return self.parts_of_product(stages, table, (segments, 1), x, (y, y_stride), residual);
        };
        let out = &s.products.buffer;
        self.parts_of_product(stages, table, (1, splits.parts), x, (out, y_stride), false)?;
        let kernel = SumParts { cols: y_stride, parts: splits.parts, residual };
        self.stager.push(stages, &kernel.dispatch(&SumPartsBuffers { step: &s.step.buffer, parts: out, y }))
    }

    /// Y (+)= X·Wᵀ, or parts of the sums one after the other.
    fn parts_of_product(
        &mut self,
        stages: &mut Stages,
        table: &Table,
        (segments, parts): (usize, usize),
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let step = &self.parts.scratch.step.buffer;
        for part in &table.parts {
            let kernel = Matmul { table, part, segments, parts, y_stride, residual };
            let shape = self.uniform(bytemuck::bytes_of(&kernel.shape()));
            self.stager.push(stages, &kernel.dispatch(&MatmulBuffers { step, x, y, shape: &shape }))?;
        }
        Ok(())
    }

    /// Y (+)= X·Wᵀ for every part of a table, for at most `tokens` tokens.
    pub(super) fn few(
        &mut self,
        stages: &mut Stages,
        table: &Table,
        (segments, tokens): (usize, usize),
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let step = &self.parts.scratch.step.buffer;
        for part in &table.parts {
            let product = Matmul { table, part, segments, parts: 1, y_stride, residual };
            let shape = self.uniform(bytemuck::bytes_of(&product.shape()));
            let buffers = MatmulBuffers { step, x, y, shape: &shape };
            self.stager.push(stages, &MatmulFew { product, tokens }.dispatch(&buffers))?;
        }
        Ok(())
    }
}
