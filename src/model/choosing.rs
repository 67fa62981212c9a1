//! Choosing tokens on the GPU: the token is the next step's input there, and the host reads it later (`flights`). This
//! module keeps what the host knows of a completion in the meantime, and what it passes to the GPU.

use super::kernels::leaving;
use super::kernels::repeats::TEXT;
use super::kernels::sampling::bias_of;
use super::sampling_buffers::SamplingRow;
use crate::engine::Text;
use crate::gpu::Gpu;
use crate::sampling::{SamplingOptions, Seen, dry_penalties};
use std::ops::Range;

/// A completion whose tokens the GPU chooses.
#[derive(Default)]
pub struct Choosing {
    /// Number of the token that the next step chooses.
    pub made: usize,
    /// The running completion.
    running: Option<Running>,
    /// The last token that the host knows, or the input of the first step.
    input: u32,
    /// Number of the first token that the host does not know.
    known: usize,
}

/// A completion as far as the host knows it.
struct Running {
    options: SamplingOptions,
    /// The tokens that have arrived, counted as the GPU does.
    seen: Seen,
    /// The bias of every token, f32 [V], and the range of ids whose bias on the GPU differs, because they would
    /// continue a repeat in a text that is too long for the GPU.
    bias: Vec<f32>,
    lowered: Range<usize>,
}

impl Choosing {
    /// Starts or resumes a completion.
    pub fn begin(
        &mut self,
        gpu: &Gpu,
        buffers: SamplingRow<'_>,
        options: &SamplingOptions,
        text: Text<'_>,
        (real_ids, vocab): (usize, usize),
    ) {
        let mut seen = Seen::new(text.prompt, options.penalty_range, vocab);
        text.written.iter().for_each(|id| seen.note(*id));
        let bias = bias_of(options, vocab);
        buffers.write(gpu, options, &seen, &bias, real_ids);
        self.running = Some(Running { options: options.clone(), seen, bias, lowered: 0..0 });
        // Tokens are numbered from the start of the completion, wherever it resumes.
        let (written, last) = (text.written.len(), text.written.last().or(text.prompt.last()));
        (self.made, self.known, self.input) = (written, written, last.copied().unwrap_or(0));
    }

    /// Length in tokens of the text that the next step has to search for repeats.
    fn dry_text(&self) -> Option<usize> {
        let running = self.running.as_ref().filter(|running| running.options.dry.multiplier > 0.0)?;
        Some(running.seen.text().len() + self.made - self.known)
    }

    /// Length in tokens of the text that the GPU searches for repeats at the next step; 0 if it does not search.
    pub fn compared(&self) -> usize {
        self.dry_text().filter(|tokens| *tokens <= TEXT).unwrap_or(0)
    }

    /// The text is too long for the GPU, so the host searches it for repeats, for which it has to know every token.
    pub fn compares_here(&self) -> bool {
        self.dry_text().is_some_and(|tokens| tokens > TEXT)
    }

    /// To be called before a step that chooses: uploads what only the host can determine.
    pub fn prepare(&mut self, gpu: &Gpu, buffers: SamplingRow<'_>) {
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

    /// What the next step has to know about the completion: `leaving` and `xtc` of its uniform.
    pub fn step_words(&self) -> [u32; 2] {
        let Some(Running { options, seen, .. }) = &self.running else { return [leaving::NONE, 0] };
        let known = |at: usize| {
            let output = if at < seen.text().len() - seen.written() { 0 } else { leaving::OUTPUT };
            seen.text().get(at).map_or(leaving::CHOSEN, |id| id | output)
        };
        let leaving = seen.leaving_at(self.made).map_or(leaving::NONE, known);
        [leaving, options.has_xtc_at(self.made as u32).into()]
    }

    /// Records that a step was made.
    pub fn step_made(&mut self) {
        self.made += 1;
    }

    /// Resumes a completion from another device, after `emitted` were chosen there. Returns the next step's input
    /// token.
    pub fn resume(&mut self, gpu: &Gpu, buffers: SamplingRow<'_>, emitted: &[u32]) -> u32 {
        emitted.iter().for_each(|token| self.note(*token));
        self.rewind(gpu, buffers)
    }

    /// Records the next token.
    pub fn note(&mut self, token: u32) {
        if let Some(running) = &mut self.running {
            running.seen.note(token);
        }
        (self.input, self.known) = (token, self.known + 1);
    }

    /// Rolls back to the last token that the host knows. Returns the next step's input token.
    pub fn rewind(&mut self, gpu: &Gpu, buffers: SamplingRow<'_>) -> u32 {
        if let Some(running) = &self.running {
            buffers.write_seen(gpu, &running.options, &running.seen);
        }
        self.made = self.known;
        self.input
    }

    /// Ends the completion.
    pub fn stop(&mut self) {
        (self.made, self.known, self.running) = (0, 0, None);
    }
}
