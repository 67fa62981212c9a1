//! From the network to the GPU: a file's bytes go straight from the browser's buffers to the GPU's,
//! without passing through wasm memory.

use crate::checkpoint::folder::Section;
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::Gpu;
use crate::hub::fetch::Body;
use crate::model::Weights;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// Bytes that are gathered before they are written to the GPU.
const BLOCK: u32 = 4 << 20;

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

/// Reads a file in order and hands its sections to the GPU.
pub struct Download<'a> {
    gpu: &'a Gpu,
    weights: &'a Weights,
    queue: RawQueue,
    /// Bytes that wait, in JavaScript memory; `filled` of them are there.
    block: Uint8Array,
    filled: u32,
    /// Position in the file of the block's first byte.
    start: u64,
}

impl<'a> Download<'a> {
    /// Starts at byte `start` of a file.
    ///
    /// # Errors
    /// `webgpu-unavailable` if the device is not the browser's.
    pub fn new(gpu: &'a Gpu, weights: &'a Weights, start: u64) -> Result<Self> {
        let raw = gpu
            .queue
            .as_webgpu()
            .ok_or_else(|| Error::new(ErrorCode::WebgpuUnavailable, "The GPU queue is not the browser's."))?;
        let queue = raw.clone().unchecked_into();
        Ok(Self { gpu, weights, queue, block: Uint8Array::new_with_length(BLOCK), filled: 0, start })
    }

    /// Reads `body` to its end; `first` is what was already read of it, from the start position on.
    /// `on_bytes` learns how many bytes have come.
    ///
    /// # Errors
    /// `integrity` if the file ends early, and those of the network and the GPU.
    pub async fn run(
        mut self,
        body: &mut Body,
        first: &[u8],
        sections: &[Section],
        end: u64,
        mut on_bytes: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut piece = Some(Uint8Array::from(first));
        while let Some(bytes) = piece {
            let mut taken = 0;
            while taken < bytes.length() {
                let n = (BLOCK - self.filled).min(bytes.length() - taken);
                self.block.set(&bytes.subarray(taken, taken + n), self.filled);
                self.filled += n;
                taken += n;
                if self.filled == BLOCK {
                    self.flush(sections)?;
                }
            }
            on_bytes(u64::from(bytes.length()))?;
            self.gpu.check()?;
            piece = body.next().await?;
        }
        self.flush(sections)?;
        if self.start < end {
            return Err(Error::new(ErrorCode::Integrity, format!("A file ended after {} of {end} bytes.", self.start))
                .hint("Try again; if it stays so, the file on the server is damaged."));
        }
        Ok(())
    }

    /// Writes what the block holds; the last bytes of a word that is not complete are kept.
    fn flush(&mut self, sections: &[Section]) -> Result<()> {
        let block = self.start..self.start + u64::from(self.filled);
        let mut done = block.end;
        for s in sections.iter().filter(|s| s.bytes.start < block.end && block.start < s.bytes.end) {
            let from = s.bytes.start.max(block.start);
            let mut to = s.bytes.end.min(block.end);
            if to < s.bytes.end {
                to -= (to - s.bytes.start) % 4;
                done = to;
            }
            let (offset, len) = ((from - s.bytes.start) as usize, (to - from) as usize);
            for p in self.weights.place(s.id, s.region, offset, len)? {
                let Some(buffer) = p.buffer.as_webgpu() else { continue }; // `new` made sure that it is
                let at = (from - block.start) as usize + p.bytes.start;
                let (whole, rest) = (p.bytes.len() / 4 * 4, p.bytes.len() % 4);
                let failed = |e: JsValue| {
                    Error::new(ErrorCode::DeviceLost, "Writing to the GPU failed.").caused_by(format!("{e:?}"))
                };
                if whole > 0 {
                    let write = self.queue.write_buffer(buffer, p.offset as f64, &self.block, at as f64, whole as f64);
                    write.map_err(failed)?;
                }
                if rest > 0 {
                    let last = Uint8Array::new_with_length(4);
                    let tail = (at + whole) as u32;
                    last.set(&self.block.subarray(tail, tail + rest as u32), 0);
                    self.queue
                        .write_buffer(buffer, (p.offset + whole as u64) as f64, &last, 0.0, 4.0)
                        .map_err(failed)?;
                }
            }
        }
        let kept = (block.end - done) as u32;
        // At most three bytes of a word that began in this block.
        self.block.copy_within(0, (self.filled - kept) as i32, self.filled as i32);
        self.filled = kept;
        self.start = done;
        Ok(())
    }
}
