//! Quantization that compensates for errors: a table's own (GPTQ, arXiv 2210.17323), and those that its inputs already
//! have (the aim of GPTAQ, arXiv 2504.02692).
//!
//! What counts is the error of a table's products, not that of its elements. A table W gets inputs x where the original
//! model has x̂; H = Σ x·xᵀ and C = Σ x̂·xᵀ are known. Its products with x are nearest to W·x̂ if it is T = W·C·H⁻¹.
//! T's columns are rounded one after the other, and the columns still to come compensate for the error of each, as far
//! as H allows: with H⁻¹ = UᵀU, U upper triangular, column j's error e moves column k by −e·U[j,k] / U[j,j]. That step
//! cannot know the later columns' errors; [`descend`] compensates for those.

use super::descent::{Row, descend};
use crate::checkpoint::files::transpose;
use crate::checkpoint::layout::TableFormat;
use crate::checkpoint::quantize::{Q4_DIVISORS, Q8_DIVISORS, Stored, best_scale, inverse, nearest};
use crate::config::GROUP_SIZE;
use crate::error::Result;
use crate::reference::math::matmul_transposed;
use std::panic::resume_unwind;
use std::thread;

/// Fraction of the mean of H's diagonal that is added to the diagonals of H and C, so that directions that no input had
/// stay bounded. Less fits the tokens of the calibration better, and others worse.
const DAMPING: f64 = 0.2;
/// Inputs that are summed up in f32.
const AT_A_TIME: usize = 2048;

/// The Gram matrix of a table's inputs, and what GPTQ derives from it.
pub struct InputGram {
    n: usize,
    /// H, damped, [n, n].
    h: Vec<f32>,
    /// U, [n, n].
    factor: Vec<f32>,
    /// (C·H⁻¹ − 1)ᵀ, [n, n].
    shift: Vec<f32>,
}

impl InputGram {
    /// From `inputs`, [_, n], where the original model has `exact`.
    pub fn new(n: usize, exact: &[f32], inputs: &[f32]) -> Self {
        let (mut gram, mut off) = (vec![0.0f64; n * n], vec![0.0f64; n * n]);
        for (exact, inputs) in exact.chunks(AT_A_TIME * n).zip(inputs.chunks(AT_A_TIME * n)) {
            let rows = inputs.len() / n;
            let difference: Vec<f32> = exact.iter().zip(inputs).map(|(a, b)| a - b).collect();
            let columns = transpose(inputs, rows, n, rows);
            let add = |sums: &mut [f64], x: &[f32]| {
                sums.iter_mut().zip(matmul_transposed(x, &columns, rows)).for_each(|(sum, p)| *sum += f64::from(p));
            };
            add(&mut gram, &columns);
            add(&mut off, &transpose(&difference, rows, n, rows));
        }
        let mean = (0..n).map(|i| gram[i * n + i]).sum::<f64>() / n as f64;
        let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        (0..n).for_each(|i| gram[i * n + i] += damping);
        let narrow = |x: Vec<f64>| -> Vec<f32> { x.into_iter().map(|x| x as f32).collect() };
        let factor = inverse_factor(gram.clone(), n);
        // (C − H)·H⁻¹ = ((C − H)·Uᵀ)·U, transposed.
        let half = matmul_transposed(&narrow(off), &factor, n);
        let shift = matmul_transposed(&transpose(&factor, n, n, n), &half, n);
        Self { n, h: narrow(gram), factor, shift }
    }
}

/// U, upper triangular, with UᵀU = H⁻¹ of H[n, n]: where H = R·Rᵀ with R upper triangular, U is R⁻¹.
fn inverse_factor(mut r: Vec<f64>, n: usize) -> Vec<f32> {
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

/// `table`, [_, n], in stored form, rounded for inputs with the Gram matrix `gram`.
///
/// # Errors
/// `unsupported-checkpoint` for values that cannot be stored.
pub fn quantize(table: &[f32], gram: &InputGram, format: TableFormat) -> Result<Stored> {
    let mut stored = Stored::default();
    match format {
        TableFormat::F16 => stored.push(table, format)?, // which has no scales to choose
        TableFormat::Q4 => push_rows::<4>(&mut stored, table, gram, &Q4_DIVISORS)?,
        TableFormat::Q8 => push_rows::<8>(&mut stored, table, gram, &Q8_DIVISORS)?,
    }
    Ok(stored)
}

fn push_rows<const BITS: usize>(stored: &mut Stored, table: &[f32], gram: &InputGram, divisors: &[f32]) -> Result<()> {
    let n = gram.n;
    let mut targets = matmul_transposed(table, &gram.shift, n);
    targets.iter_mut().zip(table).for_each(|(shift, w)| *shift += w);
    let round = |target: &[f32]| {
        let mut row = made_up_for::<BITS>(target, gram, divisors)?;
        descend::<BITS>(&mut row, target, &gram.h);
        Ok(row)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let each = (table.len() / n).div_ceil(threads);
    let rows = thread::scope(|scope| {
        let parts = targets.chunks(each * n);
        let workers: Vec<_> = parts
            .map(|part| scope.spawn(move || part.chunks_exact(n).map(round).collect::<Result<Vec<Row>>>()))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    rows.iter().flatten().for_each(|row| push_row::<BITS>(stored, row));
    Ok(())
}

fn push_row<const BITS: usize>(stored: &mut Stored, row: &Row) {
    for (integers, scale) in row.integers.as_chunks::<GROUP_SIZE>().0.iter().zip(&row.scales) {
        stored.push_group::<BITS>(&integers.map(|q| q as i32), *scale);
    }
}

/// A row in which each column compensates for the errors of those before.
fn made_up_for<const BITS: usize>(target: &[f32], gram: &InputGram, divisors: &[f32]) -> Result<Row> {
    let n = gram.n;
    let mut rest = target.to_vec();
    let mut row = Row { integers: Vec::with_capacity(n), scales: Vec::with_capacity(n / GROUP_SIZE) };
    for first in (0..n).step_by(GROUP_SIZE) {
        let mut group = [0.0; GROUP_SIZE];
        group.copy_from_slice(&rest[first..first + GROUP_SIZE]);
        let scale = best_scale::<BITS>(&group, divisors)?;
        let inverse = inverse(scale);
        for j in first..first + GROUP_SIZE {
            let rounded = nearest::<BITS>(rest[j], inverse);
            let line = &gram.factor[j * n..(j + 1) * n];
            let error = (rest[j] - rounded * scale) / line[j];
            rest[j + 1..].iter_mut().zip(&line[j + 1..]).for_each(|(x, u)| *x -= error * u);
            row.integers.push(rounded);
        }
        row.scales.push(scale);
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::random::Random;

    /// Correlated inputs, [count, n].
    fn inputs(random: &mut Random, count: usize, n: usize) -> Vec<f32> {
        let mix: Vec<f32> = (0..n * n).map(|_| random.uniform()).collect();
        let mut out = Vec::new();
        for _ in 0..count {
            let few: Vec<f32> = (0..n).map(|i| random.uniform() * if i % 8 == 0 { 4.0 } else { 0.1 }).collect();
            out.extend(mix.chunks_exact(n).map(|line| line.iter().zip(&few).map(|(a, b)| a * b).sum::<f32>()));
        }
        out
    }

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let n = 64;
        let inputs = inputs(&mut Random(1), 200, n);
        let gram = InputGram::new(n, &inputs, &inputs);
        let u = &gram.factor;
        let h = |i: usize, j: usize| f64::from(gram.h[i * gram.n + j]);
        let sum = |i: usize, j: usize| inputs.chunks_exact(n).map(|x| f64::from(x[i] * x[j])).sum::<f64>();
        let damping = DAMPING * (0..n).map(|i| sum(i, i)).sum::<f64>() / n as f64;
        assert!((h(5, 5) - sum(5, 5) - damping).abs() < 1e-4 * damping && (h(5, 6) - sum(5, 6)).abs() < 1e-3);
        assert!((0..n).all(|i| u[i * n..i * n + i].iter().all(|x| *x == 0.0)), "upper triangular");
        let at = |i: usize, j: usize| f64::from(u[i * n + j]);
        let inverse = |i: usize, j: usize| (0..=i.min(j)).map(|k| at(k, i) * at(k, j)).sum::<f64>();
        for (i, j) in [(0, 0), (0, 1), (5, 63), (40, 40), (63, 62), (63, 63)] {
            let product: f64 = (0..n).map(|k| inverse(i, k) * h(k, j)).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-3, "({i}, {j}): {product}");
        }
        assert!(gram.shift.iter().all(|x| *x == 0.0), "inputs that are as they were need no making up for");
    }

    /// Σ of the squared differences of products: of `table` with `exact`, and of `stored` with `inputs`.
    fn error(table: &[f32], exact: &[f32], stored: &[f32], inputs: &[f32], n: usize) -> f64 {
        let (was, is) = (matmul_transposed(exact, table, n), matmul_transposed(inputs, stored, n));
        was.iter().zip(is).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn products_are_less_off_than_by_rounding_alone() {
        let (n, rows, mut random) = (96, 40, Random(2));
        let table: Vec<f32> = (0..rows * n).map(|_| random.uniform()).collect();
        let all = inputs(&mut random, 600, n);
        let (seen, fresh) = all.split_at(400 * n);
        let error = |stored: &Stored, format| error(&table, fresh, &stored.dequantize(format), fresh, n);
        for format in [TableFormat::Q4, TableFormat::Q8] {
            let mut plain = Stored::default();
            plain.push(&table, format).expect("finite");
            let made_up = quantize(&table, &InputGram::new(n, seen, seen), format).expect("finite");
            let (made_up, plain) = (error(&made_up, format), error(&plain, format));
            assert!(made_up < 0.5 * plain, "{format:?}: {made_up} instead of {plain}");
        }
    }

    #[test]
    fn what_inputs_are_off_is_made_up_for() {
        let (n, rows, mut random) = (64, 30, Random(4));
        let table: Vec<f32> = (0..rows * n).map(|_| random.uniform()).collect();
        let exact = inputs(&mut random, 900, n);
        // Every input has also lost part of what the next one has.
        let off: Vec<f32> = exact.iter().zip(exact.iter().skip(1).chain([&0.0])).map(|(a, b)| a - 0.1 * b).collect();
        let (seen, fresh) = (..600 * n, 600 * n..);
        let gram_of = |exact: &[f32]| InputGram::new(n, exact, &off[seen]);
        let [blind, seeing] = [gram_of(&off[seen]), gram_of(&exact[seen])].map(|gram| {
            let stored = quantize(&table, &gram, TableFormat::Q8).expect("finite").dequantize(TableFormat::Q8);
            error(&table, &exact[fresh.clone()], &stored, &off[fresh.clone()], n)
        });
        assert!(seeing < 0.5 * blind, "{seeing} instead of {blind}");
    }

    #[test]
    fn descent_never_makes_it_worse() {
        let (n, mut random) = (96, Random(5));
        let all = inputs(&mut random, 300, n);
        let gram = InputGram::new(n, &all, &all);
        for _ in 0..10 {
            let target: Vec<f32> = (0..n).map(|_| random.uniform()).collect();
            let error = |row: &Row| {
                let value = |j: usize| row.integers[j] * row.scales[j / GROUP_SIZE];
                let off: Vec<f64> = (0..n).map(|j| f64::from(target[j] - value(j))).collect();
                (0..n)
                    .flat_map(|i| (0..n).map(move |j| (i, j)))
                    .map(|(i, j)| off[i] * off[j] * f64::from(gram.h[i * gram.n + j]))
                    .sum::<f64>()
            };
            let mut row = made_up_for::<4>(&target, &gram, &Q4_DIVISORS).expect("finite");
            let before = error(&row);
            descend::<4>(&mut row, &target, &gram.h);
            assert!(error(&row) < before, "{} instead of {before}", error(&row));
            assert!(row.integers.iter().all(|q| (-8.0..=7.0).contains(q) && q.fract() == 0.0));
            assert!(row.scales.iter().all(|s| half::f16::from_f32(*s).to_f32() == *s));
        }
    }

    #[test]
    fn inputs_that_have_nothing_in_common_leave_rounding_as_it_is() {
        let (n, mut random) = (64, Random(3));
        let table: Vec<f32> = (0..5 * n).map(|_| random.uniform()).collect();
        let mut unit = vec![0.0; n * n];
        (0..n).for_each(|i| unit[i * n + i] = 2.0);
        for inputs in [unit, Vec::new()] {
            let gram = InputGram::new(n, &inputs, &inputs);
            let (mut plain, mut made_up) = (Stored::default(), Stored::default());
            plain.push(&table, TableFormat::Q4).expect("finite");
            for target in table.chunks_exact(n) {
                push_row::<4>(&mut made_up, &made_up_for::<4>(target, &gram, &Q4_DIVISORS).expect("finite"));
            }
            assert_eq!(made_up, plain);
        }
        let none = InputGram::new(n, &[], &[]);
        assert!(quantize(&[f32::NAN; 64], &none, TableFormat::Q4).is_err());
    }
}
