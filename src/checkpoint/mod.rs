//! Checkpoints: reading the published `pytorch_model.bin`, reading and writing quantized model folders.
//!
//! The parsers do no I/O: they say which bytes they want next and check what they get, so that they run on
//! files, on HTTP ranges and on a browser's storage alike.
//!
//! - [`zip`], [`pickle`], [`torch`], [`names`]: the published format, from container to tensor names.
//! - [`layout`], [`regions`]: the tensors of a model, their order and sizes; what both formats meet in.
//! - [`quantize`], [`folder`]: the quantized format, its numbers and where they are in a file.
//! - [`sniff`]: what a file is that is neither.
//! - [`mod@unit`], [`stream`]: the pieces of a download, and their conversion while they pass by.
//! - `files`, `write`: local files (native).
//!
//! ```
//! # fn main() -> tokenformer_web::error::Result<()> {
//! use std::path::Path;
//! use tokenformer_web::checkpoint::TableSource;
//! use tokenformer_web::checkpoint::files::{PytorchFile, read};
//! use tokenformer_web::checkpoint::layout::{Side, TensorId};
//! use tokenformer_web::pattention::Pattention;
//! use tokenformer_web::config::PartialConfig;
//!
//! let folder = Path::new("tests/fixtures/head64");
//! let config = PartialConfig::from_json(&read(&folder.join("config.json"))?)?;
//! let mut checkpoint = PytorchFile::open(&folder.join("pytorch_model.bin"), Some(config))?;
//! let id = TensorId::Tokens { layer: 0, pattention: Pattention::Query, side: Side::Keys };
//! let keys = checkpoint.table(id)?;
//! // 128 key tokens, as wide as the residual stream.
//! assert_eq!(keys.len(), 128 * checkpoint.config().hidden_size);
//! # Ok(())
//! # }
//! ```

#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod folder;
pub mod layout;
pub mod names;
pub mod pickle;
pub mod quantize;
pub mod random;
pub mod regions;
pub mod sniff;
pub mod stream;
pub mod torch;
pub mod unit;
#[cfg(not(target_arch = "wasm32"))]
pub mod write;
pub mod zip;

use crate::config::ModelConfig;
use crate::error::Result;

/// A model's weights as f32, whatever they are stored as.
pub trait TableSource {
    /// Shape of the model.
    fn config(&self) -> &ModelConfig;

    /// A tensor in the layout of [`layout::TensorId::shape`], row by row: value tables are transposed
    /// to [d_out, slots] and slots are padded with zeros. The final LayerNorm's vectors are `[d]`.
    ///
    /// # Errors
    /// If the bytes cannot be read or contradict the format.
    fn table(&mut self, id: layout::TensorId) -> Result<Vec<f32>>;
}
