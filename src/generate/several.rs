//! Several completions at once: every step of the engine appends a token to each, and reads the weights once.
//!
//! The common beginning of the prompts is read once, into the KV cache. Up to [`MOST_ROWS`] are written at a time; the
//! others wait for a place. A completion whose context slides no longer shares anything: it is written by itself, after
//! the others.

use super::completion::Generation;
use super::model::{Model, in_common};
use super::options::{GenerateOptions, Prompt};
use super::result::{Chunk, Completion};
use crate::engine::{AbortFlag, Backend, MOST_ROWS, Row};
use crate::error::{ErrorCode, Result};

/// One of the completions.
struct Candidate {
    generation: Generation,
    /// Ends it alone.
    abort: AbortFlag,
    /// Where the engine keeps its own part, and whether that is all but its last token.
    place: Option<usize>,
    is_held: bool,
    /// It is written by itself.
    is_alone: bool,
}

impl Candidate {
    /// True if it takes part in steps for several.
    fn takes_part(&self) -> bool {
        !self.generation.is_ended() && !self.is_alone
    }
}

/// Completions that are written at once.
pub struct Several {
    candidates: Vec<Candidate>,
    /// Ends all of them.
    abort: AbortFlag,
    /// What all contexts begin with.
    common: Vec<u32>,
    /// The candidates that the engine works on, in the order of its rows. Some may have ended meanwhile.
    rows: Vec<usize>,
    /// Steps made since then, how many fit, and how many of their tokens were taken.
    made: usize,
    most: usize,
    taken: usize,
    /// The candidate whose chunk is handed out first.
    turn: usize,
}

impl Several {
    /// Checks everything that can be checked before the first step. Each candidate is a prompt with its seed.
    ///
    /// # Errors
    /// `invalid-argument`, or `invalid-config` for text without a tokenizer.
    pub fn start<B: Backend>(
        model: &Model<B>,
        prompts: &[(Prompt, u64)],
        options: &GenerateOptions,
        abort: AbortFlag,
    ) -> Result<Self> {
        let begin = |(prompt, seed): &(Prompt, u64)| {
            let mut options = options.clone();
            options.sampling.seed = *seed;
            let generation = Generation::start(model, prompt, options, abort.clone())?;
            let own = AbortFlag::default();
            Ok(Candidate { generation, abort: own, place: None, is_held: false, is_alone: false })
        };
        let candidates: Vec<Candidate> = prompts.iter().map(begin).collect::<Result<_>>()?;
        let mut contexts = candidates.iter().map(|candidate| candidate.generation.in_context());
        let mut common = contexts.next().unwrap_or_default();
        common.pop(); // each has a last token of its own to go on from
        for ids in contexts {
            let shared = in_common(&common, &ids[..ids.len() - 1]);
            common.truncate(shared);
        }
        Ok(Self { candidates, abort, common, rows: Vec::new(), made: 0, most: 0, taken: 0, turn: 0 })
    }

    /// Flags that end one candidate each, in their order.
    pub fn aborts(&self) -> Vec<AbortFlag> {
        self.candidates.iter().map(|candidate| candidate.abort.clone()).collect()
    }

    /// The next chunk and which completion it is of; `None` once all have ended.
    ///
    /// # Errors
    /// The engine's; all have then ended.
    pub async fn next<B: Backend>(&mut self, model: &mut Model<B>) -> Result<Option<(usize, Chunk)>> {
        loop {
            let n = self.candidates.len();
            let order = (self.turn..n).chain(0..self.turn);
            let mut chunks = order.filter_map(|i| Some((i, self.candidates[i].generation.chunk()?)));
            if let Some((index, chunk)) = chunks.next() {
                self.turn = (index + 1) % n;
                return Ok(Some((index, chunk)));
            }
            if self.candidates.iter().all(|candidate| candidate.generation.is_ended()) {
                self.end(model);
                return Ok(None);
            }
            if let Err(e) = self.step(model).await {
                self.candidates.iter_mut().for_each(|candidate| candidate.generation.give_up(model));
                self.end(model);
                if e.code != ErrorCode::Aborted {
                    return Err(e);
                }
            }
        }
    }

    /// One step of the engine, which gives a token to every candidate that it works on.
    async fn step<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        self.abort.check()?;
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.abort.is_set()) {
            candidate.generation.give_up(model);
        }
        if self.rows.is_empty() {
            self.begin(model).await?;
        }
        if self.rows.is_empty() {
            return self.step_alone(model).await;
        }
        while self.made < self.most && self.made - self.taken < model.backend().rows_ahead() {
            model.backend_mut().step_rows().await?;
            self.made += 1;
        }
        if self.made > self.taken {
            let chosen = model.backend_mut().chosen_rows().await?;
            self.abort.check()?;
            self.taken += 1;
            for (&index, chosen) in self.rows.iter().zip(chosen) {
                let candidate = &mut self.candidates[index];
                // What an ended one would have written is dropped.
                if candidate.takes_part() {
                    candidate.is_held = true;
                    let goes_on = candidate.generation.take(model, chosen);
                    candidate.is_alone = !candidate.generation.is_ended() && !candidate.generation.has_room();
                    if !goes_on && candidate.takes_part() {
                        self.most = self.taken; // it was cut: the engine's next tokens follow other words
                    }
                }
            }
        }
        if self.taken == self.most || self.is_thinned() {
            self.pause(model);
        }
        Ok(())
    }

    /// True if it pays to begin again with fewer rows, or with others: a step takes as long for a row that has ended.
    fn is_thinned(&self) -> bool {
        let live = self.rows.iter().filter(|&&i| self.candidates[i].takes_part()).count();
        let waiting = self.candidates.iter().filter(|candidate| candidate.takes_part()).count() - live;
        live < self.rows.len() && (2 * live <= self.rows.len() || waiting > 0)
    }

    /// Makes the engine work on as many candidates as it can. Those that it worked on keep their places.
    async fn begin<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        for candidate in self.candidates.iter_mut().filter(|candidate| !candidate.takes_part()) {
            candidate.place = None;
        }
        let mut rows: Vec<usize> = (0..self.candidates.len()).filter(|&i| self.candidates[i].takes_part()).collect();
        rows.sort_by_key(|&i| self.candidates[i].place.is_none());
        rows.truncate(MOST_ROWS);
        if rows.len() < 2 {
            // What remains is written faster by itself.
            rows.iter().for_each(|&i| self.candidates[i].is_alone = true);
            return Ok(());
        }
        let reused = model.hold(&self.common, &self.abort).await?;
        let mut free: Vec<usize> = (0..MOST_ROWS).rev().collect();
        free.retain(|place| rows.iter().all(|&i| self.candidates[i].place != Some(*place)));
        let mut begun = Vec::new();
        for &i in &rows {
            let Candidate { generation, place, is_held, .. } = &mut self.candidates[i];
            if place.is_none() {
                (*place, *is_held) = (free.pop(), false);
                generation.note_reuse(reused, &generation.in_context());
            }
            begun.push(generation.row(self.common.len(), place.unwrap_or_default(), *is_held));
        }
        let wants_logits = self.candidates[rows[0]].generation.wants_logits();
        match model.begin_rows(&begun, wants_logits).await {
            Ok(()) => {}
            Err(e) if e.code == ErrorCode::OutOfMemory => {
                model.backend_mut().drop_tails();
                self.candidates.iter_mut().for_each(|candidate| candidate.is_alone = true);
                return Ok(());
            }
            Err(e) => return Err(e),
        }
        let capacity = model.backend().tail_capacity();
        let room = |(&i, row): (&usize, &Row)| {
            let generation = &self.candidates[i].generation;
            (generation.most() - generation.sampled()).min(capacity + 1 - row.tail.len())
        };
        self.most = rows.iter().zip(&begun).map(room).min().unwrap_or(0);
        (self.rows, self.made, self.taken) = (rows, 0, 0);
        Ok(())
    }

    /// Continues one that is written by itself.
    async fn step_alone<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        match self.candidates.iter_mut().find(|candidate| !candidate.generation.is_ended()) {
            Some(candidate) => candidate.generation.step(model).await,
            None => Ok(()),
        }
    }

    /// Makes the engine stop after the known tokens; the next step begins again.
    fn pause<B: Backend>(&mut self, model: &mut Model<B>) {
        model.backend_mut().stop_rows();
        self.rows.clear();
    }

    /// Makes the engine stop, and frees what it keeps for these completions.
    pub fn end<B: Backend>(&mut self, model: &mut Model<B>) {
        self.pause(model);
        model.end_choosing();
        model.backend_mut().drop_tails();
    }

    /// What was written so far, in the order of the prompts; before its end each counts as aborted.
    pub fn results(&self) -> Vec<Completion> {
        self.candidates.iter().map(|candidate| candidate.generation.result()).collect()
    }
}
