//! What token packs add to a Pattention: in f32, as their tokens are few.

use super::lanes::F4;
use super::rows::gelu;
use super::turns::Turns;
use crate::packs::{Merged, MergedTokens};

/// Bytes of all tokens.
pub fn bytes(packs: &Merged) -> u64 {
    let values = |tokens: &MergedTokens| tokens.keys.len() + tokens.values.len() + tokens.strengths.len();
    4 * packs.layers.iter().flatten().map(values).sum::<usize>() as u64
}

/// y[T, d_out] += Σ_j c_j·gelu(x·k_j·scale)·v_j for each row of x[T, d_in], with a scale each, √n/‖s‖ of the base's scores.
pub async fn add_packs(packs: &MergedTokens, x: &[f32], scales: &[f32], y: &mut [f32], turns: &Turns) {
    let [d_in, d_out] = [x.len(), y.len()].map(|len| len / scales.len());
    for ((x, scale), y) in x.chunks_exact(d_in).zip(scales).zip(y.chunks_exact_mut(d_out)) {
        let tokens = packs.keys.chunks_exact(d_in).zip(packs.values.chunks_exact(d_out)).zip(&packs.strengths);
        for ((key, value), strength) in tokens {
            let [activation, ..] = gelu(F4::splat(dot(x, key) * scale)).array();
            add_scaled(y, strength * activation, value);
        }
        turns.give_way(packs.len() * (d_in + d_out)).await;
    }
}

/// Inner product of rows whose length is a multiple of 4.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let pairs = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0);
    pairs.fold(F4::splat(0.0), |sum, (a, b)| sum + F4::of(a) * F4::of(b)).sum()
}

/// y += c·v, of rows whose length is a multiple of 4.
fn add_scaled(y: &mut [f32], c: f32, v: &[f32]) {
    let c = F4::splat(c);
    for (y, v) in y.as_chunks_mut::<4>().0.iter_mut().zip(v.as_chunks::<4>().0) {
        *y = (F4::of(y) + c * F4::of(v)).array();
    }
}
