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
    /// Ids below this stand for something.
    pub real_ids: u32,
    /// The token that penalties count no more once the next is chosen, one of [`leaving`].
    pub leaving: u32,
    /// 1: XTC is on at this token.
    pub xtc: u32,
    /// Of several texts, how many tokens all have in common, and which row of the tails is the first of this one's.
    pub in_common: u32,
    pub tail: u32,
}

/// `TextStep` of the shaders: of one of several texts.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TextStep {
    step: Step,
    /// To the next.
    padding: [u32; 54],
}

impl From<Step> for TextStep {
    fn from(step: Step) -> Self {
        Self { step, padding: [0; 54] }
    }
}

/// Values of [`Step::leaving`]: an id, with [`OUTPUT`](leaving::OUTPUT) if the output holds it, or one of the others.
pub mod leaving {
    /// Bit: the token is one of the output.
    pub const OUTPUT: u32 = 1 << 31;
    /// It was chosen a few steps before; only the GPU knows it yet.
    pub const CHOSEN: u32 = u32::MAX - 1;
    /// There is none.
    pub const NONE: u32 = u32::MAX;
}

impl Step {
    /// A step of `count` tokens after `past`.
    pub fn new(past: usize, count: usize) -> Self {
        Self { past: past as u32, count: count as u32, leaving: leaving::NONE, ..Self::default() }
    }
}
