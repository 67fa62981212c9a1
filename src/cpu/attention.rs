//! The causal attention over the KV cache, and what rotates its queries and keys.

use super::lanes::F4;
use super::tables::zeros;
use super::turns::Turns;
use crate::config::ModelConfig;
use crate::error::Result;
use half::f16;

/// Largest finite f16: what is larger would make every later token NaN.
const LARGEST: f32 = 65_504.0;

/// Keys (rotated) and values of one layer as f16, [context, d] each.
pub struct Cache {
    d: usize,
    head: usize,
    keys: Vec<u16>,
    values: Vec<u16>,
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
    pub async fn attend(&self, past: usize, queries: &mut [f32], turns: &Turns) {
        let mut weights = Vec::new();
        for (t, query) in queries.chunks_exact_mut(self.d).enumerate() {
            for (h, query) in query.chunks_exact_mut(self.head).enumerate() {
                self.head(h * self.head, past + t + 1, query, &mut weights);
            }
            turns.give_way().await;
        }
    }

    /// One head, whose dimensions begin at `first`, over the first `seen` positions.
    fn head(&self, first: usize, seen: usize, query: &mut [f32], weights: &mut Vec<f32>) {
        let part = |cache, position: usize| -> &[[u16; 4]] {
            let cache: &Vec<u16> = cache;
            cache[position * self.d + first..][..self.head].as_chunks().0
        };
        let scale = 1.0 / (self.head as f32).sqrt();
        let query = query.as_chunks_mut::<4>().0;
        weights.clear();
        weights.extend((0..seen).map(|position| {
            let products = query.iter().zip(part(&self.keys, position)).map(|(q, k)| F4::of(q) * F4::of_halves(k));
            products.fold(F4::splat(0.0), |sum, product| sum + product).sum() * scale
        }));
        let sum = exponentials(weights);
        query.fill([0.0; 4]);
        for (position, weight) in weights.iter().enumerate() {
            let weight = F4::splat(*weight / sum);
            for (out, v) in query.iter_mut().zip(part(&self.values, position)) {
                *out = (F4::of(out) + weight * F4::of_halves(v)).array();
            }
        }
    }
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
