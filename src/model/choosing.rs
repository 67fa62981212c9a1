//! Choosing tokens on the GPU: the token goes into the next step there, and the host reads it late.
//!
//! Every step leaves its token in a ring; after every few steps the ring is copied out and mapped while further steps
//! run. So the host's round trip to the GPU is paid for by nobody, as long as enough steps are ahead of it.

use super::kernels::layers::FAILURE_WORDS;
use super::kernels::sample_pick::RING;
use super::kernels::sampling::SEEN;
use super::persistent::Persistent;
use super::sampling_buffers::SamplingBuffers;
use crate::engine::Text;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, PendingRead};
use crate::sampling::SamplingOptions;
use std::collections::VecDeque;
use web_time::Instant;

/// Most steps whose tokens are read at a time.
const MOST_AT_A_TIME: usize = 16;
/// Tokens shall not come in gusts: so many seconds of steps at most are read at a time.
const GUST: f64 = 0.03;

/// Words of a flight besides the ring: what tells of workgroups that timed out.
const FLIGHT_WORDS: usize = RING + FAILURE_WORDS;

/// Tokens on their way to the host.
struct Flight {
    first: usize,
    count: usize,
    staging: GpuBuffer,
    read: PendingRead,
}

/// A completion's tokens between GPU and host.
#[derive(Default)]
pub struct Choosing {
    /// Tokens chosen on the GPU, by number; of these, `asked` are on their way to the host.
    pub made: usize,
    asked: usize,
    flights: VecDeque<Flight>,
    /// Tokens that have come and were not asked for yet.
    pending: VecDeque<u32>,
    /// Staging buffers that are not in use.
    idle: Vec<GpuBuffer>,
    at_a_time: usize,
    /// When the last flight came in.
    last: Option<Instant>,
    /// The host wants the logits of every step as well, so none may be ahead.
    pub wants_logits: bool,
    /// The host's copy of what the GPU knows of tokens that have come, u32 [V].
    seen: Vec<u32>,
    /// The last token that the host knows of, or the first step's only one.
    input: u32,
    /// Tokens that have come so far.
    known: usize,
}

/// What a flight brought.
pub enum Landed {
    /// The oldest token that the host did not know.
    Token(u32),
    /// Workgroups timed out, so these steps and all after them are void: so many of them.
    Void(usize),
}

impl Choosing {
    /// Begins a completion, or goes on with one.
    pub fn begin(
        &mut self,
        gpu: &Gpu,
        buffers: &SamplingBuffers,
        options: &SamplingOptions,
        text: Text<'_>,
        (real_ids, vocab): (usize, usize),
        wants_logits: bool,
    ) {
        self.stop();
        (self.at_a_time, self.wants_logits, self.last) = (1, wants_logits, None);
        self.seen = buffers.write(gpu, options, text, real_ids, vocab);
        // Tokens are numbered from the completion's beginning, wherever it goes on.
        let (written, last) = (text.written.len(), text.written.last().or(text.prompt.last()));
        (self.made, self.asked, self.known, self.input) = (written, written, written, last.copied().unwrap_or(0));
    }

    /// Steps that may be made before the token of the first is known.
    pub fn steps_ahead(&self) -> usize {
        if self.wants_logits { 1 } else { 2 * self.at_a_time.max(1) }
    }

    /// To be called with the encoder of a step that chooses: copies the ring out if it is time.
    pub fn copy_out(
        &mut self,
        gpu: &Gpu,
        (buffers, persistent): (&SamplingBuffers, Option<&Persistent>),
        encoder: &mut wgpu::CommandEncoder,
    ) -> Option<GpuBuffer> {
        self.made += 1;
        (self.made - self.asked >= self.at_a_time).then(|| self.copy(gpu, (buffers, persistent), encoder))
    }

    fn copy(
        &mut self,
        gpu: &Gpu,
        (buffers, persistent): (&SamplingBuffers, Option<&Persistent>),
        encoder: &mut wgpu::CommandEncoder,
    ) -> GpuBuffer {
        use wgpu::BufferUsages as U;
        let bytes = FLIGHT_WORDS as u64 * 4;
        let staging = self.idle.pop();
        let staging = staging.unwrap_or_else(|| GpuBuffer::new(gpu, "token staging", bytes, U::MAP_READ | U::COPY_DST));
        encoder.copy_buffer_to_buffer(&buffers.tokens.buffer, 0, &staging.buffer, 0, RING as u64 * 4);
        match persistent {
            Some(persistent) => persistent.copy_failures(encoder, &staging.buffer, RING as u64 * 4),
            None => encoder.clear_buffer(&staging.buffer, RING as u64 * 4, None),
        }
        staging
    }

    /// To be called once the encoder that copies to `staging` is submitted.
    pub fn ask(&mut self, gpu: &Gpu, staging: GpuBuffer) {
        let read = gpu.start_read(&staging.buffer, FLIGHT_WORDS as u64 * 4);
        self.flights.push_back(Flight { first: self.asked, count: self.made - self.asked, staging, read });
        self.asked = self.made;
    }

    /// The oldest token that the host does not know; the caller has made it.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn next(&mut self, gpu: &Gpu, sources: (&SamplingBuffers, Option<&Persistent>)) -> Result<Landed> {
        loop {
            if let Some(token) = self.pending.pop_front() {
                return Ok(Landed::Token(token));
            }
            if self.flights.is_empty() {
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                let staging = self.copy(gpu, sources, &mut encoder);
                gpu.queue.submit([encoder.finish()]);
                self.ask(gpu, staging);
            }
            let Some(Flight { first, count, staging, read }) = self.flights.pop_front() else { continue };
            let ring: Vec<u32> = gpu.finish_read(&staging.buffer, read).await?;
            self.idle.push(staging);
            if ring[RING..].iter().any(|word| *word != 0) {
                let void = self.made - self.known;
                self.land_all();
                return Ok(Landed::Void(void));
            }
            for i in first..first + count {
                let token = ring[i % RING];
                self.pending.push_back(token);
                self.note(token);
            }
            let now = Instant::now();
            if let Some(last) = self.last.replace(now) {
                let step = (now - last).as_secs_f64() / count as f64;
                let fits = if step > 0.0 { (GUST / step) as usize } else { MOST_AT_A_TIME };
                // At most doubled: a first flight may have come early.
                self.at_a_time = fits.clamp(1, MOST_AT_A_TIME).min(2 * self.at_a_time);
            }
        }
    }

    /// Goes on where another device was, after `emitted` were chosen there. The next step's input is the token returned.
    pub fn resume(&mut self, gpu: &Gpu, buffers: &SamplingBuffers, emitted: &[u32]) -> u32 {
        emitted.iter().for_each(|token| self.note(*token));
        self.rewind(gpu, buffers)
    }

    /// Takes note of the next token.
    fn note(&mut self, token: u32) {
        if let Some(seen) = self.seen.get_mut(token as usize) {
            *seen = (*seen | SEEN) + 1;
        }
        (self.input, self.known) = (token, self.known + 1);
    }

    /// Puts everything back to where the host's knowledge ends. The next step's input is the token returned.
    pub fn rewind(&mut self, gpu: &Gpu, buffers: &SamplingBuffers) -> u32 {
        gpu.queue.write_buffer(&buffers.seen.buffer, 0, bytemuck::cast_slice(&self.seen));
        (self.made, self.asked) = (self.known, self.known);
        self.input
    }

    /// Forgets all tokens that the host does not know.
    pub fn stop(&mut self) {
        self.land_all();
        self.pending.clear();
        (self.made, self.asked, self.known) = (0, 0, 0);
    }

    /// Steps of whose tokens nothing has come back yet.
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
