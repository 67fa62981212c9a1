//! Cases of the kernels that train token packs: products from behind, of f32 matrices, losses, norms, Θ, rotation, softmax,
//! AdamW.

use super::case::{Cases, DependsOn, FORMATS, SIZES};
use super::lab::{DIRT, Lab, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::engine::AdamW;
use crate::error::Result;
use crate::model::kernels::gemm::TILE;
use crate::model::kernels::{
    AdamwStep, AdamwStepBuffers, AddParts, AddPartsBuffers, AttentionProduct, AttentionShapes, Batch, Causal,
    CrossEntropy, CrossEntropyBuffers, Gemm, GemmBuffers, GemmShape, Gradients, GradientsBuffers, Grid,
    LayerNormBackward, LayerNormBackwardBuffers, MatmulTransposed, MatmulTransposedBuffers, PackBuffers, PackShape,
    Rotary, Rotate, RotateBuffers, SUMS, Softmax, SoftmaxBackward, Step, SumLosses, SumLossesBuffers, ThetaBackward,
    ThetaBackwardBuffers, ThetaForward, ThetaForwardBuffers, Tokens, Update,
};
use crate::reference::backward::products::times;
use crate::reference::{backward, math};

/// Sums in another order, and exponentials of a GPU.
const TOLERANCE: f64 = 2e-4;
const EPSILON: f32 = 1e-5;
const NO_NUMBER: f32 = f32::from_bits(DIRT);

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
    for (i, vocab) in SIZES.into_iter().chain([5003]).enumerate() {
        for (variant, gradient) in [("loss", false), ("gradient", true)] {
            let size = format!("{} × {vocab}", i + 1);
            cases.add(("cross_entropy", size, None), variant, DependsOn::Nothing, move |lab| {
                cross_entropy(lab, (i + 1, vocab), gradient)
            });
        }
        cases.add(("sum_losses", vocab.to_string(), None), "", DependsOn::Nothing, move |lab| sum_losses(lab, vocab));
    }
    for cols in SIZES.into_iter().skip(1).chain([160, 1536]) {
        for (variant, is_final) in [("", false), ("final", true)] {
            cases.add(("layernorm_backward", format!("3 × {cols}"), None), variant, DependsOn::Nothing, move |lab| {
                layernorm_backward(lab, 3, cols, is_final)
            });
        }
    }
    // Of one slot, Θ is the same whatever its score is.
    for slots in [2, 31, 32, 33, 255, 4096] {
        for (variant, packs) in
            [("without packs", None), ("packs", Some([3, 130, 1])), ("a kind without", Some([3, 0, 4]))]
        {
            let size = format!("2 × 3 × {slots}");
            cases.add(("theta_forward", size.clone(), None), variant, DependsOn::Nothing, move |lab| {
                theta(lab, slots, packs, false)
            });
            cases.add(("theta_backward", size, None), variant, DependsOn::Nothing, move |lab| {
                theta(lab, slots, packs, true)
            });
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
    for tokens in [1, 5, 48] {
        for (variant, is_first) in [("begins", true), ("adds", false)] {
            cases.add(("gradients", format!("{tokens} × 96"), None), variant, DependsOn::Nothing, move |lab| {
                gradients(lab, tokens, 96, is_first)
            });
        }
        for (variant, clip_norm) in [("clipped", 0.5), ("below the norm", 1e6), ("not clipped", 0.0)] {
            cases.add(("adamw_step", format!("{tokens} × 96"), None), variant, DependsOn::Nothing, move |lab| {
                adamw_step(lab, tokens, 96, clip_norm)
            });
        }
    }
}

fn floats(values: Vec<f32>) -> Wanted {
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
    // Rounds of 16 are what a sum is split by.
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

/// The whole attention of two sequences, whose heads are products side by side, and the way back.
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

fn cross_entropy(lab: &mut Lab<'_>, (tokens, vocab): (usize, usize), gradient: bool) -> Result<()> {
    let (first_row, predictions) = (2, 7);
    let logits = lab.numbers(tokens * vocab, 6.0);
    let targets = lab.random.ids(first_row + tokens, vocab);
    let (mut losses, mut wanted) = (vec![NO_NUMBER; first_row], Vec::new());
    for (row, target) in logits.chunks_exact(vocab).zip(&targets[first_row..]) {
        let (loss, by_logits) = backward::cross_entropy(row, &[*target]);
        losses.push(loss as f32);
        wanted.extend(by_logits.iter().map(|g| g / predictions as f32));
    }
    let step = lab.step(Step { first_row: first_row as u32, ..Step::new(0, tokens) });
    let batch = lab.uniform(&Batch { share: 1.0 / predictions as f32, ..Default::default() });
    let (targets, out) = (lab.input(&targets), lab.output(losses.len()));
    let in_out = lab.in_out(&logits);
    let buffers = CrossEntropyBuffers {
        step: &step,
        batch: &batch,
        targets: &targets,
        logits: &in_out.buffer,
        losses: &out.buffer,
    };
    lab.run(&CrossEntropy { vocab, gradient }.dispatch(&buffers))?;
    lab.expect(&out, floats(losses));
    lab.expect(&in_out, floats(if gradient { wanted } else { logits }));
    Ok(())
}

fn sum_losses(lab: &mut Lab<'_>, rows: usize) -> Result<()> {
    let losses = lab.numbers(rows, 3.0);
    let sum = losses.iter().map(|x| f64::from(*x)).sum::<f64>() as f32;
    let step = lab.step(Step::new(0, rows));
    let (losses, sums) = (lab.input(&losses), lab.in_out(&[0.5f32, NO_NUMBER, NO_NUMBER]));
    for (number, is_first) in [(1, 1), (0, 0)] {
        let batch = lab.uniform(&Batch { step: number, is_first, share: 0.25, length: 1 });
        let buffers = SumLossesBuffers { step: &step, batch: &batch, losses: &losses, sums: &sums.buffer };
        lab.run(&SumLosses.dispatch(&buffers))?;
    }
    lab.expect(&sums, floats(vec![0.5 + 0.25 * sum, 0.25 * sum, NO_NUMBER]));
    Ok(())
}

fn layernorm_backward(lab: &mut Lab<'_>, tokens: usize, cols: usize, is_final: bool) -> Result<()> {
    let first_row = if is_final { 2 } else { 0 };
    // A common offset costs no digits.
    let h: Vec<f32> = lab.numbers((first_row + tokens) * cols, 3.0).iter().map(|x| x + 20.0).collect();
    let (du, norm, before) = (lab.numbers(tokens * cols, 1.0), lab.numbers(2 * cols, 1.0), lab.numbers(h.len(), 1.0));
    let rows = &h[first_row * cols..];
    let mut wanted = before.clone();
    let by_h = match is_final {
        true => backward::final_norm(rows, &norm[..cols], &du, EPSILON),
        false => backward::layer_norm(rows, &du, cols, EPSILON),
    };
    for (y, by) in wanted[first_row * cols..].iter_mut().zip(by_h) {
        *y = by + if is_final { 0.0 } else { *y };
    }
    let step = lab.step(Step { first_row: first_row as u32, ..Step::new(0, tokens) });
    let (h, du, norm, g) = (lab.input(&h), lab.input(&du), lab.input(&norm), lab.in_out(&before));
    let norm = is_final.then_some(&norm);
    let buffers = LayerNormBackwardBuffers { step: &step, h: &h, du: &du, g: &g.buffer, norm };
    lab.run(&LayerNormBackward { cols, epsilon: f64::from(EPSILON) }.dispatch(&buffers))?;
    lab.expect(&g, floats(wanted));
    Ok(())
}

/// What Θ makes of a row's scores and of those of packs' tokens with their strengths, and of gradients by these weights: weights,
/// packs' weights, gradients by the scores, and by the packs' scores. In the words of DESIGN: with e = ∂L/∂z,
/// ∂L/∂s = e·√n/‖s‖ − (Σ e·z)·s/‖s‖².
fn theta_of(s: &[f32], q: &[(f32, f32)], by_a: &[f32], by_a_p: &[f32]) -> [Vec<f32>; 4] {
    let norm = s.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let c = if norm > 0.0 { (s.len() as f64).sqrt() / norm } else { 0.0 };
    let by_z = |score: f32, by: f64| by * backward::gelu_derivative(f64::from(score) * c);
    let strong = |(q, strength): &(f32, f32), by: &f32| by_z(*q, f64::from(*strength) * f64::from(*by));
    let e: Vec<f64> = s.iter().zip(by_a).map(|(s, by)| by_z(*s, f64::from(*by))).collect();
    let e_p: Vec<f64> = q.iter().zip(by_a_p).map(|(q, by)| strong(q, by)).collect();
    let through = |e: &[f64], scores: &mut dyn Iterator<Item = f32>| -> f64 {
        e.iter().zip(scores).map(|(e, s)| e * f64::from(s) * c).sum()
    };
    let r = through(&e, &mut s.iter().copied()) + through(&e_p, &mut q.iter().map(|q| q.0));
    let by_s = |(e, s): (&f64, &f32)| if norm > 0.0 { e * c - r * f64::from(*s) / norm.powi(2) } else { 0.0 } as f32;
    [
        s.iter().map(|s| math::gelu((f64::from(*s) * c) as f32)).collect(),
        q.iter().map(|(q, strength)| strength * math::gelu((f64::from(*q) * c) as f32)).collect(),
        e.iter().zip(s).map(by_s).collect(),
        e_p.iter().map(|e| (e * c) as f32).collect(),
    ]
}

/// Two rows of three segments, of which one has no scores. Packs have so many tokens in each segment.
fn theta(lab: &mut Lab<'_>, slots: usize, packs: Option<[usize; 3]>, backward: bool) -> Result<()> {
    let (rows, segments, cols, parts) = (2, 3, padded_slots(slots), 2);
    let counts = packs.unwrap_or([0; 3]);
    let tokens: usize = counts.iter().sum();
    let mut scores = lab.numbers(rows * segments * cols, 2.0);
    scores[4 * cols..5 * cols].fill(0.0);
    let by_weights = lab.numbers(scores.len(), 1.0);
    let strengths = lab.numbers(tokens, 2.0);
    let split = lab.numbers(parts * rows * tokens, 1.0);
    let joined: Vec<f32> = (0..rows * tokens).map(|i| split[i] + split[rows * tokens + i]).collect();
    let q = if backward { lab.numbers(rows * tokens, 1.0) } else { joined.clone() };
    let mut wanted: [Vec<f32>; 4] = Default::default();
    for row in 0..rows * segments {
        let (t, segment) = (row / segments, row % segments);
        let first: usize = counts[..segment].iter().sum();
        let own = t * tokens + first..t * tokens + first + counts[segment];
        let q: Vec<_> = q[own.clone()].iter().copied().zip(strengths[first..].iter().copied()).collect();
        let at = row * cols..row * cols + slots;
        let mut made = theta_of(&scores[at.clone()], &q, &by_weights[at], &joined[own]);
        made[0].resize(cols, 0.0);
        made[2].resize(cols, 0.0);
        wanted.iter_mut().zip(made).for_each(|(all, made)| all.extend(made));
    }
    let [weights, pack_weights, by_scores, by_q] = wanted;
    let ends = [0, counts[0], counts[0] + counts[1], tokens].map(|n| n as u32);
    let shape = PackShape { starts: ends, tokens: tokens as u32, parts: parts as u32, padding: [0; 2] };
    let step = lab.step(Step::new(0, rows));
    let (shape, strengths, split) = (lab.uniform(&shape), lab.input(&strengths), lab.input(&split));
    let scores = lab.input(&scores);
    let (q_out, a_p, dq) = (lab.in_out(&q), lab.output(rows * tokens), lab.output(rows * tokens));
    let pack =
        PackBuffers { shape: &shape, strengths: &strengths, parts: &split, q: &q_out.buffer, weights: &a_p.buffer };
    let packs = packs.map(|_| pack);
    if backward {
        let gradients = lab.in_out(&by_weights);
        let packs = packs.map(|packs| (packs, &dq.buffer));
        let buffers = ThetaBackwardBuffers { step: &step, scores: &scores, gradients: &gradients.buffer, packs };
        lab.run(&ThetaBackward { segments, slots }.dispatch(&buffers))?;
        lab.expect(&gradients, floats(by_scores));
        lab.expect(&dq, floats(by_q));
    } else {
        let out = lab.output(rows * segments * cols);
        let buffers = ThetaForwardBuffers { step: &step, scores: &scores, weights: &out.buffer, packs };
        lab.run(&ThetaForward { segments, slots }.dispatch(&buffers))?;
        lab.expect(&out, floats(weights));
        lab.expect(&q_out, floats(q));
    }
    lab.expect(&a_p, floats(pack_weights));
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

/// Every third token is not trained.
fn trained(tokens: usize) -> Vec<u32> {
    (0..tokens).map(|j| u32::from(j % 3 != 1)).collect()
}

fn gradients(lab: &mut Lab<'_>, tokens: usize, cols: usize, is_first: bool) -> Result<()> {
    let (parts, n, trained, layer) = (3, 2 * tokens * cols, trained(tokens), 1);
    let (x, before) = (lab.numbers(parts * n, 1.0), lab.numbers(n, 1.0));
    let sum = |i: usize| {
        let sum = (0..parts).map(|p| x[p * n + i]).sum::<f32>() + if is_first { 0.0 } else { before[i] };
        sum * trained[i / cols % tokens] as f32
    };
    let wanted: Vec<f32> = (0..n).map(sum).collect();
    // Workgroups take turns at runs of 128.
    let mut squares = vec![NO_NUMBER; layer * SUMS];
    squares.extend((0..SUMS).map(|group| {
        let own = wanted.chunks(128).skip(group).step_by(SUMS).flatten();
        own.map(|g| f64::from(*g).powi(2)).sum::<f64>() as f32
    }));
    let batch = lab.uniform(&Batch { is_first: u32::from(is_first), ..Default::default() });
    let shape = lab.uniform(&Tokens { tokens, cols }.shape(parts));
    let (x, trained, grads) = (lab.input(&x), lab.input(&trained), lab.in_out(&before));
    let sums = lab.output(squares.len());
    let buffers = GradientsBuffers {
        batch: &batch,
        shape: &shape,
        parts: &x,
        trained: &trained,
        grads: &grads.buffer,
        squares: &sums.buffer,
    };
    lab.run(&Gradients { layer }.dispatch(&buffers))?;
    lab.expect(&grads, floats(wanted));
    lab.expect(&sums, floats(squares));
    Ok(())
}

fn adamw_step(lab: &mut Lab<'_>, tokens: usize, cols: usize, clip_norm: f32) -> Result<()> {
    let (layers, n, trained, number, rate) = (2, 2 * tokens * cols, trained(tokens), 3, 0.01);
    let options = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.1, clip_norm };
    let [grads, first, values] = [(); 3].map(|()| lab.numbers(n, 1.0));
    let second: Vec<f32> = lab.numbers(n, 1.0).iter().map(|x| x.abs()).collect();
    let squares: Vec<f32> = lab.numbers(layers * SUMS, 1.0).iter().map(|x| x.abs()).collect();
    let norm = squares.iter().map(|x| f64::from(*x)).sum::<f64>().sqrt();
    let scale = backward::clip_scale(&options, norm);
    let clipped: Vec<f32> = grads.iter().map(|g| g * scale).collect();
    let [mut wanted, mut wanted1, mut wanted2] = [&values, &first, &second].map(|x| x.to_vec());
    backward::adamw(&options, rate, number, &mut wanted, [&mut wanted1, &mut wanted2], &clipped);
    for i in (0..n).filter(|i| trained[i / cols % tokens] == 0) {
        (wanted[i], wanted1[i], wanted2[i]) = (values[i], first[i], second[i]);
    }
    let kernel = AdamwStep { layers, tokens: Tokens { tokens, cols } };
    let update = lab.uniform(&Update::new(&options, rate, number));
    let shape = lab.uniform(&kernel.tokens.shape(1));
    let (squares, trained, grads) = (lab.input(&squares), lab.input(&trained), lab.input(&grads));
    let (moments, values) = (lab.in_out(&[first, second].concat()), lab.in_out(&values));
    let buffers = AdamwStepBuffers {
        update: &update,
        shape: &shape,
        squares: &squares,
        trained: &trained,
        grads: &grads,
        moments: &moments.buffer,
        values: &values.buffer,
    };
    lab.run(&kernel.dispatch(&buffers))?;
    lab.expect(&values, floats(wanted));
    lab.expect(&moments, floats([wanted1, wanted2].concat()));
    Ok(())
}
