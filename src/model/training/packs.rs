//! Products with packs' tokens, forward and backward.

use super::plan::{Builder, Parts};
use super::shapes::Form;
use crate::error::Result;
use crate::model::group::Group;
use crate::model::kernels::gemm::TILE;
use crate::model::kernels::{Causal, Gemm, GemmBuffers, GemmShape, Grid};
use crate::model::stage::Stages;

/// An operand that is the same for all products: first element, row stride.
fn plain(first: usize, stride: usize) -> [u32; 4] {
    [first as u32, stride as u32, 0, 0]
}

/// An operand of products side by side: also with the stride from one to the next.
fn beside(first: usize, stride: usize, inner: usize) -> [u32; 4] {
    [first as u32, stride as u32, 0, inner as u32]
}

fn shape([m, n, k]: [usize; 3], (inner, parts): (usize, usize), [a, b, c]: [[u32; 4]; 3]) -> GemmShape {
    let [m, n, k, inner, parts] = [m, n, k, inner, parts].map(|x| x as u32);
    GemmShape { m, n, k, inner, parts, part_stride: 0, scale: 1.0, padding: 0, a, b, c }
}

/// A grid for all rows, and one that does not depend on their number.
fn per_rows(columns: usize, products: usize) -> Grid {
    Grid::PerTile { x: columns.div_ceil(TILE) as u32, tile: TILE as u32, z: products as u32 }
}

fn fixed(rows: usize, columns: usize, products: usize) -> Grid {
    Grid::Fixed([columns.div_ceil(TILE) as u32, rows.div_ceil(TILE) as u32, products as u32])
}

const NT: Gemm = Gemm { a_transposed: false, b_transposed: true, adds: false, causal: Causal::No };
const NN_ADDS: Gemm = Gemm { b_transposed: false, adds: true, ..NT };
const TN: Gemm = Gemm { a_transposed: true, b_transposed: false, ..NT };

impl Builder<'_> {
    /// Scores of a group's tokens: x·kᵀ.
    pub fn pack_scores(&mut self, stages: &mut Stages, (layer, group): (usize, Group), x: &wgpu::Buffer) -> Result<()> {
        let Parts { config, sizes, tokens, buffers, .. } = self.parts;
        let (own, d) = (&tokens[layer], config.hidden_size);
        let count = own.counts.of(group);
        if count == 0 {
            return Ok(());
        }
        let parts = sizes.token_parts(count);
        let first = own.counts.first(group.range().start);
        let shape = shape([0, count, d], (1, parts), [plain(0, d), plain(first * d, d), plain(0, count)]);
        let form = Form::Rows { shape, part_columns: count };
        let c = &buffers.pack_products.buffer;
        self.gemm(stages, NT, form, per_rows(count, parts), [x, &own.values.buffer, c])
    }

    /// y += a_p·v, for each of a group's kinds, whose columns lie side by side in y.
    pub fn pack_values(
        &mut self,
        stages: &mut Stages,
        (layer, group): (usize, Group),
        (y, y_stride): (&wgpu::Buffer, usize),
    ) -> Result<()> {
        let Parts { config, tokens, buffers, .. } = self.parts;
        let (own, d) = (&tokens[layer], config.hidden_size);
        let (kind, count) = (group.range().start, own.counts.of(group));
        for (segment, kinds, each) in own.counts.runs(group) {
            let first = own.counts.first(kind + segment);
            let a = beside(first - own.counts.first(kind), count, each);
            let b = beside((own.counts.total() + first) * d, d, each * d);
            let shape = shape([0, d, each], (kinds, 1), [a, b, beside(segment * d, y_stride, d)]);
            let form = Form::Rows { shape, part_columns: 0 };
            let operands = [&buffers.pack_weights.buffer, &own.values.buffer, y];
            self.gemm(stages, NN_ADDS, form, per_rows(d, kinds), operands)?;
        }
        Ok(())
    }

    /// Gradients w.r.t. the weights of a group's tokens, before strengths: g·vᵀ.
    pub fn pack_by_weights(
        &mut self,
        stages: &mut Stages,
        (layer, group): (usize, Group),
        (g, g_stride): (&wgpu::Buffer, usize),
    ) -> Result<()> {
        let Parts { config, sizes, tokens, buffers, .. } = self.parts;
        let (own, d) = (&tokens[layer], config.hidden_size);
        let (kind, count) = (group.range().start, own.counts.of(group));
        let parts = sizes.token_parts(count);
        for (segment, kinds, each) in own.counts.runs(group) {
            let first = own.counts.first(kind + segment);
            let b = beside((own.counts.total() + first) * d, d, each * d);
            let c = beside(first - own.counts.first(kind), count, each);
            let shape = shape([0, each, d], (kinds, parts), [beside(segment * d, g_stride, d), b, c]);
            let form = Form::Rows { shape, part_columns: count };
            let operands = [g, &own.values.buffer, &buffers.pack_products.buffer];
            self.gemm(stages, NT, form, per_rows(each, kinds * parts), operands)?;
        }
        Ok(())
    }

    /// du += ∂L/∂q·k.
    pub fn pack_by_input(&mut self, stages: &mut Stages, (layer, group): (usize, Group)) -> Result<()> {
        let Parts { config, tokens, buffers, .. } = self.parts;
        let (own, d) = (&tokens[layer], config.hidden_size);
        let count = own.counts.of(group);
        if count == 0 {
            return Ok(());
        }
        let first = own.counts.first(group.range().start);
        let shape = shape([0, d, count], (1, 1), [plain(0, count), plain(first * d, d), plain(0, d)]);
        let form = Form::Rows { shape, part_columns: 0 };
        let operands = [&buffers.dq.buffer, &own.values.buffer, &buffers.du.buffer];
        self.gemm(stages, NN_ADDS, form, per_rows(d, 1), operands)
    }

    /// Parts of the gradients of a group's tokens: (∂L/∂q)ᵀ·x for keys, a_pᵀ·g for values.
    pub fn pack_gradients(
        &mut self,
        stages: &mut Stages,
        (layer, group): (usize, Group),
        x: &wgpu::Buffer,
        (g, g_stride): (&wgpu::Buffer, usize),
    ) -> Result<()> {
        let Parts { config, sizes, tokens, buffers, .. } = self.parts;
        let (own, d) = (&tokens[layer], config.hidden_size);
        let (kind, count, parts) = (group.range().start, own.counts.of(group), sizes.gradient_parts);
        if count == 0 {
            return Ok(());
        }
        let part_stride = own.len(d) as u32;
        let out = &buffers.gradient_parts.buffer;
        let keys = plain(own.counts.first(kind) * d, d);
        let by_keys = shape([count, d, 0], (1, parts), [plain(0, count), plain(0, d), keys]);
        let form = Form::SumOfRows(GemmShape { part_stride, ..by_keys });
        self.gemm(stages, TN, form, fixed(count, d, parts), [&buffers.dq.buffer, x, out])?;
        for (segment, kinds, each) in own.counts.runs(group) {
            let first = own.counts.first(kind + segment);
            let a = beside(first - own.counts.first(kind), count, each);
            let c = beside((own.counts.total() + first) * d, d, each * d);
            let by_values = shape([each, d, 0], (kinds, parts), [a, beside(segment * d, g_stride, d), c]);
            let form = Form::SumOfRows(GemmShape { part_stride, ..by_values });
            let operands = [&buffers.pack_weights.buffer, g, out];
            self.gemm(stages, TN, form, fixed(each, d, kinds * parts), operands)?;
        }
        Ok(())
    }

    fn gemm(
        &mut self,
        stages: &mut Stages,
        kernel: Gemm,
        form: Form,
        grid: Grid,
        [a, b, c]: [&wgpu::Buffer; 3],
    ) -> Result<()> {
        let shape = self.uniforms.form(form);
        self.stager.push(stages, &kernel.dispatch(grid, &GemmBuffers { shape: &shape, a, b, c }))
    }
}
