//! Memory on the GPU: all of it is allocated before anything large is downloaded. If there is too little, the context
//! is shortened, and if that does not help, the error says what would fit.

use super::scratch::Scratch;
use super::weights::Weights;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::regions::weight_bytes;
use crate::config::{ModelConfig, PUBLISHED};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::Gpu;

/// The shortest context that is tried, in tokens.
const SHORTEST: usize = 64;

/// Allocates the weights.
///
/// # Errors
/// `out-of-memory`, with a suggestion of what takes less.
pub async fn for_weights(gpu: &Gpu, config: &ModelConfig, quantization: Quantization) -> Result<Weights> {
    match gpu.scoped("Making room for the weights", || Weights::new(gpu, config, quantization)).await {
        Err(e) if e.code == ErrorCode::OutOfMemory => {
            let bytes = weight_bytes(config, quantization);
            let message = format!("The weights take {}, which does not fit into this GPU's memory.", megabytes(bytes));
            Err(Error::new(ErrorCode::OutOfMemory, message).hint(smaller(config, bytes)).caused_by(e.to_string()))
        }
        result => result,
    }
}

/// Allocates everything else, and returns the length of the context that fits: `wanted`, or the model's own, or, if no
/// length was requested, as much of that as memory allows.
///
/// # Errors
/// `out-of-memory` with the length that would fit.
pub async fn for_context(gpu: &Gpu, config: &ModelConfig, weights: &Weights, wanted: Option<usize>) -> Result<Scratch> {
    let longest = wanted.unwrap_or(config.default_context_length());
    let mut refusal = match try_context(gpu, config, weights, longest).await {
        Err(e) if e.code == ErrorCode::OutOfMemory => e,
        result => return result,
    };
    let bytes = megabytes(Scratch::kv_bytes(config, longest));
    let error = Error::new(
        ErrorCode::OutOfMemory,
        format!(
            "A context of {longest} tokens, {bytes} of keys and values, does not fit into this GPU's memory beside the weights."
        ),
    );
    let mut length = longest / 2;
    while length >= SHORTEST {
        match try_context(gpu, config, weights, length).await {
            Ok(scratch) if wanted.is_none() => return Ok(scratch),
            Ok(_) => return Err(error.hint(format!("Load the model with contextLength {length}: that fits."))),
            Err(e) if e.code == ErrorCode::OutOfMemory => refusal = e,
            Err(e) => return Err(e),
        }
        length /= 2;
    }
    Err(error.hint(smaller(config, gpu.memory.bytes())).caused_by(refusal.to_string()))
}

async fn try_context(gpu: &Gpu, config: &ModelConfig, weights: &Weights, length: usize) -> Result<Scratch> {
    let limits = gpu.device.limits();
    let (largest, allowed) =
        (Scratch::largest(config, length), limits.max_storage_buffer_binding_size.min(limits.max_buffer_size));
    if largest > allowed {
        let message = format!("A buffer of {} is more than this GPU binds.", megabytes(largest));
        return Err(Error::new(ErrorCode::OutOfMemory, message));
    }
    gpu.scoped("Making room for the context", || Ok(Scratch::new(gpu, config, weights, length))).await
}

/// What would take less than `bytes`.
fn smaller(config: &ModelConfig, bytes: u64) -> String {
    let precision = Quantization::ALL.into_iter().rev().find_map(|q| {
        let less = weight_bytes(config, q);
        (less < bytes).then(|| format!("quantization \"{}\" takes {}", q.as_str(), megabytes(less)))
    });
    let model = PUBLISHED.into_iter().rev().find_map(|name| {
        let less = weight_bytes(&ModelConfig::preset(name)?, Quantization::Q4);
        (less < bytes).then(|| format!("{name} as \"q4\" takes {}", megabytes(less)))
    });
    let options: Vec<_> = precision.into_iter().chain(model).collect();
    match options.is_empty() {
        true => "Close other tabs and programs that use the GPU.".into(),
        false => format!("Close other tabs and programs that use the GPU, or take less: {}.", options.join("; ")),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_less_is_named_with_its_size() {
        let large = ModelConfig::preset("TokenFormer-1-5B").expect("preset");
        let of = |q| weight_bytes(&large, q);
        let hint = smaller(&large, of(Quantization::F16));
        assert!(hint.contains("quantization \"q8\"") && hint.contains("TokenFormer-1-5B as \"q4\""), "{hint}");
        let hint = smaller(&large, of(Quantization::Q4));
        assert!(!hint.contains("quantization") && hint.contains("TokenFormer-900M as \"q4\""), "{hint}");
        let small = ModelConfig::preset("TokenFormer-150M").expect("preset");
        let hint = smaller(&small, weight_bytes(&small, Quantization::Q4));
        assert_eq!(hint, "Close other tabs and programs that use the GPU.");
    }
}
