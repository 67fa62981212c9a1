//! Products with tables: y = W·x, for one token or several at a time.
//!
//! Integers are multiplied by integers: of every 32 activations the largest becomes 32,767, so that their products with
//! weights of four or eight bits are exact, sums of 32 fit into an i32, and the loss is as small as f32's own rounding
//! of long sums. Tables of f16 are multiplied in f32.

use super::lanes::{F4, H8};
use super::tables::{Row, Table};
use super::turns::Turns;
use crate::checkpoint::layout::TableFormat;
use crate::config::GROUP_SIZE;
use std::ops::Range;

/// Tokens that share an unpacked group of weights.
const TOKENS: usize = 4;
/// Products between two yields: less than a millisecond of work.
const SLICE: usize = 1 << 20;
/// Quantization groups whose scales are read at a time.
const SCALES: usize = 4;

/// Activations x[T, cols], in the form that tables of a format want.
#[derive(Default)]
pub struct Activations {
    /// Columns in groups of 32.
    groups: usize,
    tokens: usize,
    /// For tables of integers: x / scale, in the order in which a group is unpacked.
    integers: Vec<[[i16; 8]; 4]>,
    /// [T, groups, rounded up to whole blocks of `SCALES`].
    scales: Vec<[f32; SCALES]>,
    /// For tables of f16.
    floats: Vec<[[f32; 4]; 8]>,
}

impl Activations {
    /// Takes x[T, cols] for tables of a format.
    pub fn set(&mut self, x: &[f32], cols: usize, format: TableFormat) {
        (self.groups, self.tokens) = (cols / GROUP_SIZE, x.len() / cols);
        let groups = x.as_chunks::<GROUP_SIZE>().0;
        self.integers.clear();
        self.scales.clear();
        self.floats.clear();
        if format == TableFormat::F16 {
            self.floats.extend(groups.iter().map(|x| bytemuck::cast::<_, [[f32; 4]; 8]>(*x)));
            return;
        }
        for of_token in groups.chunks(self.groups) {
            for block in of_token.chunks(SCALES) {
                let mut scales = [0.0; SCALES];
                for (x, scale) in block.iter().zip(&mut scales) {
                    let (integers, s) = quantized(x, format);
                    self.integers.push(integers);
                    *scale = s;
                }
                self.scales.push(scales);
            }
        }
    }

    /// The number of their tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// `y[t·stride + row]` = row `row` of `table` times token t, for all tokens; yields in between.
    pub async fn times(&self, table: &Table, y: &mut [f32], stride: usize, turns: &Turns) {
        let rows = table.shape.rows;
        let step = (SLICE / (table.shape.cols * self.tokens).max(1)).max(1);
        for first in (0..rows).step_by(step) {
            let slice = first..rows.min(first + step);
            let products = slice.len() * table.shape.cols * self.tokens;
            self.rows(table, slice, y, stride);
            turns.give_way(products).await;
        }
    }

    fn rows(&self, table: &Table, rows: Range<usize>, y: &mut [f32], stride: usize) {
        let whole = self.tokens / TOKENS * TOKENS;
        for row in rows {
            let weights = table.row(row);
            for t in (0..whole).step_by(TOKENS) {
                let sums: [f32; TOKENS] = self.row(table.format, weights, t);
                sums.iter().enumerate().for_each(|(i, sum)| y[(t + i) * stride + row] = *sum);
            }
            for t in whole..self.tokens {
                let [sum] = self.row(table.format, weights, t);
                y[t * stride + row] = sum;
            }
        }
    }

    /// A row of weights times `T` tokens from `first` on.
    #[inline(always)]
    fn row<const T: usize>(&self, format: TableFormat, row: Row<'_>, first: usize) -> [f32; T] {
        match format {
            TableFormat::Q4 => self.packed(row, first, |g: &[u16; 8]| H8::of_nibbles(&bytemuck::cast(*g))),
            TableFormat::Q8 => self.packed(row, first, |g: &[u16; 16]| H8::of_bytes(&bytemuck::cast(*g))),
            TableFormat::F16 => self.halves(row, first),
        }
    }

    #[inline(always)]
    fn packed<const T: usize, const WORDS: usize>(
        &self,
        row: Row<'_>,
        first: usize,
        unpack: impl Fn(&[u16; WORDS]) -> [H8; 4],
    ) -> [f32; T] {
        let blocks = self.groups.div_ceil(SCALES);
        let integers: [_; T] = std::array::from_fn(|t| &self.integers[(first + t) * self.groups..][..self.groups]);
        let scales: [_; T] = std::array::from_fn(|t| &self.scales[(first + t) * blocks..][..blocks]);
        let mut sums = [F4::splat(0.0); T];
        let mut add = |block: usize, groups: &[[u16; WORDS]], of_row: F4| {
            let scales = scales.map(|s| (of_row * F4::of(&s[block])).array());
            for (i, group) in groups.iter().enumerate() {
                let weights = unpack(group);
                for t in 0..T {
                    let [a, b, c, d] = integers[t][block * SCALES + i];
                    let first = weights[0].dot(H8::of(&a)) + weights[1].dot(H8::of(&b));
                    let second = weights[2].dot(H8::of(&c)) + weights[3].dot(H8::of(&d));
                    sums[t] = sums[t] + (first + second).to_float() * F4::splat(scales[t][i]);
                }
            }
        };
        let (whole, rest) = row.elements.as_chunks::<WORDS>().0.as_chunks::<SCALES>();
        let (of_whole, of_rest) = row.scales.as_chunks::<SCALES>();
        for (block, (groups, of_row)) in whole.iter().zip(of_whole).enumerate() {
            add(block, groups, F4::of_halves(of_row));
        }
        if !rest.is_empty() {
            let mut of_row = [0; SCALES];
            of_row[..of_rest.len()].copy_from_slice(of_rest);
            add(whole.len(), rest, F4::of_halves(&of_row));
        }
        sums.map(F4::sum)
    }

    #[inline(always)]
    fn halves<const T: usize>(&self, row: Row<'_>, first: usize) -> [f32; T] {
        let floats: [_; T] = std::array::from_fn(|t| &self.floats[(first + t) * self.groups..][..self.groups]);
        let mut sums = [[F4::splat(0.0); 2]; T];
        for (i, group) in row.elements.as_chunks::<GROUP_SIZE>().0.iter().enumerate() {
            let weights: [[u16; 4]; 8] = bytemuck::cast(*group);
            let weights = weights.map(|w| F4::of_halves(&w));
            for t in 0..T {
                let x = &floats[t][i];
                for j in (0..8).step_by(2) {
                    sums[t][0] = sums[t][0] + weights[j] * F4::of(&x[j]);
                    sums[t][1] = sums[t][1] + weights[j + 1] * F4::of(&x[j + 1]);
                }
            }
        }
        sums.map(|[a, b]| (a + b).sum())
    }
}

/// 32 activations as integers of 16 bits with their scale.
fn quantized(x: &[f32; GROUP_SIZE], format: TableFormat) -> ([[i16; 8]; 4], f32) {
    let largest = x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    // If the largest is next to 0, all become 0: a quotient by something subnormal would not be finite.
    let scale = largest / 32_767.0;
    let inverse = if largest > 1e-30 { 32_767.0 / largest } else { 0.0 };
    let integer = |x: f32| (x * inverse).round_ties_even() as i16;
    let mut integers = [0i16; GROUP_SIZE];
    for (i, to) in integers.iter_mut().enumerate() {
        // Nibbles are unpacked as the even ones, then the odd ones.
        *to = integer(x[if format == TableFormat::Q4 { i % 16 * 2 + i / 16 } else { i }]);
    }
    (bytemuck::cast(integers), scale)
}

/// Row `row` of a table in f32: a token's embedding.
pub fn dequantized(table: &Table, row: usize, out: &mut [f32]) {
    let Row { elements, scales } = table.row(row);
    let scale = |i: usize| half::f16::from_bits(scales[i / GROUP_SIZE]).to_f32();
    for (i, out) in out.iter_mut().enumerate() {
        let bits = |bits: usize| (elements[i * bits / 16] >> (i * bits % 16) & ((1 << bits) - 1)) as i32;
        *out = match table.format {
            TableFormat::Q4 => (bits(4) - 8) as f32 * scale(i),
            TableFormat::Q8 => (bits(8) - 128) as f32 * scale(i),
            TableFormat::F16 => half::f16::from_bits(elements[i]).to_f32(),
        };
    }
}
