//! The products of the attention in training, as `shaders/gemm.wgsl` computes them: for every head of every sequence at
//! once.

use super::dispatch::{Dispatch, Grid};
use super::gemm::{Causal, Gemm, GemmBuffers, GemmShape, TILE};

/// One of the products. Queries, keys and values lie side by side, f32 [T, 3, d], as do their gradients; probabilities,
/// and everything of their shape, are f32 [T, heads, length].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionProduct {
    /// Scores: q·kᵀ/√D.
    Scores,
    /// The mixed values, f32 [T, d]: p·v.
    Mix,
    /// ∂L/∂p = ∂m·vᵀ, with the gradient ∂m w.r.t. the mixed values.
    ByProbabilities,
    /// ∂L/∂v = pᵀ·∂m.
    ByValues,
    /// ∂L/∂q = ∂s·k/√D, with the gradient ∂s w.r.t. q·kᵀ/√D.
    ByQueries,
    /// ∂L/∂k = ∂sᵀ·q/√D.
    ByKeys,
}

/// The sizes that shapes and offsets follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShapes {
    /// Rows of a sequence.
    pub length: usize,
    /// Columns, d.
    pub hidden: usize,
    /// Dimensions of a head, D.
    pub head: usize,
    /// Heads that are processed at a time, and the first of them.
    pub heads: usize,
    pub first: usize,
}

impl AttentionProduct {
    /// Contents of the uniform.
    pub fn shape(self, s: AttentionShapes) -> GemmShape {
        let d = s.hidden;
        let operand = |first: usize, stride: usize, inner: usize| [first, stride, s.length * stride, inner];
        let qkv = |which: usize| operand(which * d + s.first * s.head, 3 * d, s.head);
        let mixed = operand(s.first * s.head, d, s.head);
        let pairs = operand(0, s.heads * s.length, s.length);
        let ([m, n, k], scale, a, b, c) = match self {
            Self::Scores => ([s.length, s.length, s.head], true, qkv(0), qkv(1), pairs),
            Self::Mix => ([s.length, s.head, s.length], false, pairs, qkv(2), mixed),
            Self::ByProbabilities => ([s.length, s.length, s.head], false, mixed, qkv(2), pairs),
            Self::ByValues => ([s.length, s.head, s.length], false, pairs, mixed, qkv(2)),
            Self::ByQueries => ([s.length, s.head, s.length], true, pairs, qkv(1), qkv(0)),
            Self::ByKeys => ([s.length, s.head, s.length], true, pairs, qkv(0), qkv(1)),
        };
        let scale = if scale { 1.0 / (s.head as f32).sqrt() } else { 1.0 };
        let [m, n, k, inner] = [m, n, k, s.heads].map(|x| x as u32);
        let [a, b, c] = [a, b, c].map(|operand| operand.map(|x| x as u32));
        GemmShape { m, n, k, inner, parts: 1, part_stride: 0, scale, padding: 0, a, b, c }
    }

    /// A dispatch for all sequences of a step, whose length takes the place of `past`.
    pub fn dispatch<'a>(self, s: AttentionShapes, buffers: &GemmBuffers<'a>) -> Dispatch<'a> {
        let (tile, z) = (TILE as u32, s.heads as u32);
        let of_pairs = matches!(self, Self::Scores | Self::ByProbabilities);
        let kernel = Gemm {
            a_transposed: matches!(self, Self::ByValues | Self::ByKeys),
            b_transposed: of_pairs,
            adds: false,
            causal: if of_pairs { Causal::C } else { Causal::A },
        };
        let grid = match of_pairs {
            true => Grid::PerPair { tile, z },
            false => Grid::PerSequence { x: s.head.div_ceil(TILE) as u32, tile, z },
        };
        kernel.dispatch(grid, buffers)
    }
}
