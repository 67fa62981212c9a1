//! Causal attention and the rotary embedding, of one sequence from its first position on.

use super::products::add_scaled;
use crate::reference::math;

/// Gradient with respect to the rows before rotation, from that with respect to the rotated rows: it is rotated back,
/// in place. The arguments are those of the forward pass: head size D and rotated dimensions r, base of the angles.
pub fn rotate(gradient: &mut [f32], d: usize, (head, r): (usize, usize), base: f64) {
    // The rotation's matrix is orthogonal: the first half is swapped with the second to turn the other way.
    let swap = |x: &mut [f32]| {
        for head in x.chunks_exact_mut(head) {
            let (a, b) = head[..r].split_at_mut(r / 2);
            a.swap_with_slice(b);
        }
    };
    swap(gradient);
    math::rotate(gradient, d, (head, r), base, 0);
    swap(gradient);
}

/// Gradients w.r.t. q, k and v (rotated, [T, d] each) of softmax(q·kᵀ/√D, causal)·v; `gradient` is that w.r.t. the
/// result, [T, d].
pub fn attention([q, k, v]: [&[f32]; 3], gradient: &[f32], (d, head): (usize, usize)) -> [Vec<f32>; 3] {
    let scale = 1.0 / (head as f64).sqrt();
    let rows = q.len() / d;
    let mut sums = [(); 3].map(|()| vec![0.0f64; q.len()]);
    let [by_q, by_k, by_v] = &mut sums;
    for h in 0..d / head {
        let at = |t: usize| t * d + h * head..t * d + (h + 1) * head;
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        for t in 0..rows {
            let scores: Vec<f64> = (0..=t).map(|p| dot(&q[at(t)], &k[at(p)]) * scale).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp() / sum).collect();
            let by_weights: Vec<f64> = (0..=t).map(|p| dot(&gradient[at(t)], &v[at(p)])).collect();
            let mean: f64 = weights.iter().zip(&by_weights).map(|(w, by)| w * by).sum();
            for (p, (weight, by_weight)) in weights.iter().zip(&by_weights).enumerate() {
                let by_score = weight * (by_weight - mean) * scale;
                add_scaled(&mut by_q[at(t)], by_score, &k[at(p)]);
                add_scaled(&mut by_k[at(p)], by_score, &q[at(t)]);
                add_scaled(&mut by_v[at(p)], *weight, &gradient[at(t)]);
            }
        }
    }
    sums.map(|sums| sums.iter().map(|sum| *sum as f32).collect())
}
