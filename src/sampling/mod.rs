//! Choosing the next token from logits, and the log-probabilities of tokens. A GPU does the same in
//! `shaders/sample_*.wgsl`; this is what it is compared with.
//!
//! The order is fixed by the public interface: what the first token may be, repetition penalty, presence and frequency penalty,
//! logit bias, temperature, top-k, top-p, min-p, draw.

mod logprobs;
mod options;
mod rng;
#[cfg(not(target_arch = "wasm32"))]
pub use rng::below;

pub use logprobs::{LogProbs, TokenLogprob};
pub use options::*;

use std::collections::HashMap;

/// Chooses tokens for one completion.
pub struct Sampler {
    options: SamplingOptions,
    /// Tokens of prompt and output, with how often the output holds each.
    seen: HashMap<u32, u32>,
    /// Ids below this are drawn.
    real_ids: usize,
    index: u32,
}

/// A candidate: token id and its logit after penalties, bias and temperature.
type Candidate = (u32, f32);

/// Largest magnitude of a logit after penalties, bias and temperature: differences of such values stay comparable.
const LARGEST: f32 = 3.4e38;

/// A logit at a temperature; what is last stays so.
fn cooled(x: f32, temperature: f32) -> f32 {
    if x == -LARGEST { x } else { finite(x / temperature) }
}

/// Extreme options may make values infinite, and damaged weights make NaN: such a token is the last to be chosen.
fn finite(x: f32) -> f32 {
    if x.is_nan() { -LARGEST } else { x.clamp(-LARGEST, LARGEST) }
}

impl SamplingOptions {
    /// True if every token that may be chosen stays in the draw: no filter is on.
    pub fn keeps_all(&self) -> bool {
        self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0
    }
}

impl Sampler {
    /// A sampler for a completion of `prompt` that draws ids below `real_ids`.
    pub fn new(options: SamplingOptions, prompt: &[u32], real_ids: usize) -> Self {
        let seen = prompt.iter().map(|id| (*id, 0)).collect();
        Self { options, seen, real_ids, index: 0 }
    }

    /// Chooses the next token from `logits[V]` and takes note of it.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        let id = self.would_choose(logits);
        self.note(id);
        id
    }

    /// Takes note of a token, whoever chose it.
    pub fn note(&mut self, id: u32) {
        *self.seen.entry(id).or_default() += 1;
        self.index += 1;
    }

    /// The token that `logits[V]` give next.
    pub fn would_choose(&self, logits: &[f32]) -> u32 {
        let o = &self.options;
        let noise = |id| if o.is_greedy() { 0.0 } else { self.noise(id) };
        let noisy = self.kept(logits).into_iter().map(|(id, x)| (id, x + noise(id)));
        noisy.min_by(order).map_or(0, |c| c.0)
    }

    /// What is added to a token's logit for the next draw.
    pub fn noise(&self, id: u32) -> f32 {
        rng::gumbel(self.options.seed, self.index, id)
    }

    /// What the next token is drawn from: the softmax of these values is its distribution.
    fn kept(&self, logits: &[f32]) -> Vec<Candidate> {
        let o = &self.options;
        let adjusted = (0..).zip(self.adjusted(logits)).filter(|c| o.allows(self.index, c.0));
        if o.is_greedy() {
            return adjusted.min_by(order).into_iter().collect();
        }
        let mut kept: Vec<Candidate> = adjusted.map(|(id, x)| (id, cooled(x, o.temperature))).collect();
        if o.top_k > 0 && (o.top_k as usize) < kept.len() {
            kept.select_nth_unstable_by(o.top_k as usize - 1, order);
            kept.truncate(o.top_k as usize);
        }
        let highest = kept.iter().map(|c| c.1).fold(f32::NEG_INFINITY, f32::max);
        if o.top_p < 1.0 {
            keep_top_p(&mut kept, o.top_p, highest);
        }
        let floor = if o.min_p > 0.0 { highest + o.min_p.ln() } else { f32::NEG_INFINITY };
        kept.retain(|c| c.1 >= floor);
        kept
    }

    /// Logits of the real ids after penalties and bias. The repetition penalty is CTRL's (Keskar et al. 2019): it divides
    /// positive logits and multiplies negative ones.
    fn adjusted(&self, logits: &[f32]) -> Vec<f32> {
        let o = &self.options;
        let mut x = logits[..self.real_ids.min(logits.len())].to_vec();
        for (id, count) in &self.seen {
            let Some(x) = x.get_mut(*id as usize) else { continue };
            *x = if *x > 0.0 { *x / o.repetition_penalty } else { *x * o.repetition_penalty };
            if *count > 0 {
                *x -= o.presence_penalty + o.frequency_penalty * *count as f32;
            }
        }
        for (id, bias) in &o.logit_bias {
            if let Some(x) = x.get_mut(*id as usize) {
                *x += bias;
            }
        }
        x.iter_mut().for_each(|x| *x = finite(*x));
        x
    }
}

/// Better candidates first; of equals, the lower id.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Index of the highest value; of equals, the lowest index.
pub fn best(values: impl Iterator<Item = f32>) -> u32 {
    (0..).zip(values).min_by(order).map_or(0, |c| c.0)
}

/// Keeps the smallest set of best candidates whose probability (among `kept`) is at least `top_p`.
fn keep_top_p(kept: &mut Vec<Candidate>, top_p: f32, highest: f32) {
    let weight = |c: &Candidate| f64::from((c.1 - highest).exp());
    let wanted = f64::from(top_p) * kept.iter().map(weight).sum::<f64>();
    // The set is small as a rule: sort the best few, and more only where they do not suffice.
    let (mut sorted, mut sum) = (0, 0.0);
    let mut step = 256;
    while sorted < kept.len() {
        let rest = &mut kept[sorted..];
        let n = step.min(rest.len());
        if n < rest.len() {
            rest.select_nth_unstable_by(n - 1, order);
        }
        rest[..n].sort_unstable_by(order);
        for (i, c) in rest[..n].iter().enumerate() {
            sum += weight(c);
            if sum >= wanted {
                kept.truncate(sorted + i + 1);
                return;
            }
        }
        sorted += n;
        step *= 8;
    }
}

#[cfg(test)]
mod tests;
