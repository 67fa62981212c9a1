//! Row-wise arithmetic of the reference. Matrices are row-major slices.

/// y[T, rows] = x[T, cols] · w[rows, cols]ᵀ.
#[allow(unsafe_code)]
pub fn matmul_transposed(x: &[f32], w: &[f32], cols: usize) -> Vec<f32> {
    let (t, rows) = (x.len() / cols, w.len() / cols);
    let mut y = vec![0.0f32; t * rows];
    let (s, r) = (cols as isize, rows as isize);
    // SAFETY: x holds t·cols, w rows·cols and y t·rows elements; the strides address exactly those
    // (w is read transposed), and y aliases neither.
    unsafe {
        matrixmultiply::sgemm(t, cols, rows, 1.0, x.as_ptr(), s, 1, w.as_ptr(), 1, s, 0.0, y.as_mut_ptr(), r, 1);
    }
    y
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
