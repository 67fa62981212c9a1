//! Cases of the kernels that inspect parameter tokens: `slot`, `value_norms`, `inspect`.

use super::case::{Cases, DependsOn, FORMATS, SIZES};
use super::lab::{Lab, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::config::NormActivation;
use crate::error::Result;
use crate::model::kernels::inspect::{NOT_ASKED, RequestHead, Source, Which};
use crate::model::kernels::{Inspect, InspectBuffers, Slots, SlotsBuffers, Step, ValueNorms};
use crate::reference::math;

/// Sums are made in a different order.
const TOLERANCE: f64 = 1e-4;
/// Columns of the tables: not a multiple of 128.
const HIDDEN: usize = 160;

pub fn add(cases: &mut Cases) {
    for (i, slots) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            if cases.keeps(i + j) {
                for (variant, columns) in [("keys", false), ("values", true)] {
                    let size = format!("4 of 3 × {slots} × {HIDDEN}");
                    cases.add(("slot", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                        slot(lab, format, slots, columns)
                    });
                }
                let size = format!("3 × {slots} × {HIDDEN}");
                cases.add(("value_norms", size, Some(format)), "", DependsOn::Nothing, move |lab| {
                    value_norms(lab, Some(format), slots)
                });
            }
        }
        let size = format!("3 × {slots} × {HIDDEN}");
        cases.add(("value_norms", size, None), "f32", DependsOn::Nothing, move |lab| value_norms(lab, None, slots));
    }
    for slots in SIZES.into_iter().chain([6144]) {
        for activation in [NormActivation::L2NormGelu, NormActivation::GeluL2Norm, NormActivation::Softmax] {
            let size = format!("3 of 5 × 3 × {slots}, top 7");
            cases.add(("inspect", size, None), &format!("{activation:?}"), DependsOn::Nothing, move |lab| {
                inspect(lab, slots, activation, None)
            });
        }
        for parts in [1, 3] {
            let size = format!("3 of 5 × 3 × {slots}, top 7");
            cases.add(("inspect", size, None), &format!("packs, {parts} parts"), DependsOn::Nothing, move |lab| {
                inspect(lab, slots.next_multiple_of(4), NormActivation::L2NormGelu, Some(parts))
            });
        }
    }
}

fn slot(lab: &mut Lab<'_>, format: TableFormat, slots: usize, columns: bool) -> Result<()> {
    let padded = padded_slots(slots);
    let shape = if columns {
        TableShape { rows: 3 * HIDDEN, cols: padded }
    } else {
        TableShape { rows: 3 * padded, cols: HIDDEN }
    };
    let weights = lab.table(format, shape, 1 << 20);
    let tokens = [(2, slots - 1), (0, 0), (1, slots / 2), (2, slots / 3)];
    // Not in the order of the places, and not the whole output.
    let (mut places, mut wanted) = (Vec::new(), vec![None; 5 * HIDDEN]);
    for (i, (segment, token)) in tokens.into_iter().enumerate() {
        let at = [3, 0, 4, 1][i] * HIDDEN;
        let (row, column) = if columns { (segment * HIDDEN, token) } else { (segment * padded + token, 0) };
        places.push([row, column, at, 0].map(|n| n as u32));
        for k in 0..HIDDEN {
            let (row, column) = if columns { (row + k, column) } else { (row, k) };
            wanted[at + k] = Some(weights.values[row * shape.cols + column].to_bits());
        }
    }
    wanted[2 * HIDDEN..3 * HIDDEN].fill(Some(super::lab::DIRT));
    let (places, out) = (lab.input(&places), lab.output(5 * HIDDEN));
    lab.step(Step::new(0, 1));
    let kernel = Slots { table: &weights.table, columns, hidden: HIDDEN, tokens: tokens.len() };
    lab.run(&kernel.dispatch(&SlotsBuffers { places: &places, out: &out.buffer }))?;
    lab.expect_words(&out, wanted);
    Ok(())
}

fn value_norms(lab: &mut Lab<'_>, format: Option<TableFormat>, slots: usize) -> Result<()> {
    let shape = TableShape { rows: 3 * HIDDEN, cols: padded_slots(slots) };
    let weights = match format {
        Some(format) => lab.table(format, shape, 1 << 20),
        None => {
            let values = lab.numbers(shape.rows * shape.cols, 0.5);
            lab.f32_table(shape, values)
        }
    };
    let wanted = (0..3).flat_map(|segment| {
        let rows = &weights.values[segment * HIDDEN * shape.cols..][..HIDDEN * shape.cols];
        (0..shape.cols).flat_map(|column| {
            let column: Vec<f32> = rows.iter().skip(column).step_by(shape.cols).copied().collect();
            [math::dot(&column, &column).sqrt(), 1.0]
        })
    });
    let wanted = wanted.collect();
    lab.step(Step::new(0, 1));
    let tokens = lab.output(3 * shape.cols * 2);
    let kernel = ValueNorms { table: &weights.table, segments: 3 };
    lab.run(&kernel.dispatch(tokens.buffer.as_entire_buffer_binding()))?;
    lab.expect(&tokens, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

/// Three rows of five, of three Pattentions side by side, the second of which is not requested. Packs' tokens, in
/// `parts`, do not fill the table, and each Pattention has a different number of them.
fn inspect(lab: &mut Lab<'_>, slots: usize, activation: NormActivation, parts: Option<usize>) -> Result<()> {
    const TOP: usize = 7;
    let (rows, asked, places) = (5, [4, 0, 3], 2);
    let cols = padded_slots(slots);
    let stride = if parts.is_some() { slots } else { cols };
    let mut scores = lab.numbers(parts.unwrap_or(1) * rows * 3 * stride, 2.0);
    let scales: Vec<f32> = lab.numbers(rows * 3, 0.5).iter().map(|x| x + 1.0).collect();
    // Lengths, and factors.
    let mut tokens = lab.numbers(3 * cols * 2, 1.0);
    tokens.chunks_exact_mut(2).for_each(|token| token[0] = token[0].abs() + 0.5);
    let counts = if parts.is_some() { [slots, slots / 2, slots.saturating_sub(3).max(1)] } else { [slots; 3] };
    // The first and the last are the same, and long: among equals the lower number comes first.
    for (segment, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 1) {
        let of = &mut tokens[segment * cols * 2..];
        (of[0], of[1]) = (9.0, 1.0);
        (of[2 * count - 2], of[2 * count - 1]) = (9.0, 1.0);
        for row in scores.chunks_exact_mut(3 * stride) {
            row[segment * stride + count - 1] = row[segment * stride];
        }
    }
    let mut numbers = vec![None; asked.len() * 2 * if parts.is_some() { 2 } else { 1 } * TOP * 4];
    let (sources, source) = if parts.is_some() { (2, 1) } else { (1, 0) };
    let mut wanted = vec![None; asked.len() * places * sources * TOP * 4];
    for (at, row) in asked.into_iter().enumerate() {
        for (place, segment) in [(1, 0), (0, 2)] {
            let of = |part: usize| &scores[((part * rows + row) * 3 + segment) * stride..][..slots];
            let mut z: Vec<f32> = of(0).to_vec();
            for part in 1..parts.unwrap_or(1) {
                z.iter_mut().zip(of(part)).for_each(|(z, x)| *z += x);
            }
            let mut weights = z.clone();
            let shown: Vec<f32> = if parts.is_some() {
                let scale = scales[row * 3 + segment];
                weights.iter_mut().for_each(|x| *x = math::gelu(*x * scale));
                z.iter().map(|x| x * scale).collect()
            } else {
                math::theta(activation, &mut weights);
                let norm = math::dot(&z, &z).sqrt();
                let is_scaled = activation == NormActivation::L2NormGelu;
                z.iter().map(|x| if is_scaled { x / norm * (slots as f32).sqrt() } else { *x }).collect()
            };
            let token = |i: usize| &tokens[(segment * cols + i) * 2..][..2];
            let contribution = |i: usize| (weights[i] * token(i)[1]).abs() * token(i)[0];
            let mut order: Vec<usize> = (0..counts[segment]).collect();
            order.sort_by(|a, b| contribution(*b).total_cmp(&contribution(*a)));
            let first = ((at * places + place) * sources + source) * TOP;
            for rank in 0..TOP {
                let to = &mut wanted[(first + rank) * 4..][..4];
                match order.get(rank) {
                    Some(&i) => {
                        numbers[(first + rank) * 4] = Some(i as u32 + 1);
                        let values = [shown[i], weights[i] * token(i)[1], contribution(i)];
                        to[1..].iter_mut().zip(values).for_each(|(to, value)| *to = Some(value));
                    }
                    None => to.fill(Some(0.0)),
                }
            }
        }
    }
    // Kinds 10, 11 and 12 of a model's places; those before and after are not part of this dispatch.
    let mut words = vec![NOT_ASKED; 15];
    (words[10], words[12]) = (1, 0);
    let head = RequestHead { top: TOP as u32, count: 2, sources: sources as u32, rows_at: 15 };
    words.extend(asked.map(|row| row as u32));
    let request: Vec<u32> = [bytemuck::cast_slice(bytemuck::bytes_of(&head)), &words[..]].concat();
    let which = Which { place: 10, tokens: counts.map(|count| count as u32) };
    let step = lab.step(Step::new(0, rows));
    let (scores, scales, tokens) = (lab.input(&scores), lab.input(&scales), lab.input(&tokens));
    let (which, request) = (lab.uniform(&which), lab.input(&request));
    let fired = lab.output(wanted.len());
    let kernel = Inspect {
        activation,
        segments: 3,
        source: match parts {
            None => Source::Base { slots },
            Some(parts) => Source::Packs { tokens: slots, parts },
        },
    };
    let dispatch = kernel.dispatch(&InspectBuffers {
        step: &step,
        scores: &scores,
        tokens: tokens.as_entire_buffer_binding(),
        which: &which,
        request: &request,
        fired: &fired.buffer,
        scales: Some(&scales),
    });
    lab.run_for(&dispatch, asked.len())?;
    lab.expect_near(&fired, wanted, TOLERANCE);
    // Among thousands, some are so close to each other that either order is right.
    if slots < 1000 {
        lab.expect_words(&fired, numbers);
    }
    Ok(())
}
