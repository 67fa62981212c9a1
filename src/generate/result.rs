//! What a completion consists of, as its caller gets it.

use serde::Serialize;

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
    /// Tokens of the prompt that the context no longer held at the end.
    pub dropped_prompt_tokens: usize,
    /// How often the context slid: left tokens out to make room.
    pub slides: usize,
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
