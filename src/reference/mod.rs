//! The oracle: a TokenFormer forward pass in plain f32 on the CPU, written to be read.
//!
//! It follows arXiv 2410.23168 and the published code line by line and shares nothing with the GPU path but the tables,
//! so that agreement between the two means something. Only its arithmetic, `math` and [`backward`], exists in a
//! browser, too: the kernels are compared with it there.
//!
//! ```
//! # fn main() -> tokenformer_web::error::Result<()> {
//! use std::path::Path;
//! use tokenformer_web::checkpoint::files::{PytorchFile, read};
//! use tokenformer_web::config::PartialConfig;
//! use tokenformer_web::reference::Reference;
//!
//! let folder = Path::new("tests/fixtures/head64");
//! let config = PartialConfig::from_json(&read(&folder.join("config.json"))?)?;
//! let mut checkpoint = PytorchFile::open(&folder.join("pytorch_model.bin"), Some(config))?;
//! // The KV cache in f32, and not rounded to f16 as on the GPU.
//! let mut model = Reference::load(&mut checkpoint, false)?;
//! let hidden = model.forward(&[1, 2, 3], false)?.last;
//! let logits = model.logits(&hidden);
//! assert_eq!(logits.len(), 3 * model.config().padded_vocab_size);
//! # Ok(())
//! # }
//! ```

pub mod backward;
#[cfg(not(target_arch = "wasm32"))]
mod engine;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod forward;
#[cfg(not(target_arch = "wasm32"))]
mod inspect;
pub(crate) mod math;
#[cfg(not(target_arch = "wasm32"))]
mod training;

#[cfg(not(target_arch = "wasm32"))]
pub use engine::ReferenceEngine;
#[cfg(not(target_arch = "wasm32"))]
pub use forward::{Forward, Reference};
