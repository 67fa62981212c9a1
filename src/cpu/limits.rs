//! Which models run on the CPU: those that write at a reader's pace there.

use super::attention::Cache;
use crate::checkpoint::layout::{Quantization, tensors};
use crate::checkpoint::stream::weight_bytes;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};

/// Most parameters: the published model of 150M runs, that of 450M would write two or three words a second.
const MOST_PARAMETERS: u64 = 200_000_000;
/// Most bytes of weights and KV cache together. A wasm memory may have four times as many, but phones give less.
const MOST_BYTES: u64 = 1 << 30;

/// Why a model is to run on the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The caller asked for it.
    Asked,
    /// There is no usable WebGPU, as this sentence says.
    NoGpu(String),
}

impl Reason {
    /// What `info.notes` says of it.
    pub fn note(&self) -> String {
        match self {
            Self::Asked => "The model runs on the CPU, as asked for: in one thread, slower than on a GPU.".into(),
            Self::NoGpu(sentence) => {
                format!("{sentence} So the model runs on the CPU: in one thread, slower than on a GPU.")
            }
        }
    }
}

/// # Errors
/// `webgpu-unavailable` for a model that is too large for the CPU.
pub fn check_parameters(config: &ModelConfig, reason: &Reason) -> Result<()> {
    let parameters: u64 = tensors(config).map(|id| id.shape(config)).map(|s| s.rows as u64 * s.cols as u64).sum();
    if parameters <= MOST_PARAMETERS {
        return Ok(());
    }
    let (why, change) = match reason {
        Reason::Asked => (String::new(), "Leave backend out, in a browser with WebGPU"),
        Reason::NoGpu(sentence) => (
            format!("{sentence} "),
            "Use a browser with WebGPU, over https or on localhost, with hardware acceleration switched on",
        ),
    };
    let (millions, most) = (parameters / 1_000_000, MOST_PARAMETERS / 1_000_000);
    let sentence =
        format!("{why}This model needs WebGPU: it has {millions} million parameters, and the CPU runs {most}.");
    Err(Error::new(ErrorCode::WebgpuUnavailable, sentence)
        .hint(format!("{change}; or load a smaller model, the embedded one or Haiyang-W/TokenFormer-150M.")))
}

/// # Errors
/// `out-of-memory` for a model that needs more memory than this program takes for one.
pub fn check_bytes(config: &ModelConfig, quantization: Quantization, context_length: usize) -> Result<()> {
    let bytes = weight_bytes(config, quantization) + Cache::bytes(config, context_length);
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let [needed, most] = [bytes, MOST_BYTES].map(|bytes| bytes / 1_000_000);
    Err(Error::new(
        ErrorCode::OutOfMemory,
        format!(
            "The model needs {needed} MB with a context of {context_length} tokens, and gets {most} MB on the CPU."
        ),
    )
    .hint("Use a smaller contextLength or quantization \"q4\"."))
}
