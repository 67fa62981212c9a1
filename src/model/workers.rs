//! A layer of a decode step in one dispatch (`shaders/layer.wgsl`): how its products are shared out among workgroups
//! that run side by side, and where they leave what they send each other.

use super::plan::{Builder, Grid, Stages, read, write};
use super::tables::{LayerTables, Table};
use crate::checkpoint::layout::{Pattention, TableFormat, padded_slots};
use crate::config::GROUP_SIZE;
use crate::error::Result;
use crate::gpu::shader::{SUBGROUPS, ShaderSpec};
use crate::gpu::{Access, Binding, GpuBuffer};
use std::num::NonZeroU64;

/// Positions that one workgroup scans at least (STRETCH of the shader).
const STRETCH: usize = 128;
/// Most rows that share the activations a thread reads.
const MOST_ROWS: usize = 8;
/// Most `vec4<u32>` of the tables that a thread keeps in registers.
const MOST_HELD: usize = 10;

/// How many workgroups share a layer, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Team {
    /// Workgroups; all must run at a time.
    pub workers: usize,
    /// Threads of each.
    pub threads: usize,
    /// Looks at a word before a worker gives up.
    pub patience: usize,
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

/// Words of a dispatch's mail.
#[derive(Clone, Copy, Debug)]
struct Mail {
    /// Scores of part 0, query key value, sums and statistics of the attention, scores of part 2, h, scores of part 4.
    starts: [usize; 7],
    /// The word that tells of a failure; behind all others.
    failed: usize,
}

impl Mail {
    const NAMES: [&str; 7] = ["AT_0", "AT_QKV", "AT_PARTS", "AT_STATS", "AT_2", "AT_H", "AT_4"];

    fn new(lengths: [usize; 7]) -> Self {
        let mut failed = 0;
        let starts = lengths.map(|len| {
            let start = failed;
            failed += len;
            start
        });
        Self { starts, failed }
    }

    /// Bytes from one dispatch's mail to the next one's.
    fn stride(self) -> u64 {
        (self.failed as u64 * 4 + 4).next_multiple_of(256)
    }
}

/// All layers of a decode step, a dispatch each.
pub struct Workers {
    /// The dispatches.
    pub stages: Stages,
    /// How they are shared out.
    pub team: Team,
    mail: GpuBuffer,
    layout: Mail,
    /// Dispatches take turns with so many sets of mail: what one leaves the next clears.
    sets: usize,
}

/// Words that [`Workers::copy_failures`] copies.
pub const FAILURE_WORDS: usize = 3;

impl Workers {
    /// Copies out what tells of workers that gave up, [`FAILURE_WORDS`] words.
    pub fn copy_failures(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Buffer, offset: u64) {
        for set in 0..FAILURE_WORDS {
            let from = (set % self.sets) as u64 * self.layout.stride() + self.layout.failed as u64 * 4;
            encoder.copy_buffer_to_buffer(&self.mail.buffer, from, to, offset + set as u64 * 4, 4);
        }
    }
}

impl Builder<'_> {
    /// The dispatches for a team; `None` where this model or GPU does not allow them.
    pub(super) fn workers(&mut self, team: Team) -> Result<Option<Workers>> {
        let layers = self.weights.layers.len();
        let Some((spec, layout)) = self.layer_spec(team).filter(|_| layers > 1) else { return Ok(None) };
        let sets = 2 + layers % 2;
        let mail = GpuBuffer::storage(self.gpu, "mail", layout.stride() * sets as u64);
        let set_of = |layer: usize| if layers % 2 == 1 && layer + 1 == layers { 2 } else { layer % 2 };
        let mut stages = Stages::default();
        for (layer, tables) in self.weights.layers.iter().enumerate() {
            let Some(joined) = &tables.joined else { return Ok(None) };
            let set = |index, layer| Binding {
                index,
                access: Access::Write,
                range: wgpu::BufferBinding {
                    buffer: &mail.buffer,
                    offset: set_of(layer) as u64 * layout.stride(),
                    size: NonZeroU64::new(layout.failed as u64 * 4 + 4),
                },
            };
            let s = self.scratch;
            let (keys, values) = &s.cache[layer];
            let mut bindings = joined.bindings();
            bindings.extend([
                self.step(2),
                write(3, &s.h.buffer),
                set(4, layer),
                set(5, (layer + layers - 1) % layers),
                write(6, &keys.buffer),
                write(7, &values.buffer),
                read(8, &s.angles.buffer),
            ]);
            self.push(&mut stages, spec.clone(), Grid::Fixed([team.workers as u32, 1, 1]), &bindings)?;
        }
        Ok(Some(Workers { stages, team, mail, layout, sets }))
    }

    /// Constants of the kernel; `None` where workgroup memory is too small or a shape does not fit.
    fn layer_spec(&self, team: Team) -> Option<(ShaderSpec, Mail)> {
        let (config, scratch) = (self.config, self.scratch);
        let (d, head, heads) = (config.hidden_size, config.head_size(), config.num_attention_heads);
        let tables = self.weights.layers.first()?;
        let joined = tables.joined.as_ref()?;
        let max_parts = (team.workers / heads).max(1);
        let scan = STRETCH.max(scratch.context_length.div_ceil(max_parts));
        let slots = |p: Pattention| p.slots(config);
        let layout = Mail::new([
            3 * padded_slots(slots(Pattention::Query)),
            3 * d,
            max_parts * d,
            max_parts * heads * 2,
            padded_slots(slots(Pattention::Proj)),
            d,
            padded_slots(slots(Pattention::Mlp)),
        ]);
        let mut spec = ShaderSpec::new("layer")
            .with("WG", team.threads)
            .with("WORKERS", team.workers)
            .with("PATIENCE", team.patience)
            .with("D_MODEL", d)
            .with("HEAD", head)
            .with("ROTARY", config.rotary_dims())
            .with("MAX_PARTS", max_parts)
            .with("SCAN", scan)
            .with("FAILED", layout.failed)
            .with("SLOTS_1", slots(Pattention::Query))
            .with("SLOTS_3", slots(Pattention::Proj))
            .with("SLOTS_5", slots(Pattention::Mlp))
            .with_f32("EPSILON", config.layernorm_epsilon)
            .flag_if(SUBGROUPS, self.gpu.has_subgroups);
        for (name, start) in Mail::NAMES.into_iter().zip(layout.starts) {
            spec = spec.with(name, start);
        }
        let (mut xs, mut most_rows) = (2 * team.threads, 0);
        for (part, table) in all(tables).into_iter().enumerate() {
            let (groups, rows) = (table.shape().cols / GROUP_SIZE, table.shape().rows);
            let vecs = match table.format() {
                TableFormat::Q4 => 1,
                TableFormat::Q8 => 2,
                TableFormat::F16 => 4,
            };
            let share = share(team, groups, rows, if part == 1 { d } else { 0 }, vecs)?;
            let (elements, scales) = joined.position(table);
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
            (xs, most_rows) = (xs.max(groups * 8), most_rows.max(share.rows));
        }
        let lane_sums = team.threads * most_rows * 4 / if self.gpu.has_subgroups { 4 } else { 1 };
        let bytes = xs * 16 + lane_sums + team.threads * 12 + head * 20 + scan * 4 + heads * max_parts * 8;
        let fits = bytes <= self.gpu.device.limits().max_compute_workgroup_storage_size as usize
            && team.threads <= self.gpu.device.limits().max_compute_invocations_per_workgroup as usize
            && head.is_multiple_of(8)
            && head <= team.threads;
        let spec = spec.with("XS", xs).with("MOST_LROWS", most_rows);
        let spec = self.theta(self.format(spec, tables));
        let spec = ["NORM_0", "THETA_1", "THETA_3", "NORM_4", "THETA_5"].into_iter().fold(spec, ShaderSpec::flag);
        fits.then_some((spec, layout))
    }

    fn format(&self, spec: ShaderSpec, tables: &LayerTables) -> ShaderSpec {
        tables.qkv_keys.format_flag(spec)
    }
}

/// The tables in the order of the parts.
fn all(t: &LayerTables) -> [&Table; 6] {
    [&t.qkv_keys, &t.qkv_values, &t.proj_keys, &t.proj_values, &t.mlp_keys, &t.mlp_values]
}

