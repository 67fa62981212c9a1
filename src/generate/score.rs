//! Log-probabilities of given texts.

use super::model::{Model, in_common};
use super::options::Prompt;
use crate::engine::{AbortFlag, Backend, ScoredText, TokenScore};
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

/// Items with a longer common beginning are not scored in one step: what they share would be computed for each of them.
const MOST_REPEATED: usize = 128;

/// An item's token ids.
struct Sequence {
    /// Context, then text.
    ids: Vec<u32>,
    /// Tokens of the context.
    context: usize,
}

impl Sequence {
    /// The tokens that the model reads, and those that are scored after the last ones of them. What follows position p
    /// scores token p + 1, so the last token is not needed, nor is what follows all but the last token of the context.
    fn scored(&self) -> ScoredText<'_> {
        let (first, end) = (self.context.saturating_sub(1), self.ids.len() - 1);
        ScoredText { ids: &self.ids[..end], targets: &self.ids[first + 1..] }
    }

    fn score(&self, tokens: &[TokenScore]) -> Score {
        let unscored = std::iter::repeat_n(None, usize::from(self.context == 0));
        let scored: Vec<f64> = tokens.iter().map(|token| token.logprob).collect();
        Score {
            token_ids: self.ids[self.context..].to_vec(),
            logprobs: unscored.chain(scored.iter().copied().map(Some)).collect(),
            is_greedy: tokens.iter().all(|token| token.is_best),
            perplexity: (!scored.is_empty()).then(|| (-scored.iter().sum::<f64>() / scored.len() as f64).exp()),
        }
    }
}

impl<B: Backend> Model<B> {
    /// Scores each item. Items are taken in an order in which neighbours have most in common. Common beginnings are
    /// computed once, since the KV cache keeps them from one to the next, or if they are short, several items in one
    /// step.
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
        let mut rest = &order[..];
        while let Some(next) = rest.first() {
            abort.check()?;
            let (now, later) = rest.split_at(self.fit_together(rest.iter().map(|i| &sequences[*i])));
            if now.len() == 1 {
                scores[*next] = Some(self.score_sequence(&sequences[*next], abort).await?);
            } else {
                let texts: Vec<_> = now.iter().map(|i| sequences[*i].scored()).collect();
                let tokens = self.score_texts(&texts).await?;
                now.iter().zip(&tokens).for_each(|(i, tokens)| scores[*i] = Some(sequences[*i].score(tokens)));
            }
            rest = later;
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

    /// How many of the next sequences one step scores; 1 for the first alone.
    fn fit_together<'a>(&self, sequences: impl Iterator<Item = &'a Sequence>) -> usize {
        let (mut before, mut tokens, mut count) = (self.context(), 0, 0);
        for Sequence { ids, .. } in sequences {
            tokens += ids.len() - 1;
            if ids.len() == 1 || in_common(before, ids) > MOST_REPEATED || tokens > self.backend().most_together() {
                break;
            }
            (before, count) = (ids, count + 1);
        }
        count.max(1)
    }

    async fn score_sequence(&mut self, sequence: &Sequence, abort: &AbortFlag) -> Result<Score> {
        let ScoredText { ids, targets } = sequence.scored();
        let first = ids.len() - targets.len();
        let mut tokens = Vec::with_capacity(targets.len());
        let mut at = self.reuse(ids, first);
        while at < ids.len() {
            abort.check()?;
            let to = ids.len().min(at + self.backend().max_chunk());
            let targets = &sequence.ids[first.clamp(at, to) + 1..=to];
            tokens.extend(self.score_step(&ids[at..to], targets).await?);
            at = to;
        }
        Ok(sequence.score(&tokens))
    }
}
