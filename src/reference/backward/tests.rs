//! Each function against central differences of its definition, which is given here in f64.

use super::*;
use crate::engine::AdamW;
use crate::packs::MergedTokens;

/// f32 in and out, sums in f64, against differences in f64 whose own error is below 1e-7.
const TOLERANCE: f64 = 2e-5;
const STEP: f64 = 1e-4;

/// Values in about (−1, 1) that look random.
fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729 + 12_345) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Gradient of Σ weights∘f(x) with respect to x, from central differences.
fn differences(x: &[f32], weights: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let count = x.len();
    let loss = |x: &[f64]| f(x).iter().zip(weights).map(|(y, w)| y * f64::from(*w)).sum::<f64>();
    let at = |i: usize| {
        let held = x[i];
        x[i] = held + STEP;
        let up = loss(&x);
        x[i] = held - STEP;
        let down = loss(&x);
        x[i] = held;
        (up - down) / (2.0 * STEP)
    };
    (0..count).map(at).collect()
}

#[track_caller]
fn assert_close(got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let size = want.iter().map(|x| x * x).sum::<f64>().sqrt();
    let error = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).powi(2)).sum::<f64>().sqrt();
    assert!(size > 1e-3, "a gradient of {size} shows nothing");
    assert!(error < TOLERANCE * size, "{error:.1e} of {size:.1e}");
}

/// The definition of LayerNorm without weight and bias.
fn layer_norm64(x: &[f64], d: usize, epsilon: f64) -> Vec<f64> {
    let norm = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / d as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
        row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect::<Vec<_>>()
    };
    x.chunks_exact(d).flat_map(norm).collect()
}

#[test]
fn gradients_of_cross_entropy() {
    let (logits, targets) = (values(3 * 11, 1), [4u32, 0, 10]);
    let loss = |x: &[f64]| {
        let of = |(row, target): (&[f64], &u32)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*target as usize];
        vec![x.chunks_exact(11).zip(&targets).map(of).sum::<f64>() / 3.0]
    };
    let (mean, gradient) = cross_entropy(&logits, &targets);
    let want = loss(&logits.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())[0];
    assert!((mean - want).abs() < 1e-6, "{mean} and {want}");
    assert_close(&gradient, &differences(&logits, &[1.0], loss));
}

#[test]
fn gradients_of_both_norms() {
    let (d, epsilon) = (9, 1e-2f32); // an ε that matters
    let (x, g, weight) = (values(3 * d, 2), values(3 * d, 3), values(d, 4));
    let plain = |x: &[f64]| layer_norm64(x, d, epsilon.into());
    assert_close(&layer_norm(&x, &g, d, epsilon), &differences(&x, &g, plain));
    let weighted = |x: &[f64]| {
        let rows = layer_norm64(x, d, epsilon.into());
        rows.iter().enumerate().map(|(i, x)| x * f64::from(weight[i % d])).collect()
    };
    assert_close(&final_norm(&x, &weight, &g, epsilon), &differences(&x, &g, weighted));
}

const SLOTS: usize = 5;
const PADDED: usize = 8;
const D_IN: usize = 4;
const D_OUT: usize = 6;

/// The definition of Pattention with packs.
fn pattention64(u: &[f64], keys: &[f32], values: &[f32], [pack_keys, pack_values]: [&[f64]; 2], c: &[f32]) -> Vec<f64> {
    let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()));
    let mut y = Vec::new();
    for u in u.chunks_exact(D_IN) {
        let dot = |k: &[f32]| u.iter().zip(k).map(|(u, k)| u * f64::from(*k)).sum::<f64>();
        let s: Vec<f64> = keys.chunks_exact(D_IN).take(SLOTS).map(dot).collect();
        let norm = s.iter().map(|s| s * s).sum::<f64>().sqrt();
        let scale = (SLOTS as f64).sqrt() / norm;
        for o in 0..D_OUT {
            let mut sum = 0.0;
            for (j, s) in s.iter().enumerate() {
                sum += gelu(s * scale) * f64::from(values[o * PADDED + j]);
            }
            for (j, k) in pack_keys.chunks_exact(D_IN).enumerate() {
                let score = u.iter().zip(k).map(|(u, k)| u * k).sum::<f64>();
                sum += f64::from(c[j]) * gelu(score * scale) * pack_values[j * D_OUT + o];
            }
            y.push(sum);
        }
    }
    y
}

#[test]
fn gradients_of_pattention_with_and_without_packs() {
    // Padding must not count, whatever its values are.
    let (keys, table) = (values(PADDED * D_IN, 5), values(D_OUT * PADDED, 6));
    let base = TableView { keys: &keys, values: &table, slots: SLOTS, d_in: D_IN };
    let (u, g) = (values(3 * D_IN, 7), values(3 * D_OUT, 8));
    for m in [0, 3] {
        let strengths = [1.0, -0.5, 2.0][..m].to_vec();
        let packs =
            MergedTokens { keys: values(m * D_IN, 9), values: values(m * D_OUT, 10), strengths, ..Default::default() };
        let got = pattention(base, &packs, &u, &g);
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let (wide_u, wide_k, wide_v) = (wide(&u), wide(&packs.keys), wide(&packs.values));
        let c = &packs.strengths;
        let of_u = |u: &[f64]| pattention64(u, &keys, &table, [&wide_k, &wide_v], c);
        assert_close(&got.input, &differences(&u, &g, of_u));
        if m == 0 {
            assert_eq!(got.tokens, TokenGradients::default());
            continue;
        }
        let of_keys = |k: &[f64]| pattention64(&wide_u, &keys, &table, [k, &wide_v], c);
        assert_close(&got.tokens.keys, &differences(&packs.keys, &g, of_keys));
        let of_values = |v: &[f64]| pattention64(&wide_u, &keys, &table, [&wide_k, v], c);
        assert_close(&got.tokens.values, &differences(&packs.values, &g, of_values));
    }
}

#[test]
fn rows_without_scores_have_no_gradient() {
    let (keys, table) = (vec![0.0; PADDED * D_IN], values(D_OUT * PADDED, 6));
    let base = TableView { keys: &keys, values: &table, slots: SLOTS, d_in: D_IN };
    let packs =
        MergedTokens { keys: values(D_IN, 9), values: values(D_OUT, 10), strengths: vec![1.0], ..Default::default() };
    let got = pattention(base, &packs, &values(2 * D_IN, 7), &values(2 * D_OUT, 8));
    let all = [got.input, got.tokens.keys, got.tokens.values].concat();
    assert!(all.iter().all(|x| *x == 0.0), "{all:?}");
}

#[test]
fn rotary_turns_back() {
    let (d, head, r, base) = (20, 10, 4, 10_000f64);
    let (x, mut g) = (values(3 * d, 11), values(3 * d, 12));
    let turned = |x: &[f64]| {
        let mut y = x.to_vec();
        for (t, row) in y.chunks_exact_mut(d).enumerate() {
            for (head, i) in (0..d / head).flat_map(|h| (0..r / 2).map(move |i| (h * head, i))) {
                let (sin, cos) = (t as f64 * base.powf(-2.0 * i as f64 / r as f64)).sin_cos();
                let (a, b) = (row[head + i], row[head + i + r / 2]);
                (row[head + i], row[head + i + r / 2]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
        y
    };
    let want = differences(&x, &g, turned);
    rotate(&mut g, d, (head, r), base);
    assert_close(&g, &want);
}

#[test]
fn gradients_of_causal_attention() {
    let (rows, d, head) = (5, 6, 3);
    let all = values(3 * rows * d, 13);
    let g = values(rows * d, 14);
    let mixed = |x: &[f64]| {
        let (q, rest) = x.split_at(rows * d);
        let (k, v) = rest.split_at(rows * d);
        let mut y = vec![0.0; rows * d];
        for (h, t) in (0..d / head).flat_map(|h| (0..rows).map(move |t| (h * head, t))) {
            let score = |p: usize| (0..head).map(|i| q[t * d + h + i] * k[p * d + h + i]).sum::<f64>();
            let weights: Vec<f64> = (0..=t).map(|p| (score(p) / (head as f64).sqrt()).exp()).collect();
            for (p, i) in (0..=t).flat_map(|p| (0..head).map(move |i| (p, i))) {
                y[t * d + h + i] += weights[p] / weights.iter().sum::<f64>() * v[p * d + h + i];
            }
        }
        y
    };
    let parts: Vec<&[f32]> = all.chunks_exact(rows * d).collect();
    let got = attention([parts[0], parts[1], parts[2]], &g, (d, head));
    assert_close(&got.concat(), &differences(&all, &g, mixed));
}

#[test]
fn adamw_steps_are_pytorchs() {
    // torch.optim.AdamW([x], lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.5), gradients (1, −2) and (0.5, 0).
    let options = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.5, clip_norm: 0.0 };
    let (mut x, mut m, mut v) = ([1.0f32, -1.0], [0.0f32; 2], [0.0f32; 2]);
    // The first step moves by rate·sign(g), whatever its size, after the decay has taken a twentieth.
    adamw(&options, 0.1, 1, &mut x, [&mut m, &mut v], &[1.0, -2.0]);
    assert!((x[0] - 0.85).abs() < 1e-6 && (x[1] + 0.85).abs() < 1e-6, "{x:?}");
    adamw(&options, 0.1, 2, &mut x, [&mut m, &mut v], &[0.5, 0.0]);
    // m = 0.14, v = 0.06, unbiased by 0.19 and 0.0975: 0.736842/0.784465; m = −0.18, v = 0.19.
    let want = [0.85 * 0.95 - 0.1 * 0.736_842 / 0.784_465, -0.85 * 0.95 + 0.1 * 0.947_368 / 1.395_965];
    assert!(x.iter().zip(want).all(|(x, want)| (f64::from(*x) - want).abs() < 1e-5), "{x:?} and {want:?}");
}

#[test]
fn gradients_are_clipped_by_the_norm_of_all() {
    let options = |clip_norm| AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.0, clip_norm };
    let all = norm([&[3.0f32][..], &[0.0, 4.0]]);
    assert_eq!(all, 5.0);
    assert_eq!(clip_scale(&options(1.0), all), 0.2);
    assert_eq!(clip_scale(&options(6.0), all), 1.0);
    assert_eq!(clip_scale(&options(0.0), all), 1.0, "off");
}
