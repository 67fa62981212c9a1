//! Cases of the work for token packs: `pack_weights`, and the other kernels with packs or tables of single precision.

use super::case::{Cases, DependsOn, FORMATS};
use super::lab::{Lab, Wanted};
use super::pattention::{Input, Way, gelu_of, keys, product, random_f32, scale_of, values, weights_of};
use crate::checkpoint::layout::{TableShape, padded_slots};
use crate::config::NormActivation;
use crate::error::Result;
use crate::model::kernels::{PackWeights, PackWeightsBuffers, SlotWeights, SlotWeightsBuffers, Step};

const TOLERANCE: f64 = 1e-3;
/// Number of tokens that packs have for a Pattention, rounded up as in their tables.
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
            values(lab, format, (160, slots), NormActivation::L2NormGelu, qkv, Some(tokens))
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
        for (variant, input) in [("layernorm", Input::Normalized), ("combine", Input::Attention)] {
            let (size, variant) = (format!("{rows} × {cols}"), format!("{variant} with packs of {tokens}"));
            cases.add(("keys", size, Some(format)), &variant, DependsOn::Memory, move |lab| {
                keys(lab, format, TableShape { rows, cols }, input, Some(tokens))
            });
        }
    }
    for (i, (rows, cols)) in [(4usize, 160), (48, 1024), (96, 32), (999, 64)].into_iter().enumerate() {
        let (segments, parts, residual) = [(1, 8, false), (1, 3, false), (3, 1, true), (3, 1, false)][i];
        for (kernel, tokens, parts) in [("matmul", [1, 33, 65, 70][i], parts), ("matmul_few", [1, 5, 8, 3][i], 1)] {
            // Segments of a product for few tokens are runs of eight rows.
            let rows = if kernel == "matmul_few" { rows.next_multiple_of(24) } else { rows };
            let way = if kernel == "matmul_few" { Way::Few(8) } else { Way::Floats };
            let size = format!("{tokens} × {rows} × {cols}");
            let variant = format!("f32 table, {segments} segments, {parts} parts");
            cases.add((kernel, size, None), &variant, DependsOn::Nothing, move |lab| {
                let weights = random_f32(lab, TableShape { rows, cols });
                product(lab, &weights, tokens, (segments, parts), residual, way)
            });
        }
    }
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

fn scales(lab: &mut Lab<'_>, slots: usize, zero: bool) -> Result<()> {
    let (rows, segments, cols) = (4, 3, padded_slots(slots));
    let mut scores = lab.numbers(rows * segments * cols, 2.0);
    if zero {
        scores[cols..2 * cols].fill(0.0);
    }
    let weights = weights_of(&scores, slots, NormActivation::L2NormGelu);
    let wanted = scores.chunks_exact(cols).map(|row| scale_of(&row[..slots])).collect();
    let (step, scores, scales) = (lab.step(Step::new(0, rows)), lab.in_out(&scores), lab.output(rows * segments));
    let kernel = SlotWeights { activation: NormActivation::L2NormGelu, segments, slots };
    let buffers =
        SlotWeightsBuffers { step: &step, scores: &scores.buffer, scales: Some(&scales.buffer), in_bytes: None };
    lab.run(&kernel.dispatch(&buffers))?;
    lab.expect(&scores, Wanted::Floats { values: weights, tolerance: TOLERANCE });
    lab.expect(&scales, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}
