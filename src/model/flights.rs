//! Chosen tokens on their way from the GPU to the host, which reads them late.
//!
//! Every step writes the token of each text to a ring; every few steps the rings are copied out together and mapped
//! while further steps run. So the host's round trip to the GPU costs no time, as long as enough steps are queued.

use super::kernels::layers::FAILURE_WORDS;
use super::kernels::sample_pick::RING;
use super::persistent::Persistent;
use super::sampling_buffers::SamplingBuffers;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, PendingRead};
use std::collections::VecDeque;
use web_time::Instant;

/// Most steps whose tokens are read at a time.
const MOST_AT_A_TIME: usize = 16;
/// Upper bound on the decode time that one readback covers, in seconds: tokens should arrive evenly.
const GUST: f64 = 0.03;

/// The tokens of some steps.
struct Flight {
    first: usize,
    count: usize,
    staging: GpuBuffer,
    read: PendingRead,
}

/// Tokens of one text or several, which are chosen in the same steps, between GPU and host.
#[derive(Default)]
pub struct Flights {
    /// For each text, the number of the token that the first step chooses.
    firsts: Vec<usize>,
    /// Numbers of steps made, of steps whose readback has started, and of steps whose tokens have arrived.
    made: usize,
    asked: usize,
    known: usize,
    flights: VecDeque<Flight>,
    /// Tokens that have arrived but were not requested yet, one of each text per step.
    pending: VecDeque<Vec<u32>>,
    /// Staging buffers that are not in use.
    idle: Vec<GpuBuffer>,
    at_a_time: usize,
    /// When the last flight arrived.
    last: Option<Instant>,
    /// The host wants the logits of every step as well, so no step may run ahead.
    pub wants_logits: bool,
}

/// The result of a flight.
pub enum Landed {
    /// The oldest tokens that the host did not know, one of each text.
    Tokens(Vec<u32>),
    /// Workgroups timed out, so these steps and all after them are void: their number.
    Void(usize),
}

/// What flights are copied from: the rings, and the flags of workgroups that timed out.
pub type Sources<'a> = (&'a SamplingBuffers, Option<&'a Persistent>);

impl Flights {
    /// Starts with texts whose next tokens have these numbers.
    pub fn begin(&mut self, firsts: Vec<usize>, wants_logits: bool) {
        self.stop();
        (self.at_a_time, self.wants_logits, self.last) = (1, wants_logits, None);
        if firsts.len() != self.firsts.len() {
            self.idle.clear();
        }
        self.firsts = firsts;
    }

    /// Steps that may be made before the tokens of the first are known.
    pub fn steps_ahead(&self) -> usize {
        if self.wants_logits { 1 } else { 2 * self.at_a_time.max(1) }
    }

    fn ring_bytes(&self) -> u64 {
        (self.firsts.len() * RING) as u64 * 4
    }

    fn bytes(&self) -> u64 {
        self.ring_bytes() + FAILURE_WORDS as u64 * 4
    }

    /// To be called with the encoder of a step that chooses: copies the rings out if it is time.
    pub fn copy_out(
        &mut self,
        gpu: &Gpu,
        sources: Sources<'_>,
        encoder: &mut wgpu::CommandEncoder,
    ) -> Option<GpuBuffer> {
        self.made += 1;
        (self.made - self.asked >= self.at_a_time).then(|| self.copy(gpu, sources, encoder))
    }

    fn copy(&mut self, gpu: &Gpu, (buffers, persistent): Sources<'_>, encoder: &mut wgpu::CommandEncoder) -> GpuBuffer {
        use wgpu::BufferUsages as U;
        let (rings, bytes) = (self.ring_bytes(), self.bytes());
        let staging = self.idle.pop();
        let staging = staging.unwrap_or_else(|| GpuBuffer::new(gpu, "token staging", bytes, U::MAP_READ | U::COPY_DST));
        encoder.copy_buffer_to_buffer(&buffers.tokens.buffer, 0, &staging.buffer, 0, rings);
        match persistent {
            Some(persistent) => persistent.copy_failures(encoder, &staging.buffer, rings),
            None => encoder.clear_buffer(&staging.buffer, rings, None),
        }
        staging
    }

    /// To be called once the encoder that copies to `staging` is submitted.
    pub fn ask(&mut self, gpu: &Gpu, staging: GpuBuffer) {
        let read = gpu.start_read(&staging.buffer, self.bytes());
        self.flights.push_back(Flight { first: self.asked, count: self.made - self.asked, staging, read });
        self.asked = self.made;
    }

    /// The oldest tokens that the host does not know; the caller has made their steps. Calls `note` with every token as
    /// it arrives, and with its text.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn next(&mut self, gpu: &Gpu, sources: Sources<'_>, mut note: impl FnMut(usize, u32)) -> Result<Landed> {
        loop {
            if let Some(tokens) = self.pending.pop_front() {
                return Ok(Landed::Tokens(tokens));
            }
            if self.flights.is_empty() {
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                let staging = self.copy(gpu, sources, &mut encoder);
                gpu.queue.submit([encoder.finish()]);
                self.ask(gpu, staging);
            }
            let Some(Flight { first, count, staging, read }) = self.flights.pop_front() else { continue };
            let words: Vec<u32> = gpu.finish_read(&staging.buffer, read).await?;
            self.idle.push(staging);
            let (rings, failures) = words.split_at(self.firsts.len() * RING);
            if failures.iter().any(|word| *word != 0) {
                let void = self.made - self.known;
                self.land_all();
                return Ok(Landed::Void(void));
            }
            for step in first..first + count {
                let token = |(ring, start): (&[u32], &usize)| ring[(start + step) % RING];
                let tokens: Vec<u32> = rings.chunks_exact(RING).zip(&self.firsts).map(token).collect();
                tokens.iter().enumerate().for_each(|(text, token)| note(text, *token));
                self.pending.push_back(tokens);
            }
            self.known += count;
            let now = Instant::now();
            if let Some(last) = self.last.replace(now) {
                let step = (now - last).as_secs_f64() / count as f64;
                let fits = if step > 0.0 { (GUST / step) as usize } else { MOST_AT_A_TIME };
                // At most doubled: a first flight may have come early.
                self.at_a_time = fits.clamp(1, MOST_AT_A_TIME).min(2 * self.at_a_time);
            }
        }
    }

    /// Rolls back to the last token that the host knows.
    pub fn rewind(&mut self) {
        self.land_all();
        (self.made, self.asked) = (self.known, self.known);
    }

    /// Drops all tokens that the host does not know.
    pub fn stop(&mut self) {
        self.land_all();
        self.pending.clear();
        (self.made, self.asked, self.known) = (0, 0, 0);
    }

    /// Number of steps whose tokens have not arrived yet.
    pub fn unverified(&self) -> usize {
        self.made - self.known
    }

    fn land_all(&mut self) {
        for flight in self.flights.drain(..) {
            // Ends the mapping: the buffer can be used again.
            flight.staging.buffer.unmap();
            self.idle.push(flight.staging);
        }
    }
}
