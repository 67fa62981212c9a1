//! Gradients of a token pack through the whole model, and AdamW's steps with them.

use super::backward::{TableView, TokenGradients, adamw, attention, clip_scale, cross_entropy, final_norm};
use super::backward::{layer_norm as through_norm, norm, pattention, products, rotate};
use super::forward::{Cache, Reference, add, embed, self_attention};
use super::math::layer_norm;
use crate::engine::{AdamW, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, Result};
use crate::packs::{MergedTokens, Pack, PackTokens, check_activation};
use crate::pattention::Pattention;

/// A running training.
pub(super) struct Training {
    pub(super) state: TrainState,
    options: AdamW,
    room: TrainRoom,
}

/// What the backward pass needs of a layer, [T, d] each.
struct Kept {
    /// The residual stream before it, and between attention and feed-forward part.
    before: Vec<f32>,
    between: Vec<f32>,
    /// Queries and keys, rotated, and values.
    qkv: [Vec<f32>; 3],
    /// What attention made of them.
    mixed: Vec<f32>,
}

/// The tokens of a layer's five Pattentions.
type LayerPacks = [MergedTokens; 5];

impl Reference {
    /// The mean loss of a sequence's predictions in nats, with the active packs and `tokens` at strength 1, and its
    /// gradient with respect to `tokens`.
    ///
    /// # Errors
    /// `invalid-argument` for a sequence of fewer than two ids, or ids that the model does not have.
    pub fn gradients(&self, tokens: &Pack, ids: &[u32]) -> Result<(f64, Pack)> {
        let packs = self.packs_with(tokens);
        let (kept, last) = self.keep(&packs, ids)?;
        let (config, d) = (&self.config, self.config.hidden_size);
        let epsilon = config.layernorm_epsilon as f32;
        let (loss, by_logits) = cross_entropy(&self.predictions(&last), &ids[1..]);
        let by_normed = products::times(&by_logits, &self.embedding, config.padded_vocab_size, d);
        // Nothing is predicted after the last id.
        let mut by_h = final_norm(&last[..by_normed.len()], &self.norm_weight, &by_normed, epsilon);
        by_h.resize(last.len(), 0.0);
        let mut gradients = tokens.zeros();
        for (layer, kept) in kept.iter().enumerate().rev() {
            let mut backward = |which: Pattention, u: &[f32], gradient: &[f32]| {
                let tables = &self.layers[layer].tables[which as usize];
                let base = TableView { keys: &tables.keys, values: &tables.values, slots: tables.slots, d_in: d };
                let got = pattention(base, &packs[layer][which as usize], u, gradient);
                if let Some(to) = gradients.layers.get_mut(layer).and_then(|layer| layer[which as usize].as_mut()) {
                    take_last(to, &got.tokens);
                }
                got.input
            };
            let u = layer_norm(&kept.between, d, epsilon);
            let by_u = backward(Pattention::Mlp, &u, &by_h);
            add(&mut by_h, &through_norm(&kept.between, &by_u, d, epsilon));
            let by_mixed = backward(Pattention::Proj, &kept.mixed, &by_h);
            let [q, k, v] = &kept.qkv;
            let mut by_qkv = attention([q, k, v], &by_mixed, (d, config.head_size()));
            for by in &mut by_qkv[..2] {
                rotate(by, d, (config.head_size(), config.rotary_dims()), config.rotary_emb_base);
            }
            let u = layer_norm(&kept.before, d, epsilon);
            let mut by_u = vec![0.0; u.len()];
            for (which, by) in [Pattention::Query, Pattention::Key, Pattention::Value].into_iter().zip(&by_qkv) {
                add(&mut by_u, &backward(which, &u, by));
            }
            add(&mut by_h, &through_norm(&kept.before, &by_u, d, epsilon));
        }
        Ok((loss, gradients))
    }

    /// The mean loss of a sequence's predictions, in nats; see [`gradients`](Self::gradients).
    fn loss(&self, packs: &[LayerPacks], ids: &[u32]) -> Result<f64> {
        let (_, last) = self.keep(packs, ids)?;
        Ok(cross_entropy(&self.predictions(&last), &ids[1..]).0)
    }

    /// Logits after all positions but the last.
    fn predictions(&self, last: &[f32]) -> Vec<f32> {
        self.logits(&last[..last.len() - self.config.hidden_size])
    }

    /// The active packs, with `tokens` as the last of them.
    fn packs_with(&self, tokens: &Pack) -> Vec<LayerPacks> {
        let of = |layer: usize, kind: usize| {
            let mut all = self.packs.layers.get(layer).map(|layer| layer[kind].clone()).unwrap_or_default();
            if let Some(own) = tokens.layers.get(layer).and_then(|layer| layer[kind].as_ref()) {
                all.keys.extend(&own.keys);
                all.values.extend(&own.values);
                all.strengths.resize(all.keys.len() / self.config.hidden_size, 1.0);
            }
            all
        };
        (0..self.layers.len()).map(|layer| std::array::from_fn(|kind| of(layer, kind))).collect()
    }

    /// A forward pass over a sequence from its first position on, which does not use the KV cache and rounds nothing.
    fn keep(&self, packs: &[LayerPacks], ids: &[u32]) -> Result<(Vec<Kept>, Vec<f32>)> {
        if ids.len() < 2 {
            return Err(Error::invalid_argument("A sequence of fewer than two ids has nothing to predict."));
        }
        let (config, d) = (&self.config, self.config.hidden_size);
        let epsilon = config.layernorm_epsilon as f32;
        let mut h = embed(&self.embedding, d, ids)?;
        let mut kept = Vec::with_capacity(self.layers.len());
        for (layer, packs) in self.layers.iter().zip(packs) {
            let apply = |which: Pattention, x: &[f32]| {
                layer.tables[which as usize].apply(config, x, Some(&packs[which as usize]))
            };
            let before = h.clone();
            let u = layer_norm(&h, d, epsilon);
            let mut qkv = [Pattention::Query, Pattention::Key, Pattention::Value].map(|which| apply(which, &u));
            let mut cache = Cache::default();
            let mixed = self_attention(config, 0, false, std::slice::from_mut(&mut cache), qkv.clone());
            super::math::rotate(&mut qkv[0], d, (config.head_size(), config.rotary_dims()), config.rotary_emb_base, 0);
            qkv[1] = cache.keys;
            add(&mut h, &apply(Pattention::Proj, &mixed));
            let between = h.clone();
            add(&mut h, &apply(Pattention::Mlp, &layer_norm(&between, d, epsilon)));
            kept.push(Kept { before, between, qkv, mixed });
        }
        Ok((kept, h))
    }
}

/// From the gradients of several packs' tokens, takes those of the last.
fn take_last(to: &mut PackTokens, from: &TokenGradients) {
    for (to, from) in [(&mut to.keys, &from.keys), (&mut to.values, &from.values)] {
        let first = from.len() - to.len();
        to.copy_from_slice(&from[first..]);
    }
}

impl Training {
    /// See [`Train::begin_training`](crate::engine::Train::begin_training).
    pub(super) fn new(reference: &Reference, state: &TrainState, options: &AdamW, room: TrainRoom) -> Result<Self> {
        check_activation(&reference.config)?;
        state.tokens.check(&reference.config)?;
        let lengths = |pack: &Pack| pack.slices().map(<[f32]>::len).collect::<Vec<_>>();
        if state.moments.iter().any(|moments| lengths(moments) != lengths(&state.tokens)) {
            return Err(Error::invalid_argument("The moments are of other tokens than those that are trained."));
        }
        Ok(Self { state: state.clone(), options: options.clone(), room })
    }

    /// Makes a step; returns its loss before the update.
    pub(super) fn step(&mut self, reference: &Reference, step: &TrainStep) -> Result<f32> {
        self.check(&step.batch)?;
        let TrainState { tokens, moments, steps } = &mut self.state;
        let (mut loss, mut sums) = (0.0, tokens.zeros());
        for ids in &step.batch {
            let (of_sequence, gradients) = reference.gradients(tokens, ids)?;
            loss += of_sequence / step.batch.len() as f64;
            for (sum, gradient) in sums.slices_mut().zip(gradients.slices()) {
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / step.batch.len() as f32);
            }
        }
        let scale = clip_scale(&self.options, norm(sums.slices()));
        sums.slices_mut().flatten().for_each(|g| *g *= scale);
        *steps += 1;
        let [first, second] = moments;
        let all = tokens.slices_mut().zip(first.slices_mut()).zip(second.slices_mut()).zip(sums.slices());
        for (((values, first), second), gradient) in all {
            adamw(&self.options, step.learning_rate, *steps, values, [first, second], gradient);
        }
        Ok(loss as f32)
    }

    /// See [`Train::loss`](crate::engine::Train::loss).
    pub(super) fn loss(&self, reference: &Reference, sequences: &[Vec<u32>]) -> Result<f64> {
        let packs = reference.packs_with(&self.state.tokens);
        let losses = sequences.iter().map(|ids| reference.loss(&packs, ids));
        Ok(losses.sum::<Result<f64>>()? / sequences.len() as f64)
    }

    fn check(&self, batch: &[Vec<u32>]) -> Result<()> {
        let TrainRoom { length, batch: most } = self.room;
        let fits = (1..=most).contains(&batch.len()) && batch.iter().all(|ids| ids.len() <= length);
        let message = format!("There is room for {most} sequences of {length} ids.");
        if fits { Ok(()) } else { Err(Error::invalid_argument(message)) }
    }
}
