//! Cases of what is done for token packs: `pack_weights`, and the other kernels with packs or tables of single precision.

use super::case::{Cases, DependsOn, FORMATS};
use super::lab::{Lab, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::config::NormActivation;
use crate::error::Result;
use crate::model::kernels::attention_parts::AttentionParts;
use crate::model::kernels::{
    Keys, KeysBuffers, KeysInput, Matmul, MatmulBuffers, MatmulFew, PackValues, PackWeights, PackWeightsBuffers,
    Rotary, Sharing, SlotWeights, SlotWeightsBuffers, Step, Values, ValuesBuffers, ValuesOutput,
};
use crate::reference::math;

const TOLERANCE: f64 = 1e-3;
const EPSILON: f64 = 1e-5;
/// Tokens that packs have for a Pattention, rounded up as their tables are.
const TOKENS: [usize; 4] = [4, 16, 36, 300];

pub fn add(cases: &mut Cases) {
    for (i, tokens) in TOKENS.into_iter().enumerate() {
        let (segments, parts) = [(3, 1), (1, 8), (3, 3), (1, 1)][i];
        let size = format!("5 × {segments} × {tokens}");
        cases.add(("pack_weights", size, None), &format!("{parts} parts"), DependsOn::Nothing, move |lab| {
            weights_of_packs(lab, 5, segments, tokens, parts)
        });
        let (format, qkv, slots) = (FORMATS[i % 3], i % 2 == 0, [98, 31, 330, 64][i]);
        let (size, what) = (format!("160 × {slots}"), if qkv { "qkv" } else { "residual" });
        let variant = format!("{what} with packs of {tokens}");
        cases.add(("values", size, Some(format)), &variant, DependsOn::Subgroups, move |lab| {
            values(lab, format, (160, slots), tokens, qkv)
        });
    }
    for (slots, zero) in [(33, false), (1024, false), (70, true)] {
        let variant = if zero { "scales of zeros, too" } else { "scales, too" };
        cases.add(("weights", format!("4 × 3 × {slots}"), None), variant, DependsOn::Nothing, move |lab| {
            scales(lab, slots, zero)
        });
    }
    for (i, (rows, cols, tokens)) in [(33, 160, 4), (96, 1024, 48), (255, 64, 36)].into_iter().enumerate() {
        let format = FORMATS[i % 3];
        for (variant, combine) in [("layernorm", false), ("combine", true)] {
            let (size, variant) = (format!("{rows} × {cols}"), format!("{variant} with packs of {tokens}"));
            cases.add(("keys", size, Some(format)), &variant, DependsOn::Memory, move |lab| {
                keys(lab, format, TableShape { rows, cols }, tokens, combine)
            });
        }
    }
    for (i, (rows, cols)) in [(4usize, 160), (48, 1024), (96, 32), (999, 64)].into_iter().enumerate() {
        let (segments, parts, residual) = [(1, 8, false), (1, 3, false), (3, 1, true), (3, 1, false)][i];
        for (kernel, tokens, parts) in [("matmul", [1, 33, 65, 70][i], parts), ("matmul_few", [1, 5, 8, 3][i], 1)] {
            // Segments of a product for few tokens are runs of eight rows.
            let rows = if kernel == "matmul_few" { rows.next_multiple_of(24) } else { rows };
            let (size, few) = (format!("{tokens} × {rows} × {cols}"), (kernel == "matmul_few").then_some(8));
            let variant = format!("f32 table, {segments} segments, {parts} parts");
            cases.add((kernel, size, None), &variant, DependsOn::Nothing, move |lab| {
                product(lab, (tokens, rows, cols), (segments, parts), residual, few)
            });
        }
    }
}

fn gelu_of(values: &[f32], scale: f32) -> Vec<f32> {
    values.iter().map(|z| math::gelu(z * scale)).collect()
}

fn weights_of_packs(lab: &mut Lab<'_>, rows: usize, segments: usize, tokens: usize, parts: usize) -> Result<()> {
    let cols = padded_slots(tokens);
    let n = rows * segments * tokens;
    let scores = lab.numbers(parts * n, 2.0);
    let mut scales = lab.numbers(rows * segments, 1.0);
    scales[1] = 0.0;
    let sums: Vec<f32> = (0..n).map(|i| (0..parts).map(|p| scores[p * n + i]).sum()).collect();
    let of = |(sums, scale): (&[f32], &f32)| {
        let mut row = gelu_of(sums, *scale);
        row.resize(cols, 0.0);
        row
    };
    let wanted = sums.chunks_exact(tokens).zip(&scales).flat_map(of).collect();
    let (step, scores, scales) = (lab.step(Step::new(2, rows)), lab.input(&scores), lab.input(&scales));
    let weights = lab.output(rows * segments * cols);
    let buffers = PackWeightsBuffers { step: &step, scores: &scores, scales: &scales, weights: &weights.buffer };
    lab.run(&PackWeights { segments, tokens, parts }.dispatch(&buffers))?;
    lab.expect(&weights, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn scale_of(row: &[f32]) -> f32 {
    let norm = row.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 { ((row.len() as f64).sqrt() / norm) as f32 } else { 0.0 }
}

fn scales(lab: &mut Lab<'_>, slots: usize, zero: bool) -> Result<()> {
    let (rows, segments, cols) = (4, 3, padded_slots(slots));
    let mut scores = lab.numbers(rows * segments * cols, 2.0);
    if zero {
        scores[cols..2 * cols].fill(0.0);
    }
    let weights = scores.chunks_exact(cols).flat_map(|row| {
        let mut row = row[..slots].to_vec();
        math::theta(NormActivation::L2NormGelu, &mut row);
        row.resize(cols, 0.0);
        row
    });
    let (weights, wanted) = (weights.collect(), scores.chunks_exact(cols).map(|row| scale_of(&row[..slots])).collect());
    let (step, scores, scales) = (lab.step(Step::new(0, rows)), lab.in_out(&scores), lab.output(rows * segments));
    let kernel = SlotWeights { activation: NormActivation::L2NormGelu, segments, slots };
    let buffers = SlotWeightsBuffers { step: &step, scores: &scores.buffer, scales: Some(&scales.buffer) };
    lab.run(&kernel.dispatch(&buffers))?;
    lab.expect(&scores, Wanted::Floats { values: weights, tolerance: TOLERANCE });
    lab.expect(&scales, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn keys(lab: &mut Lab<'_>, format: TableFormat, shape: TableShape, tokens: usize, combine: bool) -> Result<()> {
    let TableShape { rows, cols } = shape;
    let weights = lab.table(format, shape, 1 << 20);
    let of_packs = lab.numbers(tokens * cols, 0.5);
    let packs = lab.f32_table(TableShape { rows: tokens, cols }, of_packs);
    let h = lab.numbers(cols, 2.0);
    // All of the context is one part.
    let layout = AttentionParts { max_parts: 2, hidden: cols, head: 32 };
    let mut left = lab.numbers(layout.len(), 1.0);
    left[2 * cols..].chunks_exact_mut(2).for_each(|s| s[1] += 2.0);
    let stats: Vec<_> = left[2 * cols..][..2 * layout.heads()].chunks_exact(2).map(|s| (s[0], s[1])).collect();
    let x = match combine {
        true => math::joined(&left[..cols], &stats, (cols, layout.head)),
        false => math::layer_norm(&h, cols, EPSILON as f32),
    };
    let mut wanted = math::product(&x, &weights.values, cols);
    wanted.extend(math::product(&x, &packs.values, cols));
    let (step, h, left, y) = (lab.step(Step::new(3, 1)), lab.input(&h), lab.input(&left), lab.output(rows + tokens));
    let x = if combine { KeysInput::Attention(&left, layout) } else { KeysInput::Normalized(&h) };
    let (table, part) = (&weights.table, &weights.table.parts[0]);
    let sharing = Sharing::new(lab.gpu, table, rows);
    let keys = Keys { table, part, sharing, epsilon: EPSILON, packs: Some(&packs.table) };
    lab.run(&keys.dispatch(&KeysBuffers { step: &step, x, y: &y.buffer }))?;
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn product(
    lab: &mut Lab<'_>,
    (tokens, rows, cols): (usize, usize, usize),
    (segments, parts): (usize, usize),
    residual: bool,
    few: Option<usize>,
) -> Result<()> {
    let values = lab.numbers(rows * cols, 0.5);
    let weights = lab.f32_table(TableShape { rows, cols }, values);
    let (x, before) = (lab.numbers(tokens * segments * cols, 1.0), lab.numbers(tokens * rows, 1.0));
    let each = rows / segments;
    let mut wanted = vec![0.0; parts * tokens * rows];
    for (i, y) in wanted.iter_mut().enumerate() {
        let (part, t, row) = (i / (tokens * rows), i / rows % tokens, i % rows);
        let columns = part * (cols / 16) / parts * 16..(part + 1) * (cols / 16) / parts * 16;
        let x = &x[(t * segments + row / each) * cols..][columns.clone()];
        *y = math::dot(x, &weights.values[row * cols..][columns]) + if residual { before[t * rows + row] } else { 0.0 };
    }
    let (step, x) = (lab.step(Step::new(3, tokens)), lab.input(&x));
    let y = if residual { lab.in_out(&before) } else { lab.output(wanted.len()) };
    let (table, part) = (&weights.table, &weights.table.parts[0]);
    let kernel = Matmul { table, part, segments, parts, y_stride: rows, residual };
    let shape = lab.uniform(&kernel.shape());
    let buffers = MatmulBuffers { step: &step, x: &x, y: &y.buffer, shape: &shape };
    match few {
        Some(tokens) => lab.run(&MatmulFew { product: kernel, tokens }.dispatch(&buffers))?,
        None => lab.run(&kernel.dispatch(&buffers))?,
    }
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn values(lab: &mut Lab<'_>, format: TableFormat, (d, slots): (usize, usize), tokens: usize, qkv: bool) -> Result<()> {
    let segments = if qkv { 3 } else { 1 };
    let (cols, pack_cols, past, context) = (padded_slots(slots), padded_slots(tokens), 6, 8);
    let weights = lab.table(format, TableShape { rows: segments * d, cols }, 1 << 20);
    // Values of the packs' padding are never looked at.
    let of_packs = lab.numbers(segments * d * pack_cols, 0.5);
    let packs = lab.f32_table(TableShape { rows: segments * d, cols: pack_cols }, of_packs);
    let scores = lab.numbers(segments * (cols + tokens), 1.0);
    let y: Vec<f32> = (0..segments)
        .flat_map(|s| {
            let mut row = scores[s * cols..][..slots].to_vec();
            let scale = scale_of(&row);
            math::theta(NormActivation::L2NormGelu, &mut row);
            row.resize(cols, 0.0);
            let mut y = math::product(&row, &weights.values[s * d * cols..][..d * cols], cols);
            let own = gelu_of(&scores[segments * cols + s * tokens..][..tokens], scale);
            let rows = packs.values[s * d * pack_cols..].chunks_exact(pack_cols);
            y.iter_mut().zip(rows).for_each(|(y, row)| *y += math::dot(&own, &row[..tokens]));
            y
        })
        .collect();
    let (table, part) = (&weights.table, &weights.table.parts[0]);
    let sharing = Sharing::new(lab.gpu, table, segments * d);
    let with = Some(PackValues { table: &packs.table, tokens });
    let activation = NormActivation::L2NormGelu;
    let kernel = Values { table, part, sharing, segment_rows: d, slots, activation, packs: with };
    let (step, scores) = (lab.step(Step::new(past, 1)), lab.input(&scores));
    if !qkv {
        let before = lab.numbers(d, 1.0);
        let wanted = y.iter().zip(&before).map(|(y, h)| y + h).collect();
        let h = lab.in_out(&before);
        let buffers = ValuesBuffers { step: &step, scores: &scores, y: ValuesOutput::Residual(&h.buffer) };
        lab.run(&kernel.dispatch(&buffers))?;
        lab.expect(&h, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
        return Ok(());
    }
    // Nothing is rotated, so that rows stay apart.
    let rotary = Rotary { head: 80, dims: 0 };
    let angles = lab.input(&[0.0f32; 4]);
    let (q, keys, values) = (lab.output(d), lab.output(context * d / 2), lab.output(context * d / 2));
    let output = ValuesOutput::Qkv {
        q: &q.buffer,
        keys: keys.buffer.as_entire_buffer_binding(),
        values: values.buffer.as_entire_buffer_binding(),
        angles: &angles,
        rotary,
    };
    lab.run(&kernel.dispatch(&ValuesBuffers { step: &step, scores: &scores, y: output }))?;
    lab.expect(&q, Wanted::Floats { values: y[..d].to_vec(), tolerance: TOLERANCE });
    lab.expect_rows(&keys, (past, d), y[d..2 * d].to_vec());
    lab.expect_rows(&values, (past, d), y[2 * d..].to_vec());
    Ok(())
}
