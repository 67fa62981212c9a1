//! Choosing tokens on the GPU: the token goes into the next step there, and the host reads it late.
//!
//! Every step leaves its token in a ring; after every few steps the ring is copied out and mapped while further steps
//! run. So the host's round trip to the GPU is paid for by nobody, as long as enough steps are ahead of it.

use super::kernels::layers::FAILURE_WORDS;
use super::kernels::leaving;
use super::kernels::repeats::TEXT;
use super::kernels::sample_pick::RING;
use super::kernels::sampling::bias_of;
use super::persistent::Persistent;
use super::sampling_buffers::SamplingBuffers;
use crate::engine::Text;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, PendingRead};
use crate::sampling::{SamplingOptions, Seen, dry_penalties};
use std::collections::VecDeque;
use std::ops::Range;
use web_time::Instant;

/// Most steps whose tokens are read at a time.
const MOST_AT_A_TIME: usize = 16;
/// Upper bound on the decode time that one readback covers, in seconds: tokens should arrive evenly.
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
    /// The completion that runs.
    running: Option<Running>,
    /// The last token that the host knows of, or the first step's only one.
    input: u32,
    /// Tokens that have come so far.
    known: usize,
}

/// A completion as far as the host knows it.
struct Running {
    options: SamplingOptions,
    /// The tokens that have come, counted as the GPU does.
    seen: Seen,
    /// The bias of every token, f32 [V], and between which ids the GPU has another one, since they continue a repeat of a text
    /// that is too long for it.
    bias: Vec<f32>,
    lowered: Range<usize>,
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
        let mut seen = Seen::new(text.prompt, options.penalty_range, vocab);
        text.written.iter().for_each(|id| seen.note(*id));
        let bias = bias_of(options, vocab);
        buffers.write(gpu, options, &seen, &bias, real_ids);
        self.running = Some(Running { options: options.clone(), seen, bias, lowered: 0..0 });
        // Tokens are numbered from the completion's beginning, wherever it goes on.
        let (written, last) = (text.written.len(), text.written.last().or(text.prompt.last()));
        (self.made, self.asked, self.known, self.input) = (written, written, written, last.copied().unwrap_or(0));
    }

    /// Steps that may be made before the token of the first is known.
    pub fn steps_ahead(&self) -> usize {
        if self.wants_logits || self.compares_here() { 1 } else { 2 * self.at_a_time.max(1) }
    }

    /// Tokens of the text that the next step has to look for repeats in.
    fn dry_text(&self) -> Option<usize> {
        let running = self.running.as_ref().filter(|running| running.options.dry.multiplier > 0.0)?;
        Some(running.seen.text().len() + self.made - self.known)
    }

    /// Tokens of the text that the GPU looks for repeats in, at the next step; 0 if it need not.
    pub fn compared(&self) -> usize {
        self.dry_text().filter(|tokens| *tokens <= TEXT).unwrap_or(0)
    }

    /// The text is too long for the GPU, so repeats are looked for on the host, which has to know every token for it.
    fn compares_here(&self) -> bool {
        self.dry_text().is_some_and(|tokens| tokens > TEXT)
    }

    /// To be called before a step that chooses: uploads what only the host finds out.
    pub fn prepare(&mut self, gpu: &Gpu, buffers: &SamplingBuffers) {
        if !self.compares_here() {
            return;
        }
        let Some(Running { options, seen, bias, lowered }) = &mut self.running else { return };
        let penalties = dry_penalties(options, seen.text());
        let ids = || penalties.iter().map(|(id, _)| *id as usize).filter(|id| *id < bias.len());
        let now = ids().min().unwrap_or(0)..ids().max().map_or(0, |id| id + 1);
        let written = match (Range::is_empty(lowered), now.is_empty()) {
            (true, true) => return,
            (true, false) => now.clone(),
            (false, true) => lowered.clone(),
            (false, false) => lowered.start.min(now.start)..lowered.end.max(now.end),
        };
        let mut changed = bias[written.clone()].to_vec();
        for (id, penalty) in &penalties {
            if let Some(x) = (*id as usize).checked_sub(written.start).and_then(|at| changed.get_mut(at)) {
                *x = (*x - penalty).max(f32::MIN);
            }
        }
        buffers.write_bias(gpu, written.start, &changed);
        *lowered = now;
    }

    /// What the next step has to know of the completion: `leaving` and `xtc` of its uniform.
    pub fn step_words(&self) -> [u32; 2] {
        let Some(Running { options, seen, .. }) = &self.running else { return [leaving::NONE, 0] };
        let known = |at: usize| {
            let output = if at < seen.text().len() - seen.written() { 0 } else { leaving::OUTPUT };
            seen.text().get(at).map_or(leaving::CHOSEN, |id| id | output)
        };
        let leaving = seen.leaving_at(self.made).map_or(leaving::NONE, known);
        [leaving, options.has_xtc_at(self.made as u32).into()]
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
        if let Some(running) = &mut self.running {
            running.seen.note(token);
        }
        (self.input, self.known) = (token, self.known + 1);
    }

    /// Puts everything back to where the host's knowledge ends. The next step's input is the token returned.
    pub fn rewind(&mut self, gpu: &Gpu, buffers: &SamplingBuffers) -> u32 {
        if let Some(running) = &self.running {
            buffers.write_seen(gpu, &running.options, &running.seen);
        }
        (self.made, self.asked) = (self.known, self.known);
        self.input
    }

    /// Forgets all tokens that the host does not know.
    pub fn stop(&mut self) {
        self.land_all();
        self.pending.clear();
        (self.made, self.asked, self.known, self.running) = (0, 0, 0, None);
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
