//! The constants that the kernel is compiled with, and whether a model and a device allow it.

use super::mailbox::MailboxWords;
use super::memory::WorkgroupMemory;
use super::share::{Share, share};
use super::team::{Arithmetic, Team};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::config::{GROUP_SIZE, ModelConfig, NormActivation};
use crate::gpu::shader::{HALF, SUBGROUPS, ShaderSpec};
use crate::model::kernels::rotary::Rotary;
use crate::model::kernels::several::several;
use crate::model::kernels::theta;
use crate::model::tables;
use crate::pattention::Pattention;

/// Fewest positions that one workgroup scans (STRETCH of the shader).
pub const STRETCH: usize = 128;
/// Flags for chunks of two texts and of four, by product.
const TWO_TEXTS: [&str; 6] = ["TWO_TEXTS_0", "TWO_TEXTS_1", "TWO_TEXTS_2", "TWO_TEXTS_3", "TWO_TEXTS_4", "TWO_TEXTS_5"];
const FOUR_TEXTS: [&str; 6] =
    ["FOUR_TEXTS_0", "FOUR_TEXTS_1", "FOUR_TEXTS_2", "FOUR_TEXTS_3", "FOUR_TEXTS_4", "FOUR_TEXTS_5"];
/// Flags for inputs that are normalized, and those that Θ is applied to, by product.
const FLAGS: [&str; 5] = ["NORM_0", "THETA_1", "THETA_3", "NORM_4", "THETA_5"];

/// The tables of a layer in one binding with those of other layers, and the cache beside them.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// How elements are stored.
    pub format: TableFormat,
    /// The tables of the first layer in the order of the products.
    pub tables: [PlacedTable; 6],
    /// Groups of elements from layer to layer.
    pub element_stride: usize,
    /// Words of scales from layer to layer.
    pub scale_stride: usize,
    /// `vec4<u32>` of keys, or values, from layer to layer.
    pub cache_stride: usize,
}

/// A table, with the first group of its elements and the first word of its scales.
#[derive(Clone, Copy, Debug)]
pub struct PlacedTable {
    pub shape: TableShape,
    pub elements: usize,
    pub scales: usize,
}

/// Tokens of packs, all packs' side by side, in one binding for all layers that begins with the rotary angles.
#[derive(Clone, Copy, Debug)]
pub struct PlacedPacks {
    /// Tokens for each Pattention of query, key and value, of the output projection, of the feed-forward part:
    /// multiples of 4, or 0.
    pub tokens: [usize; 3],
    /// `vec4<f32>` from layer to layer.
    pub stride: usize,
    /// First `vec4<f32>` of the keys and of the transposed values of the first layer.
    pub keys: [usize; 3],
    pub values: [usize; 3],
}

/// The relevant features of the device.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    pub subgroups: bool,
    pub f16: bool,
}

/// One of the six products of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Groups of columns.
    pub groups: usize,
    /// Rows.
    pub rows: usize,
    /// Where its table lies.
    pub elements: usize,
    pub scales: usize,
    /// How its rows are shared out.
    pub share: Share,
    /// Texts whose activations it processes at a time.
    pub chunk: usize,
}

/// All layers of a decode step, as one kernel.
#[derive(Clone, Debug)]
pub struct Layers {
    pub team: Team,
    /// The part of the team's options that this model and device allow.
    pub arithmetic: Arithmetic,
    pub subgroups: bool,
    /// Columns, d, and how they are split into heads.
    pub hidden: usize,
    pub head: usize,
    pub heads: usize,
    pub rotary: Rotary,
    /// Positions of the context, most parts that it is split into, and positions of each part.
    pub context_length: usize,
    pub max_parts: usize,
    pub scan: usize,
    pub storage: Storage,
    /// Parameter tokens of the Pattentions of query, key and value, of the output projection, of the feed-forward part.
    pub slots: [usize; 3],
    pub epsilon: f64,
    pub activation: NormActivation,
    pub mailbox: MailboxWords,
    pub products: [Product; 6],
    /// Active packs.
    pub packs: Option<PlacedPacks>,
    /// Most texts of a step; the kernel for 1 is a separate one, and the only one that supports packs.
    pub texts: usize,
}

impl Layers {
    /// For a model and a context; `None` where its shape or the device does not allow it.
    pub fn new(
        config: &ModelConfig,
        context_length: usize,
        storage: Storage,
        team: Team,
        device: Abilities,
    ) -> Option<Self> {
        let (d, heads) = (config.hidden_size, config.num_attention_heads);
        let arithmetic = team.arithmetic.with(storage.format);
        // Weights of a softmax are not bounded by √n as the others are: their products may overflow f16.
        let is_bounded = config.norm_activation_type != NormActivation::Softmax;
        if arithmetic == Arithmetic::F16 && !(device.f16 && is_bounded) {
            return None;
        }
        let max_parts = (team.workgroups / heads).max(2);
        let slots = [Pattention::Query, Pattention::Proj, Pattention::Mlp].map(|p| p.slots(config));
        let mailbox = MailboxWords {
            scores: 3 * padded_slots(slots[0]),
            qkv: 3 * d,
            parts: max_parts * d,
            stats: max_parts * heads * 2,
            proj: padded_slots(slots[1]),
            middle: d,
            mlp: padded_slots(slots[2]),
            out: d,
            packs: [0; 3],
        };
        let mut products = Vec::with_capacity(6);
        for (number, PlacedTable { shape, elements, scales }) in storage.tables.into_iter().enumerate() {
            let (groups, rows) = (shape.cols / GROUP_SIZE, shape.rows);
            // Rows of the second product belong to one of three Pattentions.
            let segment = if number == 1 { d } else { 0 };
            let share = share(team, groups, rows, segment, storage.format.bits() / 4)?;
            products.push(Product { groups, rows, elements, scales, share, chunk: 1 });
        }
        Some(Self {
            team,
            arithmetic,
            subgroups: team.subgroups && device.subgroups,
            hidden: d,
            head: config.head_size(),
            heads,
            rotary: Rotary::new(config),
            context_length,
            max_parts,
            scan: STRETCH.max(context_length.div_ceil(max_parts)),
            storage,
            slots,
            epsilon: config.layernorm_epsilon,
            activation: config.norm_activation_type,
            mailbox,
            products: products.try_into().ok()?,
            packs: None,
            texts: 1,
        })
    }

    /// The same with packs.
    pub fn with_packs(mut self, packs: Option<PlacedPacks>) -> Self {
        let [qkv, proj, mlp] = packs.map_or([0; 3], |packs| packs.tokens);
        self.mailbox.packs = [3 * qkv, proj, mlp];
        Self { packs, ..self }
    }

    /// True if a device with these limits can run it.
    pub fn fits(&self, limits: &wgpu::Limits) -> bool {
        let threads = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        self.workgroup_bytes() <= limits.max_compute_workgroup_storage_size as usize
            && self.team.threads <= threads as usize
            && self.head.is_multiple_of(8)
            && self.head <= self.team.threads
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> usize {
        let memory = WorkgroupMemory {
            threads: self.team.threads,
            arithmetic: self.arithmetic,
            subgroups: self.subgroups,
            slots: self.slots_at_a_time(),
            most_rows: self.most_rows(),
            most_sums: self.most_sums(),
            most_chunk: self.most_chunk(),
            attention_chunk: self.products[2].chunk,
            all_at_once: self.sums_at_once(),
            head: self.head,
            scan: self.scan,
            parts: self.heads * self.max_parts,
            packs: self.packs.is_some(),
        };
        memory.bytes()
    }

    /// Slots of the longest row of activations (XS of the shader): the stride of rows of slots is one slot more than
    /// their length, to avoid bank conflicts.
    pub(super) fn longest_row(&self) -> usize {
        self.products.iter().map(|p| (p.groups + 1) * 8).max().unwrap_or(0)
    }

    /// The same for all rows in workgroup memory at a time.
    fn slots_at_a_time(&self) -> usize {
        self.products.iter().map(|p| p.chunk * (p.groups + 1) * 8).max().unwrap_or(0)
    }

    /// Most sums that a thread computes in any product.
    fn most_sums(&self) -> usize {
        self.products.iter().map(|p| p.chunk * p.share.rows).max().unwrap_or(0)
    }

    /// Most texts whose activations any product processes at a time.
    fn most_chunk(&self) -> usize {
        self.products.iter().map(|p| p.chunk).max().unwrap_or(1)
    }

    /// True if sums over rows of several texts share their barriers.
    fn sums_at_once(&self) -> bool {
        self.subgroups && self.texts > 1
    }

    /// Most rows that threads share in any product.
    fn most_rows(&self) -> usize {
        self.products.iter().map(|p| p.share.rows).max().unwrap_or(0)
    }

    /// Offset of the failure word in a dispatch of up to `layers` layers.
    pub fn failed_at(&self, layers: usize) -> usize {
        self.mailbox.stride() * self.texts * layers
    }

    /// What to compile for a dispatch of `layers` layers whose failure word is `failed`.
    pub fn shader(&self, layers: usize, failed: usize) -> ShaderSpec {
        let mut spec = ShaderSpec::new("layers")
            .with("WG", self.team.threads)
            .with("WORKGROUPS", self.team.workgroups)
            .with("SPIN_LIMIT", self.team.spin_limit)
            .with("D_MODEL", self.hidden);
        spec = self.rotary.constants(spec);
        spec = spec
            .with("MAX_PARTS", self.max_parts)
            .with("SCAN", self.scan)
            .with("ELEMENT_STRIDE", self.storage.element_stride)
            .with("SCALE_STRIDE", self.storage.scale_stride)
            .with("CACHE_STRIDE", self.storage.cache_stride)
            .with("SLOTS_1", self.slots[0])
            .with("SLOTS_3", self.slots[1])
            .with("SLOTS_5", self.slots[2])
            .with_f32("EPSILON", self.epsilon)
            .flag_if(SUBGROUPS, self.subgroups)
            .flag_if(HALF, self.arithmetic == Arithmetic::F16)
            .flag_if("PACKED", self.arithmetic == Arithmetic::Int8);
        for (name, offset) in self.mailbox.offsets() {
            spec = spec.with(name, offset);
        }
        for (number, product) in self.products.iter().enumerate() {
            for (name, value) in product.constants(self.team) {
                spec = spec.with(format!("{name}_{number}"), value);
            }
            // Flags, since the preprocessor does not compare numbers.
            spec = spec.flag_if(TWO_TEXTS[number], product.chunk == 2).flag_if(FOUR_TEXTS[number], product.chunk == 4);
        }
        spec = spec
            .with("MAILBOX_STRIDE", self.mailbox.stride())
            .with("LAYER_STRIDE", self.mailbox.stride() * self.texts)
            .with("XS", self.slots_at_a_time())
            .with("MOST_LROWS", self.most_rows())
            .with("MOST_SUMS", self.most_sums())
            .with("MOST_CHUNK", self.most_chunk())
            .flag_if("ALL_AT_ONCE", self.sums_at_once())
            .flag(tables::format_flag(self.storage.format))
            .flag(theta::flag(self.activation));
        spec = FLAGS.into_iter().fold(spec, ShaderSpec::flag).with("LAYERS", layers).with("FAILED", failed);
        match self.packs {
            Some(packs) => packs.constants(spec, self.mailbox),
            None if self.texts > 1 => several(spec).with("TEXTS", self.texts),
            None => spec,
        }
    }
}

impl PlacedPacks {
    /// Its constants, numbered by product: 0, 2 and 4 with keys, 1, 3 and 5 with values.
    fn constants(&self, spec: ShaderSpec, mailbox: MailboxWords) -> ShaderSpec {
        let mut spec = spec.flag("PACKS").flag("ANGLES_WITH_PACKS").with("PACK_STRIDE", self.stride);
        for (group, (name, offset)) in mailbox.pack_offsets().enumerate() {
            let (tokens, segments) = (self.tokens[group], if group == 0 { 3 } else { 1 });
            if tokens > 0 {
                spec = spec
                    .with(name, offset)
                    .with(format!("PACK_ROWS_{}", 2 * group), segments * tokens)
                    .with(format!("PACK_KEYS_AT_{}", 2 * group), self.keys[group])
                    .with(format!("PACK_TOKENS_{}", 2 * group + 1), tokens)
                    .with(format!("PACK_COLS_{}", 2 * group + 1), padded_slots(tokens))
                    .with(format!("PACK_VALUES_AT_{}", 2 * group + 1), self.values[group])
                    .flag(["PACK_KEYS_0", "PACK_KEYS_2", "PACK_KEYS_4"][group])
                    .flag(["PACK_VALUES_1", "PACK_VALUES_3", "PACK_VALUES_5"][group]);
            }
        }
        spec
    }
}

impl Product {
    /// Its constants, without the number of the product.
    fn constants(&self, team: Team) -> [(&'static str, usize); 9] {
        [
            ("GROUPS", self.groups),
            ("ROWS", self.rows),
            ("ELEMENTS", self.elements),
            ("SCALES", self.scales),
            ("LANES", self.share.lanes),
            ("LROWS", self.share.rows),
            ("ROUNDS", self.groups.div_ceil(self.share.lanes)),
            ("ITEMS", (self.groups * 8).div_ceil(team.threads)),
            ("CHUNK", self.chunk),
        ]
    }
}
