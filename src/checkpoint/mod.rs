//! Checkpoints: reading the published `pytorch_model.bin`, reading and writing quantized model folders.

pub mod folder;
pub mod layout;

use crate::config::ModelConfig;
use crate::error::Result;
use layout::TensorId;

/// Something that holds a whole model: a published checkpoint, or a quantized folder.
pub trait TableSource {
    /// Shape of the model.
    fn config(&self) -> &ModelConfig;

    /// A tensor in f32, dequantized, in the stored layout of [`TensorId::shape`] (value tables are
    /// transposed, slots padded with zeros), row-major.
    ///
    /// # Errors
    /// If the bytes cannot be read or contradict the format.
    fn table(&mut self, id: TensorId) -> Result<Vec<f32>>;
}
