//! AdamW, and clipping by the norm of all gradients together.

use crate::engine::AdamW;

/// The norm of values in several slices, taken as one vector.
pub fn norm<'a>(slices: impl IntoIterator<Item = &'a [f32]>) -> f64 {
    slices.into_iter().flatten().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// The factor that gradients of this norm are multiplied by before a step.
pub fn clip_scale(options: &AdamW, norm: f64) -> f32 {
    let most = f64::from(options.clip_norm);
    if most > 0.0 && norm > most { (most / norm) as f32 } else { 1.0 }
}

/// Step number `step` (from 1) of AdamW with bias correction and decoupled weight decay:
///
/// ```text
/// m = β₁·m + (1 − β₁)·g      v = β₂·v + (1 − β₂)·g²
/// x −= rate·( m/(1 − β₁^step) / (√(v/(1 − β₂^step)) + ε) + λ·x )
/// ```
///
/// `gradient` has been clipped already: see [`clip_scale`].
pub fn adamw(options: &AdamW, rate: f32, step: u32, values: &mut [f32], moments: [&mut [f32]; 2], gradient: &[f32]) {
    let [beta1, beta2] = options.betas.map(f64::from);
    // powf: no training has so many steps (2³¹) that i32 could not count them, but u32 must not turn into a negative
    // power.
    let [unbias1, unbias2] = [beta1, beta2].map(|beta| 1.0 / (1.0 - beta.powf(f64::from(step))));
    let (rate, epsilon, decay) = (f64::from(rate), f64::from(options.epsilon), f64::from(options.weight_decay));
    let [first, second] = moments;
    for (((x, m), v), g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
        let g = f64::from(*g);
        let (m1, v1) = (beta1 * f64::from(*m) + (1.0 - beta1) * g, beta2 * f64::from(*v) + (1.0 - beta2) * g * g);
        (*m, *v) = (m1 as f32, v1 as f32);
        let update = m1 * unbias1 / ((v1 * unbias2).sqrt() + epsilon) + decay * f64::from(*x);
        *x = (f64::from(*x) - rate * update) as f32;
    }
}
