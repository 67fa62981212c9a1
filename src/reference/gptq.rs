//! Quantization that makes up for its own errors (GPTQ, arXiv 2210.17323).
//!
//! What counts is not how far a table's elements are off, but how far its products are. A table meets inputs x whose
//! Gram matrix H = Σ x·xᵀ is known; the columns are rounded one after the other, and what each one is off is made up for
//! by those that are still to come, as H says they can: with H⁻¹ = UᵀU, U upper triangular, column j's error e moves
//! column k by −e·U[j,k] / U[j,j].

use super::math::matmul_transposed;
use crate::checkpoint::files::transpose;
use crate::checkpoint::layout::TableFormat;
use crate::checkpoint::quantize::{Q4_DIVISORS, Q8_DIVISORS, Stored, best_scale, inverse, nearest};
use crate::config::GROUP_SIZE;
use crate::error::Result;

/// Part of the mean of H's diagonal that is added to the diagonal, so that directions which no input had stay tame. With
/// a tenth of it texts like those of the training lose more: random tokens are not like them.
const DAMPING: f64 = 0.1;

/// Σ x·xᵀ of the inputs of a table.
pub struct Gram {
    n: usize,
    /// [n, n], row by row.
    sums: Vec<f64>,
}

impl Gram {
    /// Of no inputs of `n` elements.
    pub fn new(n: usize) -> Self {
        Self { n, sums: vec![0.0; n * n] }
    }

    /// Adds `inputs`, [_, n].
    pub fn add(&mut self, inputs: &[f32]) {
        let rows = inputs.len() / self.n;
        let columns = transpose(inputs, rows, self.n, rows);
        let products = matmul_transposed(&columns, &columns, rows);
        self.sums.iter_mut().zip(products).for_each(|(sum, p)| *sum += f64::from(p));
    }

    /// U, upper triangular, with UᵀU = H⁻¹, H damped: where H = R·Rᵀ with R upper triangular, U is R⁻¹.
    pub fn inverse_factor(&self) -> Vec<f32> {
        let (n, mut r) = (self.n, self.sums.clone());
        let mean = (0..n).map(|i| r[i * n + i]).sum::<f64>() / n as f64;
        let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        (0..n).for_each(|i| r[i * n + i] += damping);
        // R, from the last column to the first: column j without what the later ones explain.
        for j in (0..n).rev() {
            let root = r[j * n + j].sqrt();
            (0..=j).for_each(|i| r[i * n + j] /= root);
            let column: Vec<f64> = (0..j).map(|i| r[i * n + j]).collect();
            for (i, a) in column.iter().enumerate() {
                let row = &mut r[i * n..i * n + j];
                row.iter_mut().zip(&column).for_each(|(x, b)| *x -= a * b);
            }
        }
        // Its inverse, row by row from the last.
        let mut u = vec![0.0f64; n * n];
        for i in (0..n).rev() {
            let (above, below) = u.split_at_mut((i + 1) * n);
            let row = &mut above[i * n..];
            for k in i + 1..n {
                let factor = r[i * n + k];
                let other = &below[(k - i - 1) * n..][k..n];
                row[k..].iter_mut().zip(other).for_each(|(x, y)| *x -= factor * y);
            }
            let pivot = r[i * n + i];
            row.iter_mut().for_each(|x| *x /= pivot);
            row[i] = 1.0 / pivot;
        }
        u.into_iter().map(|x| x as f32).collect()
    }
}

/// `table`, [_, n], in stored form, best for inputs whose Gram matrix has this [`inverse_factor`](Gram::inverse_factor),
/// [n, n].
///
/// # Errors
/// `unsupported-checkpoint` for values that cannot be stored.
pub fn quantize(table: &[f32], factor: &[f32], format: TableFormat) -> Result<Stored> {
    let mut stored = Stored::default();
    match format {
        TableFormat::F16 => stored.push(table, format)?, // which has no scales to choose
        TableFormat::Q4 => push_rows::<4>(&mut stored, table, factor, &Q4_DIVISORS)?,
        TableFormat::Q8 => push_rows::<8>(&mut stored, table, factor, &Q8_DIVISORS)?,
    }
    Ok(stored)
}

fn push_rows<const BITS: usize>(stored: &mut Stored, table: &[f32], factor: &[f32], divisors: &[f32]) -> Result<()> {
    let n = factor.len().isqrt();
    let mut row = vec![0.0; n];
    for source in table.chunks_exact(n) {
        row.copy_from_slice(source);
        for first in (0..n).step_by(GROUP_SIZE) {
            let mut group = [0.0; GROUP_SIZE];
            group.copy_from_slice(&row[first..first + GROUP_SIZE]);
            let scale = best_scale::<BITS>(&group, divisors)?;
            let inverse = inverse(scale);
            let mut integers = [0; GROUP_SIZE];
            for (i, integer) in integers.iter_mut().enumerate() {
                let j = first + i;
                let rounded = nearest::<BITS>(row[j], inverse);
                *integer = rounded as i32;
                let line = &factor[j * n..(j + 1) * n];
                let error = (row[j] - rounded * scale) / line[j];
                row[j + 1..].iter_mut().zip(&line[j + 1..]).for_each(|(x, u)| *x -= error * u);
            }
            stored.push_group::<BITS>(&integers, scale);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::random::Random;

    /// Inputs that have much in common with each other, [count, n].
    fn inputs(random: &mut Random, count: usize, n: usize) -> Vec<f32> {
        let mix: Vec<f32> = (0..n * n).map(|_| random.uniform()).collect();
        let mut out = Vec::new();
        for _ in 0..count {
            let few: Vec<f32> = (0..n).map(|i| random.uniform() * if i % 8 == 0 { 4.0 } else { 0.1 }).collect();
            out.extend(mix.chunks_exact(n).map(|line| line.iter().zip(&few).map(|(a, b)| a * b).sum::<f32>()));
        }
        out
    }

    fn gram(inputs: &[f32], n: usize) -> Gram {
        let mut gram = Gram::new(n);
        inputs.chunks(7 * n).for_each(|some| gram.add(some));
        gram
    }

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let n = 64;
        let gram = gram(&inputs(&mut Random(1), 200, n), n);
        let u = gram.inverse_factor();
        let damping = DAMPING * (0..n).map(|i| gram.sums[i * n + i]).sum::<f64>() / n as f64;
        let damped = |i: usize, j: usize| gram.sums[i * n + j] + if i == j { damping } else { 0.0 };
        assert!((0..n).all(|i| u[i * n..i * n + i].iter().all(|x| *x == 0.0)), "upper triangular");
        let at = |i: usize, j: usize| f64::from(u[i * n + j]);
        let inverse = |i: usize, j: usize| (0..=i.min(j)).map(|k| at(k, i) * at(k, j)).sum::<f64>();
        for (i, j) in [(0, 0), (0, 1), (5, 63), (40, 40), (63, 62), (63, 63)] {
            let product: f64 = (0..n).map(|k| inverse(i, k) * damped(k, j)).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-3, "({i}, {j}): {product}");
        }
    }

    #[test]
    fn products_are_less_off_than_by_rounding_alone() {
        let (n, rows, mut random) = (96, 40, Random(2));
        let table: Vec<f32> = (0..rows * n).map(|_| random.uniform()).collect();
        let all = inputs(&mut random, 600, n);
        let (seen, fresh) = all.split_at(400 * n);
        let error = |stored: &Stored, format| {
            let back = stored.dequantize(format);
            let differences: Vec<f32> = table.iter().zip(back).map(|(a, b)| a - b).collect();
            let product = |(d, x): (&[f32], &[f32])| f64::from(d.iter().zip(x).map(|(a, b)| a * b).sum::<f32>());
            let pairs = fresh.chunks_exact(n).flat_map(|x| differences.chunks_exact(n).map(move |d| (d, x)));
            pairs.map(product).map(|p| p * p).sum::<f64>()
        };
        for format in [TableFormat::Q4, TableFormat::Q8] {
            let mut plain = Stored::default();
            plain.push(&table, format).expect("finite");
            let made_up = quantize(&table, &gram(seen, n).inverse_factor(), format).expect("finite");
            let (made_up, plain) = (error(&made_up, format), error(&plain, format));
            assert!(made_up < 0.5 * plain, "{format:?}: {made_up} instead of {plain}");
        }
    }

    #[test]
    fn inputs_that_have_nothing_in_common_leave_rounding_as_it_is() {
        let (n, mut random) = (64, Random(3));
        let table: Vec<f32> = (0..5 * n).map(|_| random.uniform()).collect();
        let mut unit = vec![0.0; n * n];
        (0..n).for_each(|i| unit[i * n + i] = 2.0);
        for (format, gram) in [(TableFormat::Q4, gram(&unit, n)), (TableFormat::Q8, Gram::new(n))] {
            let mut plain = Stored::default();
            plain.push(&table, format).expect("finite");
            assert_eq!(quantize(&table, &gram.inverse_factor(), format).expect("finite"), plain);
        }
        assert!(quantize(&[f32::NAN; 64], &Gram::new(64).inverse_factor(), TableFormat::Q4).is_err());
    }
}
