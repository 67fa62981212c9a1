//! A fake engine: its logits depend on the whole context, and it checks how it is used.

use crate::config::{ModelConfig, PartialConfig};
use crate::engine::*;
use crate::error::{Error, ErrorCode, Result};
use crate::packs::{Ablation, ActivePack, PackTokens, ParameterToken};
use crate::sampling::{LogProbs, SamplingOptions, best};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

pub struct FakeBackend {
    pub config: ModelConfig,
    pub tokens: Vec<u32>,
    pub context: usize,
    /// Logits asked for and tokens given, call by call.
    pub calls: Vec<(usize, Logits)>,
    /// The call (counted from 0) that fails.
    pub fail_at: Option<usize>,
    /// Aborts when this call (counted from 0) runs.
    pub abort_at: Option<(usize, AbortFlag)>,
    /// If set, the completion's ids, whatever the context; otherwise a hash of the context.
    pub script: Option<(usize, Vec<u32>)>,
    /// The script advances by how much of it is chosen, not by the context's length, which a slide changes.
    pub follows_text: bool,
    /// Tokens of it that were chosen.
    pub chosen: usize,
    /// The running completion.
    pub choice: Option<HostChoice>,
    /// Several running texts, and their tails by place.
    pub rows: Option<HostRows>,
    pub tails: Vec<Vec<u32>>,
    /// Tokens that fit into tails.
    pub room: usize,
    /// Places that there is memory for, and steps that were made for several texts.
    pub most_places: usize,
    pub steps: usize,
    /// Steps that are made ahead.
    pub ahead: usize,
    /// How a token was computed counts, too: in a chunk of how many, and by which kernels.
    pub is_exact: bool,
    /// Calls until the device is lost, shared with what comes after it; this one's may be lost already.
    pub until_lost: Rc<RefCell<VecDeque<usize>>>,
    pub is_lost: bool,
    /// How single steps are made.
    pub way: u32,
    /// Active packs; names and strengths count in the logits.
    pub packs: Vec<ActivePack>,
    /// Parameter tokens whose activations are multiplied; slots and factors count in the logits.
    pub ablations: Vec<Ablation>,
    /// A running training.
    pub training: Option<TrainState>,
    /// Most tokens that are scored in one step, and how many texts each such step had.
    pub together: usize,
    pub texts: Vec<usize>,
}

impl FakeBackend {
    pub fn new(vocab: usize, context: usize) -> Self {
        let json = format!(
            r#"{{"num_layers":1,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":32,
            "ffn_slot_num":32,"padded_vocab_size":{vocab},"max_position_embeddings":2048}}"#
        );
        let config = PartialConfig::from_json(json.as_bytes()).and_then(PartialConfig::finish).expect("config");
        Self {
            config,
            tokens: Vec::new(),
            context,
            calls: Vec::new(),
            fail_at: None,
            abort_at: None,
            script: None,
            follows_text: false,
            chosen: 0,
            choice: None,
            rows: None,
            tails: Vec::new(),
            room: 0,
            most_places: MOST_ROWS,
            steps: 0,
            ahead: 1,
            is_exact: false,
            until_lost: Rc::default(),
            is_lost: false,
            way: 0,
            packs: Vec::new(),
            ablations: Vec::new(),
            training: None,
            together: 0,
            texts: Vec::new(),
        }
    }

    /// Fails once the device is lost.
    pub fn check(&mut self) -> Result<()> {
        let mut until = self.until_lost.borrow_mut();
        match until.front_mut() {
            _ if self.is_lost => {}
            None => return Ok(()),
            Some(calls) if *calls > 0 => {
                *calls -= 1;
                return Ok(());
            }
            Some(_) => {
                until.pop_front();
                self.is_lost = true;
            }
        }
        Err(Error::new(ErrorCode::DeviceLost, "lost"))
    }

    /// Appends a token to each of several tails; logits after each.
    fn append(&mut self, inputs: &[RowInput]) -> Result<Vec<f32>> {
        self.check()?;
        let (common, how) = (self.tokens.len(), if self.is_exact { 6 << 16 } else { 0 });
        let mut logits = Vec::new();
        for RowInput { place, held, id } in inputs {
            assert!(*held < self.room && common + held < self.context, "a tail with room");
            let tail = &mut self.tails[*place];
            assert!(*held <= tail.len(), "all before it is there");
            tail.truncate(*held);
            tail.push(id | how);
            self.tokens.extend(tail.iter());
            logits.extend(self.logits_after(self.tokens.len()));
            self.tokens.truncate(common);
        }
        Ok(logits)
    }

    pub fn logits_after(&self, len: usize) -> Vec<f32> {
        let vocab = self.config.padded_vocab_size;
        if let Some((prompt, ids)) = &self.script {
            let mut logits = vec![0.0; vocab];
            let at = if self.follows_text { self.chosen } else { len - prompt };
            logits[ids.get(at).copied().unwrap_or(0) as usize] = 100.0;
            return logits;
        }
        let of_pack =
            |seed: u32, pack: &ActivePack| seed.rotate_left(7) ^ pack.strength.to_bits() ^ pack.name.len() as u32;
        let seed = self.packs.iter().fold(17, of_pack);
        let of_ablation = |seed: u32, one: &Ablation| seed.rotate_left(9) ^ one.scale.to_bits() ^ one.token.slot as u32;
        let seed = self.ablations.iter().fold(seed, of_ablation);
        let hash = self.tokens[..len].iter().fold(seed, |h, t| (h ^ t).wrapping_mul(0x0100_0193).rotate_left(5));
        (0..vocab as u32).map(|i| ((hash ^ i).wrapping_mul(0x9E37_79B9) >> 20) as f32 / 400.0).collect()
    }
}

impl Backend for FakeBackend {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn max_chunk(&self) -> usize {
        4
    }

    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn most_together(&self) -> usize {
        self.together
    }

    async fn score_together(&mut self, texts: &[ScoredText<'_>], real_ids: usize) -> Result<Vec<Vec<TokenScore>>> {
        self.check()?;
        let tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
        assert!(tokens <= self.together && texts.iter().all(|text| !text.ids.is_empty()), "{texts:?}");
        assert!(self.tokens.is_empty(), "the context is forgotten");
        self.texts.push(texts.len());
        let mut scores = Vec::new();
        for ScoredText { ids, targets } in texts {
            self.tokens = ids.to_vec();
            let first = ids.len() + 1 - targets.len();
            let score = |(i, target): (usize, &u32)| {
                let logits = self.logits_after(first + i);
                let is_best = best(logits[..real_ids].iter().copied()) == *target;
                TokenScore { logprob: LogProbs::new(&logits).of(*target), is_best }
            };
            scores.push(targets.iter().enumerate().map(score).collect());
        }
        self.tokens.clear();
        Ok(scores)
    }

    fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        self.check()?;
        assert!(!ids.is_empty() && ids.len() <= 4 && self.tokens.len() + ids.len() <= self.context, "a legal step");
        let call = self.calls.len();
        self.calls.push((ids.len(), logits));
        if self.fail_at == Some(call) {
            return Err(Error::new(ErrorCode::DeviceLost, "lost"));
        }
        if let Some((at, flag)) = &self.abort_at
            && *at == call
        {
            flag.set();
        }
        let is_decode = ids.len() == 1 && logits == Logits::Last;
        let how =
            if self.is_exact { (8 * ids.len() as u32 + if is_decode { 1 + self.way } else { 0 }) << 16 } else { 0 };
        self.tokens.extend(ids.iter().map(|id| id | how));
        let len = self.tokens.len();
        Ok(match logits {
            Logits::None => Vec::new(),
            Logits::Last => self.logits_after(len),
            Logits::Each(n) => (len - n + 1..=len).flat_map(|l| self.logits_after(l)).collect(),
        })
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) {
        self.chosen = text.written.len();
        self.choice = Some(HostChoice::new(options, text, real_ids, wants_logits));
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        let logits = self.forward(ids, Logits::Last).await?;
        self.choice.as_mut().expect("begun").choose(logits);
        self.chosen += 1;
        Ok(())
    }

    async fn choose_next(&mut self) -> Result<()> {
        let last = self.choice.as_ref().expect("begun").last()?;
        self.choose_after(&[last]).await
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        self.check()?;
        self.choice.as_mut().expect("begun").take()
    }

    fn steps_ahead(&self) -> usize {
        self.ahead
    }

    fn stop_choosing(&mut self) {
        self.choice = None;
    }

    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        self.check()?;
        self.reserve_tails(rows).await?;
        let common = self.len();
        read_tails(self, rows, |fake, place| fake.tails[place] = fake.tokens[common..].to_vec()).await?;
        assert!(rows.iter().all(|row| row.tail.len() <= self.tails[row.place].len() + 1), "held tails are there");
        self.rows = Some(HostRows::new(rows, real_ids, wants_logits));
        Ok(())
    }

    async fn step_rows(&mut self) -> Result<()> {
        let inputs = self.rows.as_ref().expect("begun").inputs();
        self.steps += 1;
        let logits = self.append(&inputs)?;
        self.rows.as_mut().expect("begun").choose(&logits);
        Ok(())
    }

    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()> {
        let (places, len) = room_for(rows);
        if places > self.most_places {
            return Err(Error::new(ErrorCode::OutOfMemory, "full"));
        }
        self.tails.resize(places.max(self.tails.len()), Vec::new());
        self.room = self.room.max(len);
        Ok(())
    }

    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()> {
        self.append(inputs).map(drop)
    }

    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>> {
        self.check()?;
        self.rows.as_mut().expect("begun").take()
    }

    fn rows_ahead(&self) -> usize {
        self.ahead
    }

    fn tail_capacity(&self) -> usize {
        self.room
    }

    fn stop_rows(&mut self) {
        self.rows = None;
    }

    fn drop_tails(&mut self) {
        (self.tails, self.room) = (Vec::new(), 0);
    }

    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        self.check()?;
        self.tokens.clear();
        self.drop_tails();
        self.packs = packs.to_vec();
        Ok(())
    }

    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        self.check()?;
        self.tokens.clear();
        self.drop_tails();
        self.ablations = ablations.to_vec();
        Ok(())
    }

    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        self.check()?;
        let values = |slot: usize| (0..32).map(|i| (i + slot) as f32).collect();
        Ok(tokens.iter().map(|token| PackTokens { keys: Vec::new(), values: values(token.slot) }).collect())
    }

    /// Tokens named after the id that was read, and its position.
    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        let past = self.tokens.len();
        self.forward(ids, Logits::None).await?;
        let token = |slot: usize| FiredToken { slot, pack: None, score: 1.0, activation: 1.0, contribution: 1.0 };
        let places = request.places().count();
        let of_row = |row: &usize| vec![vec![token(ids[*row] as usize), token(past + row)]; places];
        Ok(request.rows.iter().flat_map(of_row).collect())
    }

    /// The numbers from 0 on by id, rotated by the value.
    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        self.check()?;
        let vocab = self.config.padded_vocab_size;
        Ok((0..vocab).map(|id| ((id + value[0] as usize) % vocab) as f32).collect())
    }
}

impl Resume for FakeBackend {
    type Way = u32;

    fn way(&self) -> u32 {
        self.way
    }

    async fn go(&mut self, way: &u32) -> Result<()> {
        self.way = *way;
        Ok(())
    }

    fn resume_choosing(&mut self, emitted: &[u32]) {
        self.choice.as_mut().expect("begun").resume(emitted);
    }
}
