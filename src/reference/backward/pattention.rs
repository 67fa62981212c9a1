//! Pattention with token packs (l2_norm_gelu).

use super::products::{times, times_transposed, transposed_times};
use crate::packs::MergedTokens;

/// The base's tables of one Pattention.
#[derive(Clone, Copy, Debug)]
pub struct TableView<'a> {
    /// K[n_padded, d_in].
    pub keys: &'a [f32],
    /// Pᵀ[d_out, n_padded].
    pub values: &'a [f32],
    /// n, padding not counted.
    pub slots: usize,
    /// Values of a row of `keys`, d_in.
    pub d_in: usize,
}

/// Gradients of pack tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenGradients {
    /// With respect to the keys, [m, d_in].
    pub keys: Vec<f32>,
    /// With respect to the values, [m, d_out].
    pub values: Vec<f32>,
}

/// What [`pattention`] returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PattentionGradients {
    /// With respect to u, [T, d_in].
    pub input: Vec<f32>,
    /// With respect to the tokens of the packs.
    pub tokens: TokenGradients,
}

/// gelu′(x) = Φ(x) + x·φ(x).
pub fn gelu_derivative(x: f64) -> f64 {
    let phi = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * phi
}

/// gelu(x) = x·Φ(x).
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// Gradients with respect to the input and to pack tokens of y = gelu(z)·P + Σ_j c_j·gelu(z_j)·v_j, where s = u·Kᵀ, z =
/// s/‖s‖·√n and, for a pack's token, z_j = u·k_j/‖s‖·√n.
///
/// `u` is [T, d_in], `gradient` that of the loss w.r.t. y, [T, d_out]. With e_j = ∂L/∂z_j, of base and packs alike,
///
/// ```text
/// R = Σ_j e_j·z_j                          through ‖s‖: from the base's term and from every pack's
/// ∂L/∂s_j = e_j·√n/‖s‖ − R·s_j/‖s‖²        of the base;  ∂L/∂(u·k_j) = e_j·√n/‖s‖ of a pack's token
/// ```
///
/// Rows with ‖s‖ = 0 have y = 0, and gradients of 0.
pub fn pattention(base: TableView<'_>, packs: &MergedTokens, u: &[f32], gradient: &[f32]) -> PattentionGradients {
    let (d_in, m) = (base.d_in, packs.len());
    let padded = base.keys.len() / d_in;
    let d_out = base.values.len() / padded;
    let mut scores = times_transposed(u, base.keys, d_in);
    // ∂L/∂a = g·Pᵀ for the base, c_j·(v_j·g) for a pack's token.
    let by_weights = times(gradient, base.values, d_out, padded);
    let mut pack_scores = times_transposed(u, &packs.keys, d_in);
    let by_pack_weights = times_transposed(gradient, &packs.values, d_out);
    let mut pack_weights = vec![0.0f32; pack_scores.len()];
    for (t, (s, by_a)) in scores.chunks_exact_mut(padded).zip(by_weights.chunks_exact(padded)).enumerate() {
        let (s, padding) = s.split_at_mut(base.slots);
        padding.fill(0.0);
        let norm = s.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
        let own = t * m..(t + 1) * m;
        let (pack_s, pack_a) = (&mut pack_scores[own.clone()], &mut pack_weights[own.clone()]);
        if norm == 0.0 {
            pack_s.fill(0.0);
            continue;
        }
        let scale = (base.slots as f64).sqrt() / norm;
        let by_score = |s: f32, by_a: f64| gelu_derivative(f64::from(s) * scale) * by_a * scale;
        let mut through_norm = 0.0;
        for (s, by_a) in s.iter().zip(by_a) {
            through_norm += by_score(*s, f64::from(*by_a)) * f64::from(*s);
        }
        for (j, (s, a)) in pack_s.iter_mut().zip(pack_a).enumerate() {
            let strength = f64::from(packs.strengths[j]);
            *a = (strength * gelu(f64::from(*s) * scale)) as f32;
            let by_s = by_score(*s, strength * f64::from(by_pack_weights[own.start + j]));
            through_norm += by_s * f64::from(*s);
            *s = by_s as f32;
        }
        for (s, by_a) in s.iter_mut().zip(by_a) {
            *s = (by_score(*s, f64::from(*by_a)) - through_norm * f64::from(*s) / (norm * norm)) as f32;
        }
    }
    let mut input = times(&scores, base.keys, padded, d_in);
    if m > 0 {
        let further = times(&pack_scores, &packs.keys, m, d_in);
        input.iter_mut().zip(further).for_each(|(x, y)| *x += y);
    }
    let tokens = TokenGradients {
        keys: transposed_times(&pack_scores, u, m, d_in),
        values: transposed_times(&pack_weights, gradient, m, d_out),
    };
    PattentionGradients { input, tokens }
}
