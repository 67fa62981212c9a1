//! Whether the products of a chunk are made of bytes: on GPUs of which that is not known, both ways are timed on the
//! loaded model, beside the trial of decode steps (`tune.rs`).

use super::chunk_products::ChunkProducts;
use super::gpu_model::GpuModel;
use super::plan::Plan;
use super::tune::{LONGEST, TOLERANCE, difference};
use crate::engine::{AbortFlag, Backend, Logits};
use crate::error::{ErrorCode, Result};
use crate::gpu::Warm;
use std::mem::swap;
use web_time::Instant;

/// Tokens of the chunk that is timed, and of those whose logits are compared.
const TOKENS: usize = 128;
const COMPARED: usize = 4;
/// How often both ways are timed, in turn, after the first time, which may be slower; less often once that has taken
/// `LONGEST` seconds, and not at all if a chunk takes longer.
const ROUNDS: usize = 3;
/// The share of the time that bytes may take at most: a smaller gain may be noise.
const GAIN: f64 = 0.95;

impl GpuModel {
    /// Makes room for products of bytes, if they are to be tried here and there is memory for them.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn make_room_for_bytes(&mut self) -> Result<()> {
        let may_be = self.gpu.may_multiply_bytes() && self.weights.layer_format().is_quantized();
        if !may_be || self.has_tried_bytes {
            return Ok(());
        }
        let make = || Ok(ChunkProducts::new(&self.gpu, &self.config, true));
        self.bytes_to_try = match self.gpu.scoped("Making room for rows in bytes", make).await {
            Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
            made => made.ok(),
        };
        Ok(())
    }

    /// The kernels of [`try_bytes`](Self::try_bytes).
    pub(super) fn kernels_of_bytes(&self) -> Vec<Warm> {
        let kernels = self.bytes_to_try.as_ref().map(|products| Plan::kernels_with(self.parts(), products));
        kernels.and_then(Result::ok).unwrap_or_default()
    }

    /// Tries what room was made for: the products of chunks are made that way from now on, if it is right and faster.
    /// The KV cache's tokens stay. `None` if it was ended early.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn try_bytes(&mut self, abort: &AbortFlag) -> Result<Option<()>> {
        // Packs have stages of their own; then another visit tells.
        let may_try = self.packs.is_none() && self.len + TOKENS <= self.context_length();
        let Some(products) = self.bytes_to_try.take().filter(|_| may_try) else { return Ok(Some(())) };
        let make = || Plan::with(self.parts(), &products);
        let plan = match self.gpu.scoped("Compiling the kernels", make).await {
            Ok(plan) => plan,
            Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
            Err(_) => {
                self.has_tried_bytes = true;
                return Ok(Some(())); // the other way works
            }
        };
        let mut other = (plan, products);
        let (mut seconds, mut logits) = ([f64::INFINITY; 2], [Vec::new(), Vec::new()]);
        let began = Instant::now();
        for _ in 0..=ROUNDS {
            if abort.is_set() {
                self.bytes_to_try = Some(other.1);
                return Ok(None);
            }
            for way in 0..2 {
                let from = Instant::now();
                logits[way] = self.logits_of_chunk().await?;
                seconds[way] = seconds[way].min(from.elapsed().as_secs_f64());
                if seconds[0] > LONGEST {
                    return Ok(Some(())); // a text is waiting
                }
                self.exchange(&mut other);
            }
            if began.elapsed().as_secs_f64() > LONGEST {
                break;
            }
        }
        self.has_tried_bytes = true;
        if difference(&logits[1], &logits[0]) <= TOLERANCE && seconds[1] < seconds[0] * GAIN {
            self.exchange(&mut other);
            self.gpu.multiply_bytes();
        }
        Ok(Some(()))
    }

    /// Exchanges the way to make the products of chunks, with the stages that use it.
    pub(super) fn exchange(&mut self, other: &mut (Plan, ChunkProducts)) {
        swap(&mut self.plan, &mut other.0);
        swap(&mut self.scratch.products, &mut other.1);
        self.together = None;
    }

    async fn logits_of_chunk(&mut self) -> Result<Vec<f32>> {
        let (len, vocab) = (self.len, self.config.padded_vocab_size as u32);
        let ids: Vec<u32> = (0..TOKENS as u32).map(|i| i * 29 % vocab).collect();
        let mut logits = self.forward(&ids[..TOKENS - COMPARED], Logits::None).await?;
        logits.extend(self.forward(&ids[TOKENS - COMPARED..], Logits::Each(COMPARED)).await?);
        self.truncate(len);
        Ok(logits)
    }
}
