//! Several texts at once: the tokens that they have in common are in the KV cache, and each has a *tail* of its own.
//!
//! A step appends one token to each of them and reads the weights once. Where a text's tail is kept is its *place*.

use super::backend::{Backend, Chosen, Logits, Text};
use super::on_host::nothing_chosen;
use crate::error::Result;
use crate::sampling::{Sampler, SamplingOptions};
use std::collections::VecDeque;

/// Most texts that are written at once.
pub const MOST_ROWS: usize = 8;
/// Tokens for which every tail has room when texts are begun, or gone on with.
const TAIL_ROOM: usize = 64;

/// One of several texts. What the KV cache holds is the beginning of all.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where its tail is kept, below [`MOST_ROWS`].
    pub place: usize,
    /// Its tokens after the common ones, at least one. The next step reads the last.
    pub tail: Vec<u32>,
    /// The place holds all of the tail but its last token; else it is read anew.
    pub is_held: bool,
    /// What its tokens are chosen by.
    pub options: SamplingOptions,
    /// What its completion began with; penalties count it.
    pub prompt: Vec<u32>,
    /// The completion's tokens so far.
    pub written: Vec<u32>,
}

impl Row {
    /// As it is once `emitted` were chosen.
    pub fn after(&self, emitted: &[u32]) -> Self {
        let mut row = Self { is_held: true, ..self.clone() };
        row.tail.extend(emitted);
        row.written.extend(emitted);
        row
    }

    /// Prompt and completion.
    pub fn text(&self) -> Text<'_> {
        Text { prompt: &self.prompt, written: &self.written }
    }
}

/// Places that rows take, and tokens that their tails may have before there has to be more room.
pub fn room_for(rows: &[Row]) -> (usize, usize) {
    let places = rows.iter().map(|row| row.place + 1).max().unwrap_or(0);
    let longest = rows.iter().map(|row| row.tail.len()).max().unwrap_or(0);
    (places, longest + TAIL_ROOM)
}

/// The token that a step reads for one of several texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowInput {
    /// Where the text's tail is kept.
    pub place: usize,
    /// Tokens of its tail before this one.
    pub held: usize,
    /// The token.
    pub id: u32,
}

/// Reads the tails that their places do not hold, as a prompt is read, and has `keep(engine, place)` take each over.
///
/// # Errors
/// The engine's.
pub async fn read_tails<B: Backend>(engine: &mut B, rows: &[Row], mut keep: impl FnMut(&mut B, usize)) -> Result<()> {
    let common = engine.len();
    for row in rows.iter().filter(|row| !row.is_held && row.tail.len() > 1) {
        for ids in row.tail[..row.tail.len() - 1].chunks(engine.max_chunk()) {
            engine.forward(ids, Logits::None).await?;
        }
        keep(engine, row.place);
        engine.truncate(common);
    }
    Ok(())
}

/// Several texts whose tokens are chosen on the host.
pub struct HostRows {
    rows: Vec<(RowInput, Sampler)>,
    wants_logits: bool,
    /// Tokens of steps that were not asked for yet, one of each text.
    pending: VecDeque<Vec<Chosen>>,
}

impl HostRows {
    /// See [`Backend::begin_rows`].
    pub fn new(rows: &[Row], real_ids: usize, wants_logits: bool) -> Self {
        let begin = |row: &Row| {
            let mut sampler = Sampler::new(row.options.clone(), &row.prompt, real_ids);
            row.written.iter().for_each(|id| sampler.note(*id));
            let (held, id) = (row.tail.len() - 1, row.tail.last().copied().unwrap_or_default());
            (RowInput { place: row.place, held, id }, sampler)
        };
        Self { rows: rows.iter().map(begin).collect(), wants_logits, pending: VecDeque::new() }
    }

    /// What the next step reads.
    pub fn inputs(&self) -> Vec<RowInput> {
        self.rows.iter().map(|(input, _)| *input).collect()
    }

    /// Chooses a token for each text from its row of `logits`, [R, V].
    pub fn choose(&mut self, logits: &[f32]) {
        let vocab = logits.len() / self.rows.len().max(1);
        let chosen = self.rows.iter_mut().zip(logits.chunks_exact(vocab.max(1))).map(|((input, sampler), logits)| {
            let id = sampler.next(logits);
            (input.held, input.id) = (input.held + 1, id);
            Chosen { id, logits: self.wants_logits.then(|| logits.to_vec()) }
        });
        self.pending.push_back(chosen.collect());
    }

    /// The oldest tokens that were not asked for yet.
    ///
    /// # Errors
    /// `invalid-argument` if there are none.
    pub fn take(&mut self) -> Result<Vec<Chosen>> {
        self.pending.pop_front().ok_or_else(nothing_chosen)
    }
}
