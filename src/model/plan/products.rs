//! Products of a step of several tokens: a chunk's, or one token of each of several texts.

use super::{Builder, Parts};
use crate::error::Result;
use crate::model::group::Group;
use crate::model::kernels::{
    InBytes, Matmul, MatmulBuffers, MatmulBytes, MatmulFew, PackWeights, PackWeightsBuffers, RowsInBytes,
    RowsInBytesBuffers, SlotWeights, SlotWeightsBuffers, SumParts, SumPartsBuffers,
};
use crate::model::pack_tables::PackTable;
use crate::model::stage::{Mark, Stages};
use crate::model::tables::Table;

/// How a product is made.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// For at most this many tokens.
    Few(usize),
    Floats,
    /// X is in this form (`InBytes`).
    Bytes {
        bytes: &'a wgpu::Buffer,
        scales: &'a wgpu::Buffer,
    },
}

/// X of a product.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub x: &'a wgpu::Buffer,
    /// The kernel that made X left it in bytes, if the product is made of bytes.
    pub is_in_bytes: bool,
}

impl From<Option<usize>> for Way<'_> {
    /// Without a number, for any number of tokens.
    fn from(few: Option<usize>) -> Self {
        few.map_or(Way::Floats, Way::Few)
    }
}

impl<'a> Builder<'a> {
    /// Pattentions of u: qkv = …, or h += …. For a chunk, or with `few` for at most that many tokens.
    pub(super) fn pattention(
        &mut self,
        stages: &mut Stages,
        layer: usize,
        group: Group,
        few: Option<usize>,
    ) -> Result<()> {
        let Parts { config, scratch: s, packs, weights, .. } = self.parts;
        let (d, segments) = (config.hidden_size, group.kinds().len());
        let [keys, values] = group.tables(&weights.layers[layer]);
        let table = packs.and_then(|packs| packs.layer(layer)[group as usize].as_ref());
        let (y, residual) = if segments == 1 { (&s.h.buffer, true) } else { (&s.qkv.buffer, false) };
        let y = (y, segments * d);
        let (u, scores) = (&s.u.buffer, &s.scores.buffer);
        // Where the input is normalized, it was left in bytes.
        let is_in_bytes = group != Group::Proj;
        self.product(stages, (keys, 1, few), Rows { x: u, is_in_bytes }, (scores, keys.shape().rows), false)?;
        let mark = |of_packs| Mark { layer, group, of_packs };
        if few.is_none() {
            stages.mark(mark(false));
        }
        self.slot_weights(stages, group, table.is_some(), self.in_bytes(values, few))?;
        self.product(stages, (values, segments, few), Rows { x: scores, is_in_bytes: true }, y, residual)?;
        if let Some(table) = table {
            self.add_packs(stages, table, y, few)?;
            if few.is_none() {
                stages.mark(mark(true));
            }
        }
        Ok(())
    }

    /// y += gelu(u·Kpᵀ·√n/‖s‖)·Pp, after the base's weights have been computed.
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
        self.parts_of_product(stages, (keys, 1, few.into()), parts, u, scores, false)?;
        let buffers =
            PackWeightsBuffers { step: &s.step.buffer, scores: scores.0, scales: &packs.scales.buffer, weights };
        self.stager.push(stages, &PackWeights { segments, tokens, parts }.dispatch(&buffers))?;
        self.parts_of_product(stages, (values, segments, few.into()), 1, weights, y, true)
    }

    fn slot_weights(
        &mut self,
        stages: &mut Stages,
        group: Group,
        for_packs: bool,
        in_bytes: Option<InBytes<'_>>,
    ) -> Result<()> {
        let Parts { config, scratch: s, packs, .. } = self.parts;
        let (segments, slots) = (group.kinds().len(), group.pattention().slots(config));
        let kernel = SlotWeights { activation: config.norm_activation_type, segments, slots };
        let scales = packs.filter(|_| for_packs).map(|packs| &packs.scales.buffer);
        let buffers = SlotWeightsBuffers { step: &s.step.buffer, scores: &s.scores.buffer, scales, in_bytes };
        self.stager.push(stages, &kernel.dispatch(&buffers))
    }

    /// What a kernel leaves of rows that are multiplied with `table`, if that product is made of bytes.
    pub(super) fn in_bytes(&self, table: &Table, few: Option<usize>) -> Option<InBytes<'a>> {
        let bytes = self.products.bytes.as_ref().filter(|_| few.is_none())?;
        let format = table.quantized()?;
        Some(InBytes { format, bytes: &bytes.rows.buffer, scales: &bytes.scales.buffer })
    }

    /// Y (+)= X·Wᵀ for every part of a table, with `few` for at most that many tokens.
    pub(super) fn product(
        &mut self,
        stages: &mut Stages,
        (table, segments, few): (&Table, usize, Option<usize>),
        Rows { x, is_in_bytes }: Rows<'_>,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let s = self.parts.scratch;
        let mut way = Way::from(few);
        if let Some(InBytes { format, bytes, scales }) = self.in_bytes(table, few) {
            if !is_in_bytes {
                let kernel = RowsInBytes { groups: segments * table.groups(), format };
                self.stager.push(stages, &kernel.dispatch(&RowsInBytesBuffers { x, bytes, scales }))?;
            }
            way = Way::Bytes { bytes, scales };
        }
        let is_narrow = table.parts.len() == 1 && segments == 1 && few.is_none();
        let splits = self.products.splits.filter(|s| is_narrow && s.applies_to(y_stride));
        let Some(splits) = splits else {
            return self.parts_of_product(stages, (table, segments, way), 1, x, (y, y_stride), residual);
        };
        let out = &self.products.parts.buffer;
        self.parts_of_product(stages, (table, 1, way), splits.parts, x, (out, y_stride), false)?;
        let kernel = SumParts { cols: y_stride, parts: splits.parts, residual };
        self.stager.push(stages, &kernel.dispatch(&SumPartsBuffers { step: &s.step.buffer, parts: out, y }))
    }

    /// The same, or parts of the sums one after the other.
    fn parts_of_product(
        &mut self,
        stages: &mut Stages,
        (table, segments, way): (&Table, usize, Way<'_>),
        parts: usize,
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let step = &self.parts.scratch.step.buffer;
        for part in &table.parts {
            let product = Matmul { table, part, segments, parts, y_stride, residual };
            let shape = self.uniform(bytemuck::bytes_of(&product.shape()));
            let x = if let Way::Bytes { bytes, .. } = way { bytes } else { x };
            let buffers = MatmulBuffers { step, x, y, shape: &shape };
            let dispatch = match way {
                Way::Few(tokens) => MatmulFew { product, tokens }.dispatch(&buffers),
                Way::Floats => product.dispatch(&buffers),
                Way::Bytes { scales, .. } => MatmulBytes { product, scales }.dispatch(&buffers),
            };
            self.stager.push(stages, &dispatch)?;
        }
        Ok(())
    }
}
