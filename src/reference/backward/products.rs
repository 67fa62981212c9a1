//! Products of row-major matrices, summed up in f64.

/// y[T, rows] = x[T, cols] · w[rows, cols]ᵀ.
pub(crate) fn times_transposed(x: &[f32], w: &[f32], cols: usize) -> Vec<f32> {
    crate::reference::math::product(x, w, cols)
}

/// y[T, cols] = x[T, rows] · w[rows, cols].
pub(crate) fn times(x: &[f32], w: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len() / rows.max(1) * cols);
    let mut sums = vec![0.0f64; cols];
    for x in x.chunks_exact(rows.max(1)) {
        sums.fill(0.0);
        x.iter().zip(w.chunks_exact(cols)).for_each(|(x, w)| add_scaled(&mut sums, f64::from(*x), w));
        y.extend(sums.iter().map(|sum| *sum as f32));
    }
    y
}

/// y[rows, cols] = x[T, rows]ᵀ · w[T, cols].
pub(crate) fn transposed_times(x: &[f32], w: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; rows * cols];
    for (x, w) in x.chunks_exact(rows.max(1)).zip(w.chunks_exact(cols)) {
        for (x, sums) in x.iter().zip(sums.chunks_exact_mut(cols)) {
            add_scaled(sums, f64::from(*x), w);
        }
    }
    sums.iter().map(|sum| *sum as f32).collect()
}

/// sums += x·w.
pub(crate) fn add_scaled(sums: &mut [f64], x: f64, w: &[f32]) {
    sums.iter_mut().zip(w).for_each(|(sum, w)| *sum += x * f64::from(*w));
}
