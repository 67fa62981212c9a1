//! Cases of `layers` for several texts: one step of a small model with random weights, compared with that of each text
//! alone.

use super::case::{Cases, DependsOn};
use super::lab::{DIRT, Lab, Values, Wanted};
use super::layers::{FAILURE, SMALL, Small, TOLERANCE, layer};
use crate::checkpoint::layout::TableFormat;
use crate::config::NormActivation;
use crate::engine::MOST_ROWS;
use crate::error::{Error, Result};
use crate::model::kernels::layers::{Abilities, Arithmetic, Layers, LayersOfTextsBuffers, Room, Team};
use crate::model::kernels::{Rotary, Step, TextStep};
use crate::model::persistent::storage;
use crate::model::tables::{Slab, aligned};
use crate::model::weights::layer_shapes;
use half::f16;
use std::rc::Rc;

/// The texts of a step.
#[derive(Clone, Copy)]
struct Texts {
    /// Tokens of each text besides those in the KV cache.
    tails: &'static [usize],
    /// Number of texts that the kernel is compiled for.
    most: usize,
}

pub fn add(cases: &mut Cases) {
    let small = Small { past: 120, ..SMALL };
    let f32s = Arithmetic::F32;
    // Some contexts span two stretches, some one; one ends where the texts diverge, and a chunk is longer than the
    // remaining texts.
    let five = Texts { tails: &[0, 20, 7, 8, 3], most: 8 };
    let two = Texts { tails: &[1, 300], most: 2 };
    // Three slots of activations per thread, the last of them only for some threads.
    let long = Small { layers: 1, hidden: 160, slots: [100, 70, 1100], threads: 128, past: 1, ..small };
    // A software GPU takes a while to compile each of these, so the quick tier has one.
    let mut all = vec![(Small { format: TableFormat::Q8, arithmetic: f32s, ..small }, five, DependsOn::Nothing)];
    if cases.is_full() {
        let softmax = Small { format: TableFormat::F16, activation: NormActivation::Softmax, ..small };
        let full = [
            (small, five),
            (Small { past: 0, ..small }, two),
            (Small { arithmetic: f32s, ..softmax }, two),
            (long, two),
            (Small { arithmetic: f32s, ..small }, Texts { tails: &[4; 8], most: 8 }),
            (Small { arithmetic: f32s, format: TableFormat::F16, threads: 256, ..long }, two),
        ];
        all.extend(full.map(|(model, texts)| (model, texts, DependsOn::Sums)));
    }
    for (model, texts, depends_on) in all {
        let Small { layers, hidden, slots: [qkv, proj, mlp], past, activation, arithmetic, .. } = model;
        let size = format!("{layers} layers, {hidden}, {qkv} {proj} {mlp}");
        let Texts { tails, most } = texts;
        let variant =
            format!("{activation:?}, {}, {} texts of {most} after {past} {tails:?}", arithmetic.as_str(), tails.len());
        let what = ("layers", size, Some(model.format));
        cases.add(what, &variant, depends_on, move |lab| step(lab, model, texts));
    }
}

fn step(lab: &mut Lab<'_>, model: Small, Texts { tails, most }: Texts) -> Result<()> {
    let config = model.config()?;
    let (d, common, layers, count) = (model.hidden, model.past, model.layers, tails.len());
    let (slab, tables) = Slab::new(lab.gpu, model.format, layer_shapes(&config), 0..layers);
    let tables: Vec<[Rc<Values>; 6]> = tables.into_iter().map(|layer| layer.map(|table| lab.filled(table))).collect();
    let longest = tails.iter().max().copied().unwrap_or(0);
    let (context, capacity) = (common + longest + 2, longest + 2);
    let stride = aligned((context * d * 2) as u64);
    let workgroups = if lab.is_program { 1 } else { 3 };
    let Small { threads, arithmetic, .. } = model;
    let team = Team { workgroups, threads, spin_limit: 20_000, arithmetic, subgroups: true };
    let device = Abilities { subgroups: lab.gpu.has_subgroups(), f16: lab.gpu.has_f16 };
    let placed = storage(&slab, tables[0].each_ref().map(|table| &table.table), stride);
    let kernel = Layers::new(&config, context, placed, team, device)
        .and_then(|kernel| kernel.for_texts(most, &lab.gpu.device.limits()))
        .ok_or_else(|| Error::internal(format!("{team:?} does not fit")))?;
    let angles = Rotary::new(&config).angles(config.rotary_emb_base, context);

    let before = lab.numbers(count * d, 2.0);
    // The shared keys and values, then those of each text, by layer.
    let mut caches = |tokens: usize| -> Vec<[Vec<f32>; 2]> {
        (0..layers).map(|_| [lab.halves(tokens * d, 1.0), lab.halves(tokens * d, 1.0)]).collect()
    };
    let shared = caches(common);
    let owned: Vec<Vec<[Vec<f32>; 2]>> = tails.iter().map(|tokens| caches(*tokens)).collect();
    let words_of = |values: &[f32]| -> Vec<u32> {
        bytemuck::pod_collect_to_vec(&values.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>())
    };
    let cached = [0, 1].map(|which| -> Vec<u32> {
        let layer = |cache: &[Vec<f32>; 2]| {
            let mut words = words_of(&cache[which]);
            words.resize(stride as usize / 4, DIRT);
            words
        };
        shared.iter().flat_map(layer).collect()
    });
    // Places are in a different order than the texts.
    let tail_of = |text: usize| (count - 1 - text) * capacity;
    let (part, mut tail_words) = (count * capacity * d / 2, vec![DIRT; layers * 2 * count * capacity * d / 2]);
    let (mut h, mut appended) = (before.clone(), Vec::new());
    for (text, own) in owned.iter().enumerate() {
        for (i, tables) in tables.iter().enumerate() {
            let mut cache = [0, 1].map(|which| [shared[i][which].as_slice(), &own[i][which]].concat());
            let first = |which: usize| (2 * i + which) * part + tail_of(text) * d / 2;
            for which in [0, 1] {
                let words = words_of(&own[i][which]);
                tail_words[first(which)..][..words.len()].copy_from_slice(&words);
            }
            layer(&config, (tables, None), &mut cache, &mut h[text * d..][..d]);
            for (which, cache) in cache.into_iter().enumerate() {
                appended.push((first(which) + tails[text] * d / 2, cache[(common + tails[text]) * d..].to_vec()));
            }
        }
    }

    let failed = kernel.failed_at(layers);
    let set = (failed + FAILURE).next_multiple_of(64);
    // This dispatch sends by the second set; the first holds the values of another dispatch.
    let mut sent = vec![0; set + failed + FAILURE];
    sent[..failed].fill(DIRT);
    let (out, mailbox, tail_out) = (lab.in_out(&before), lab.in_out(&sent), lab.in_out(&tail_words));
    let [keys, values] = cached.map(|words| lab.input(&words));
    let own = |(text, tokens): (usize, &usize)| {
        let (in_common, tail) = (common as u32, tail_of(text) as u32);
        TextStep::from(Step { in_common, tail, ..Step::new(common + tokens, 1) })
    };
    let mut steps: Vec<TextStep> = tails.iter().enumerate().map(own).collect();
    steps.resize(MOST_ROWS, Step::default().into());
    let steps: [TextStep; MOST_ROWS] = steps.try_into().map_err(|_| Error::internal("too many texts".to_owned()))?;
    let tail_stride = (2 * part / 4) as u32;
    let room = Room { mine: set as u32, old: 0, tail_stride, tail_values: tail_stride / 2 };
    let (step, steps, room) = (lab.step(Step::new(0, count)), lab.uniform(&steps), lab.uniform(&room));
    let angles = lab.input(&angles);
    let buffers = LayersOfTextsBuffers {
        tables: slab.bindings(),
        step: &step,
        steps: &steps,
        h: out.buffer.as_entire_buffer_binding(),
        mailbox: &mailbox.buffer,
        tails: tail_out.buffer.as_entire_buffer_binding(),
        keys: keys.as_entire_buffer_binding(),
        values: values.as_entire_buffer_binding(),
        angles: &angles,
        room: &room,
    };
    lab.run(&kernel.dispatch_several(layers, failed, buffers))?;
    lab.expect(&out, Wanted::Floats { values: h, tolerance: TOLERANCE });
    lab.expect_halves(&tail_out, tail_words, appended);
    // No workgroup timed out, and the other dispatch's values are cleared.
    let mut words: Vec<Option<u32>> = vec![None; sent.len()];
    words[..failed].fill(Some(0));
    (words[failed], words[set + failed]) = (Some(0), Some(0));
    lab.expect_words(&mailbox, words);
    Ok(())
}
