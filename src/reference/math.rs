//! Row-wise arithmetic of the reference. Matrices are row-major slices.
//!
//! The part of it that is also compiled for browsers is what each kernel is compared with (`src/model/conformance`).

use crate::config::NormActivation;
use half::f16;

/// y[T, rows] = x[T, cols] · w[rows, cols]ᵀ.
#[cfg(not(target_arch = "wasm32"))]
#[allow(unsafe_code)]
pub fn matmul_transposed(x: &[f32], w: &[f32], cols: usize) -> Vec<f32> {
    let (t, rows) = (x.len() / cols, w.len() / cols);
    if t <= FEW {
        return x.chunks_exact(cols).flat_map(|x| w.chunks_exact(cols).map(|w| dot_in_lanes(x, w))).collect();
    }
    let mut y = vec![0.0f32; t * rows];
    let (s, r) = (cols as isize, rows as isize);
    // SAFETY: x holds t·cols, w rows·cols and y t·rows elements; the strides address exactly those
    // (w is read transposed), and y aliases neither.
    unsafe {
        matrixmultiply::sgemm(t, cols, rows, 1.0, x.as_ptr(), s, 1, w.as_ptr(), 1, s, 0.0, y.as_mut_ptr(), r, 1);
    }
    y
}

/// Up to this many rows are multiplied by plain loops: `sgemm` packs all weights first, which then takes longer than
/// the sums.
#[cfg(not(target_arch = "wasm32"))]
const FEW: usize = 2;

/// Inner product in as many sums as fit into registers: additions to a single sum wait for each other.
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::needless_range_loop)] // zip is not inlined here from another unit of the crate, and takes longer than the sums
fn dot_in_lanes(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + dot(rest_a, rest_b)
}

/// LayerNorm without weight or bias of each row of `x[T, d]`.
pub fn layer_norm(x: &[f32], d: usize, epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(d) {
        let mean = row.iter().sum::<f32>() / d as f32;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / d as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        out.extend(row.iter().map(|x| (x - mean) * scale));
    }
    out
}

/// x·Φ(x), exact: by the error function, as the published code does.
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Inner product.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Θ: turns the scores over `n` slots into weights, in place. A row whose norm is 0 gives zeros.
pub fn theta(kind: NormActivation, s: &mut [f32]) {
    let root_n = (s.len() as f32).sqrt();
    let norm = |s: &[f32]| s.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    let scale = |norm: f32| if norm > 0.0 { root_n / norm } else { 0.0 };
    match kind {
        NormActivation::L2NormGelu => {
            let scale = scale(norm(s));
            s.iter_mut().for_each(|x| *x = gelu(*x * scale));
        }
        NormActivation::GeluL2Norm => {
            s.iter_mut().for_each(|x| *x = gelu(*x));
            let scale = scale(norm(s));
            s.iter_mut().for_each(|x| *x *= scale);
        }
        NormActivation::Softmax => {
            let max = s.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            s.iter_mut().for_each(|x| *x = (*x - max).exp());
            let scale = s.len() as f32 / s.iter().sum::<f32>();
            s.iter_mut().for_each(|x| *x *= scale);
        }
    }
}

/// Rotary embedding (RoFormer, in GPT-NeoX's half-split form) of the first r dimensions of every head, of rows
/// `x[T, d]` at positions `past`….
pub fn rotate(x: &mut [f32], d: usize, (head, r): (usize, usize), base: f64, past: usize) {
    for (t, row) in x.chunks_exact_mut(d).enumerate() {
        for i in 0..r / 2 {
            let angle = (past + t) as f64 * base.powf(-2.0 * i as f64 / r as f64);
            let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
            for head in row.chunks_exact_mut(head) {
                let (a, b) = (head[i], head[i + r / 2]);
                head[i] = a * cos - b * sin;
                head[i + r / 2] = b * cos + a * sin;
            }
        }
    }
}

/// softmax(q·kᵀ/√D, causal)·v for each head; query row t sees cached positions 0…past+t.
pub fn attention(q: &[f32], keys: &[f32], values: &[f32], (d, head): (usize, usize), past: usize) -> Vec<f32> {
    let scale = 1.0 / (head as f32).sqrt();
    let mut out = vec![0.0; q.len()];
    for (t, (q, out)) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)).enumerate() {
        for (h, out) in out.chunks_exact_mut(head).enumerate() {
            let part = h * head..(h + 1) * head;
            let seen = 0..past + t + 1;
            let mut weights: Vec<f32> =
                seen.map(|p| dot(&q[part.clone()], &keys[p * d..][part.clone()]) * scale).collect();
            let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|w| *w = (*w - max).exp());
            let sum: f32 = weights.iter().sum();
            for (p, w) in weights.iter().enumerate() {
                let w = w / sum;
                out.iter_mut().zip(&values[p * d..][part.clone()]).for_each(|(o, v)| *o += w * v);
            }
        }
    }
    out
}

/// x·w + b for each row of `x[T, d]`.
pub fn scale_and_shift(x: &mut [f32], weight: &[f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(weight.len()) {
        for ((x, w), b) in row.iter_mut().zip(weight).zip(bias) {
            *x = *x * w + b;
        }
    }
}

/// y[T, rows] = x[T, cols] · w[rows, cols]ᵀ, summed up in f64: slow, and the same everywhere.
pub fn product(x: &[f32], w: &[f32], cols: usize) -> Vec<f32> {
    let sum = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() as f32;
    x.chunks_exact(cols).flat_map(|x| w.chunks_exact(cols).map(move |w| sum(x, w))).collect()
}

/// A table's values from its elements of `bits` bits, and an f16 scale for every 32; f16 tables have no scales.
pub fn decoded(bits: usize, elements: &[u8], scales: &[u8]) -> Vec<f32> {
    let halves =
        |bytes: &[u8]| bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect::<Vec<_>>();
    if bits == 16 {
        return halves(elements);
    }
    let integers: Vec<u8> = match bits {
        4 => elements.iter().flat_map(|byte| [byte & 15, byte >> 4]).collect(),
        _ => elements.to_vec(),
    };
    let offset = (1 << (bits - 1)) as f32;
    let groups = integers.chunks_exact(32).zip(halves(scales));
    groups.flat_map(|(group, scale)| group.iter().map(move |q| (f32::from(*q) - offset) * scale)).collect()
}

/// Scores of one query with keys at positions of [_, d], for the head whose dimensions are `part`.
pub fn scores(q: &[f32], keys: &[f32], d: usize, part: std::ops::Range<usize>) -> Vec<f32> {
    let scale = 1.0 / (part.len() as f32).sqrt();
    keys.chunks_exact(d).map(|k| dot(&q[part.clone()], &k[part.clone()]) * scale).collect()
}

/// Attention outputs [d] from those of parts of a context: `sums`, Σ exp(score − m)·v of [parts, d], and (m, Σ
/// exp(score − m)) of [parts, heads].
pub fn joined(sums: &[f32], stats: &[(f32, f32)], (d, head): (usize, usize)) -> Vec<f32> {
    // parts·heads statistics and parts·heads·head sums.
    debug_assert_eq!(sums.len(), stats.len() * head, "a pair for each head and part");
    let heads = d / head;
    let parts = stats.len() / heads;
    let of = |i: usize| {
        let highest = (0..parts).map(|p| stats[p * heads + i / head].0).fold(f32::NEG_INFINITY, f32::max);
        let weight = |p: usize| (stats[p * heads + i / head].0 - highest).exp();
        let sum: f32 = (0..parts).map(|p| weight(p) * stats[p * heads + i / head].1).sum();
        (0..parts).map(|p| weight(p) * sums[p * d + i]).sum::<f32>() / sum
    };
    (0..d).map(of).collect()
}

/// Rows of heads in the order of the cache: the two dimensions that are rotated together are adjacent.
pub fn paired(x: &[f32], (head, r): (usize, usize)) -> Vec<f32> {
    let half = r / 2;
    let of = |row: &[f32]| {
        let turned = (0..half).flat_map(|i| [row[i], row[i + half]]);
        turned.chain(row[r..].iter().copied()).collect::<Vec<_>>()
    };
    x.chunks_exact(head).flat_map(of).collect()
}

/// Natural logarithms of the softmax of `x`.
pub fn log_softmax(x: &[f32]) -> Vec<f64> {
    let highest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = x.iter().map(|x| f64::from(x - highest).exp()).sum();
    x.iter().map(|x| f64::from(x - highest) - sum.ln()).collect()
}
