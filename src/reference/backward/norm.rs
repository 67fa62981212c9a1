//! LayerNorm, without and with weight and bias.

/// Gradient w.r.t. `x`[T, d] of LayerNorm without weight or bias; `gradient` is that w.r.t. its output, [T, d].
///
/// With x̂ the output and σ = √(variance + ε): (g − mean(g) − x̂·mean(g∘x̂))/σ.
pub fn layer_norm(x: &[f32], gradient: &[f32], d: usize, epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for (x, g) in x.chunks_exact(d).zip(gradient.chunks_exact(d)) {
        let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / d as f64;
        let mean = mean_of(&mut x.iter().map(|x| f64::from(*x)));
        let variance = mean_of(&mut x.iter().map(|x| (f64::from(*x) - mean).powi(2)));
        let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
        let normed = |x: &f32| (f64::from(*x) - mean) * scale;
        let mean_g = mean_of(&mut g.iter().map(|g| f64::from(*g)));
        let mean_gx = mean_of(&mut x.iter().zip(g).map(|(x, g)| normed(x) * f64::from(*g)));
        out.extend(x.iter().zip(g).map(|(x, g)| ((f64::from(*g) - mean_g - normed(x) * mean_gx) * scale) as f32));
    }
    out
}

/// Gradient w.r.t. `h`[T, d] of the final norm, LN(h)·w + b; the bias adds nothing to it.
pub fn final_norm(h: &[f32], weight: &[f32], gradient: &[f32], epsilon: f32) -> Vec<f32> {
    let d = weight.len();
    let weighted: Vec<f32> = gradient.chunks_exact(d).flat_map(|g| g.iter().zip(weight).map(|(g, w)| g * w)).collect();
    layer_norm(h, &weighted, d, epsilon)
}
