//! The generation loop: prefill, then a token at a time.

use super::backend::{Backend, Logits};
use super::model::{AbortFlag, Model};
use super::options::{GenerateOptions, Prompt};
use super::text::TextAssembler;
use crate::error::{Error, ErrorCode, Result};
use crate::sampling::{LogProbs, Sampler};
use serde::Serialize;
use web_time::Instant;

/// End of text: ends a completion, and stands for an empty prompt.
pub const END_OF_TEXT: u32 = 0;

/// A token with its text and log-probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logprob {
    /// The token.
    pub token_id: u32,
    /// Its text, alone.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// What one kept token adds to the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// Text that is complete with this token; may be empty.
    pub text: String,
    /// The token.
    pub token_id: u32,
    /// Log-probability in the unmodified distribution, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprob: Option<f64>,
    /// The most probable tokens, best first, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<Vec<Logprob>>,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// End of text, or a stop string.
    Stop,
    /// `maxTokens` were written.
    Length,
    /// The caller aborted.
    Abort,
    /// The context is full.
    Context,
}

/// What a completion took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens kept.
    pub completion_tokens: usize,
    /// Tokens of the prompt that were still in the KV cache.
    pub cached_prompt_tokens: usize,
    /// From the call to the first token in ms; null if none was made.
    pub time_to_first_token_ms: Option<f64>,
    /// Prompt tokens that were computed, per second until the first token; null if none was made.
    pub prefill_tokens_per_second: Option<f64>,
    /// Tokens after the first per second; null below two tokens.
    pub decode_tokens_per_second: Option<f64>,
}

/// A whole completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The chunks' texts, joined.
    pub text: String,
    /// The chunks' tokens.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The seed that repeats it.
    pub seed: u64,
    /// What it took.
    pub usage: Usage,
}

/// What travels with a token until its text is decided.
struct Sampled {
    id: u32,
    logprob: Option<f64>,
    top_logprobs: Option<Vec<Logprob>>,
}

/// A completion that is being written.
pub struct Generation {
    prompt: Vec<u32>,
    options: GenerateOptions,
    sampler: Sampler,
    assembler: TextAssembler<Sampled>,
    abort: AbortFlag,
    /// Tokens sampled so far, those of a stop string included.
    sampled: usize,
    /// The last of them, which the KV cache does not hold yet.
    pending: Option<u32>,
    finish: Option<FinishReason>,
    text: String,
    token_ids: Vec<u32>,
    cached_prompt_tokens: usize,
    started: Instant,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
}

impl Generation {
    /// Checks everything that can be checked before the first step.
    ///
    /// # Errors
    /// `invalid-argument`, or `invalid-config` for text without a tokenizer.
    pub fn start<B: Backend>(
        model: &Model<B>,
        prompt: &Prompt,
        options: GenerateOptions,
        abort: AbortFlag,
    ) -> Result<Self> {
        let started = Instant::now();
        options.validate()?;
        if !options.stop.is_empty() {
            model.tokenizer()?; // stop strings need text
        }
        let prompt = model.prompt_ids(prompt)?;
        let room = model.backend().context_length();
        if prompt.len() >= room {
            return Err(Error::invalid_argument(format!(
                "The prompt has {} tokens and leaves no room in the context of {room}.",
                prompt.len()
            ))
            .hint("Shorten it, or load the model with a larger contextLength."));
        }
        Ok(Self {
            sampler: Sampler::new(options.sampling.clone(), &prompt, model.real_ids()),
            assembler: TextAssembler::new(&options.stop),
            prompt,
            options,
            abort,
            sampled: 0,
            pending: None,
            finish: None,
            text: String::new(),
            token_ids: Vec::new(),
            cached_prompt_tokens: 0,
            started,
            first_token: None,
            last_token: None,
        })
    }

    /// The next chunk; `None` once the completion has ended.
    ///
    /// # Errors
    /// The engine's; the completion has then ended.
    pub async fn next<B: Backend>(&mut self, model: &mut Model<B>) -> Result<Option<Chunk>> {
        loop {
            if let Some((token, text)) = self.assembler.pop() {
                self.text.push_str(&text);
                self.token_ids.push(token.id);
                let Sampled { id, logprob, top_logprobs } = token;
                return Ok(Some(Chunk { text, token_id: id, logprob, top_logprobs }));
            }
            if self.finish.is_some() {
                return Ok(None);
            }
            match self.step(model).await {
                Ok(()) => {}
                Err(e) if e.code == ErrorCode::Aborted => self.end(FinishReason::Abort),
                Err(e) => {
                    self.end(FinishReason::Abort);
                    return Err(e);
                }
            }
        }
    }

    /// Makes one token and decides whether it is the last.
    async fn step<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        let logits = match self.pending {
            Some(id) => {
                self.abort.check()?;
                model.forward(&[id], Logits::Last).await?
            }
            None => {
                self.cached_prompt_tokens = model.reuse(&self.prompt, self.prompt.len() - 1);
                model.extend(&self.prompt[self.cached_prompt_tokens..], Logits::Last, &self.abort).await?
            }
        };
        // An abort that came while the step ran discards its token: nothing more is written.
        self.abort.check()?;
        let id = self.sampler.next(&logits);
        let now = Instant::now();
        self.first_token.get_or_insert(now);
        self.last_token = Some(now);
        self.sampled += 1;
        self.pending = Some(id);
        if id == END_OF_TEXT {
            self.end(FinishReason::Stop);
            return Ok(());
        }
        let (logprob, top_logprobs) = self.logprobs(model, id, &logits);
        if self.assembler.push(Sampled { id, logprob, top_logprobs }, &model.token_bytes(id)) {
            self.end(FinishReason::Stop);
        } else if self.sampled == self.options.max_tokens {
            self.end(FinishReason::Length);
        } else if self.prompt.len() + self.sampled == model.backend().context_length() {
            self.end(FinishReason::Context);
        }
        Ok(())
    }

    fn logprobs<B: Backend>(&self, model: &Model<B>, id: u32, logits: &[f32]) -> (Option<f64>, Option<Vec<Logprob>>) {
        if self.options.logprobs == 0 {
            return (None, None);
        }
        let p = LogProbs::new(logits);
        let top = p.top(self.options.logprobs, model.real_ids()).into_iter().map(|t| Logprob {
            token_id: t.token_id,
            text: String::from_utf8_lossy(&model.token_bytes(t.token_id)).into_owned(),
            logprob: t.logprob,
        });
        (Some(p.of(id)), Some(top.collect()))
    }

    fn end(&mut self, reason: FinishReason) {
        self.assembler.finish();
        self.finish.get_or_insert(reason);
    }

    /// What was written so far; before the end it reads as aborted.
    pub fn result(&self) -> Completion {
        let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
        let to_first = self.first_token.map(|t| ms(self.started, t));
        let computed = (self.prompt.len() - self.cached_prompt_tokens) as f64;
        let decode = match (self.first_token, self.last_token) {
            (Some(first), Some(last)) if self.sampled > 1 => Some((self.sampled - 1) as f64 / ms(first, last) * 1e3),
            _ => None,
        };
        Completion {
            text: self.text.clone(),
            token_ids: self.token_ids.clone(),
            finish_reason: self.finish.unwrap_or(FinishReason::Abort),
            seed: self.options.sampling.seed,
            usage: Usage {
                prompt_tokens: self.prompt.len(),
                completion_tokens: self.token_ids.len(),
                cached_prompt_tokens: self.cached_prompt_tokens,
                time_to_first_token_ms: to_first,
                prefill_tokens_per_second: to_first.map(|ms| computed / ms * 1e3).filter(|r| r.is_finite()),
                decode_tokens_per_second: decode.filter(|r| r.is_finite()),
            },
        }
    }
}
