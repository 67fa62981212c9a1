//! Cases of the kernels for products of bytes: `rows_in_bytes`, `matmul_bytes`, and those that leave their rows in bytes,
//! `layernorm` and `weights`, each with a product of what it leaves.

use super::byte_rows::{Rows, rows};
use super::case::{Cases, DependsOn, SIZES};
use super::lab::{Lab, Wanted};
use super::pattention::{ACTIVATIONS, Way, matmul, weights_of};
use super::rows::{EPSILON, Stream, stream};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::config::{GROUP_SIZE, NormActivation};
use crate::error::Result;
use crate::model::kernels::{
    InBytes, LayerNorm, LayerNormBuffers, Matmul, MatmulBuffers, MatmulBytes, RowsInBytes, RowsInBytesBuffers,
    SlotWeights, SlotWeightsBuffers, Step,
};
use crate::reference::math;

/// Sums in a different order, exponentials of a GPU, and values of 16 bits.
const TOLERANCE: f64 = 2e-4;
const FORMATS: [TableFormat; 2] = [TableFormat::Q4, TableFormat::Q8];

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            let groups = [1, 33, 5][(i + j) % 3];
            let size = format!("{tokens} × {}", groups * GROUP_SIZE);
            cases.add(("rows_in_bytes", size, Some(format)), "", DependsOn::Nothing, move |lab| {
                rows_in_bytes(lab, tokens, groups, format)
            });
            if !cases.keeps(i + 2 * j) {
                continue;
            }
            let (rows, cols) = (SIZES[(i + j + 1) % 5], [160, 96][j]);
            for (variant, rows, segments, parts, residual) in [
                ("two tables' parts", 2 * rows + 62, 1, 1, false),
                ("residual", rows, 1, 1, true),
                ("three segments", 3 * rows, 3, 1, false),
                ("split sum", rows, 1, 2, false),
            ] {
                let size = format!("{tokens} × {rows} × {cols}");
                cases.add(("matmul_bytes", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                    matmul(lab, format, (tokens, rows, cols), (segments, parts), residual, Way::Bytes)
                });
            }
        }
    }
    for (i, cols) in [32, 1056, 160, 96, 2048].into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            let (size, is_final) = (format!("3 × {cols}"), (i + j).is_multiple_of(2));
            let variant = if is_final { "final, in bytes" } else { "in bytes" };
            cases.add(("layernorm", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                layernorm(lab, format, cols, is_final)
            });
            let (slots, activation) = (cols - [0, 1, 27, 31, 5][i], ACTIVATIONS[(i + j) % 3]);
            let variant = format!("{activation:?}, in bytes");
            cases.add(
                ("weights", format!("2 × 3 × {slots}"), Some(format)),
                &variant,
                DependsOn::Nothing,
                move |lab| weights(lab, format, slots, activation),
            );
        }
    }
    let q4 = TableFormat::Q4;
    cases.add(("matmul_bytes", "65 × 1024 × 1024".into(), Some(q4)), "split sum", DependsOn::Nothing, move |lab| {
        matmul(lab, q4, (65, 1024, 1024), (1, 4), false, Way::Bytes)
    });
}

fn rows_in_bytes(lab: &mut Lab<'_>, tokens: usize, groups: usize, format: TableFormat) -> Result<()> {
    let Rows { values, words, scales } = rows(lab, tokens, groups, format);
    lab.step(Step::new(0, tokens));
    let (x, bytes, out) = (lab.input(&values), lab.output(words.len()), lab.output(scales.len()));
    let buffers = RowsInBytesBuffers { x: &x, bytes: &bytes.buffer, scales: &out.buffer };
    lab.run(&RowsInBytes { groups, format }.dispatch(&buffers))?;
    lab.expect_words(&bytes, words.into_iter().map(Some).collect());
    lab.expect(&out, Wanted::Floats { values: scales, tolerance: 1e-6 });
    Ok(())
}

fn layernorm(lab: &mut Lab<'_>, format: TableFormat, cols: usize, is_final: bool) -> Result<()> {
    let tokens = 3;
    let Stream { step, h, norm, wanted } = stream(lab, tokens, cols, is_final);
    let u = lab.output(tokens * cols);
    product_of(lab, format, (tokens, 1), wanted, |lab, in_bytes| {
        let norm = is_final.then_some(&norm);
        let buffers = LayerNormBuffers { step: &step, h: &h, u: &u.buffer, norm, in_bytes: Some(in_bytes) };
        lab.run(&LayerNorm { cols, epsilon: EPSILON }.dispatch(&buffers))
    })
}

fn weights(lab: &mut Lab<'_>, format: TableFormat, slots: usize, activation: NormActivation) -> Result<()> {
    let (tokens, segments, cols) = (2, 3, padded_slots(slots));
    let scores = lab.numbers(tokens * segments * cols, 2.0);
    let wanted = weights_of(&scores, slots, activation);
    let (step, scores) = (lab.step(Step::new(0, tokens)), lab.input(&scores));
    product_of(lab, format, (tokens, segments), wanted, |lab, in_bytes| {
        let buffers = SlotWeightsBuffers { step: &step, scores: &scores, scales: None, in_bytes: Some(in_bytes) };
        lab.run(&SlotWeights { activation, segments, slots }.dispatch(&buffers))
    })
}

/// The product with a random table of the rows that `leave` leaves in bytes, which are `x`, f32 [tokens, segments · cols].
fn product_of(
    lab: &mut Lab<'_>,
    format: TableFormat,
    (tokens, segments): (usize, usize),
    x: Vec<f32>,
    leave: impl FnOnce(&mut Lab<'_>, InBytes<'_>) -> Result<()>,
) -> Result<()> {
    let (each, cols) = (35, x.len() / (tokens * segments));
    let rows = each * segments;
    let weights = lab.table(format, TableShape { rows, cols }, rows);
    let wanted = x
        .chunks_exact(cols)
        .enumerate()
        .flat_map(|(i, x)| math::product(x, &weights.values[i % segments * each * cols..][..each * cols], cols));
    let wanted = wanted.collect();
    let groups = x.len() / GROUP_SIZE;
    let (bytes, scales, y) = (lab.output(groups * 16), lab.output(groups), lab.output(tokens * rows));
    leave(lab, InBytes { format, bytes: &bytes.buffer, scales: &scales.buffer })?;
    let (table, part) = (&weights.table, &weights.table.parts[0]);
    let product = Matmul { table, part, segments, parts: 1, y_stride: rows, residual: false };
    let (step, shape) = (lab.step(Step::new(0, tokens)), lab.uniform(&product.shape()));
    let buffers = MatmulBuffers { step: &step, x: &bytes.buffer, y: &y.buffer, shape: &shape };
    lab.run(&MatmulBytes { product, scales: &scales.buffer }.dispatch(&buffers))?;
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}
