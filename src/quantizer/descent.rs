//! Coordinate descent: integers and scales of a quantized row are changed one at a time as long as that improves its
//! products (as in QuantEase, arXiv 2309.01885).

use crate::checkpoint::quantize::{as_stored, inverse, nearest};
use crate::config::GROUP_SIZE;
use crate::reference::math::dot;

/// Most sweeps over all elements.
const SWEEPS: usize = 8;

/// A row in groups: its values are the integers times the scales, which f16 holds exactly.
pub struct Row {
    /// [n], whole numbers.
    pub integers: Vec<f32>,
    /// [n / [`GROUP_SIZE`]].
    pub scales: Vec<f32>,
}

/// Reduces eᵀ·H·e, where e is the row's deviation from its `target` and H is `gram`, the inputs' Gram matrix [n, n], by
/// one integer or scale at a time.
pub fn descend<const BITS: usize>(row: &mut Row, target: &[f32], gram: &[f32]) {
    let n = target.len();
    let gram = |row: usize| &gram[row * n..(row + 1) * n];
    let value = |row: &Row, j: usize| row.integers[j] * row.scales[j / GROUP_SIZE];
    // H·e
    let mut slope = vec![0.0; n];
    let move_by = |slope: &mut [f32], j: usize, step: f32| {
        slope.iter_mut().zip(gram(j)).for_each(|(s, h)| *s -= step * h);
    };
    (0..n).for_each(|j| move_by(&mut slope, j, value(row, j) - target[j]));
    for _ in 0..SWEEPS {
        let mut is_better = false;
        for group in 0..row.scales.len() {
            let columns = group * GROUP_SIZE..(group + 1) * GROUP_SIZE;
            let scale = row.scales[group];
            let inverse = inverse(scale);
            for j in columns.clone() {
                let best = nearest::<BITS>(value(row, j) + slope[j] / gram(j)[j], inverse);
                if best != row.integers[j] {
                    move_by(&mut slope, j, (best - row.integers[j]) * scale);
                    row.integers[j] = best;
                    is_better = true;
                }
            }
            // The scale that is best for these integers q moves by qᵀ·H·e / qᵀ·H·q.
            let integers = &row.integers[columns.clone()];
            let uphill = dot(integers, &slope[columns.clone()]);
            let curvature: f32 =
                columns.clone().zip(integers).map(|(j, q)| q * dot(integers, &gram(j)[columns.clone()])).sum();
            let scale_to = as_stored(scale + uphill / curvature);
            let step = scale_to - scale;
            if scale_to.is_finite() && scale_to > 0.0 && step * (step * curvature - 2.0 * uphill) < 0.0 {
                columns.zip(integers).for_each(|(j, q)| move_by(&mut slope, j, q * step));
                row.scales[group] = scale_to;
                is_better = true;
            }
        }
        if !is_better {
            return;
        }
    }
}
