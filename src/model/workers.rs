//! Many layers of a decode step in one dispatch (`shaders/layers.wgsl`): how its products are shared out among workgroups
//! that run side by side, and where they leave what they send each other.

use super::plan::{Builder, Grid, Stage, read, write};
use super::tables::{LayerTables, Slab, Table, aligned};
use crate::checkpoint::layout::{Pattention, TableFormat, padded_slots};
use crate::config::{GROUP_SIZE, NormActivation};
use crate::error::Result;
use crate::gpu::shader::{HALF, SUBGROUPS, ShaderSpec};
use crate::gpu::{Access, Binding, GpuBuffer, Warm};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::num::NonZeroU64;

/// Positions that one workgroup scans at least (STRETCH of the shader).
const STRETCH: usize = 128;
/// Most rows that share the activations a thread reads.
const MOST_ROWS: usize = 8;
/// Most `vec4<u32>` of the tables that a thread keeps in registers.
const MOST_HELD: usize = 10;

/// What a product's factors are; sums of a few are added up as f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// Single precision.
    F32,
    /// Half precision (HALF of the shader), where the device has it.
    F16,
    /// Bytes, four at a time, two for each activation (PACKED of the shader).
    Int8,
}

impl Arithmetic {
    /// For `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// Products with tables of `format`: only those of few bits are worth less than single precision.
    pub fn with(self, format: TableFormat) -> Self {
        if format.is_quantized() { self } else { Self::F32 }
    }
}

/// How many workgroups share a layer, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Workgroups; all must run at a time.
    pub workers: usize,
    /// Threads of each.
    pub threads: usize,
    /// Looks at a word before a worker gives up.
    pub patience: usize,
    /// What products are made with, where the tables' format allows it.
    pub arithmetic: Arithmetic,
    /// Sums by subgroups, where there are any, instead of by trees in workgroup memory.
    pub subgroups: bool,
}

/// How the rows of one product are shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    /// Threads that share rows.
    lanes: usize,
    /// Rows that they share.
    rows: usize,
}

/// The cheapest way for `rows` rows of `groups` groups; a worker's rows must divide `segment`.
fn share(team: Team, groups: usize, rows: usize, segment: usize, vecs: usize) -> Option<Share> {
    let lanes = [8, 16, 32, 64, 128, 256].into_iter().filter(|lanes| *lanes <= team.threads);
    let shares = lanes.flat_map(|lanes| (1..=MOST_ROWS.min(lanes)).map(move |rows| Share { lanes, rows }));
    let cost = |s: &Share| {
        let block = team.threads / s.lanes * s.rows;
        let turns = rows.div_ceil(block).div_ceil(team.workers);
        let rounds = groups.div_ceil(s.lanes);
        // A group's activations come from workgroup memory, which takes about as long as a row and a half.
        let work = rounds * (10 * s.rows + 14) + if s.lanes > 32 { 7 } else { 0 };
        let held = (rounds * s.rows * vecs).saturating_sub(MOST_HELD);
        // Only the first turn's loads are on their way before the activations are there.
        turns * work + (turns - 1) * 40 + held * 20
    };
    shares.filter(|s| segment.is_multiple_of(team.threads / s.lanes * s.rows)).min_by_key(cost)
}

/// Words of a layer's mail.
const MAIL: [&str; 8] = ["AT_0", "AT_QKV", "AT_PARTS", "AT_STATS", "AT_2", "AT_H", "AT_4", "AT_OUT"];

/// All layers of a decode step in as few dispatches as bindings allow.
pub struct Workers {
    /// How they are shared out.
    pub team: Team,
    /// Each with both sets of mail: what one dispatch leaves in its set the next clears, whose set is the other.
    dispatches: Vec<[Stage; 2]>,
    mail: GpuBuffer,
    /// Bytes of a set, and of what comes before the word that tells of a failure.
    set: (u64, u64),
    /// Which set comes next.
    turn: Cell<usize>,
}

/// Words that [`Workers::copy_failures`] copies.
pub const FAILURE_WORDS: usize = 2;

impl Workers {
    /// Records all dispatches for a step of one token after `past`. What is recorded must be submitted, in order.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize) {
        for stages in &self.dispatches {
            stages[self.turn.get()].record(pass, past, 1);
            self.turn.set(1 - self.turn.get());
        }
    }

    /// Kernel, flags and constants of the first dispatch.
    pub fn label(&self) -> &str {
        self.dispatches.first().map_or("", |stages| stages[0].label())
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Copies out what tells of workers that gave up, [`FAILURE_WORDS`] words.
    pub fn copy_failures(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Buffer, offset: u64) {
        for set in 0..FAILURE_WORDS as u64 {
            encoder.copy_buffer_to_buffer(&self.mail.buffer, set * self.set.0 + self.set.1, to, offset + set * 4, 4);
        }
    }
}

impl Builder<'_> {
    /// The dispatches for a team; `None` where this model or GPU does not allow them.
    pub(super) fn workers(&mut self, team: Team) -> Result<Option<Workers>> {
        let slabs = &self.weights.slabs;
        let s = self.scratch;
        let Some(first) = slabs.first() else { return Ok(None) };
        let spec = self.layers_spec(first, team).filter(|_| s.cache[0].shared() >= first.layers.len());
        let Some((spec, mail_stride)) = spec else { return Ok(None) };
        let failed = mail_stride * first.layers.len();
        let (set, failed_at) = (aligned(failed as u64 * 4 + 16), failed as u64 * 4);
        let mail = GpuBuffer::storage(self.gpu, "mail", set * 2);
        let mut dispatches = Vec::new();
        for slab in slabs {
            // The last slab may have fewer layers; its mail ends where that of the others does.
            let spec = spec.clone().with("LAYERS", slab.layers.len()).with("FAILED", failed);
            let mut make = |turn: u64| {
                let mail = |index, turn| Binding {
                    index,
                    access: Access::Write,
                    range: wgpu::BufferBinding {
                        buffer: &mail.buffer,
                        offset: turn * set,
                        size: NonZeroU64::new(failed_at + 16),
                    },
                };
                let mut bindings = slab.bindings();
                bindings.extend([self.step(2), write(3, &s.h.buffer), mail(4, turn), mail(5, 1 - turn)]);
                bindings.extend(s.cache[slab.layers.start].bindings(6, Access::Write, slab.layers.len()));
                bindings.push(read(8, &s.angles.buffer));
                self.stage(&spec, Grid::Fixed([team.workers as u32, 1, 1]), &bindings)
            };
            let (Some(first), Some(second)) = (make(0)?, make(1)?) else { return Ok(None) };
            dispatches.push([first, second]);
        }
        Ok(Some(Workers { team, dispatches, mail, set: (set, failed_at), turn: Cell::new(0) }))
    }

    /// What is to be compiled for a team; `None` where this model or GPU does not allow it.
    pub(super) fn warm(&self, team: Team) -> Option<Warm> {
        let slabs = &self.weights.slabs;
        let (spec, mail_stride) = self.layers_spec(slabs.first()?, team)?;
        let layers = slabs[0].layers.len();
        let spec = spec.with("LAYERS", layers).with("FAILED", mail_stride * layers);
        let mut accesses: Vec<_> = slabs[0].bindings().iter().map(|b| (b.index, b.access)).collect();
        accesses.push((2, Access::Uniform));
        accesses.extend((3..8).map(|index| (index, Access::Write)));
        accesses.push((8, Access::Read));
        Some(Warm::new(spec, accesses))
    }

    /// Constants of the kernel; `None` where workgroup memory is too small or a shape does not fit.
    fn layers_spec(&self, slab: &Slab, team: Team) -> Option<(ShaderSpec, usize)> {
        let (config, scratch) = (self.config, self.scratch);
        let (d, head, heads) = (config.hidden_size, config.head_size(), config.num_attention_heads);
        let tables = self.weights.layers.first()?;
        let max_parts = (team.workers / heads).max(2);
        let scan = STRETCH.max(scratch.context_length.div_ceil(max_parts));
        let slots = |p: Pattention| p.slots(config);
        let values = [
            3 * padded_slots(slots(Pattention::Query)),
            3 * d,
            max_parts * d,
            max_parts * heads * 2,
            padded_slots(slots(Pattention::Proj)),
            d,
            padded_slots(slots(Pattention::Mlp)),
            d,
        ];
        let (element_stride, scale_stride) = slab.strides();
        let arithmetic = team.arithmetic.with(self.weights.layer_format());
        let subgroups = team.subgroups && self.gpu.has_subgroups();
        // Weights of a softmax are not bounded by √n as the others are: their products may be more than f16 holds.
        let is_bounded = config.norm_activation_type != NormActivation::Softmax;
        if arithmetic == Arithmetic::F16 && !(self.gpu.has_f16 && is_bounded) {
            return None;
        }
        let mut spec = ShaderSpec::new("layers")
            .with("WG", team.threads)
            .with("WORKERS", team.workers)
            .with("PATIENCE", team.patience)
            .with("D_MODEL", d)
            .with("HEAD", head)
            .with("ROTARY", config.rotary_dims())
            .with("MAX_PARTS", max_parts)
            .with("SCAN", scan)
            .with("ELEMENT_STRIDE", element_stride)
            .with("SCALE_STRIDE", scale_stride)
            .with("CACHE_STRIDE", scratch.cache[0].stride() as usize / 16)
            .with("SLOTS_1", slots(Pattention::Query))
            .with("SLOTS_3", slots(Pattention::Proj))
            .with("SLOTS_5", slots(Pattention::Mlp))
            .with_f32("EPSILON", config.layernorm_epsilon)
            .flag_if(SUBGROUPS, subgroups)
            .flag_if(HALF, arithmetic == Arithmetic::F16)
            .flag_if("PACKED", arithmetic == Arithmetic::Int8);
        let mut mail_stride = 0;
        for (name, words) in MAIL.into_iter().zip(values) {
            spec = spec.with(name, mail_stride);
            mail_stride += words;
        }
        mail_stride = mail_stride.next_multiple_of(4);
        let (mut xs, mut most_rows) = (0, 0);
        for (part, table) in all(tables).into_iter().enumerate() {
            let (groups, rows) = (table.shape().cols / GROUP_SIZE, table.shape().rows);
            let vecs = match table.format() {
                TableFormat::Q4 => 1,
                TableFormat::Q8 => 2,
                TableFormat::F16 => 4,
            };
            let share = share(team, groups, rows, if part == 1 { d } else { 0 }, vecs)?;
            let (elements, scales) = slab.position(table);
            let values = [
                ("GROUPS", groups),
                ("ROWS", rows),
                ("ELEMENTS", elements),
                ("SCALES", scales),
                ("LANES", share.lanes),
                ("LROWS", share.rows),
                ("ROUNDS", groups.div_ceil(share.lanes)),
                ("ITEMS", (groups * 8).div_ceil(team.threads)),
            ];
            for (name, value) in values {
                spec = spec.with(format!("{name}_{part}"), value);
            }
            // Rows of slots lie a slot further apart than they are long, for the banks' sake.
            (xs, most_rows) = (xs.max((groups + 1) * 8), most_rows.max(share.rows));
        }
        let lane_sums = team.threads * most_rows * 4 / if subgroups { 4 } else { 1 };
        let sharers = (team.threads / 128).max(1);
        let slot = match arithmetic {
            Arithmetic::F32 => 16,
            Arithmetic::F16 => 8,
            Arithmetic::Int8 => 9,
        };
        let magnitudes = if subgroups || arithmetic != Arithmetic::Int8 { 0 } else { team.threads * 4 };
        // The last are the pivot, and what rounding up to 16 bytes may add to each of a dozen arrays.
        let bytes = xs * slot
            + magnitudes
            + lane_sums
            + team.threads * (32 + 12)
            + head * 20
            + scan * 4 * (1 + sharers)
            + heads * max_parts * 8
            + 256;
        let limits = self.gpu.device.limits();
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let fits = bytes <= limits.max_compute_workgroup_storage_size as usize
            && team.threads <= most as usize
            && head.is_multiple_of(8)
            && head <= team.threads;
        let spec = spec.with("MAIL_STRIDE", mail_stride).with("XS", xs).with("MOST_LROWS", most_rows);
        let spec = self.theta(tables.qkv_keys.format_flag(spec));
        let spec = ["NORM_0", "THETA_1", "THETA_3", "NORM_4", "THETA_5"].into_iter().fold(spec, ShaderSpec::flag);
        fits.then_some((spec, mail_stride))
    }
}

/// The tables in the order of the parts.
fn all(t: &LayerTables) -> [&Table; 6] {
    [&t.qkv_keys, &t.qkv_values, &t.proj_keys, &t.proj_values, &t.mlp_keys, &t.mlp_values]
}
