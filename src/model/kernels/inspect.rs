//! The parameter tokens that contribute most (`shaders/inspect.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, read_range, uniform, write};
use super::theta;
use crate::checkpoint::layout::padded_slots;
use crate::config::NormActivation;
use crate::gpu::shader::ShaderSpec;

/// A place that is not requested (NONE of the shader).
pub const NOT_ASKED: u32 = u32::MAX;

/// The source of the inspected tokens.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The base: tokens of each Pattention, padding not counted.
    Base { slots: usize },
    /// Packs: tokens of each Pattention in the table, and the parts that their scores are split into.
    Packs { tokens: usize, parts: usize },
}

/// The strongest tokens of some rows.
pub struct Inspect {
    /// The activation Θ.
    pub activation: NormActivation,
    /// Pattentions side by side in a row.
    pub segments: usize,
    /// The source of the tokens.
    pub source: Source,
}

/// Bindings.
pub struct InspectBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Scores, f32 [T, segments, padded slots], or for packs [parts, T, segments, tokens].
    pub scores: &'a wgpu::Buffer,
    /// ‖v_j‖₂ and the factor of a_j, f32 [segments, padded slots or tokens, 2].
    pub tokens: wgpu::BufferBinding<'a>,
    /// Uniform [`Which`].
    pub which: &'a wgpu::Buffer,
    /// [`RequestHead`], and the words that it describes.
    pub request: &'a wgpu::Buffer,
    /// Output, [`Fired`] [rows, places, sources, top].
    pub fired: &'a wgpu::Buffer,
    /// √n / ‖s‖₂ of the base's scores, f32 [T, segments]; read for packs.
    pub scales: Option<&'a wgpu::Buffer>,
}

/// `Which` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Which {
    /// The first of the Pattentions, as numbered by the request's places.
    pub place: u32,
    /// Tokens of each segment that are inspected.
    pub tokens: [u32; 3],
}

/// `Request` of the shader, except its words: for each layer and kind its index among the requested places, or
/// [`NOT_ASKED`], followed by the rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RequestHead {
    /// Tokens of each place.
    pub top: u32,
    /// Requested places.
    pub count: u32,
    /// 2 if packs are active, otherwise 1.
    pub sources: u32,
    /// Where the rows begin among the words.
    pub rows_at: u32,
}

/// `Fired` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Fired {
    /// The token's number + 1; 0: no more tokens.
    pub number: u32,
    pub score: f32,
    pub activation: f32,
    pub contribution: f32,
}

impl Inspect {
    /// A dispatch for as many rows as the step's uniform says.
    pub fn dispatch<'a>(&self, buffers: &InspectBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("inspect").with("WG", THREADS).with("SEGMENTS", self.segments);
        let shader = match self.source {
            Source::Base { slots } => shader.with("COLS", padded_slots(slots)).with("SLOTS", slots),
            Source::Packs { tokens, parts } => {
                shader.with("COLS", padded_slots(tokens)).with("TOKENS", tokens).with("PARTS", parts)
            }
        };
        let is_of_packs = matches!(self.source, Source::Packs { .. });
        let shader = shader.flag(theta::flag(self.activation)).flag_if("PACKS", is_of_packs);
        let mut bindings = vec![
            uniform(0, buffers.step),
            read(1, buffers.scores),
            read_range(2, &buffers.tokens),
            uniform(3, buffers.which),
            read(4, buffers.request),
            write(5, buffers.fired),
        ];
        bindings.extend(buffers.scales.filter(|_| is_of_packs).map(|scales| read(6, scales)));
        Dispatch { shader, grid: Grid::PerToken { x: self.segments as u32, z: 1 }, bindings }
    }
}
