//! First half of a Pattention for one token, and the LM head (`shaders/keys.wgsl`).

use super::attention_parts::AttentionParts;
use super::dispatch::{Dispatch, Grid, read, uniform, write};
use super::matvec::Sharing;
use crate::model::tables::{Table, TablePart};

/// y = W·f(x) for the part of a table that one buffer holds.
pub struct Keys<'a> {
    /// W.
    pub table: &'a Table,
    /// Part of the table; its rows are written from the number of its first one on.
    pub part: &'a TablePart,
    /// How the product is shared out.
    pub sharing: Sharing,
    /// ε of the LayerNorm.
    pub epsilon: f64,
    /// Keys of packs' tokens, of single precision: their scores are written after those of the table.
    pub packs: Option<&'a Table>,
}

/// The choice of f and x.
#[derive(Clone, Copy)]
pub enum KeysInput<'a> {
    /// LN(h), f32 [d].
    Normalized(&'a wgpu::Buffer),
    /// The attention's output, joined from its parts.
    Attention(&'a wgpu::Buffer, AttentionParts),
    /// LN(h)·w + b of the step's `row` of h, f32 [T, d], with w and b, f32 [2, d].
    Final { h: &'a wgpu::Buffer, norm: &'a wgpu::Buffer },
}

/// Bindings besides those of the table.
pub struct KeysBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input.
    pub x: KeysInput<'a>,
    /// Output, f32 [rows of the table, and of packs].
    pub y: &'a wgpu::Buffer,
}

impl<'a> Keys<'a> {
    /// A dispatch for one token.
    pub fn dispatch(&self, buffers: &KeysBuffers<'a>) -> Dispatch<'a> {
        let spec = self.sharing.shader("keys", self.table);
        let spec = spec.with("Y_START", self.part.first_row).with_f32("EPSILON", self.epsilon);
        let (spec, workgroups) = match self.packs {
            Some(packs) => {
                let (rows, own) = (packs.shape().rows, self.sharing.workgroups());
                (spec.flag("PACKS").with("PACK_ROWS", rows).with("TABLE_WORKGROUPS", own), own + rows)
            }
            None => (spec, self.sharing.workgroups()),
        };
        let (shader, x, norm) = match buffers.x {
            KeysInput::Normalized(h) => (spec.flag("LAYERNORM"), h, None),
            KeysInput::Attention(parts, layout) => (layout.constants(spec).flag("COMBINE"), parts, None),
            KeysInput::Final { h, norm } => (spec.flag("FINAL_NORM"), h, Some(norm)),
        };
        let mut bindings = self.table.bindings(self.part);
        bindings.extend([uniform(2, buffers.step), read(3, x), write(4, buffers.y)]);
        bindings.extend(norm.map(|norm| read(5, norm)));
        bindings.extend(self.packs.map(|packs| packs.elements_binding(6)));
        Dispatch { shader, grid: Grid::folded(workgroups), bindings }
    }
}
