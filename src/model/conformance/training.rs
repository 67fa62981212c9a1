//! Cases of the kernels for training token packs that are products, or belong to the attention: backward products with
//! tables, products of f32 matrices, sums of parts, rotation, softmax.

use super::case::{Cases, DependsOn, FORMATS, SIZES};
use super::lab::{DIRT, Lab, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape};
use crate::error::Result;
use crate::model::kernels::gemm::TILE;
use crate::model::kernels::{
    AddParts, AddPartsBuffers, AttentionProduct, AttentionShapes, Batch, Causal, Gemm, GemmBuffers, GemmShape, Grid,
    MatmulTransposed, MatmulTransposedBuffers, Rotary, Rotate, RotateBuffers, Softmax, SoftmaxBackward, Step,
};
use crate::reference::backward::products::times;
use crate::reference::{backward, math};

/// Sums in a different order, and exponentials of a GPU.
const TOLERANCE: f64 = 2e-4;
pub(super) const NO_NUMBER: f32 = f32::from_bits(DIRT);

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            if cases.keeps(i + j) {
                let (rows, cols) = (SIZES[(i + j + 1) % 5], [160, 32, 96][j]);
                for (variant, shape) in [
                    ("two tables' parts", (2 * rows + 62, 1, 1)),
                    ("three segments", (3 * rows.next_multiple_of(2), 3, 1)),
                    ("split sum", (rows, 1, 3)),
                ] {
                    let size = format!("{tokens} × {rows} × {cols}");
                    cases.add(("matmul_transposed", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                        matmul_transposed(lab, format, (tokens, cols), shape)
                    });
                }
            }
        }
    }
    let q4 = Some(TableFormat::Q4);
    cases.add(("matmul_transposed", "65 × 1024 × 1024".into(), q4), "split sum", DependsOn::Nothing, |lab| {
        matmul_transposed(lab, TableFormat::Q4, (65, 1024), (1024, 1, 4))
    });
    for (i, m) in SIZES.into_iter().enumerate() {
        for (j, (a_transposed, b_transposed)) in [(false, true), (false, false), (true, false)].into_iter().enumerate()
        {
            let (n, k) = (SIZES[(i + j + 1) % 5], SIZES[(i + 2 * j + 2) % 5]);
            for adds in [false, true] {
                let kernel = Gemm { a_transposed, b_transposed, adds, causal: Causal::No };
                let variant = format!("{} {}", ["NT", "NN", "TN"][j], if adds { "adds" } else { "in parts" });
                cases.add(("gemm", format!("{m} × {n} × {k}"), None), &variant, DependsOn::Nothing, move |lab| {
                    gemm(lab, kernel, [m, n, k])
                });
            }
        }
    }
    for length in SIZES {
        let size = format!("2 × {length} × 96, heads of 32");
        cases.add(("softmax", size.clone(), None), "attention", DependsOn::Nothing, move |lab| {
            attention(lab, length, false)
        });
        cases.add(("softmax_backward", size, None), "attention backward", DependsOn::Nothing, move |lab| {
            attention(lab, length, true)
        });
        for (variant, backward) in [("", false), ("backward", true)] {
            let size = format!("2 × {length} × 160, heads of 80");
            cases.add(("rotate", size, None), variant, DependsOn::Nothing, move |lab| rotate(lab, length, backward));
        }
    }
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (variant, base, further) in [("", false, false), ("base", true, false), ("further", false, true)] {
            let cols = [4, 132, 1024][i % 3];
            cases.add(("add_parts", format!("{tokens} × {cols}"), None), variant, DependsOn::Nothing, move |lab| {
                add_parts(lab, (tokens, cols), base, further)
            });
        }
    }
}

pub(super) fn floats(values: Vec<f32>) -> Wanted {
    Wanted::Floats { values, tolerance: TOLERANCE }
}

fn matmul_transposed(
    lab: &mut Lab<'_>,
    format: TableFormat,
    (tokens, cols): (usize, usize),
    (rows, segments, parts): (usize, usize, usize),
) -> Result<()> {
    let rows_per_part = if segments * parts == 1 { (rows / 2).next_multiple_of(2) } else { rows.next_multiple_of(2) };
    let weights = lab.table(format, TableShape { rows, cols }, rows_per_part);
    let dy = lab.numbers(tokens * rows, 1.0);
    let each = rows / segments;
    let of_segment = |s: usize| {
        let dy: Vec<f32> = dy.chunks_exact(rows).flat_map(|dy| dy[s * each..][..each].to_vec()).collect();
        times(&dy, &weights.values[s * each * cols..][..each * cols], each, cols)
    };
    let by_segment: Vec<_> = (0..segments).map(of_segment).collect();
    let wanted =
        (0..tokens).flat_map(|t| by_segment.iter().flat_map(move |dx| dx[t * cols..][..cols].to_vec())).collect();
    let (step, dy) = (lab.step(Step::new(3, tokens)), lab.input(&dy));
    let n = segments * cols;
    let (products, dx) = (lab.output(parts * tokens * n), lab.output(tokens * n));
    for (i, part) in weights.table.parts.iter().enumerate() {
        let kernel = MatmulTransposed { table: &weights.table, part, segments, parts, dy_stride: rows };
        let shape = lab.uniform(&kernel.shape());
        let buffers = MatmulTransposedBuffers { step: &step, dy: &dy, dx: &products.buffer, shape: &shape };
        lab.run(&kernel.dispatch(&buffers))?;
        let sum = AddParts { cols: n, parts, further: i > 0 };
        let shape = lab.uniform(&sum.shape());
        let buffers =
            AddPartsBuffers { step: &step, shape: &shape, parts: &products.buffer, y: &dx.buffer, base: None };
        lab.run(&sum.dispatch(&buffers))?;
    }
    lab.expect(&dx, floats(wanted));
    Ok(())
}

/// Two sequences of two products each, with gaps between their rows.
fn gemm(lab: &mut Lab<'_>, kernel: Gemm, [m, n, k]: [usize; 3]) -> Result<()> {
    let (outer, inner, gap, parts, scale) = (2, 2, 3, if kernel.adds { 1 } else { 2 }, 0.5);
    // [sequence, row, product, column], with a gap at the end of each row.
    let stride = |cols: usize| inner * cols + gap;
    let [a_rows, a_cols] = if kernel.a_transposed { [k, m] } else { [m, k] };
    let [b_rows, b_cols] = if kernel.b_transposed { [n, k] } else { [k, n] };
    let (a, b) = (lab.numbers(outer * a_rows * stride(a_cols), 1.0), lab.numbers(outer * b_rows * stride(b_cols), 1.0));
    let c_len = outer * m * stride(n);
    let before = if kernel.adds { lab.numbers(c_len, 1.0) } else { vec![NO_NUMBER; parts * c_len] };
    let mut wanted = before.clone();
    // A sum is split at rounds of 16.
    let rounds = k.div_ceil(16);
    for (o, i, part) in (0..outer * inner * parts).map(|z| (z / inner % outer, z % inner, z / inner / outer)) {
        let ks = part * rounds / parts * 16..((part + 1) * rounds / parts * 16).min(k);
        let a = &a[o * a_rows * stride(a_cols) + i * a_cols..];
        let b = &b[o * b_rows * stride(b_cols) + i * b_cols..];
        let a_at = |r: usize, k: usize| if kernel.a_transposed { k * stride(m) + r } else { r * stride(a_cols) + k };
        let b_at = |k: usize, c: usize| if kernel.b_transposed { c * stride(b_cols) + k } else { k * stride(n) + c };
        for (r, col) in (0..m).flat_map(|r| (0..n).map(move |col| (r, col))) {
            let sum: f64 = ks.clone().map(|k| f64::from(a[a_at(r, k)]) * f64::from(b[b_at(k, col)])).sum();
            let y = &mut wanted[part * c_len + (o * m + r) * stride(n) + i * n + col];
            *y = scale * sum as f32 + if kernel.adds { *y } else { 0.0 };
        }
    }
    let operand = |rows: usize, cols: usize| [0, stride(cols), rows * stride(cols), cols].map(|x| x as u32);
    let [m, n, k, inner, parts] = [m, n, k, inner, parts].map(|x| x as u32);
    let (a_shape, b_shape) = (operand(a_rows, a_cols), operand(b_rows, b_cols));
    let c_shape = operand(m as usize, n as usize);
    let part_stride = c_len as u32;
    let shape = GemmShape { m, n, k, inner, parts, part_stride, scale, padding: 0, a: a_shape, b: b_shape, c: c_shape };
    let (shape, a, b, c) = (lab.uniform(&shape), lab.input(&a), lab.input(&b), lab.in_out(&before));
    let tile = TILE as u32;
    let grid = Grid::Fixed([n.div_ceil(tile), m.div_ceil(tile), outer as u32 * inner * parts]);
    lab.run(&kernel.dispatch(grid, &GemmBuffers { shape: &shape, a: &a, b: &b, c: &c.buffer }))?;
    lab.expect(&c, floats(wanted));
    Ok(())
}

/// The whole attention of two sequences, whose heads are products side by side, forward and backward.
fn attention(lab: &mut Lab<'_>, length: usize, backward: bool) -> Result<()> {
    let (sequences, d, head) = (2, 96, 32);
    let (rows, heads) = (sequences * length, d / head);
    let qkv = lab.numbers(rows * 3 * d, 2.0);
    let by_out = lab.numbers(rows * d, 1.0);
    let of = |x: &[f32], which: usize, s: usize| -> Vec<f32> {
        (s * length..(s + 1) * length).flat_map(|t| x[(t * 3 + which) * d..][..d].to_vec()).collect()
    };
    let (mut mixed, mut by_qkv) = (Vec::new(), vec![0.0; rows * 3 * d]);
    for s in 0..sequences {
        let [q, k, v] = [0, 1, 2].map(|which| of(&qkv, which, s));
        mixed.extend(math::attention(&q, &k, &v, (d, head), 0));
        let by = backward::attention([&q, &k, &v], &by_out[s * length * d..][..length * d], (d, head));
        for (which, by) in by.iter().enumerate() {
            for (t, row) in by.chunks_exact(d).enumerate() {
                by_qkv[((s * length + t) * 3 + which) * d..][..d].copy_from_slice(row);
            }
        }
    }
    let n = rows * heads * length;
    lab.step(Step::new(length, rows));
    let batch = lab.uniform(&Batch { length: length as u32, ..Default::default() });
    let (qkv, by_out) = (lab.input(&qkv), lab.input(&by_out));
    let (out, by_qkv_out) = (lab.output(rows * d), lab.output(rows * 3 * d));
    let (p, dp) = (lab.output(n), lab.output(n));
    let shapes = AttentionShapes { length, hidden: d, head, heads, first: 0 };
    let run = |lab: &mut Lab<'_>, product: AttentionProduct, a, b, c| {
        let shape = lab.uniform(&product.shape(shapes));
        lab.run(&product.dispatch(shapes, &GemmBuffers { shape: &shape, a, b, c }))
    };
    run(lab, AttentionProduct::Scores, &qkv, &qkv, &p.buffer)?;
    lab.run(&Softmax { heads }.dispatch(&batch, &p.buffer))?;
    if !backward {
        run(lab, AttentionProduct::Mix, &p.buffer, &qkv, &out.buffer)?;
        lab.expect(&out, floats(mixed));
        return Ok(());
    }
    run(lab, AttentionProduct::ByProbabilities, &by_out, &qkv, &dp.buffer)?;
    run(lab, AttentionProduct::ByValues, &p.buffer, &by_out, &by_qkv_out.buffer)?;
    lab.run(&SoftmaxBackward { heads }.dispatch(&batch, [&p.buffer, &dp.buffer]))?;
    run(lab, AttentionProduct::ByQueries, &dp.buffer, &qkv, &by_qkv_out.buffer)?;
    run(lab, AttentionProduct::ByKeys, &dp.buffer, &qkv, &by_qkv_out.buffer)?;
    lab.expect(&by_qkv_out, floats(by_qkv));
    Ok(())
}

fn rotate(lab: &mut Lab<'_>, length: usize, backward: bool) -> Result<()> {
    let (sequences, d, rotary, base) = (2, 160, Rotary { head: 80, dims: 20 }, 10_000.0);
    let rows = sequences * length;
    let qkv = lab.numbers(rows * 3 * d, 1.0);
    let mut wanted = qkv.clone();
    for (s, which) in (0..sequences).flat_map(|s| [(s, 0), (s, 1)]) {
        let rows = s * length..(s + 1) * length;
        let mut x: Vec<f32> = rows.clone().flat_map(|t| qkv[(t * 3 + which) * d..][..d].to_vec()).collect();
        match backward {
            true => backward::rotate(&mut x, d, (rotary.head, rotary.dims), base),
            false => math::rotate(&mut x, d, (rotary.head, rotary.dims), base, 0),
        }
        for (t, row) in rows.zip(x.chunks_exact(d)) {
            wanted[(t * 3 + which) * d..][..d].copy_from_slice(row);
        }
    }
    let step = lab.step(Step::new(length, rows));
    let batch = lab.uniform(&Batch { length: length as u32, ..Default::default() });
    let (angles, qkv) = (lab.input(&rotary.angles(base, length)), lab.in_out(&qkv));
    let buffers = RotateBuffers { step: &step, batch: &batch, qkv: &qkv.buffer, angles: &angles };
    lab.run(&Rotate { hidden: d, rotary, backward }.dispatch(&buffers))?;
    lab.expect(&qkv, floats(wanted));
    Ok(())
}

fn add_parts(lab: &mut Lab<'_>, (tokens, cols): (usize, usize), with_base: bool, further: bool) -> Result<()> {
    let (parts, n) = (3, tokens * cols);
    let (x, base, before) = (lab.numbers(parts * n, 1.0), lab.numbers(n, 1.0), lab.numbers(n, 1.0));
    let sum = |i: usize| {
        let besides = if with_base { base[i] } else { 0.0 } + if further { before[i] } else { 0.0 };
        (0..parts).map(|p| x[p * n + i]).sum::<f32>() + besides
    };
    let wanted = (0..n).map(sum).collect();
    let kernel = AddParts { cols, parts, further };
    let (step, shape) = (lab.step(Step::new(0, tokens)), lab.uniform(&kernel.shape()));
    let (x, base, y) = (lab.input(&x), lab.input(&base), if further { lab.in_out(&before) } else { lab.output(n) });
    let base = with_base.then_some(&base);
    lab.run(&kernel.dispatch(&AddPartsBuffers { step: &step, shape: &shape, parts: &x, y: &y.buffer, base }))?;
    lab.expect(&y, floats(wanted));
    Ok(())
}
