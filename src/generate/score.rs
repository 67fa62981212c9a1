//! Log-probabilities of given texts.

use super::model::Model;
use super::options::Prompt;
use crate::engine::{AbortFlag, Backend};
use crate::error::{Error, Result};
use serde::Serialize;

/// A text to score, and what precedes it.
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

/// An item's token ids.
struct Sequence {
    /// Context, then text.
    ids: Vec<u32>,
    /// Tokens of the context.
    context: usize,
}

impl<B: Backend> Model<B> {
    /// Scores each item. Common beginnings of items are computed once: items are taken in an order in which neighbours
    /// have most in common, and the KV cache keeps that from one to the next.
    ///
    /// # Errors
    /// `invalid-argument` for empty texts, ids out of range and items longer than the context; the engine's.
    pub async fn score(&mut self, items: &[ScoreItem], abort: &AbortFlag) -> Result<Vec<Score>> {
        // All items are checked before the first is computed.
        let mut sequences = Vec::with_capacity(items.len());
        for item in items {
            sequences.push(self.sequence(item)?);
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by(|a, b| sequences[*a].ids.cmp(&sequences[*b].ids));
        let mut scores: Vec<Option<Score>> = vec![None; items.len()];
        for i in order {
            scores[i] = Some(self.score_sequence(&sequences[i], abort).await?);
        }
        Ok(scores.into_iter().flatten().collect())
    }

    fn sequence(&self, item: &ScoreItem) -> Result<Sequence> {
        let mut ids = match &item.context {
            Prompt::Text(text) if text.is_empty() => Vec::new(),
            Prompt::Ids(ids) if ids.is_empty() => Vec::new(),
            other => self.prompt_ids(other)?,
        };
        let text = match &item.text {
            Prompt::Text(t) if t.is_empty() => {
                return Err(Error::invalid_argument("text is empty: there is nothing to score."));
            }
            other => self.prompt_ids(other)?,
        };
        let (context, most) = (ids.len(), self.backend().context_length());
        if context + text.len() > most {
            let n = text.len();
            return Err(Error::invalid_argument(format!("{context} + {n} tokens do not fit the context of {most}."))
                .hint("Score a longer text in windows."));
        }
        ids.extend(text);
        Ok(Sequence { ids, context })
    }

    async fn score_sequence(&mut self, Sequence { ids, context }: &Sequence, abort: &AbortFlag) -> Result<Score> {
        // What follows position p scores token p + 1, so the last token is not needed, nor is what follows all but the
        // last token of the context.
        let (first, end) = (context.saturating_sub(1), ids.len() - 1);
        let token_ids = ids[*context..].to_vec();
        let unscored = usize::from(*context == 0);
        let mut score = Score { token_ids, logprobs: vec![None; unscored], is_greedy: true, perplexity: None };
        let mut at = self.reuse(ids, first);
        while at < end {
            abort.check()?;
            let to = end.min(at + self.backend().max_chunk());
            let targets = &ids[first.clamp(at, to) + 1..=to];
            for token in self.score_step(&ids[at..to], targets).await? {
                score.logprobs.push(Some(token.logprob));
                score.is_greedy &= token.is_best;
            }
            at = to;
        }
        let scored: Vec<f64> = score.logprobs.iter().flatten().copied().collect();
        if !scored.is_empty() {
            score.perplexity = Some((-scored.iter().sum::<f64>() / scored.len() as f64).exp());
        }
        Ok(score)
    }
}
