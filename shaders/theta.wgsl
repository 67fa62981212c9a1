// Θ of Pattention (arXiv 2410.23168, eq. 5 and the published code): scores s over SLOTS parameter
// tokens to weights a.
//   L2_NORM_GELU   a = gelu(s / ‖s‖₂ · √n)
//   GELU_L2_NORM   a = gelu(s) / ‖gelu(s)‖₂ · √n
//   SOFTMAX        a = exp(s − max) / Σ exp(s − max) · n
// n is the number of real slots; padding is left out of sums and gets the weight 0. A row whose norm
// is 0 gets weights 0. One of the three flags is set; a row's statistics take two
// sweeps: statistic() of each score is summed, theta_scale() turns the sum into what theta() needs.

// erf by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7, the size of f32's own rounding error here).
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - p * exp(-x * x));
}

fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678118));
}

// A score's term in the row's statistic; `row_max` is only used by SOFTMAX.
fn statistic(s: f32, row_max: f32) -> f32 {
#if SOFTMAX
    return exp(s - row_max);
#else
#if GELU_L2_NORM
    let g = gelu(s);
    return g * g;
#else
    return s * s;
#endif
#endif
}

fn theta_scale(slots: u32, sum: f32) -> f32 {
#if SOFTMAX
    return f32(slots) / sum;
#else
    return select(0.0, sqrt(f32(slots)) * inverseSqrt(sum), sum > 0.0);
#endif
}

fn theta(s: f32, scale: f32, row_max: f32) -> f32 {
#if SOFTMAX
    return exp(s - row_max) * scale;
#else
#if GELU_L2_NORM
    return gelu(s) * scale;
#else
    return gelu(s * scale);
#endif
#endif
}
