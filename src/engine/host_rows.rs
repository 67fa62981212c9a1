//! Several texts whose tokens are chosen on the host, and reading what they begin with.

use super::backend::{Backend, Chosen, Logits};
use super::rows::{Row, RowInput};
use crate::error::{Error, Result};
use crate::sampling::Sampler;
use std::collections::VecDeque;

/// Reads the tails that their places do not hold, as a prompt is read, and calls `keep(engine, place)` to store each.
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

/// For a completion that was not started, or has no token yet.
pub(super) fn nothing_chosen() -> Error {
    Error::invalid_argument("No token was chosen yet.")
}
