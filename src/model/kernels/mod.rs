//! The kernels, a module for each: the file with a kernel's name has the constants of its shader, `shaders/NAME.wgsl`
//! (a struct with named fields), its bindings, and its number of workgroups.
//!
//! A module depends on tables and the device, but neither on a model's buffers nor on the order of dispatches: those
//! are in `scratch` and `plan`, which use the modules. What several kernels share is in a file named like the shared
//! part of the shader.

mod adamw;
mod add_parts;
mod append;
mod attention_decode;
mod attention_join;
pub mod attention_parts;
pub mod attention_prefill;
mod attention_products;
mod batch;
mod cross_entropy;
mod dispatch;
mod embed;
pub mod gemm;
pub mod inspect;
mod keys;
mod layernorm;
mod layernorm_backward;
pub mod layers;
pub mod matmul;
mod matmul_few;
pub mod matmul_transposed;
mod matvec;
mod pack_shape;
mod pack_weights;
pub mod repeats;
pub mod rotary;
mod rotate;
pub mod sample_adjust;
pub mod sample_pick;
pub mod sampling;
pub mod score;
mod several;
mod slot;
mod softmax;
mod step;
mod sum_parts;
mod theta;
mod theta_backward;
mod theta_forward;
mod value_norms;
mod values;
mod weights;

pub use adamw::{AdamwStep, AdamwStepBuffers, Gradients, GradientsBuffers, SUMS, Tokens, Update};
pub use add_parts::{AddParts, AddPartsBuffers};
pub use append::{Append, AppendBuffers};
pub use attention_decode::{AttentionDecode, AttentionDecodeBuffers};
pub use attention_join::{AttentionJoin, AttentionJoinBuffers};
pub use attention_prefill::{AttentionPrefill, AttentionPrefillBuffers};
pub use attention_products::{AttentionProduct, AttentionShapes};
pub use batch::Batch;
pub use cross_entropy::{CrossEntropy, CrossEntropyBuffers, SumLosses, SumLossesBuffers};
pub use dispatch::{Dispatch, Grid};
pub use embed::{Embed, EmbedBuffers};
pub use gemm::{Causal, Gemm, GemmBuffers, GemmShape};
pub use inspect::{Inspect, InspectBuffers};
pub use keys::{Keys, KeysBuffers, KeysInput};
pub use layernorm::{LayerNorm, LayerNormBuffers};
pub use layernorm_backward::{LayerNormBackward, LayerNormBackwardBuffers};
pub use matmul::{Matmul, MatmulBuffers};
pub use matmul_few::MatmulFew;
pub use matmul_transposed::{MatmulTransposed, MatmulTransposedBuffers};
pub use matvec::Sharing;
pub use pack_shape::{PackBuffers, PackShape};
pub use pack_weights::{PackWeights, PackWeightsBuffers};
pub use repeats::{Repeats, RepeatsBuffers};
pub use rotary::Rotary;
pub use rotate::{Rotate, RotateBuffers};
pub use sample_adjust::{SampleAdjust, SampleAdjustBuffers};
pub use sample_pick::{SamplePick, SamplePickBuffers};
pub use score::{Score, ScoreBuffers};
pub use several::TailRanges;
pub use slot::{Slots, SlotsBuffers};
pub use softmax::{Softmax, SoftmaxBackward};
pub use step::{Step, TextStep, leaving};
pub use sum_parts::{SumParts, SumPartsBuffers};
pub use theta_backward::{ThetaBackward, ThetaBackwardBuffers};
pub use theta_forward::{ThetaForward, ThetaForwardBuffers};
pub use value_norms::ValueNorms;
pub use values::{PackValues, Values, ValuesBuffers, ValuesOutput};
pub use weights::{SlotWeights, SlotWeightsBuffers};
