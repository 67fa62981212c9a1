//! From the browser's buffers to the GPU's, without passing through wasm memory.

use super::target::Target;
use super::upload::{Room, Upload};
use crate::checkpoint::layout::TensorId;
use crate::checkpoint::regions::Region;
use crate::checkpoint::unit::Piece;
use crate::cpu;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{Loading, Placement};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A `GPUQueue`, for the one call that wgpu only offers with data in wasm memory.
    type RawQueue;
    #[wasm_bindgen(method, catch, js_name = writeBuffer)]
    fn write_buffer(
        this: &RawQueue,
        buffer: &JsValue,
        offset: f64,
        data: &Uint8Array,
        data_offset: f64,
        size: f64,
    ) -> Result<(), JsValue>;
}

/// Writes to the GPU or to this module's memory.
pub enum Uploader<'a> {
    /// To a GPU.
    Gpu(GpuUploader<'a>),
    /// To this module's memory.
    Cpu(&'a cpu::Loading),
}

/// Writes pieces to the GPU, which takes whole words only: bytes of a word that is cut by the end of a unit wait for
/// the next unit.
pub struct GpuUploader<'a> {
    loading: &'a Loading,
    queue: RawQueue,
    waiting: Option<(TensorId, Region, Vec<u8>)>,
}

impl Room<Uint8Array> for Target {
    type Uploader<'a> = Uploader<'a>;

    fn uploader(&self) -> Result<Uploader<'_>> {
        Ok(match self {
            Self::Gpu(loading) => Uploader::Gpu(GpuUploader::new(loading)?),
            Self::Cpu(loading) => Uploader::Cpu(loading),
        })
    }
}

impl Upload<Uint8Array> for Uploader<'_> {
    fn write(&mut self, pieces: &[Piece], unit: &Uint8Array) -> Result<()> {
        match self {
            Self::Gpu(uploader) => uploader.write(pieces, unit),
            Self::Cpu(loading) => loading.write(pieces, unit),
        }
    }
}

impl<'a> GpuUploader<'a> {
    fn new(loading: &'a Loading) -> Result<Self> {
        let queue = loading.gpu.queue.as_webgpu();
        let queue = queue.ok_or_else(|| Error::internal("The GPU queue is not the browser's."))?;
        Ok(Self { loading, queue: queue.clone().unchecked_into(), waiting: None })
    }

    fn write(&mut self, pieces: &[Piece], unit: &Uint8Array) -> Result<()> {
        for piece in pieces {
            let bytes = unit.subarray(piece.at, piece.at + piece.len);
            match self.waiting.take() {
                Some((id, region, mut head)) if (id, region) == (piece.id, piece.region) => {
                    let missing = (4 - head.len() as u32).min(bytes.length());
                    head.extend(bytes.subarray(0, missing).to_vec());
                    let offset = piece.offset + u64::from(missing) - head.len() as u64;
                    self.run(piece, offset, &Uint8Array::from(head.as_slice()))?;
                    self.run(piece, piece.offset + u64::from(missing), &bytes.subarray(missing, bytes.length()))?;
                }
                _ => self.run(piece, piece.offset, &bytes)?,
            }
        }
        self.loading.gpu.check()
    }

    /// Writes bytes that begin at a whole word of their region.
    fn run(&mut self, piece: &Piece, offset: u64, bytes: &Uint8Array) -> Result<()> {
        let region = self.loading.weights.region_bytes(piece.id, piece.region);
        let is_last = offset + u64::from(bytes.length()) >= region;
        let rest = if is_last { 0 } else { bytes.length() % 4 };
        let len = bytes.length() - rest;
        if rest > 0 {
            self.waiting = Some((piece.id, piece.region, bytes.subarray(len, len + rest).to_vec()));
        }
        if len == 0 {
            return Ok(());
        }
        for Placement { buffer, offset, bytes: range } in
            self.loading.weights.place(piece.id, piece.region, offset as usize, len as usize)?
        {
            let Some(buffer) = buffer.as_webgpu() else { continue }; // `new` made sure that it is
            let failed = |e: JsValue| {
                Error::new(ErrorCode::DeviceLost, "Writing to the GPU failed.").caused_by(format!("{e:?}"))
            };
            let (whole, rest) = (range.len() / 4 * 4, range.len() % 4);
            if whole > 0 {
                let at = range.start as f64;
                self.queue.write_buffer(buffer, offset as f64, bytes, at, whole as f64).map_err(failed)?;
            }
            if rest > 0 {
                let last = Uint8Array::new_with_length(4);
                last.set(&bytes.subarray((range.start + whole) as u32, range.end as u32), 0);
                self.queue.write_buffer(buffer, (offset + whole as u64) as f64, &last, 0.0, 4.0).map_err(failed)?;
            }
        }
        Ok(())
    }
}
