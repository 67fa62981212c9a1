//! Row-wise operations between products.

use super::attention::exponentials;
use super::lanes::F4;
use crate::config::NormActivation;

/// LayerNorm without weight or bias of each row of x[T, d].
pub fn layer_norm(x: &[f32], d: usize, epsilon: f32, out: &mut Vec<f32>) {
    out.clear();
    for row in x.chunks_exact(d) {
        let mean = row.iter().sum::<f32>() / d as f32;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / d as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        out.extend(row.iter().map(|x| (x - mean) * scale));
    }
}

/// Θ of each row of scores s[T, padded]: weights over the first `slots`, 0 for the padding. Scores that are all 0 give
/// zeros.
pub fn theta(kind: NormActivation, s: &mut [f32], padded: usize, slots: usize) {
    for row in s.chunks_exact_mut(padded) {
        let (row, padding) = row.split_at_mut(slots);
        padding.fill(0.0);
        let root_n = (slots as f32).sqrt();
        let scale = |norm: f32| if norm > 0.0 { root_n / norm } else { 0.0 };
        match kind {
            NormActivation::L2NormGelu => {
                let scale = F4::splat(scale(norm(row)));
                map(row, |x| gelu(x * scale));
            }
            NormActivation::GeluL2Norm => {
                map(row, gelu);
                let scale = F4::splat(scale(norm(row)));
                map(row, |x| x * scale);
            }
            NormActivation::Softmax => {
                let scale = F4::splat(slots as f32 / exponentials(row));
                map(row, |x| x * scale);
            }
        }
    }
}

/// √n/‖s‖ of each row of scores s[T, padded], over the first `slots`, n of them; 0 where ‖s‖ is 0.
pub fn scales(s: &[f32], padded: usize, slots: usize) -> Vec<f32> {
    let scale = |norm: f32| if norm > 0.0 { (slots as f32).sqrt() / norm } else { 0.0 };
    s.chunks_exact(padded).map(|row| scale(norm(&row[..slots]))).collect()
}

/// h += y.
pub fn add(h: &mut [f32], y: &[f32]) {
    h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
}

/// x·Φ(x).
#[inline(always)]
pub fn gelu(x: F4) -> F4 {
    let erf = (x * F4::splat(std::f32::consts::FRAC_1_SQRT_2)).erf();
    F4::splat(0.5) * x * (F4::splat(1.0) + erf)
}

fn map(row: &mut [f32], f: impl Fn(F4) -> F4) {
    let (whole, rest) = row.as_chunks_mut::<4>();
    whole.iter_mut().for_each(|x| *x = f(F4::of(x)).array());
    rest.iter_mut().for_each(|x| [*x, ..] = f(F4::splat(*x)).array());
}

/// ‖s‖₂. A square may leave the range of f32 where the norm does not.
fn norm(s: &[f32]) -> f32 {
    let largest = s.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let (whole, rest) = s.as_chunks::<4>();
    let inverse = F4::splat(1.0 / largest);
    let square = |x: F4| (x * inverse) * (x * inverse);
    let sum = whole.iter().fold(F4::splat(0.0), |sum, x| sum + square(F4::of(x))).sum();
    let rest: f32 = rest.iter().map(|x| (x / largest).powi(2)).sum();
    (sum + rest).sqrt() * largest
}
