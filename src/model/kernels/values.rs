//! Second half of a Pattention for one token (`shaders/values.wgsl`).

use super::dispatch::{Dispatch, read, uniform, write, write_range};
use super::matvec::Sharing;
use super::rotary::Rotary;
use super::theta;
use crate::config::NormActivation;
use crate::model::tables::{Table, TablePart};

/// y = Pᵀ·Θ(s).
pub struct Values<'a> {
    /// Pᵀ, of several Pattentions one after the other.
    pub table: &'a Table,
    /// Its only part.
    pub part: &'a TablePart,
    /// How the product is shared out.
    pub sharing: Sharing,
    /// Rows of each Pattention, d.
    pub segment_rows: usize,
    /// Parameter tokens of each, padding not counted.
    pub slots: usize,
    /// The activation Θ.
    pub activation: NormActivation,
    /// Active packs.
    pub packs: Option<PackValues<'a>>,
}

/// Values of packs' tokens for the same rows.
#[derive(Clone, Copy)]
pub struct PackValues<'a> {
    /// Transposed, of single precision, [rows, padded tokens].
    pub table: &'a Table,
    /// Tokens of all packs for each Pattention, a multiple of 4.
    pub tokens: usize,
}

/// Destination of y.
pub enum ValuesOutput<'a> {
    /// h += y, f32 [d].
    Residual(&'a wgpu::Buffer),
    /// The query of three, rotated, f32 [d]; key and value go into the KV cache.
    Qkv {
        q: &'a wgpu::Buffer,
        /// f16 [context, d].
        keys: wgpu::BufferBinding<'a>,
        values: wgpu::BufferBinding<'a>,
        /// cos and sin, f32 [context, r/2, 2].
        angles: &'a wgpu::Buffer,
        rotary: Rotary,
    },
}

/// Bindings besides those of the table.
pub struct ValuesBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [segments, padded slots]; with packs followed by [segments, tokens].
    pub scores: &'a wgpu::Buffer,
    /// Output.
    pub y: ValuesOutput<'a>,
}

impl<'a> Values<'a> {
    /// A dispatch for one token.
    pub fn dispatch(&self, buffers: &ValuesBuffers<'a>) -> Dispatch<'a> {
        let spec = self.sharing.shader("values", self.table);
        let spec = spec.with("SEGMENT_ROWS", self.segment_rows).with("SLOTS", self.slots);
        let mut spec = spec.flag(theta::flag(self.activation));
        let mut bindings = self.table.bindings(self.part);
        if let Some(PackValues { table, tokens }) = self.packs {
            spec = spec.with("PACK_TOKENS", tokens).with("PACK_COLS", table.shape().cols).flag("PACKS");
            bindings.push(table.elements_binding(8));
        }
        bindings.extend([uniform(2, buffers.step), read(3, buffers.scores)]);
        let shader = match &buffers.y {
            ValuesOutput::Residual(h) => {
                bindings.push(write(4, h));
                spec.flag("RESIDUAL")
            }
            ValuesOutput::Qkv { q, keys, values, angles, rotary } => {
                bindings.extend([write(4, q), write_range(5, keys), write_range(6, values), read(7, angles)]);
                rotary.constants(spec).flag("QKV")
            }
        };
        Dispatch { shader, grid: self.sharing.grid(), bindings }
    }
}
