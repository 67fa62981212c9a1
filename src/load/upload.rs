//! Where the bytes of a model go, as traits; and into this module's memory, for the CPU.

use crate::checkpoint::layout::Quantization;
use crate::checkpoint::unit::Piece;
use crate::config::ModelConfig;
use crate::cpu;
use crate::error::Result;
use crate::platform::Bytes;

/// Writes pieces of tensors to where they go.
pub trait Upload<B> {
    /// Writes the pieces of a unit; a tensor's pieces come in order.
    ///
    /// # Errors
    /// `device-lost`, and `invalid-config` for bytes that no tensor has.
    fn write(&mut self, pieces: &[Piece], unit: &B) -> Result<()>;
}

/// Room for a model, to be filled.
pub trait Room<B> {
    /// Fills it.
    type Uploader<'a>: Upload<B>
    where
        Self: 'a;

    /// Begins to fill it with the units of a file.
    ///
    /// # Errors
    /// `internal` if it cannot be filled from here.
    fn uploader(&self) -> Result<Self::Uploader<'_>>;
}

/// Where models can go.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Devices<B> {
    /// Room for a model.
    type Room: Room<B>;
    /// A model that can run.
    type Model;

    /// Finds a device: without one, a large download would be useless. `likely` is the model's shape, as far as it is
    /// known without the weights.
    ///
    /// # Errors
    /// `webgpu-unavailable` where there is none for it.
    async fn find(&mut self, likely: Option<&ModelConfig>) -> Result<()>;

    /// Room for a model, where its kernels begin to be compiled.
    ///
    /// # Errors
    /// `webgpu-unavailable`, `out-of-memory`, `invalid-argument` for a context that is too long.
    async fn room(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<Self::Room>;

    /// A model that can run, once all bytes are written; what the user should know is added to `notes`.
    ///
    /// # Errors
    /// `webgpu-unavailable` if a kernel does not compile, or computes wrong results; `device-lost`.
    async fn finish(&mut self, room: Self::Room, config: &ModelConfig, notes: &mut Vec<String>) -> Result<Self::Model>;
}

impl<B: Bytes> Upload<B> for &cpu::Loading {
    fn write(&mut self, pieces: &[Piece], unit: &B) -> Result<()> {
        pieces.iter().try_for_each(|piece| {
            let bytes = unit.part(piece.at..piece.at + piece.len);
            let place = (piece.offset as usize, piece.len as usize);
            cpu::Loading::write(self, piece.id, piece.region, place, |to| bytes.read(to))
        })
    }
}

impl<B: Bytes> Room<B> for cpu::Loading {
    type Uploader<'a> = &'a Self;

    fn uploader(&self) -> Result<&Self> {
        Ok(self)
    }
}
