//! Whether the products of a chunk are made of bytes: on GPUs of which that is not known, both ways are timed on the
//! loaded model, beside the trial of decode steps (`tune.rs`).

use super::chunk_products::ChunkProducts;
use super::gpu_model::GpuModel;
use super::plan::Plan;
use super::tune::{TOLERANCE, difference};
use crate::engine::{Backend, Logits};
use crate::error::{ErrorCode, Result};
use crate::gpu::Warm;
use std::mem::swap;
use web_time::Instant;

/// Tokens of the chunk that is timed.
const TOKENS: usize = 256;
/// How often both ways are timed, in turn, after a chunk that is not.
const ROUNDS: usize = 3;
/// The share of the time that bytes may take at most: a smaller gain may be noise.
const GAIN: f64 = 0.95;

impl GpuModel {
    /// Makes room for products of bytes, once, if they are to be tried here and there is memory for them.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn make_room_for_bytes(&mut self) -> Result<()> {
        let may_be = self.gpu.may_multiply_bytes() && self.weights.layer_format().is_quantized();
        if !may_be || std::mem::replace(&mut self.has_tried_bytes, true) {
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

    /// Makes the products of chunks by `products` from now on, if that is right and faster. The KV cache's tokens stay.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn try_bytes(&mut self, products: ChunkProducts) -> Result<()> {
        // Packs have stages of their own; then another visit tells.
        if self.packs.is_some() || self.len + TOKENS > self.context_length() {
            return Ok(());
        }
        let make = || Plan::with(self.parts(), &products);
        let plan = match self.gpu.scoped("Compiling the kernels", make).await {
            Ok(plan) => plan,
            Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
            Err(_) => return Ok(()), // the other way works
        };
        let mut other = (plan, products);
        let (mut seconds, mut logits) = ([f64::INFINITY; 2], [Vec::new(), Vec::new()]);
        for round in 0..=ROUNDS {
            for way in 0..2 {
                let from = Instant::now();
                logits[way] = self.logits_of_chunk().await?;
                if round > 0 {
                    seconds[way] = seconds[way].min(from.elapsed().as_secs_f64());
                }
                self.exchange(&mut other);
            }
        }
        if difference(&logits[1], &logits[0]) <= TOLERANCE && seconds[1] < seconds[0] * GAIN {
            self.exchange(&mut other);
            self.gpu.multiply_bytes();
        }
        Ok(())
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
        let logits = self.forward(&ids, Logits::Last).await?;
        self.truncate(len);
        Ok(logits)
    }
}
