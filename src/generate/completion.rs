//! The generation loop: prefill, then a token at a time.

use super::model::Model;
use super::options::{GenerateOptions, Prompt};
use super::phrases::Phrases;
use super::result::{Chunk, Completion, FinishReason, Logprob, Usage};
use super::sentence;
use super::text::TextAssembler;
use super::window::Window;
use crate::engine::{AbortFlag, Backend, Chosen, Row, Text};
use crate::error::{ErrorCode, Result};
use crate::sampling::{END_OF_TEXT, LogProbs};
use web_time::Instant;

/// Most tokens after `maxTokens` in which the end of the sentence is looked for.
const MOST_TO_FINISH: usize = 64;

/// What accompanies a token until its text is decided.
#[derive(Clone)]
struct Sampled {
    id: u32,
    logprob: Option<f64>,
    top_logprobs: Option<Vec<Logprob>>,
}

/// The state of the completion when a chunk was handed out.
#[derive(Clone, Copy)]
struct Mark {
    /// Tokens sampled, and bytes of text handed out.
    sampled: usize,
    text: usize,
    last_token: Option<Instant>,
    window: Window,
    /// The end was decided already.
    ended: bool,
}

/// A completion that is being written.
pub struct Generation {
    prompt: Vec<u32>,
    /// The prompt's last space was dropped: the first token begins with it.
    is_healed: bool,
    options: GenerateOptions,
    assembler: TextAssembler<Sampled>,
    banned: Phrases,
    abort: AbortFlag,
    /// What the context holds of prompt and output, and held at first.
    window: Window,
    first_window: Window,
    /// The engine is choosing tokens: it has read what comes before them.
    is_choosing: bool,
    /// Steps made so far.
    made: usize,
    /// Tokens that these steps gave, including those of a stop string.
    sampled: usize,
    /// These tokens except for end of text, and a mark for every chunk: what `rewind` needs.
    tokens: Vec<Sampled>,
    marks: Vec<Mark>,
    /// The last of them, if the KV cache does not hold it yet.
    pending: Option<u32>,
    finish: Option<FinishReason>,
    text: String,
    token_ids: Vec<u32>,
    cached_prompt_tokens: usize,
    /// Tokens of the prompt that were computed; none before the first step.
    computed: Option<usize>,
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
        mut options: GenerateOptions,
        abort: AbortFlag,
    ) -> Result<Self> {
        let started = Instant::now();
        options.validate()?;
        if !options.stop.is_empty() || !options.banned.is_empty() || options.finish_sentence {
            model.tokenizer()?; // they need text
        }
        options.sampling.dry_breakers = model.breakers(&options.sampling.dry);
        let healed = model.healed(prompt).filter(|_| options.heal);
        let is_healed = healed.is_some();
        let prompt = match healed {
            Some((prompt, first)) => {
                options.sampling.first = Some(first);
                model.prompt_ids(&prompt)?
            }
            None => model.prompt_ids(prompt)?,
        };
        let (context, longest) = (model.backend().context_length(), model.backend().config().max_position_embeddings);
        let window = Window::new(prompt.len(), (context, longest), options.overflow, options.keep)?;
        Ok(Self {
            assembler: TextAssembler::new(&options.stop, options.sampling.min_tokens as usize),
            banned: Phrases::new(&options.banned),
            prompt,
            is_healed,
            options,
            abort,
            window,
            first_window: window,
            is_choosing: false,
            made: 0,
            sampled: 0,
            tokens: Vec::new(),
            marks: Vec::new(),
            pending: None,
            finish: None,
            text: String::new(),
            token_ids: Vec::new(),
            cached_prompt_tokens: 0,
            computed: None,
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
            if let Some(chunk) = self.chunk() {
                return Ok(Some(chunk));
            }
            if self.is_ended() {
                return Ok(None);
            }
            if let Err(e) = self.step(model).await {
                self.give_up(model);
                self.pause(model); // even if it had not begun to choose
                if e.code != ErrorCode::Aborted {
                    return Err(e);
                }
            }
        }
    }

    /// The next chunk that can no longer change.
    pub(super) fn chunk(&mut self) -> Option<Chunk> {
        let (Sampled { id, logprob, top_logprobs }, text) = self.decided()?;
        self.text.push_str(&text);
        self.token_ids.push(id);
        let (sampled, text_bytes, last_token) = (self.sampled, self.text.len(), self.last_token);
        let (window, ended) = (self.window, self.is_ended());
        self.marks.push(Mark { sampled, text: text_bytes, last_token, window, ended });
        Some(Chunk { text, token_id: id, logprob, top_logprobs })
    }

    /// True if no more tokens are chosen; there may still be chunks.
    pub(super) fn is_ended(&self) -> bool {
        self.finish.is_some()
    }

    /// Ends it as aborted, if it has not ended.
    pub(super) fn give_up<B: Backend>(&mut self, model: &mut Model<B>) {
        if !self.is_ended() {
            self.end_after(model, self.options.max_tokens, FinishReason::Abort);
        }
        if self.is_choosing {
            self.pause(model);
        }
    }

    /// Has the next token chosen and takes it. Steps are made ahead of the known tokens; superfluous ones leave no
    /// trace.
    pub(super) async fn step<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        self.abort.check()?;
        if !self.is_choosing {
            self.begin(model).await?;
        }
        while self.made < self.most() && self.made - self.sampled < model.backend().steps_ahead() {
            model.choose_next(self.pending.take()).await?;
            self.made += 1;
        }
        let (chosen, is_cached) = model.chosen().await?;
        // An abort that came meanwhile discards the token: nothing more is written.
        self.abort.check()?;
        self.pending = (!is_cached).then_some(chosen.id);
        if !self.take(model, chosen) {
            self.pause(model);
        }
        Ok(())
    }

    /// Decides what the next token does to the completion. False if the engine's following steps are useless: the text
    /// has ended, was cut, or its context slides.
    pub(super) fn take<B: Backend>(&mut self, model: &Model<B>, Chosen { id, logits }: Chosen) -> bool {
        let now = Instant::now();
        self.first_token.get_or_insert(now);
        self.last_token = Some(now);
        self.sampled += 1;
        let is_finishing = self.sampled > self.options.max_tokens;
        if id == END_OF_TEXT {
            self.end(if is_finishing { FinishReason::Length } else { FinishReason::Stop });
            return false;
        }
        let bytes = self.bytes_of(model, self.tokens.len(), id);
        if is_finishing && sentence::ends(self.assembler.bytes(), Some(&bytes)) {
            self.end_after(model, self.sampled - 1, FinishReason::Length);
            return false;
        }
        let (logprob, top_logprobs) = self.logprobs(model, id, logits.as_deref().unwrap_or_default());
        let token = Sampled { id, logprob, top_logprobs };
        self.tokens.push(token.clone());
        if let Some(first) = self.banned.push(&bytes) {
            self.bar(model, first);
        } else if self.assembler.push(token, &bytes) {
            self.end(if is_finishing { FinishReason::Length } else { FinishReason::Stop });
        } else if self.sampled == self.most_tokens() {
            let is_whole = is_finishing && sentence::ends(self.assembler.bytes(), None);
            self.end_after(model, if is_whole { self.sampled } else { self.options.max_tokens }, FinishReason::Length);
        } else if self.window.room(self.prompt.len() + self.sampled) == 0 {
            if self.window.slides_on() {
                return false;
            } else if self.sampled >= self.options.max_tokens {
                self.end_after(model, self.options.max_tokens, FinishReason::Length);
            } else {
                self.end(FinishReason::Context);
            }
        } else {
            return true;
        }
        false
    }

    /// Tokens that the completion may have until it ends or the context is full.
    pub(super) fn most(&self) -> usize {
        self.most_tokens().min(self.window.room(self.prompt.len()))
    }

    /// Tokens that may be written, including those in which the end of a sentence is looked for.
    fn most_tokens(&self) -> usize {
        self.options.max_tokens.saturating_add(if self.options.finish_sentence { MOST_TO_FINISH } else { 0 })
    }

    /// The next token that can no longer change, with its text. Still undecided are a possible beginning of a phrase,
    /// and what is dropped if the sentence does not end.
    fn decided(&mut self) -> Option<(Sampled, String)> {
        let emitted = self.token_ids.len();
        let is_open = emitted >= self.options.max_tokens.min(self.banned.decided());
        if is_open && self.finish.is_none() { None } else { self.assembler.pop() }
    }

    /// Takes back a phrase that begins in token `first`, and bars that token from this position.
    fn bar<B: Backend>(&mut self, model: &Model<B>, first: usize) {
        let id = self.tokens[first].id;
        let emitted = self.token_ids.len();
        let bars = &mut self.options.sampling.bars;
        // Tokens barred at later positions were barred after other words, and what was handed out is not chosen again.
        bars.retain(|(place, _)| (emitted..=first).contains(&(*place as usize)));
        bars.push((first as u32, id));
        self.cut(model, first);
    }

    /// Goes back to the state after `count` tokens.
    fn cut<B: Backend>(&mut self, model: &Model<B>, count: usize) {
        self.sampled = count;
        self.tokens.truncate(count);
        self.marks.iter_mut().for_each(|mark| mark.sampled = mark.sampled.min(count));
        self.assemble(model, self.token_ids.len());
    }

    /// Rebuilds the text of the tokens, of which `emitted` were handed out.
    fn assemble<B: Backend>(&mut self, model: &Model<B>, emitted: usize) {
        self.assembler = TextAssembler::new(&self.options.stop, self.options.sampling.min_tokens as usize);
        self.banned = Phrases::new(&self.options.banned);
        for (index, token) in self.tokens.iter().enumerate() {
            let bytes = self.bytes_of(model, index, token.id);
            self.banned.push(&bytes);
            self.assembler.push(token.clone(), &bytes);
            if index + 1 == emitted {
                self.assembler.settle();
                while self.assembler.pop().is_some() {}
            }
        }
    }

    /// Ends the text after its first `count` tokens.
    fn end_after<B: Backend>(&mut self, model: &Model<B>, count: usize, reason: FinishReason) {
        if count < self.tokens.len() {
            self.cut(model, count);
        }
        self.sampled = self.sampled.min(count);
        self.end(reason);
    }

    /// Makes the engine read what the context is to hold of prompt and output, and choose the next token.
    async fn begin<B: Backend>(&mut self, model: &mut Model<B>) -> Result<()> {
        let written = self.written();
        self.window.fit(self.prompt.len() + written.len());
        let ids = self.in_context();
        let reused = model.reuse(&ids, ids.len() - 1);
        self.note_reuse(reused, &ids);
        let text = Text { prompt: &self.prompt, written: &written };
        model.begin((&ids, reused), text, &self.options.sampling, self.wants_logits(), &self.abort).await?;
        (self.made, self.pending, self.is_choosing) = (self.sampled + 1, None, true);
        Ok(())
    }

    /// The completion's tokens so far.
    pub(super) fn written(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }

    /// What the context holds of prompt and output.
    pub(super) fn in_context(&self) -> Vec<u32> {
        self.window.of(&[self.prompt.as_slice(), &self.written()].concat())
    }

    /// As one of several texts, whose first `common` tokens the engine holds once for all of them.
    pub(super) fn row(&self, common: usize, place: usize, is_held: bool) -> Row {
        let tail = self.in_context().split_off(common);
        let (options, prompt) = (self.options.sampling.clone(), self.prompt.clone());
        Row { place, tail, is_held, options, prompt, written: self.written() }
    }

    /// True if its next token can be chosen from what the context holds now: nothing has to be left out first.
    pub(super) fn has_room(&self) -> bool {
        self.window.room(self.prompt.len() + self.sampled) > 0
    }

    /// Tokens chosen so far.
    pub(super) fn sampled(&self) -> usize {
        self.sampled
    }

    /// True if chunks have log-probabilities.
    pub(super) fn wants_logits(&self) -> bool {
        self.options.logprobs > 0
    }

    /// Records that the engine had the first `reused` of `ids` when the completion began.
    pub(super) fn note_reuse(&mut self, reused: usize, ids: &[u32]) {
        if self.computed.is_none() {
            (self.cached_prompt_tokens, self.computed) = (reused, Some(ids.len() - reused));
        }
    }

    /// Makes the engine stop after the known tokens; the next step begins again.
    fn pause<B: Backend>(&mut self, model: &mut Model<B>) {
        model.end_choosing();
        model.keep(self.window.held(self.prompt.len() + self.sampled));
        (self.pending, self.is_choosing) = (None, false);
    }

    /// What the completion's token with this index adds to the text: a space that the prompt already has is not
    /// repeated.
    fn bytes_of<B: Backend>(&self, model: &Model<B>, index: usize, id: u32) -> Vec<u8> {
        let mut bytes = model.token_bytes(id);
        if self.is_healed && index == 0 && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        bytes
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

    /// Aborts as if only the first `taken` chunks had been requested: for a writer that is ahead of its reader when the
    /// reader leaves. What came later is removed from the result and the KV cache; what was held back at that point is
    /// delivered again.
    pub fn rewind<B: Backend>(&mut self, model: &mut Model<B>, taken: usize) {
        self.marks.truncate(taken);
        let taken = self.marks.len();
        let window = self.first_window;
        let none = Mark { sampled: 0, text: 0, last_token: None, window, ended: false };
        let mark = self.marks.last().copied().unwrap_or(none);
        if mark.ended {
            return; // the reader's abort would have come too late
        }
        model.end_choosing();
        model.keep(self.window.held(self.prompt.len() + mark.sampled));
        (self.pending, self.is_choosing) = (None, false);
        self.tokens.truncate(mark.sampled);
        self.tokens.truncate(self.options.max_tokens); // whether the sentence would have ended is not known
        self.assemble(model, 0);
        self.assembler.finish();
        for _ in 0..taken {
            self.assembler.pop();
        }
        self.text.truncate(mark.text);
        self.token_ids.truncate(taken);
        (self.sampled, self.last_token, self.window) = (mark.sampled, mark.last_token, mark.window);
        self.first_token = self.first_token.filter(|_| mark.sampled > 0);
        self.finish = Some(FinishReason::Abort);
    }

    /// What was written so far; before the end it counts as aborted.
    pub fn result(&self) -> Completion {
        let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
        let to_first = self.first_token.map(|t| ms(self.started, t));
        let computed = self.computed.unwrap_or_default() as f64;
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
                dropped_prompt_tokens: self.window.left_out(self.prompt.len()),
                slides: self.window.slides,
                completion_tokens: self.token_ids.len(),
                cached_prompt_tokens: self.cached_prompt_tokens,
                time_to_first_token_ms: to_first,
                prefill_tokens_per_second: to_first.map(|ms| computed / ms * 1e3).filter(|r| r.is_finite()),
                decode_tokens_per_second: decode.filter(|r| r.is_finite()),
            },
        }
    }
}
