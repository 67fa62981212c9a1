//! Which models run on the CPU: those that write at reading speed there.

use super::attention::Cache;
use crate::checkpoint::layout::{Quantization, tensors};
use crate::checkpoint::regions::weight_bytes;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};

/// Most parameters: the published model of 150M runs, that of 450M would write two or three words per second.
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
    /// The only GPU is a software one that computes on the CPU, a hundred times slower than this engine.
    SoftwareGpu,
    /// A step of this model takes longer on the GPU than here.
    SlowGpu,
}

impl Reason {
    /// What `info.notes` says of it.
    pub fn note(&self) -> String {
        match self {
            Self::Asked => "The model runs on the CPU, as asked for: in one thread, slower than on a GPU.".into(),
            Self::NoGpu(sentence) => {
                format!("{sentence} So the model runs on the CPU: in one thread, slower than on a GPU.")
            }
            Self::SoftwareGpu => {
                "The browser has no GPU, only a WebGPU that computes on the CPU and is slow at it. So the \
                                  model runs on the CPU without it: in one thread, slower than on a GPU."
                    .into()
            }
            Self::SlowGpu => {
                "This model is slower on the browser's GPU than on the CPU, as far as a few steps tell. So it \
                              runs on the CPU, in one thread; backend \"webgpu\" takes the GPU all the same."
                    .into()
            }
        }
    }
}

/// True for a model that runs here: for such a model, this engine is preferred to a software GPU.
pub fn runs(config: &ModelConfig, quantization: Quantization, context_length: usize) -> bool {
    check_parameters(config, &Reason::SoftwareGpu).is_ok() && check_bytes(config, quantization, context_length).is_ok()
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
        // Such models are never sent here; the sentence is right nevertheless.
        Reason::SoftwareGpu | Reason::SlowGpu => (String::new(), "Use a browser with a faster GPU"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_models_run() {
        for (name, runs_here) in [("TokenFormer-150M", true), ("TokenFormer-450M", false), ("TokenFormer-1-5B", false)]
        {
            let config = ModelConfig::preset(name).expect("preset");
            assert_eq!(runs(&config, Quantization::Q4, 2048), runs_here, "{name}");
            assert!(!runs(&config, Quantization::Q4, 1 << 20), "{name} with a context that has no room");
        }
        assert!(Reason::SoftwareGpu.note().contains("on the CPU"));
        assert!(Reason::SlowGpu.note().contains("slower on the browser's GPU than on the CPU"));
    }
}
