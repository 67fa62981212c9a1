//! The dispatches of a step, with pipelines and bind groups made once at load.

use super::choose::{ADJUST_TOKENS, RING};
use super::matvec::{Matvec, WG, matvec};
use super::scratch::Scratch;
use super::tables::{LayerTables, Table, TablePart, Weights};
use crate::checkpoint::layout::{Pattention, padded_slots};
use crate::config::{ModelConfig, NormActivation};
use crate::error::Result;
use crate::gpu::shader::{SUBGROUPS, ShaderSpec};
use crate::gpu::{Access, Binding, Gpu, GpuBuffer, Kernel, Kernels, Warm};

/// Positions that one workgroup of a decode step's attention scans, and its threads.
pub const PART: usize = 128;
/// Tokens and rows of a tile of `matmul.wgsl`.
const TILE_T: u32 = 64;
pub const TILE_N: u32 = 128;
/// Query rows of a workgroup of `attention_prefill.wgsl`.
const QUERY_TILE: u32 = 16;
/// Most weights of parts of the attention in workgroup memory, 4 bytes and as many for their sums.
const MAX_PART_WEIGHTS: usize = 256;

/// How many workgroups a dispatch has, given the tokens T and the cached positions of a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grid {
    Fixed([u32; 3]),
    /// (x, T, z).
    PerToken(u32, u32),
    /// (x, ⌈T / tile⌉, z).
    PerTile(u32, u32, u32),
    /// (heads, parts of the attention).
    PerPart(u32),
}

impl Grid {
    fn of(self, past: usize, count: usize) -> [u32; 3] {
        let t = count as u32;
        match self {
            Self::Fixed(grid) => grid,
            Self::PerToken(x, z) => [x, t, z],
            Self::PerTile(x, tile, z) => [x, t.div_ceil(tile), z],
            Self::PerPart(heads) => [heads, (past + count).div_ceil(PART) as u32, 1],
        }
    }
}

/// One dispatch of a plan.
pub(super) struct Stage {
    kernel: Kernel,
    grid: Grid,
}

impl Stage {
    /// Kernel, flags and constants.
    pub fn label(&self) -> &str {
        self.kernel.label()
    }

    /// Records it for a step of `count` tokens after `past`.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize, count: usize) {
        self.kernel.dispatch(pass, self.grid.of(past, count));
    }
}

/// Dispatches in order.
#[derive(Default)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// Records all dispatches for a step of `count` tokens after `past`.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize, count: usize) {
        for stage in &self.0 {
            stage.record(pass, past, count);
        }
    }

    /// Records the dispatches of the first `part.0` of `part.1` layers, which are all alike.
    pub fn record_part(&self, pass: &mut wgpu::ComputePass<'_>, past: usize, count: usize, part: (usize, usize)) {
        for stage in &self.0[..self.0.len() * part.0 / part.1] {
            stage.record(pass, past, count);
        }
    }

    /// All of them.
    pub(super) fn stages(&self) -> &[Stage] {
        &self.0
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Everything that can be dispatched for a model.
pub struct Plan {
    /// Embedding lookup of a chunk.
    pub embed: Stages,
    /// All layers, for one token: seven dispatches each.
    pub decode: Stages,
    /// All layers, for a chunk of tokens.
    pub prefill: Stages,
    /// Logits of one row of h.
    pub logits_of_row: Stages,
    /// Logits of up to [`super::scratch::LOGIT_ROWS`] rows of h.
    pub logits_of_rows: Stages,
    /// How likely tokens are, from the logits of such rows.
    pub score: Stages,
    /// Choosing a token from the logits of a row: two dispatches.
    pub choose: Stages,
    /// What bind groups name besides weights and scratch.
    _uniforms: Vec<GpuBuffer>,
}

impl Plan {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// If a shader's files contradict each other; validation errors go to the caller's error scope.
    pub fn new(gpu: &Gpu, config: &ModelConfig, weights: &Weights, scratch: &Scratch) -> Result<Self> {
        Self::build(&mut Builder::new(gpu, config, weights, scratch))
    }

    /// Every kernel of it: while their like live, compiled, [`new`](Self::new) need not wait for each.
    ///
    /// # Errors
    /// If a shader's files contradict each other.
    pub fn kernels(gpu: &Gpu, config: &ModelConfig, weights: &Weights, scratch: &Scratch) -> Result<Vec<Warm>> {
        Builder::new(gpu, config, weights, scratch).noted(Self::build)
    }

    fn build(b: &mut Builder<'_>) -> Result<Self> {
        let mut decode = Stages::default();
        let mut prefill = Stages::default();
        for (layer, tables) in b.weights.layers.iter().enumerate() {
            b.decode_layer(&mut decode, layer, tables)?;
            b.prefill_layer(&mut prefill, layer, tables)?;
        }
        Ok(Self {
            embed: b.embed()?,
            decode,
            prefill,
            logits_of_row: b.logits_of_row()?,
            logits_of_rows: b.logits_of_rows()?,
            score: b.score()?,
            choose: b.choose()?,
            _uniforms: std::mem::take(&mut b.uniforms),
        })
    }
}

pub(super) struct Builder<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    pub(super) scratch: &'a Scratch,
    kernels: Kernels,
    uniforms: Vec<GpuBuffer>,
}

pub(super) fn read(index: u32, buffer: &wgpu::Buffer) -> Binding<'_> {
    Binding::new(index, Access::Read, buffer)
}

pub(super) fn write(index: u32, buffer: &wgpu::Buffer) -> Binding<'_> {
    Binding::new(index, Access::Write, buffer)
}

/// Workgroups for `n` units, folded into a second dimension where one is too short.
fn fold(n: usize) -> Grid {
    let n = n as u32;
    let x = n.min(65_535);
    Grid::Fixed([x, n.div_ceil(x), 1])
}

impl<'a> Builder<'a> {
    pub(super) fn new(gpu: &'a Gpu, config: &'a ModelConfig, weights: &'a Weights, scratch: &'a Scratch) -> Self {
        Self { gpu, config, weights, scratch, kernels: Kernels::default(), uniforms: Vec::new() }
    }

    /// The kernels of what `build` makes, and nothing of it.
    pub(super) fn noted<T>(mut self, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<Vec<Warm>> {
        self.kernels = Kernels::noting();
        build(&mut self)?;
        Ok(self.kernels.into_notes())
    }

    pub(super) fn step(&self, index: u32) -> Binding<'a> {
        Binding::new(index, Access::Uniform, &self.scratch.step.buffer)
    }

    /// A small uniform buffer that never changes.
    fn uniform(&mut self, values: [usize; 6]) -> wgpu::Buffer {
        use wgpu::BufferUsages as U;
        let uniform = GpuBuffer::new(self.gpu, "shape", 32, U::UNIFORM | U::COPY_DST);
        self.gpu.queue.write_buffer(&uniform.buffer, 0, bytemuck::cast_slice(&values.map(|v| v as u32)));
        let buffer = uniform.buffer.clone();
        self.uniforms.push(uniform);
        buffer
    }

    pub(super) fn theta(&self, spec: ShaderSpec) -> ShaderSpec {
        spec.flag(match self.config.norm_activation_type {
            NormActivation::L2NormGelu => "L2_NORM_GELU",
            NormActivation::GeluL2Norm => "GELU_L2_NORM",
            NormActivation::Softmax => "SOFTMAX",
        })
    }

    fn parts(&self, spec: ShaderSpec) -> ShaderSpec {
        spec.with("PART", PART)
            .with("MAX_PARTS", self.scratch.max_parts)
            .with("D_MODEL", self.config.hidden_size)
            .with("HEAD", self.config.head_size())
            .flag_if("FEW_PARTS", self.config.num_attention_heads * self.scratch.max_parts <= MAX_PART_WEIGHTS)
    }

    fn push(&mut self, stages: &mut Stages, spec: ShaderSpec, grid: Grid, bindings: &[Binding<'_>]) -> Result<()> {
        stages.0.extend(self.stage(&spec, grid, bindings)?);
        Ok(())
    }

    pub(super) fn stage(&mut self, spec: &ShaderSpec, grid: Grid, bindings: &[Binding<'_>]) -> Result<Option<Stage>> {
        Ok(self.kernels.kernel(self.gpu, spec, bindings)?.map(|kernel| Stage { kernel, grid }))
    }

    /// Scores of a Pattention for one token: x is h, or the parts of the attention with COMBINE.
    fn keys(&mut self, stages: &mut Stages, table: &Table, x: &wgpu::Buffer, combine: bool) -> Result<()> {
        let Matvec { spec, workgroups } = matvec(self.gpu, table, "keys", table.shape().rows);
        let grid = fold(workgroups);
        let spec = spec.with("Y_START", 0).with_f32("EPSILON", self.config.layernorm_epsilon);
        let spec = if combine { self.parts(spec).flag("COMBINE") } else { spec.flag("LAYERNORM") };
        for part in &table.parts {
            let mut bindings = table.bindings(part);
            bindings.extend([self.step(2), read(3, x), write(4, &self.scratch.scores.buffer)]);
            self.push(stages, spec.clone(), grid, &bindings)?;
        }
        Ok(())
    }

    fn values(&mut self, stages: &mut Stages, table: &Table, p: Pattention, qkv: Option<usize>) -> Result<()> {
        let (s, d) = (self.scratch, self.config.hidden_size);
        // `share` makes workgroups of whole divisors of the rows; those of a segment are as many for each.
        let Matvec { spec, workgroups } = matvec(self.gpu, table, "values", table.shape().rows);
        let grid = fold(workgroups);
        let spec = spec.with("SEGMENT_ROWS", d).with("SLOTS", p.slots(self.config));
        let spec = self.theta(spec);
        let (spec, y) = match qkv {
            Some(_) => (self.rotary(spec).flag("QKV"), &s.q.buffer),
            None => (spec.flag("RESIDUAL"), &s.h.buffer),
        };
        for part in &table.parts {
            let mut bindings = table.bindings(part);
            bindings.extend([self.step(2), read(3, &s.scores.buffer), write(4, y)]);
            if let Some(layer) = qkv {
                bindings.extend(s.cache[layer].bindings(5, Access::Write, 1));
                bindings.push(read(7, &s.angles.buffer));
            }
            self.push(stages, spec.clone(), grid, &bindings)?;
        }
        Ok(())
    }

    fn rotary(&self, spec: ShaderSpec) -> ShaderSpec {
        spec.with("HEAD", self.config.head_size()).with("ROTARY", self.config.rotary_dims())
    }

    fn decode_layer(&mut self, stages: &mut Stages, layer: usize, t: &LayerTables) -> Result<()> {
        let s = self.scratch;
        self.keys(stages, &t.qkv_keys, &s.h.buffer, false)?;
        self.values(stages, &t.qkv_values, Pattention::Query, Some(layer))?;
        let [keys, values] = s.cache[layer].bindings(2, Access::Read, 1);
        let spec = self.parts(ShaderSpec::new("attention_decode").with("WG", PART));
        let spec = spec.flag_if(SUBGROUPS, self.gpu.has_subgroups());
        let bindings = [self.step(0), read(1, &s.q.buffer), keys, values, write(4, &s.parts.buffer)];
        self.push(stages, spec, Grid::PerPart(self.config.num_attention_heads as u32), &bindings)?;
        self.keys(stages, &t.proj_keys, &s.parts.buffer, true)?;
        self.values(stages, &t.proj_values, Pattention::Proj, None)?;
        self.keys(stages, &t.mlp_keys, &s.h.buffer, false)?;
        self.values(stages, &t.mlp_values, Pattention::Mlp, None)
    }

    fn layernorm(&mut self, stages: &mut Stages, final_norm: bool) -> Result<()> {
        let s = self.scratch;
        let spec = ShaderSpec::new("layernorm")
            .with("WG", WG)
            .with("COLS", self.config.hidden_size)
            .with_f32("EPSILON", self.config.layernorm_epsilon)
            .flag_if("FINAL_NORM", final_norm);
        let mut bindings = vec![self.step(0), read(1, &s.h.buffer), write(2, &s.u.buffer)];
        if final_norm {
            bindings.push(read(3, &self.weights.norm.buffer));
        }
        self.push(stages, spec, Grid::PerToken(1, 1), &bindings)
    }

    /// Y (+)= X·Wᵀ for every part of a table.
    fn matmul(
        &mut self,
        stages: &mut Stages,
        table: &Table,
        segments: usize,
        x: &wgpu::Buffer,
        (y, y_stride): (&wgpu::Buffer, usize),
        residual: bool,
    ) -> Result<()> {
        let splits = self.scratch.splits.filter(|s| table.parts.len() == 1 && segments == 1 && s.applies_to(y_stride));
        let (out, parts) = splits.map_or((y, 1), |s| (&self.scratch.products.buffer, s.parts));
        for part in &table.parts {
            let TablePart { first_row, rows, .. } = *part;
            let segment_rows = rows / segments;
            let spec = table.format_flag(ShaderSpec::new("matmul")).flag_if("RESIDUAL", residual && parts == 1);
            let groups = table.shape().cols / 32;
            let shape = self.uniform([groups, segments, segment_rows, y_stride, first_row, parts]);
            let mut bindings = table.bindings(part);
            let shape = Binding::new(5, Access::Uniform, &shape);
            bindings.extend([self.step(2), read(3, x), write(4, out), shape]);
            let (x, z) = ((segment_rows as u32).div_ceil(TILE_N), (segments * parts) as u32);
            self.push(stages, spec, Grid::PerTile(x, TILE_T, z), &bindings)?;
        }
        if parts > 1 {
            let spec = ShaderSpec::new("sum_parts").with("WG", WG).with("COLS", y_stride).with("PARTS", parts);
            let bindings = [self.step(0), read(1, out), write(2, y)];
            let grid = Grid::PerToken(y_stride.div_ceil(4 * WG) as u32, 1);
            self.push(stages, spec.flag_if("RESIDUAL", residual), grid, &bindings)?;
        }
        Ok(())
    }

    fn weights(&mut self, stages: &mut Stages, p: Pattention, segments: usize) -> Result<()> {
        let slots = p.slots(self.config);
        let spec = self.theta(
            ShaderSpec::new("weights")
                .with("WG", WG)
                .with("SEGMENTS", segments)
                .with("COLS", padded_slots(slots))
                .with("SLOTS", slots),
        );
        let bindings = [self.step(0), write(1, &self.scratch.scores.buffer)];
        self.push(stages, spec, Grid::PerToken(segments as u32, 1), &bindings)
    }

    fn prefill_layer(&mut self, stages: &mut Stages, layer: usize, t: &LayerTables) -> Result<()> {
        let (s, d) = (self.scratch, self.config.hidden_size);
        let (h, u, scores) = (&s.h.buffer, &s.u.buffer, &s.scores.buffer);
        self.layernorm(stages, false)?;
        self.matmul(stages, &t.qkv_keys, 1, u, (scores, t.qkv_keys.shape().rows), false)?;
        self.weights(stages, Pattention::Query, 3)?;
        self.matmul(stages, &t.qkv_values, 3, scores, (&s.qkv.buffer, 3 * d), false)?;
        let [keys, values] = s.cache[layer].bindings(3, Access::Write, 1);
        let spec = self.rotary(ShaderSpec::new("append").with("WG", WG).with("D_MODEL", d));
        let bindings =
            [self.step(0), read(1, &s.qkv.buffer), write(2, &s.q.buffer), keys, values, read(5, &s.angles.buffer)];
        self.push(stages, spec, Grid::PerToken((d as u32 / 2).div_ceil(WG as u32), 3), &bindings)?;
        let spec = ShaderSpec::new("attention_prefill").with("D_MODEL", d).with("HEAD", self.config.head_size());
        let [keys, values] = s.cache[layer].bindings(2, Access::Read, 1);
        let bindings = [self.step(0), read(1, &s.q.buffer), keys, values, write(4, u)];
        let heads = self.config.num_attention_heads as u32;
        self.push(stages, spec, Grid::PerTile(heads, QUERY_TILE, 1), &bindings)?;
        self.matmul(stages, &t.proj_keys, 1, u, (scores, t.proj_keys.shape().rows), false)?;
        self.weights(stages, Pattention::Proj, 1)?;
        self.matmul(stages, &t.proj_values, 1, scores, (h, d), true)?;
        self.layernorm(stages, false)?;
        self.matmul(stages, &t.mlp_keys, 1, u, (scores, t.mlp_keys.shape().rows), false)?;
        self.weights(stages, Pattention::Mlp, 1)?;
        self.matmul(stages, &t.mlp_values, 1, scores, (h, d), true)
    }

    fn embed(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let table = &self.weights.embedding;
        let groups = table.shape().cols / 32;
        for part in &table.parts {
            let spec = table
                .constants(ShaderSpec::new("embed").with("WG", 32))
                .with("FIRST_ROW", part.first_row)
                .with("PART_ROWS", part.rows);
            let mut bindings = table.bindings(part);
            bindings.extend([self.step(2), read(3, &self.scratch.ids.buffer), write(4, &self.scratch.h.buffer)]);
            self.push(&mut stages, spec, Grid::PerToken(groups.div_ceil(32) as u32, 1), &bindings)?;
        }
        Ok(stages)
    }

    fn logits_of_row(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let table = &self.weights.embedding;
        for part in &table.parts {
            let Matvec { spec, workgroups } = matvec(self.gpu, table, "keys", part.rows);
            let grid = fold(workgroups);
            let spec = spec
                .with("Y_START", part.first_row)
                .with_f32("EPSILON", self.config.layernorm_epsilon)
                .flag("FINAL_NORM");
            let mut bindings = table.bindings(part);
            bindings.extend([
                self.step(2),
                read(3, &self.scratch.h.buffer),
                write(4, &self.scratch.logits.buffer),
                read(5, &self.weights.norm.buffer),
            ]);
            self.push(&mut stages, spec, grid, &bindings)?;
        }
        Ok(stages)
    }

    fn choose(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let (s, c) = (self.scratch, &self.scratch.choose);
        let vocab = self.config.padded_vocab_size;
        let groups = vocab.div_ceil(ADJUST_TOKENS);
        let sampling = Binding::new(1, Access::Uniform, &c.sampling.buffer);
        let spec = ShaderSpec::new("sample_adjust").with("WG", WG).with("V", vocab);
        let bindings = [
            self.step(0),
            sampling.clone(),
            read(2, &s.logits.buffer),
            read(3, &c.seen.buffer),
            read(4, &c.bias.buffer),
            write(5, &c.adjusted.buffer),
            write(6, &c.partials.buffer),
        ];
        self.push(&mut stages, spec, Grid::Fixed([groups as u32, 1, 1]), &bindings)?;
        // All by one workgroup: the more threads, the sooner. It needs 12 bytes for each, and 3 kB for its bins.
        let limits = self.gpu.device.limits();
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let threads = if most < 1024 || self.gpu.is_software { 256 } else { 1024 };
        let spec = ShaderSpec::new("sample_pick").with("WG", threads).with("V", vocab);
        let spec = spec.with("PARTIALS", groups).with("RING", RING);
        let bindings = [
            self.step(0),
            sampling,
            read(2, &c.adjusted.buffer),
            read(3, &c.partials.buffer),
            write(4, &c.seen.buffer),
            write(5, &s.ids.buffer),
            write(6, &c.tokens.buffer),
        ];
        self.push(&mut stages, spec, Grid::Fixed([1, 1, 1]), &bindings)?;
        Ok(stages)
    }

    fn logits_of_rows(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let s = self.scratch;
        self.layernorm(&mut stages, true)?;
        let vocab = self.config.padded_vocab_size;
        self.matmul(&mut stages, &self.weights.embedding, 1, &s.u.buffer, (&s.logits.buffer, vocab), false)?;
        Ok(stages)
    }

    fn score(&mut self) -> Result<Stages> {
        let mut stages = Stages::default();
        let s = self.scratch;
        let spec = ShaderSpec::new("score").with("WG", WG).with("V", self.config.padded_vocab_size);
        let bindings =
            [self.step(0), read(1, &s.logits.buffer), read(2, &s.targets.buffer), write(3, &s.target_scores.buffer)];
        self.push(&mut stages, spec, Grid::PerToken(1, 1), &bindings)?;
        Ok(stages)
    }
}
