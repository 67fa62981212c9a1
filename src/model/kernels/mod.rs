//! The kernels, a room for each: the file of a kernel's name has what its shader, `shaders/NAME.wgsl`, is compiled with
//! (a struct with named fields), what it is bound to, and how many workgroups it takes.
//!
//! A room knows tables and the device, but neither a model's buffers nor the order of dispatches: those are `scratch` and
//! `plan`, which use the rooms. What several kernels share has a file that is named like the shared part of the shader.

mod append;
mod attention_decode;
mod attention_join;
pub mod attention_parts;
mod attention_prefill;
mod dispatch;
mod embed;
mod keys;
mod layernorm;
pub mod layers;
pub mod matmul;
mod matmul_few;
mod matvec;
mod pack_weights;
pub mod repeats;
pub mod rotary;
pub mod sample_adjust;
pub mod sample_pick;
pub mod sampling;
pub mod score;
mod several;
mod step;
mod sum_parts;
mod theta;
mod values;
mod weights;

pub use append::{Append, AppendBuffers};
pub use attention_decode::{AttentionDecode, AttentionDecodeBuffers};
pub use attention_join::{AttentionJoin, AttentionJoinBuffers};
#[cfg(test)]
pub use attention_prefill::TILE as PREFILL_TILE;
pub use attention_prefill::{AttentionPrefill, AttentionPrefillBuffers};
pub use dispatch::{Dispatch, Grid};
pub use embed::{Embed, EmbedBuffers};
pub use keys::{Keys, KeysBuffers, KeysInput};
pub use layernorm::{LayerNorm, LayerNormBuffers};
pub use matmul::{Matmul, MatmulBuffers};
pub use matmul_few::MatmulFew;
pub use matvec::Sharing;
pub use pack_weights::{PackWeights, PackWeightsBuffers};
pub use repeats::{Repeats, RepeatsBuffers};
pub use rotary::Rotary;
pub use sample_adjust::{SampleAdjust, SampleAdjustBuffers};
pub use sample_pick::{SamplePick, SamplePickBuffers};
pub use score::{Score, ScoreBuffers};
pub use several::Tails;
pub use step::{Step, TextStep, leaving};
pub use sum_parts::{SumParts, SumPartsBuffers};
pub use values::{PackValues, Values, ValuesBuffers, ValuesOutput};
pub use weights::{SlotWeights, SlotWeightsBuffers};
