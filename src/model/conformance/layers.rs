//! Cases of `layers`: one step of a small model with random weights, by workgroups that send each other their results,
//! compared with the same step written out.

use super::case::{Cases, DependsOn};
use super::lab::{DIRT, Lab, Values, Wanted};
use crate::checkpoint::layout::{TableFormat, padded_slots};
use crate::config::{ModelConfig, NormActivation, PartialConfig};
use crate::error::{Error, Result};
use crate::model::kernels::layers::{Abilities, Arithmetic, Layers, LayersBuffers, PlacedPacks, Team};
use crate::model::kernels::{Rotary, Step};
use crate::model::persistent::storage;
use crate::model::tables::{Slab, aligned};
use crate::model::weights::layer_shapes;
use crate::pattention::Pattention;
use crate::reference::math;
use half::f16;
use std::rc::Rc;

/// Sums in another order, and activations in two bytes; over two layers with long products.
pub(super) const TOLERANCE: f64 = 2e-3;
/// Words of a mailbox from the failure word on.
pub(super) const FAILURE: usize = 4;

/// The model of a step.
#[derive(Clone, Copy)]
pub(super) struct Small {
    pub(super) layers: usize,
    /// Columns, and heads.
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Parameter tokens of query, key and value, of the output projection, of the feed-forward part.
    pub(super) slots: [usize; 3],
    pub(super) activation: NormActivation,
    pub(super) format: TableFormat,
    pub(super) arithmetic: Arithmetic,
    pub(super) threads: usize,
    /// Tokens in the cache.
    pub(super) past: usize,
    /// Tokens of packs for each of query, key and value, for the output projection, for the feed-forward part.
    pub(super) packs: [usize; 3],
}

/// Two layers of sizes that are not round.
pub(super) const SMALL: Small = Small {
    layers: 2,
    hidden: 64,
    heads: 2,
    slots: [33, 31, 70],
    activation: NormActivation::L2NormGelu,
    format: TableFormat::Q4,
    arithmetic: Arithmetic::Int8,
    threads: 64,
    // Two stretches of positions; the second ends with the token itself among the first positions it looks at.
    past: 128,
    packs: [0; 3],
};

pub fn add(cases: &mut Cases) {
    let small = SMALL;
    let (f32s, gelu, softmax) = (Arithmetic::F32, NormActivation::GeluL2Norm, NormActivation::Softmax);
    // Three slots of activations per thread, the last of them only for some threads.
    let long = Small { layers: 1, hidden: 160, slots: [100, 70, 1100], threads: 128, past: 0, ..small };
    let mut all = vec![
        // The first is the one that compiles soonest: the quick tier has no other.
        (Small { format: TableFormat::Q8, arithmetic: f32s, activation: gelu, past: 257, ..small }, DependsOn::Nothing),
        (small, DependsOn::Sums),
        (
            Small { format: TableFormat::F16, arithmetic: f32s, activation: softmax, past: 1, ..small },
            DependsOn::Nothing,
        ),
        // More tokens than lanes, and more than threads.
        (Small { layers: 1, past: 1, packs: [4, 68, 16], ..small }, DependsOn::Sums),
    ];
    if cases.is_full() {
        all.extend([
            (Small { arithmetic: Arithmetic::F16, activation: gelu, ..small }, DependsOn::Sums),
            (Small { arithmetic: Arithmetic::F16, format: TableFormat::Q8, ..long }, DependsOn::Sums),
            (long, DependsOn::Sums),
            (Small { arithmetic: f32s, activation: softmax, format: TableFormat::Q8, ..long }, DependsOn::Sums),
            (Small { arithmetic: f32s, format: TableFormat::F16, threads: 256, ..long }, DependsOn::Sums),
            (Small { arithmetic: f32s, format: TableFormat::Q8, packs: [16, 4, 300], ..small }, DependsOn::Sums),
            (Small { arithmetic: f32s, packs: [0, 36, 0], ..small }, DependsOn::Sums),
            (Small { arithmetic: f32s, format: TableFormat::F16, packs: [132, 0, 16], ..long }, DependsOn::Sums),
        ]);
    }
    for (model, depends_on) in all {
        let Small { layers, hidden, slots: [qkv, proj, mlp], past, activation, arithmetic, packs, .. } = model;
        let size = format!("{layers} layers, {hidden}, {qkv} {proj} {mlp}");
        let mut variant = format!("{activation:?}, {}, after {past}", arithmetic.as_str());
        if packs != [0; 3] {
            variant += &format!(", packs {packs:?}");
        }
        cases.add(("layers", size, Some(model.format)), &variant, depends_on, move |lab| step(lab, model));
    }
}

impl Small {
    pub(super) fn config(&self) -> Result<ModelConfig> {
        let [qkv, proj, mlp] = self.slots.map(Some);
        let known = PartialConfig {
            num_layers: Some(self.layers),
            hidden_size: Some(self.hidden),
            num_attention_heads: Some(self.heads),
            qkv_slot_num: qkv,
            proj_slot_num: proj,
            ffn_slot_num: mlp,
            padded_vocab_size: Some(32),
            max_position_embeddings: Some(self.past + 1),
            norm_activation_type: Some(self.activation),
            ..PartialConfig::default()
        };
        known.finish()
    }
}

fn step(lab: &mut Lab<'_>, model: Small) -> Result<()> {
    let config = model.config()?;
    let (d, past, layers) = (model.hidden, model.past, model.layers);
    let (slab, tables) = Slab::new(lab.gpu, model.format, layer_shapes(&config), 0..layers);
    let tables: Vec<[Rc<Values>; 6]> = tables.into_iter().map(|layer| layer.map(|table| lab.filled(table))).collect();
    // One position more than this step fills.
    let context = past + 2;
    let stride = aligned((context * d * 2) as u64);
    // Where workgroups run one after the other, only a single one works, as it waits for no other.
    let workgroups = if lab.is_program { 1 } else { 3 };
    let Small { threads, arithmetic, .. } = model;
    let team = Team { workgroups, threads, spin_limit: 20_000, arithmetic, subgroups: true };
    let device = Abilities { subgroups: lab.gpu.has_subgroups(), f16: lab.gpu.has_f16 };
    let placed = storage(&slab, tables[0].each_ref().map(|table| &table.table), stride);
    let rotary = Rotary::new(&config);
    let angles = rotary.angles(config.rotary_emb_base, context);
    let (packs, of_packs) = packs(lab, model, &angles);
    let made = Layers::new(&config, context, placed, team, device).map(|kernel| kernel.with_packs(packs));
    let kernel = match made {
        Some(kernel) if kernel.fits(&lab.gpu.device.limits()) => kernel,
        None if arithmetic == Arithmetic::F16 && !lab.gpu.has_f16 => {
            lab.skip("variants with f16: this device has none");
            return Ok(());
        }
        _ => return Err(Error::internal(format!("{team:?} does not fit"))),
    };
    let before = lab.numbers(d, 2.0);
    let mut caches = Vec::new();
    for _ in 0..layers {
        caches.push([lab.halves(past * d, 1.0), lab.halves(past * d, 1.0)]);
    }
    let words = stride as usize / 4;
    let cached = [0, 1].map(|which| -> Vec<u32> {
        let layer = |caches: &[Vec<f32>; 2]| {
            let halves = caches[which].iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>();
            let mut layer: Vec<u32> = bytemuck::pod_collect_to_vec(&halves);
            layer.resize(words, DIRT);
            layer
        };
        caches.iter().flat_map(layer).collect()
    });
    let mut h = before.clone();
    for (i, (tables, cache)) in tables.iter().zip(&mut caches).enumerate() {
        let packs = packs.map(|packs| (packs, &of_packs[i * packs.stride * 4..]));
        layer(&config, (tables, packs), cache, &mut h);
    }
    let failed = kernel.failed_at(layers);
    let mut sent = vec![0; failed + FAILURE];
    // The state after another dispatch: values, and no timeout.
    let mut old = vec![DIRT; failed + FAILURE];
    old[failed] = 0;
    let (out, mailbox, other) = (lab.in_out(&before), lab.in_out(&sent), lab.in_out(&old));
    let (keys, values) = (lab.in_out(&cached[0]), lab.in_out(&cached[1]));
    let step = lab.step(Step::new(past, 1));
    let angles = lab.input(if packs.is_some() { &of_packs } else { &angles });
    let buffers = LayersBuffers {
        tables: slab.bindings(),
        step: &step,
        h: out.buffer.as_entire_buffer_binding(),
        mailbox: mailbox.buffer.as_entire_buffer_binding(),
        old: other.buffer.as_entire_buffer_binding(),
        keys: keys.buffer.as_entire_buffer_binding(),
        values: values.buffer.as_entire_buffer_binding(),
        angles: &angles,
    };
    lab.run(&kernel.dispatch(layers, failed, buffers))?;
    lab.expect(&out, Wanted::Floats { values: h, tolerance: TOLERANCE });
    for (which, (out, before)) in [&keys, &values].into_iter().zip(cached).enumerate() {
        let row =
            |(layer, cache): (usize, &[Vec<f32>; 2])| (layer * words + past * d / 2, cache[which][past * d..].to_vec());
        lab.expect_halves(out, before, caches.iter().enumerate().map(row).collect());
    }
    // No workgroup timed out, and the other dispatch's values are cleared.
    let mut words: Vec<Option<u32>> = sent.drain(..).map(|_| None).collect();
    words[failed] = Some(0);
    lab.expect_words(&mailbox, words);
    old[..failed].fill(0);
    lab.expect_words(&other, old.into_iter().map(Some).collect());
    Ok(())
}

/// Tokens of packs for all layers, if there are any, and where they are: after the angles, each run of them after some
/// unused values.
fn packs(lab: &mut Lab<'_>, model: Small, angles: &[f32]) -> (Option<PlacedPacks>, Vec<f32>) {
    if model.packs == [0; 3] {
        return (None, Vec::new());
    }
    let d = model.hidden;
    let start = angles.len().div_ceil(4);
    let mut end = 0;
    let mut take = |floats: usize| {
        end += 1;
        let at = start + end;
        end += floats / 4;
        at
    };
    let segments = |group: usize| if group == 0 { 3 } else { 1 };
    let keys = [0, 1, 2].map(|group| take(segments(group) * model.packs[group] * d));
    let values = [0, 1, 2].map(|group| take(segments(group) * d * padded_slots(model.packs[group])));
    let mut all = angles.to_vec();
    all.resize(start * 4, f32::NAN);
    for _ in 0..model.layers {
        let layer = all.len();
        all.resize(layer + end * 4, f32::NAN);
        for group in 0..3 {
            let (tokens, cols) = (model.packs[group], padded_slots(model.packs[group]));
            let at = |first: usize| layer + (first - start) * 4;
            for i in 0..segments(group) * tokens * d {
                all[at(keys[group]) + i] = lab.random.uniform() * 0.5;
            }
            for (row, j) in (0..segments(group) * d).flat_map(|row| (0..tokens).map(move |j| (row, j))) {
                all[at(values[group]) + row * cols + j] = lab.random.uniform() * 0.5;
            }
        }
    }
    (Some(PlacedPacks { tokens: model.packs, stride: end, keys, values }), all)
}

/// The packs' tokens of a layer: their offsets for that layer, and the values that contain them, which begin with the
/// angles.
pub(super) type Tokens<'a> = (PlacedPacks, &'a [f32]);

/// One layer for one token, of h [d], whose key (in the order of the cache) and value are added to the layer's.
pub(super) fn layer(
    config: &ModelConfig,
    (tables, packs): (&[Rc<Values>; 6], Option<Tokens<'_>>),
    [keys, values]: &mut [Vec<f32>; 2],
    h: &mut [f32],
) {
    let (d, head) = (config.hidden_size, (config.head_size(), config.rotary_dims()));
    let past = keys.len() / d;
    let normed = |h: &[f32]| math::layer_norm(h, d, config.layernorm_epsilon as f32);
    let pattention = |x: &[f32], which: Pattention, at: usize| -> Vec<f32> {
        let (slots, padded) = (which.slots(config), padded_slots(which.slots(config)));
        let scores = math::product(x, &tables[at].values, d);
        let segments = scores.chunks_exact(padded).zip(tables[at + 1].values.chunks_exact(d * padded));
        let of = |(segment, (scores, table)): (usize, (&[f32], &[f32]))| {
            let mut weights = scores[..slots].to_vec();
            let norm = math::dot(&weights, &weights).sqrt();
            math::theta(config.norm_activation_type, &mut weights);
            weights.resize(padded, 0.0);
            let mut y = math::product(&weights, table, padded);
            let Some((packs, all)) = packs else { return y };
            let (tokens, cols) = (packs.tokens[at / 2], padded_slots(packs.tokens[at / 2]));
            for j in 0..tokens {
                let key = &all[packs.keys[at / 2] * 4 + (segment * tokens + j) * d..][..d];
                let weight = math::gelu(math::dot(x, key) / norm * (slots as f32).sqrt());
                let value = &all[packs.values[at / 2] * 4 + segment * d * cols + j..];
                y.iter_mut().zip(value.iter().step_by(cols)).for_each(|(y, v)| *y += weight * v);
            }
            y
        };
        segments.enumerate().flat_map(of).collect()
    };
    let add = |h: &mut [f32], y: Vec<f32>| h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
    let rounded = |x: &[f32]| -> Vec<f32> { x.iter().map(|x| f16::from_f32(*x).to_f32()).collect() };
    let mut qkv = pattention(&normed(h), Pattention::Query, 0);
    math::rotate(&mut qkv[..d], d, head, config.rotary_emb_base, past);
    math::rotate(&mut qkv[d..2 * d], d, head, config.rotary_emb_base, past);
    let q = math::paired(&qkv[..d], head);
    keys.extend(rounded(&math::paired(&qkv[d..2 * d], head)));
    values.extend(rounded(&qkv[2 * d..]));
    let attention = math::attention(&q, keys, values, (d, head.0), past);
    add(h, pattention(&attention, Pattention::Proj, 2));
    add(h, pattention(&normed(h), Pattention::Mlp, 4));
}
