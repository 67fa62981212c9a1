//! One dispatch of a kernel: source, grid and bindings.

use crate::gpu::shader::ShaderSpec;
use crate::gpu::{Access, Binding};

/// Threads of a workgroup, unless a kernel has a better number.
pub const THREADS: usize = 128;
/// Most workgroups in one dimension.
const MOST_WORKGROUPS: u32 = 65_535;

/// How many workgroups a dispatch has, given the tokens T and the cached positions of a step.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// The same for every step.
    Fixed([u32; 3]),
    /// (x, T, z).
    PerToken { x: u32, z: u32 },
    /// (x, ⌈T / tile⌉, z).
    PerTile { x: u32, tile: u32, z: u32 },
    /// (heads, ⌈(past + T) / part⌉), for parts of the context.
    PerPart { heads: u32, part: u32 },
    /// (heads, ⌈(past + 1) / part⌉, T), for parts of the contexts of T texts, the longest of which has `past` tokens.
    PerPartOfEach { heads: u32, part: u32 },
    /// (x, ⌈L / tile⌉, T / L · z), for sequences of L tokens, where L takes the place of `past`.
    PerSequence { x: u32, tile: u32, z: u32 },
    /// (⌈L / tile⌉, ⌈L / tile⌉, T / L · z), for pairs of the tokens of such sequences.
    PerPair { tile: u32, z: u32 },
}

impl Grid {
    /// Workgroups of a step of `count` tokens after `past`.
    pub fn of(self, past: usize, count: usize) -> [u32; 3] {
        let t = count as u32;
        match self {
            Self::Fixed(grid) => grid,
            Self::PerToken { x, z } => [x, t, z],
            Self::PerTile { x, tile, z } => [x, t.div_ceil(tile), z],
            Self::PerPart { heads, part } => [heads, ((past + count) as u32).div_ceil(part), 1],
            Self::PerPartOfEach { heads, part } => [heads, (past as u32 + 1).div_ceil(part), t],
            Self::PerSequence { x, tile, z } => [x, (past as u32).div_ceil(tile), t / past as u32 * z],
            Self::PerPair { tile, z } => {
                let tiles = (past as u32).div_ceil(tile);
                [tiles, tiles, t / past as u32 * z]
            }
        }
    }

    /// `n` workgroups, in two dimensions if one is too short.
    pub fn folded(n: usize) -> Self {
        let n = n as u32;
        let x = n.min(MOST_WORKGROUPS);
        Self::Fixed([x, n.div_ceil(x), 1])
    }
}

/// One dispatch: what to compile, its bindings, and how many workgroups run.
#[derive(Clone, Debug)]
pub struct Dispatch<'a> {
    /// Kernel, flags and constants.
    pub shader: ShaderSpec,
    /// Workgroups.
    pub grid: Grid,
    /// Buffers by number.
    pub bindings: Vec<Binding<'a>>,
}

/// A whole buffer as `var<uniform>`.
pub fn uniform(index: u32, buffer: &wgpu::Buffer) -> Binding<'_> {
    Binding::new(index, Access::Uniform, buffer)
}

/// A whole buffer as `var<storage, read>`.
pub fn read(index: u32, buffer: &wgpu::Buffer) -> Binding<'_> {
    Binding::new(index, Access::Read, buffer)
}

/// A whole buffer as `var<storage, read_write>`.
pub fn write(index: u32, buffer: &wgpu::Buffer) -> Binding<'_> {
    Binding::new(index, Access::Write, buffer)
}

/// A part of a buffer as `var<storage, read>`.
pub fn read_range<'a>(index: u32, range: &wgpu::BufferBinding<'a>) -> Binding<'a> {
    Binding { index, access: Access::Read, range: range.clone() }
}

/// A part of a buffer as `var<storage, read_write>`.
pub fn write_range<'a>(index: u32, range: &wgpu::BufferBinding<'a>) -> Binding<'a> {
    Binding { index, access: Access::Write, range: range.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_follow_the_step() {
        assert_eq!(Grid::Fixed([2, 3, 4]).of(7, 9), [2, 3, 4]);
        assert_eq!(Grid::PerToken { x: 5, z: 3 }.of(7, 9), [5, 9, 3]);
        assert_eq!(Grid::PerTile { x: 5, tile: 4, z: 3 }.of(7, 9), [5, 3, 3]);
        assert_eq!(Grid::PerPart { heads: 5, part: 8 }.of(7, 9), [5, 2, 1]);
        assert_eq!(Grid::PerPartOfEach { heads: 5, part: 8 }.of(8, 3), [5, 2, 3]);
        assert_eq!(Grid::PerSequence { x: 5, tile: 4, z: 3 }.of(7, 14), [5, 2, 6]);
        assert_eq!(Grid::PerPair { tile: 4, z: 3 }.of(7, 14), [2, 2, 6]);
        // More workgroups than one dimension holds are spread over two, with some to spare.
        assert_eq!(Grid::folded(65_535).of(0, 1), [65_535, 1, 1]);
        assert_eq!(Grid::folded(65_536).of(0, 1), [65_535, 2, 1]);
    }
}
