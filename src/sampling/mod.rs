//! Choosing the next token from logits, and the log-probabilities of tokens. A GPU does the same in
//! `shaders/sample_*.wgsl`; this is what it is compared with.
//!
//! The order is fixed by the public interface: what the first token may be, repetition penalty, presence and frequency penalty,
//! DRY, logit bias, temperature, top-n-sigma, top-k, top-p, min-p, XTC, draw.

mod dry;
mod logprobs;
mod options;
mod rng;
mod seen;
pub use rng::{below, normals};

pub use dry::{dry_matches, dry_penalties, dry_penalty};
pub use logprobs::{LogProbs, TokenLogprob};
pub use options::*;
pub use seen::Seen;

/// Chooses tokens for one completion.
pub struct Sampler {
    options: SamplingOptions,
    /// Prompt and output.
    seen: Seen,
    /// Ids below this are drawn.
    real_ids: usize,
}

/// A candidate: token id and its logit after penalties, bias and temperature.
type Candidate = (u32, f32);

/// Largest magnitude of a logit after penalties, bias and temperature: differences of such values stay comparable.
const LARGEST: f32 = 3.4e38;

/// A logit at a temperature; a token that is last stays last.
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
        self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0 && self.top_n_sigma <= 0.0 && !self.has_xtc()
    }

    /// True if XTC is on at some of the tokens.
    fn has_xtc(&self) -> bool {
        self.xtc.probability > 0.0 && self.xtc.threshold <= 0.5
    }

    /// True if XTC is on at the completion's token with this index.
    pub fn has_xtc_at(&self, index: u32) -> bool {
        self.has_xtc() && !self.is_greedy() && rng::coin(self.seed, index) < self.xtc.probability
    }
}

impl Sampler {
    /// A sampler for a completion of `prompt` that draws ids below `real_ids`.
    pub fn new(options: SamplingOptions, prompt: &[u32], real_ids: usize) -> Self {
        let seen = Seen::new(prompt, options.penalty_range, real_ids);
        Self { options, seen, real_ids }
    }

    /// Chooses the next token from `logits[V]` and records it.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        let id = self.would_choose(logits);
        self.note(id);
        id
    }

    /// Records a token, however it was chosen.
    pub fn note(&mut self, id: u32) {
        self.seen.note(id);
    }

    /// Number of the token that is chosen next.
    fn index(&self) -> u32 {
        self.seen.written() as u32
    }

    /// The token that is chosen next from `logits[V]`.
    pub fn would_choose(&self, logits: &[f32]) -> u32 {
        let o = &self.options;
        let noise = |id| if o.is_greedy() { 0.0 } else { self.noise(id) };
        let noisy = self.kept(logits).into_iter().map(|(id, x)| (id, x + noise(id)));
        noisy.min_by(order).map_or(0, |c| c.0)
    }

    /// By how much the token chosen from `logits[V]` is better than `id`: 0 if it is that one.
    #[cfg(test)]
    pub fn margin(&self, logits: &[f32], id: u32) -> f32 {
        let noise = |id| if self.options.is_greedy() { 0.0 } else { self.noise(id) };
        let noisy: Vec<Candidate> = self.kept(logits).into_iter().map(|(id, x)| (id, x + noise(id))).collect();
        let best = noisy.iter().map(|c| c.1).fold(f32::NEG_INFINITY, f32::max);
        noisy.iter().find(|c| c.0 == id).map_or(f32::INFINITY, |c| best - c.1)
    }

    /// What is added to a token's logit for the next draw.
    pub fn noise(&self, id: u32) -> f32 {
        rng::gumbel(self.options.seed, self.index(), id)
    }

    /// The candidates for the next token: the softmax of these values is its distribution.
    fn kept(&self, logits: &[f32]) -> Vec<Candidate> {
        let o = &self.options;
        let adjusted = (0..).zip(self.adjusted(logits)).filter(|c| o.allows(self.index(), c.0));
        if o.is_greedy() {
            return adjusted.min_by(order).into_iter().collect();
        }
        let mut kept: Vec<Candidate> = adjusted.map(|(id, x)| (id, cooled(x, o.temperature))).collect();
        if o.top_n_sigma > 0.0 {
            keep_top_n_sigma(&mut kept, o.top_n_sigma);
        }
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
        if o.has_xtc_at(self.index()) {
            exclude_top_choices(&mut kept, o.xtc.threshold, highest);
        }
        kept
    }

    /// Logits of the real ids after penalties and bias. The repetition penalty is CTRL's (Keskar et al. 2019): it divides
    /// positive logits and multiplies negative ones.
    fn adjusted(&self, logits: &[f32]) -> Vec<f32> {
        let o = &self.options;
        let mut x = logits[..self.real_ids.min(logits.len())].to_vec();
        for (x, [all, output]) in x.iter_mut().zip(self.seen.counts()) {
            if *all > 0 {
                *x = if *x > 0.0 { *x / o.repetition_penalty } else { *x * o.repetition_penalty };
            }
            if *output > 0 {
                *x -= o.presence_penalty + o.frequency_penalty * *output as f32;
            }
        }
        for (id, penalty) in dry_penalties(o, self.seen.text()) {
            if let Some(x) = x.get_mut(id as usize) {
                *x -= penalty;
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

/// Better candidates first; on ties, the lower id.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Index of the highest value; on ties, the lowest index.
pub fn best(values: impl Iterator<Item = f32>) -> u32 {
    (0..).zip(values).min_by(order).map_or(0, |c| c.0)
}

/// Keeps what is at most `n` standard deviations below the highest; tokens that are last to be chosen are not counted.
fn keep_top_n_sigma(kept: &mut Vec<Candidate>, n: f32) {
    let values = || kept.iter().map(|c| f64::from(c.1)).filter(|x| *x > f64::from(-LARGEST));
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    let sigma = (values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
    let floor = values().fold(f64::NEG_INFINITY, f64::max) - f64::from(n) * sigma;
    kept.retain(|c| f64::from(c.1) >= floor);
}

/// Of the candidates whose probability among `kept` is at least `threshold`, keeps only the least likely.
fn exclude_top_choices(kept: &mut Vec<Candidate>, threshold: f32, highest: f32) {
    let weight = |c: &Candidate| f64::from((c.1 - highest).exp());
    let least = f64::from(threshold) * kept.iter().map(weight).sum::<f64>();
    let last = kept.iter().copied().filter(|c| weight(c) >= least).max_by(order);
    if let Some(last) = last {
        kept.retain(|c| order(c, &last).is_ge());
    }
}

/// Keeps the smallest set of best candidates whose probability (among `kept`) is at least `top_p`.
fn keep_top_p(kept: &mut Vec<Candidate>, top_p: f32, highest: f32) {
    let weight = |c: &Candidate| f64::from((c.1 - highest).exp());
    let wanted = f64::from(top_p) * kept.iter().map(weight).sum::<f64>();
    // The set is usually small: sort the best few, and more only where they do not suffice.
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
