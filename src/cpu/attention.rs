//! The causal attention over the KV cache, and what rotates its queries and keys.

use super::lanes::F4;
use super::tables::zeros;
use super::turns::Turns;
use crate::config::ModelConfig;
use crate::error::Result;
use half::f16;
use std::ops::Range;

/// Largest finite f16: what is larger would make every later token NaN.
const LARGEST: f32 = 65_504.0;
/// Positions whose keys or values are made f32 at a time, for all queries of a chunk: 8 KiB of a head of 64.
const BLOCK: usize = 32;

/// Keys (rotated) and values of one layer as f16, [context, d] each.
pub struct Cache {
    d: usize,
    head: usize,
    keys: Vec<u16>,
    values: Vec<u16>,
}

/// What the attention works with: buffers that are used again.
#[derive(Default)]
pub struct Scratch {
    /// One head of all queries, then of what comes of them, [T, D].
    query: Vec<[f32; 4]>,
    /// Scores, then weights, of one head, [T, positions].
    weights: Vec<f32>,
    /// Keys or values of a block of positions, [`BLOCK`, D].
    block: Vec<[f32; 4]>,
}

/// cos and sin of the rotary angles (RoFormer, in GPT-NeoX's half-split form) of some tokens, [T, r/2].
#[derive(Default)]
pub struct Angles(Vec<(f32, f32)>);

impl Cache {
    /// Room for a context.
    ///
    /// # Errors
    /// `out-of-memory`.
    pub fn new(config: &ModelConfig, context_length: usize) -> Result<Self> {
        let d = config.hidden_size;
        let len = context_length * d;
        Ok(Self { d, head: config.head_size(), keys: zeros(len)?, values: zeros(len)? })
    }

    /// Bytes of keys and values for a context, of all layers.
    pub fn bytes(config: &ModelConfig, context_length: usize) -> u64 {
        4 * (context_length * config.hidden_size * config.num_layers) as u64
    }

    /// Takes rotated keys and values, [T, d] each, for the positions from `past` on.
    pub fn append(&mut self, past: usize, keys: &[f32], values: &[f32]) {
        for (cache, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            let places = cache[past * self.d..].iter_mut();
            places.zip(new).for_each(|(to, x)| *to = f16::from_f32(x.clamp(-LARGEST, LARGEST)).to_bits());
        }
    }

    /// softmax(q·kᵀ/√D, causal)·v for queries [T, d] of the positions from `past` on, in their place.
    pub async fn attend(&self, past: usize, queries: &mut [f32], scratch: &mut Scratch, turns: &Turns) {
        let (count, d) = (queries.len() / self.d, self.d);
        let (seen, quads) = (past + count, self.head / 4);
        let Scratch { query, weights, block } = scratch;
        // Weights of a query in a row; rows end in whole fours.
        let stride = seen.next_multiple_of(4);
        weights.resize(count * stride, 0.0);
        block.resize(BLOCK * quads, [0.0; 4]);
        let scale = 1.0 / (self.head as f32).sqrt();
        for first in (0..d).step_by(self.head) {
            query.clear();
            query.extend(queries.chunks_exact(d).flat_map(|q| q[first..first + self.head].as_chunks().0));
            for position in (0..seen).step_by(BLOCK) {
                self.read(&self.keys, first, position..seen.min(position + BLOCK), block);
                for (t, (q, w)) in query.chunks_exact(quads).zip(weights.chunks_exact_mut(stride)).enumerate() {
                    let visible = (past + t + 1).saturating_sub(position).min(BLOCK).next_multiple_of(4);
                    let w = w[position..].as_chunks_mut::<4>().0.iter_mut();
                    w.zip(block.chunks_exact(4 * quads)).take(visible / 4).for_each(|(w, k)| *w = scores(q, k, scale));
                }
                turns.give_way().await;
            }
            for (t, w) in weights.chunks_exact_mut(stride).enumerate() {
                let (w, invisible) = w.split_at_mut(past + t + 1);
                let sum = exponentials(w);
                w.iter_mut().for_each(|w| *w /= sum);
                invisible.fill(0.0);
            }
            query.fill([0.0; 4]);
            for position in (0..seen).step_by(BLOCK) {
                self.read(&self.values, first, position..seen.min(position + BLOCK), block);
                for (t, (out, w)) in query.chunks_exact_mut(quads).zip(weights.chunks_exact(stride)).enumerate() {
                    let visible = (past + t + 1).saturating_sub(position).min(BLOCK);
                    mix(&w[position..][..visible], block, out);
                }
                turns.give_way().await;
            }
            for (q, out) in queries.chunks_exact_mut(d).zip(query.chunks_exact(quads)) {
                q[first..first + self.head].copy_from_slice(out.as_flattened());
            }
        }
    }

    /// The head whose dimensions begin at `first`, of some positions, in f32.
    fn read(&self, cache: &[u16], first: usize, positions: Range<usize>, block: &mut [[f32; 4]]) {
        let quads = self.head / 4;
        for (to, position) in block.chunks_exact_mut(quads).zip(positions) {
            let from = cache[position * self.d + first..][..self.head].as_chunks::<4>().0;
            to.iter_mut().zip(from).for_each(|(to, from)| *to = F4::of_halves(from).array());
        }
    }
}

/// q·k · `scale` for four positions k[4, D]; additions of one would wait for each other.
#[inline(always)]
fn scores(q: &[[f32; 4]], k: &[[f32; 4]], scale: f32) -> [f32; 4] {
    let (k0, k1) = k.split_at(2 * q.len());
    let ((k0, k1), (k2, k3)) = (k0.split_at(q.len()), k1.split_at(q.len()));
    let mut sums = [F4::splat(0.0); 4];
    for (i, q) in q.iter().enumerate() {
        let q = F4::of(q);
        sums[0] = sums[0] + q * F4::of(&k0[i]);
        sums[1] = sums[1] + q * F4::of(&k1[i]);
        sums[2] = sums[2] + q * F4::of(&k2[i]);
        sums[3] = sums[3] + q * F4::of(&k3[i]);
    }
    sums.map(|sum| sum.sum() * scale)
}

/// out[D] += Σ weights[p] · v[p, D].
#[inline(always)]
fn mix(weights: &[f32], v: &[[f32; 4]], out: &mut [[f32; 4]]) {
    let quads = out.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    fours.iter_mut().enumerate().for_each(|(i, out)| mix_some(weights, v, (4 * i, quads), out));
    let first = 4 * fours.len();
    rest.iter_mut()
        .enumerate()
        .for_each(|(i, out)| mix_some(weights, v, (first + i, quads), std::array::from_mut(out)));
}

/// The same for 4·N of the dimensions: additions of four would wait for each other.
#[inline(always)]
fn mix_some<const N: usize>(weights: &[f32], v: &[[f32; 4]], (first, quads): (usize, usize), out: &mut [[f32; 4]; N]) {
    let mut sums = out.map(|out| F4::of(&out));
    for (weight, v) in weights.iter().zip(v.chunks_exact(quads)) {
        let weight = F4::splat(*weight);
        let v = &v[first..first + N];
        for (sum, v) in sums.iter_mut().zip(v) {
            *sum = *sum + weight * F4::of(v);
        }
    }
    *out = sums.map(F4::array);
}

/// Replaces x by e^(x − max), and gives the sum of these.
pub fn exponentials(x: &mut [f32]) -> f32 {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (whole, rest) = x.as_chunks_mut::<4>();
    let mut sum = F4::splat(0.0);
    for x in whole {
        let e = (F4::of(x) - F4::splat(max)).exp();
        sum = sum + e;
        *x = e.array();
    }
    let mut total = sum.sum();
    for x in rest {
        [*x, ..] = F4::splat(*x - max).exp().array();
        total += *x;
    }
    total
}

impl Angles {
    /// Those of `count` positions from `past` on.
    pub fn set(&mut self, config: &ModelConfig, past: usize, count: usize) {
        let r = config.rotary_dims();
        let of = |position: usize, i: usize| {
            let angle = position as f64 * config.rotary_emb_base.powf(-2.0 * i as f64 / r as f64);
            (angle.cos() as f32, angle.sin() as f32)
        };
        self.0.clear();
        self.0.extend((past..past + count).flat_map(|position| (0..r / 2).map(move |i| of(position, i))));
    }

    /// Rotates the first r dimensions of every head of x[T, d].
    pub fn rotate(&self, config: &ModelConfig, x: &mut [f32]) {
        let half = config.rotary_dims() / 2;
        if half == 0 {
            return;
        }
        for (row, angles) in x.chunks_exact_mut(config.hidden_size).zip(self.0.chunks_exact(half)) {
            for head in row.chunks_exact_mut(config.head_size()) {
                for (i, (cos, sin)) in angles.iter().enumerate() {
                    let (a, b) = (head[i], head[i + half]);
                    head[i] = a * cos - b * sin;
                    head[i + half] = b * cos + a * sin;
                }
            }
        }
    }
}
