//! What changes from step to step (`shaders/step.wgsl`).

/// `Step` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Step {
    /// Tokens in the KV cache before this step.
    pub past: u32,
    /// Tokens of this step.
    pub count: u32,
    /// Row of h whose logits are wanted.
    pub row: u32,
    /// First row of h whose logits or scores are wanted.
    pub first_row: u32,
    /// Number of the token that is chosen after this step, from 0.
    pub index: u32,
    /// Ids below this belong to real tokens.
    pub real_ids: u32,
    /// The token that penalties no longer count once the next is chosen, one of [`leaving`].
    pub leaving: u32,
    /// 1: XTC is on at this token.
    pub xtc: u32,
    /// For several texts, how many tokens they all share, and the first row of this text in the tails.
    pub in_common: u32,
    pub tail: u32,
}

/// `TextStep` of the shaders: the step of one of several texts.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TextStep {
    step: Step,
    /// Padding up to the next text.
    padding: [u32; 54],
}

impl From<Step> for TextStep {
    fn from(step: Step) -> Self {
        Self { step, padding: [0; 54] }
    }
}

/// Values of [`Step::leaving`]: an id, with [`OUTPUT`](leaving::OUTPUT) if it is in the output, or one of the others.
pub mod leaving {
    /// Bit: the token is in the output.
    pub const OUTPUT: u32 = 1 << 31;
    /// The token was chosen a few steps before; only the GPU knows it yet.
    pub const CHOSEN: u32 = u32::MAX - 1;
    /// There is no such token.
    pub const NONE: u32 = u32::MAX;
}

impl Step {
    /// A step of `count` tokens after `past`.
    pub fn new(past: usize, count: usize) -> Self {
        Self { past: past as u32, count: count as u32, leaving: leaving::NONE, ..Self::default() }
    }
}
