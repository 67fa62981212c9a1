//! Log-probabilities of given texts.

use super::backend::{Backend, Logits};
use super::model::{AbortFlag, Model};
use super::options::Prompt;
use crate::error::{Error, Result};
use crate::sampling::{LogProbs, best};
use serde::Serialize;

/// Positions whose logits are in memory at a time: 13 MB with a vocabulary of 50,304.
const MOST_ROWS: usize = 64;

/// A text to score, and what stands before it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreItem {
    /// What is scored; encoded separately from the context.
    pub text: Prompt,
    /// What it follows; may be empty.
    pub context: Prompt,
}

/// Log-probabilities of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Token ids of the text.
    pub token_ids: Vec<u32>,
    /// Natural logarithm of each token's probability over all V logits; null for a first token that
    /// follows nothing.
    pub logprobs: Vec<Option<f64>>,
    /// Was every scored token the most probable of the real ids?
    pub is_greedy: bool,
    /// exp(−mean of the log-probabilities); null if there are none.
    pub perplexity: Option<f64>,
}

impl<B: Backend> Model<B> {
    /// Scores each item. Items that share a context one after the other share its computation.
    ///
    /// # Errors
    /// `invalid-argument` for empty texts, ids out of range and items longer than the context; the engine's.
    pub async fn score(&mut self, items: &[ScoreItem], abort: &AbortFlag) -> Result<Vec<Score>> {
        // All items are checked before the first is computed.
        let mut encoded = Vec::with_capacity(items.len());
        for item in items {
            encoded.push((self.context_ids(&item.context)?, self.text_ids(&item.text)?));
        }
        let most = self.backend().context_length();
        if let Some((c, t)) = encoded.iter().find(|(c, t)| c.len() + t.len() > most) {
            let (c, t) = (c.len(), t.len());
            return Err(Error::invalid_argument(format!("{c} + {t} tokens do not fit the context of {most}."))
                .hint("Score a longer text in windows."));
        }
        let mut scores = Vec::with_capacity(items.len());
        for (context, text) in encoded {
            scores.push(self.score_ids(&context, text, abort).await?);
        }
        Ok(scores)
    }

    fn context_ids(&self, context: &Prompt) -> Result<Vec<u32>> {
        match context {
            Prompt::Text(text) if text.is_empty() => Ok(Vec::new()),
            Prompt::Ids(ids) if ids.is_empty() => Ok(Vec::new()),
            other => self.prompt_ids(other),
        }
    }

    fn text_ids(&self, text: &Prompt) -> Result<Vec<u32>> {
        match text {
            Prompt::Text(t) if t.is_empty() => {
                Err(Error::invalid_argument("text is empty: there is nothing to score."))
            }
            other => self.prompt_ids(other),
        }
    }

    async fn score_ids(&mut self, context: &[u32], text: Vec<u32>, abort: &AbortFlag) -> Result<Score> {
        let ids = [context, &text].concat();
        // The logits after position p score token p + 1; the last position's are not needed.
        let first = context.len().saturating_sub(1);
        let unscored = usize::from(context.is_empty());
        let mut score = Score { logprobs: vec![None; unscored], is_greedy: true, token_ids: text, perplexity: None };
        let mut at = self.reuse(&ids, first);
        if first > at {
            self.extend(&ids[at..first], Logits::None, abort).await?;
            at = first;
        }
        let (vocab, real) = (self.backend().config().padded_vocab_size, self.real_ids());
        let chunk = self.backend().max_chunk().min(MOST_ROWS);
        while at < ids.len() - 1 {
            abort.check()?;
            let n = chunk.min(ids.len() - 1 - at);
            let logits = self.forward(&ids[at..at + n], Logits::All).await?;
            for (row, id) in logits.chunks_exact(vocab).zip(&ids[at + 1..]) {
                score.logprobs.push(Some(LogProbs::new(row).of(*id)));
                score.is_greedy &= best(row[..real].iter().copied()) == *id;
            }
            at += n;
        }
        let scored: Vec<f64> = score.logprobs.iter().flatten().copied().collect();
        if !scored.is_empty() {
            score.perplexity = Some((-scored.iter().sum::<f64>() / scored.len() as f64).exp());
        }
        Ok(score)
    }
}
