//! Cases of the kernels that train token packs and are not products: losses, norms, Θ, AdamW.

use super::case::{Cases, DependsOn, SIZES};
use super::lab::Lab;
use super::training::{NO_NUMBER, floats};
use crate::checkpoint::layout::padded_slots;
use crate::engine::AdamW;
use crate::error::Result;
use crate::model::kernels::{
    AdamwStep, AdamwStepBuffers, Batch, CrossEntropy, CrossEntropyBuffers, Gradients, GradientsBuffers,
    LayerNormBackward, LayerNormBackwardBuffers, PackBuffers, PackShape, SUMS, Step, SumLosses, SumLossesBuffers,
    ThetaBackward, ThetaBackwardBuffers, ThetaForward, ThetaForwardBuffers, Tokens, Update,
};
use crate::reference::{backward, math};

const EPSILON: f32 = 1e-5;

pub fn add(cases: &mut Cases) {
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
    // With a single slot, Θ is the same whatever its score is.
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
    // A common offset must not cost precision.
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

/// Θ of a row's scores and of those of packs' tokens with their strengths, and its backward pass from gradients w.r.t.
/// these weights. Returns weights, packs' weights, gradients w.r.t. the scores, and w.r.t. the packs' scores. As in
/// DESIGN: with e = ∂L/∂z, ∂L/∂s = e·√n/‖s‖ − (Σ e·z)·s/‖s‖².
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

/// Two rows of three segments, one of which has no scores. `packs`: their tokens in each segment.
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
