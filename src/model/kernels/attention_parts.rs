//! How a decode step's attention is split over the context, and where its parts lie (`shaders/attention_parts.wgsl`).

use crate::config::ModelConfig;
use crate::gpu::shader::ShaderSpec;

/// Positions that one workgroup scans, which is also its number of threads.
pub const PART: usize = 128;
/// Most weights of parts in workgroup memory, with 4 bytes each, and as many for their sums.
pub const MOST_WEIGHTS: usize = 256;

/// The output of `attention_decode`, which `keys` joins.
#[derive(Clone, Copy, Debug)]
pub struct AttentionParts {
    /// Parts that a full context is split into.
    pub max_parts: usize,
    /// Columns, d.
    pub hidden: usize,
    /// Dimensions of a head.
    pub head: usize,
}

impl AttentionParts {
    /// For a context of `context_length` tokens.
    pub fn new(config: &ModelConfig, context_length: usize) -> Self {
        let max_parts = context_length.div_ceil(PART);
        Self { max_parts, hidden: config.hidden_size, head: config.head_size() }
    }

    /// Heads.
    pub fn heads(self) -> usize {
        self.hidden / self.head
    }

    /// Stride from text to text, if there are several.
    pub fn stride(self) -> usize {
        self.len().next_multiple_of(4)
    }

    /// Values in the buffer: sums, then highest score and sum of exponentials for each head and part.
    pub fn len(self) -> usize {
        self.max_parts * (self.hidden + 2 * self.heads())
    }

    /// Adds its constants.
    pub fn constants(self, spec: ShaderSpec) -> ShaderSpec {
        self.layout(spec).flag_if("FEW_PARTS", self.heads() * self.max_parts <= MOST_WEIGHTS)
    }

    /// Adds the constants for the offsets of parts.
    pub fn layout(self, spec: ShaderSpec) -> ShaderSpec {
        spec.with("PART", PART).with("MAX_PARTS", self.max_parts).with("D_MODEL", self.hidden).with("HEAD", self.head)
    }
}
