//! The causal attention over the KV cache, and what rotates its queries and keys.

use super::lanes::F4;
use super::tables::zeros;
use super::turns::Turns;
use crate::config::ModelConfig;
use crate::error::Result;
use half::f16;
use std::ops::Range;

/// Largest finite f16: a larger value would make every later token NaN.
const LARGEST: f32 = 65_504.0;
/// Positions whose keys or values are converted to f32 at a time, for all queries of a chunk: 8 KiB of a head of 64.
const BLOCK: usize = 32;
/// The cost of one of its products, in products of integers.
const COST: usize = 4;

/// Keys (rotated) and values of one layer as f16, [heads, context, D] each: what a head reads is contiguous, which
/// suits the processor's prefetching.
pub struct Cache {
    d: usize,
    head: usize,
    context: usize,
    keys: Vec<u16>,
    values: Vec<u16>,
}

/// The attention's work buffers, which are used again.
#[derive(Default)]
pub struct Scratch {
    /// One head of all queries, then of their results, [T, D].
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
        Ok(Self { d, head: config.head_size(), context: context_length, keys: zeros(len)?, values: zeros(len)? })
    }

    /// The same with room for `context` tokens: what it holds stays.
    ///
    /// # Errors
    /// `out-of-memory`.
    pub fn grown(&self, context: usize) -> Result<Self> {
        let Self { d, head, .. } = *self;
        let mut grown = Self { d, head, context, keys: zeros(context * d)?, values: zeros(context * d)? };
        grown.copy(self, 0..self.context);
        Ok(grown)
    }

    /// Copies some positions of another one, as its first ones.
    pub fn copy(&mut self, from: &Self, positions: Range<usize>) {
        let len = positions.len() * self.head;
        for first in (0..self.d).step_by(self.head) {
            let (to, at) = (first * self.context, first * from.context + positions.start * self.head);
            self.keys[to..to + len].copy_from_slice(&from.keys[at..at + len]);
            self.values[to..to + len].copy_from_slice(&from.values[at..at + len]);
        }
    }

    /// Bytes of keys and values for a context, of all layers.
    pub fn bytes(config: &ModelConfig, context_length: usize) -> u64 {
        4 * (context_length * config.hidden_size * config.num_layers) as u64
    }

    /// Takes rotated keys and values, [T, d] each, for the positions from `past` on.
    pub fn append(&mut self, past: usize, keys: &[f32], values: &[f32]) {
        for (cache, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            for (t, row) in new.chunks_exact(self.d).enumerate() {
                for (first, part) in (0..self.d).step_by(self.head).zip(row.chunks_exact(self.head)) {
                    let places = cache[first * self.context + (past + t) * self.head..].iter_mut();
                    places.zip(part).for_each(|(to, x)| *to = f16::from_f32(x.clamp(-LARGEST, LARGEST)).to_bits());
                }
            }
        }
    }

    /// softmax(q·kᵀ/√D, causal)·v for queries [T, d] of the positions from `past` on, which it replaces.
    pub async fn attend(&self, past: usize, queries: &mut [f32], scratch: &mut Scratch, turns: &Turns) {
        let (count, d) = (queries.len() / self.d, self.d);
        let (seen, quads) = (past + count, self.head / 4);
        if count == 1 {
            return attend_one(&[(self, seen)], queries, scratch, turns).await;
        }
        let Scratch { query, weights, block } = scratch;
        weights.resize(count * seen, 0.0);
        let scale = 1.0 / (self.head as f32).sqrt();
        for first in (0..d).step_by(self.head) {
            query.clear();
            query.extend(queries.chunks_exact(d).flat_map(|q| q[first..first + self.head].as_chunks().0));
            for position in (0..seen).step_by(BLOCK) {
                let keys = self.of_head(&self.keys, first, position..seen.min(position + BLOCK));
                let keys = keys.to_f32(quads, block);
                for (t, (q, w)) in query.chunks_exact(quads).zip(weights.chunks_exact_mut(seen)).enumerate() {
                    score(q, keys.first((past + t + 1).saturating_sub(position)), scale, &mut w[position..]);
                }
                turns.give_way(count * BLOCK * self.head * COST).await;
            }
            for (t, w) in weights.chunks_exact_mut(seen).enumerate() {
                let sum = exponentials(&mut w[..past + t + 1]);
                w.iter_mut().for_each(|w| *w /= sum);
            }
            query.fill([0.0; 4]);
            for position in (0..seen).step_by(BLOCK) {
                let values = self.of_head(&self.values, first, position..seen.min(position + BLOCK));
                let values = values.to_f32(quads, block);
                for (t, (out, w)) in query.chunks_exact_mut(quads).zip(weights.chunks_exact(seen)).enumerate() {
                    mix(&w[position..], values.first((past + t + 1).saturating_sub(position)), out);
                }
                turns.give_way(count * BLOCK * self.head * COST).await;
            }
            for (q, out) in queries.chunks_exact_mut(d).zip(query.chunks_exact(quads)) {
                q[first..first + self.head].copy_from_slice(out.as_flattened());
            }
        }
    }

    /// The head whose dimensions begin at `first`, of some positions.
    fn of_head<'a>(&self, cache: &'a [u16], first: usize, positions: Range<usize>) -> Rows<'a, [u16; 4]> {
        let from = first * self.context + positions.start * self.head;
        Rows { quads: cache[from..].as_chunks().0, len: positions.len() }
    }
}

/// softmax(q·kᵀ/√D)·v for one query [d], which it replaces, over the first positions of each of `spans`: a cache and
/// the number of its positions.
pub async fn attend_one(spans: &[(&Cache, usize)], query: &mut [f32], scratch: &mut Scratch, turns: &Turns) {
    let Some((Cache { d, head, .. }, _)) = spans.first() else { return };
    let Scratch { query: own, weights, .. } = scratch;
    weights.resize(spans.iter().map(|(_, len)| len).sum(), 0.0);
    let scale = 1.0 / (*head as f32).sqrt();
    // Each block of positions: which cache it is from, which positions, and where its weights are.
    let starts = spans.iter().scan(0, |end, (_, len)| Some(std::mem::replace(end, *end + len)));
    let blocks = spans.iter().zip(starts).flat_map(|((cache, len), start)| {
        let block = move |from: usize| (*cache, from..(from + BLOCK).min(*len), start + from);
        (0..*len).step_by(BLOCK).map(block)
    });
    for first in (0..*d).step_by(*head) {
        own.clear();
        own.extend_from_slice(query[first..first + head].as_chunks().0);
        for (cache, positions, at) in blocks.clone() {
            score(own, cache.of_head(&cache.keys, first, positions), scale, &mut weights[at..]);
            turns.give_way(BLOCK * head * COST).await;
        }
        let sum = exponentials(weights);
        weights.iter_mut().for_each(|w| *w /= sum);
        own.fill([0.0; 4]);
        for (cache, positions, at) in blocks.clone() {
            mix(&weights[at..], cache.of_head(&cache.values, first, positions), own);
            turns.give_way(BLOCK * head * COST).await;
        }
        query[first..first + head].copy_from_slice(own.as_flattened());
    }
}

/// Four values in memory.
trait Quad: Copy {
    fn load(&self) -> F4;
}

impl Quad for [f32; 4] {
    #[inline(always)]
    fn load(&self) -> F4 {
        F4::of(self)
    }
}

impl Quad for [u16; 4] {
    #[inline(always)]
    fn load(&self) -> F4 {
        F4::of_halves(self)
    }
}

/// Keys or values of one head, a row for each position.
#[derive(Clone, Copy)]
struct Rows<'a, Q> {
    quads: &'a [Q],
    len: usize,
}

impl<Q: Quad> Rows<'_, Q> {
    #[inline(always)]
    fn row(&self, row: usize, quads: usize) -> &[Q] {
        &self.quads[row * quads..][..quads]
    }

    /// At most `len` of them.
    fn first(self, len: usize) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// The same in f32, for several queries.
    fn to_f32<'a>(self, quads: usize, room: &'a mut Vec<[f32; 4]>) -> Rows<'a, [f32; 4]> {
        room.clear();
        room.extend(self.quads[..self.len * quads].iter().map(|quad| quad.load().array()));
        Rows { quads: room, len: self.len }
    }
}

/// q·k · `scale` for each row of k.
#[inline(always)]
fn score<Q: Quad>(q: &[[f32; 4]], k: Rows<'_, Q>, scale: f32, out: &mut [f32]) {
    let whole = k.len / 4 * 4;
    for (i, out) in out[..whole].as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *out = score_some(q, k, 4 * i, scale);
    }
    for (i, out) in out[whole..k.len].iter_mut().enumerate() {
        [*out] = score_some(q, k, whole + i, scale);
    }
}

/// The same for N rows: additions for a single one would wait for each other.
#[inline(always)]
fn score_some<Q: Quad, const N: usize>(q: &[[f32; 4]], k: Rows<'_, Q>, first: usize, scale: f32) -> [f32; N] {
    let rows: [_; N] = std::array::from_fn(|i| k.row(first + i, q.len()));
    let mut sums = [F4::splat(0.0); N];
    for (i, q) in q.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum = *sum + F4::of(q) * row[i].load();
        }
    }
    sums.map(|sum| sum.sum() * scale)
}

/// out[D] += Σ weights[p] · v[p] over the rows of v.
#[inline(always)]
fn mix<Q: Quad>(weights: &[f32], v: Rows<'_, Q>, out: &mut [[f32; 4]]) {
    let quads = out.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let first = 4 * fours.len();
    fours.iter_mut().enumerate().for_each(|(i, out)| mix_some(weights, v, (4 * i, quads), out));
    rest.iter_mut()
        .enumerate()
        .for_each(|(i, out)| mix_some(weights, v, (first + i, quads), std::array::from_mut(out)));
}

/// The same for 4·N of the dimensions: additions for only four would wait for each other.
#[inline(always)]
fn mix_some<Q: Quad, const N: usize>(
    weights: &[f32],
    v: Rows<'_, Q>,
    (first, quads): (usize, usize),
    out: &mut [[f32; 4]; N],
) {
    let mut sums = out.map(|out| F4::of(&out));
    for (weight, row) in weights.iter().zip(v.quads[..v.len * quads].chunks_exact(quads)) {
        let weight = F4::splat(*weight);
        for (sum, v) in sums.iter_mut().zip(&row[first..first + N]) {
            *sum = *sum + weight * v.load();
        }
    }
    *out = sums.map(F4::array);
}

/// Replaces x by e^(x − max), and returns the sum of these.
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
    /// Sets the angles of some positions.
    pub fn set(&mut self, config: &ModelConfig, positions: impl Iterator<Item = usize>) {
        let r = config.rotary_dims();
        let of = |position: usize, i: usize| {
            let angle = position as f64 * config.rotary_emb_base.powf(-2.0 * i as f64 / r as f64);
            (angle.cos() as f32, angle.sin() as f32)
        };
        self.0.clear();
        self.0.extend(positions.flat_map(|position| (0..r / 2).map(move |i| of(position, i))));
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
