//! Which parameter tokens write, found from the scores of a forward pass.

use super::lanes::F4;
use super::packs::dot;
use super::products::dequantized;
use super::rows::{gelu, scales, theta};
use super::tables::Weights;
use super::turns::Turns;
use crate::config::NormActivation;
use crate::engine::{Candidate, FiredToken, InspectRequest, strongest};
use crate::packs::{MergedTokens, PackTokens, ParameterToken};
use crate::pattention::Pattention;
use std::collections::HashMap;

/// ‖v_j‖₂ of the base's value tokens, of the layers and kinds that were asked for so far.
#[derive(Default)]
pub struct Norms(HashMap<(usize, Pattention), Vec<f32>>);

impl Norms {
    /// Computes what is missing.
    pub async fn make(&mut self, weights: &Weights, request: &InspectRequest, turns: &Turns) {
        for (layer, kind) in request.places() {
            if self.0.contains_key(&(layer, kind)) {
                continue;
            }
            let [_, values] = weights.tokens(layer, kind);
            let (mut squares, mut row) = (vec![0.0; values.shape.cols], vec![0.0; values.shape.cols]);
            for i in 0..values.shape.rows {
                dequantized(values, i, &mut row);
                squares.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x * x);
                turns.give_way(8 * row.len()).await; // unpacking costs more than a product
            }
            self.0.insert((layer, kind), squares.into_iter().map(f32::sqrt).collect());
        }
    }
}

/// Key and value of one of the base's tokens.
pub fn token(weights: &Weights, token: &ParameterToken) -> PackTokens {
    let [keys, values] = weights.tokens(token.layer, token.kind);
    let (mut key, mut row) = (vec![0.0; keys.shape.cols], vec![0.0; values.shape.cols]);
    dequantized(keys, token.slot, &mut key);
    let column = (0..values.shape.rows).map(|i| {
        dequantized(values, i, &mut row);
        row[token.slot]
    });
    PackTokens { values: column.collect(), keys: key }
}

/// Watches the scores of a pass, and holds what it has seen.
pub struct Watch {
    request: InspectRequest,
    norms: Norms,
    /// By row, and by place in it.
    fired: Vec<Vec<FiredToken>>,
}

impl Watch {
    /// `norms` has the norms of everything that is requested.
    pub fn new(request: &InspectRequest, norms: Norms) -> Self {
        let count = request.rows.len() * request.places().count();
        Self { request: request.clone(), norms, fired: vec![Vec::new(); count] }
    }

    /// Looks at the scores s[T, padded] of a Pattention of x[T, d].
    pub fn look(
        &mut self,
        activation: NormActivation,
        place: (usize, Pattention),
        (s, padded, slots): (&[f32], usize, usize),
        x: &[f32],
        packs: Option<&MergedTokens>,
    ) {
        let places = self.request.places().count();
        let d = x.len() / (s.len() / padded);
        let factors = packs.map_or_else(|| vec![1.0; slots], |packs| packs.base_factors(slots));
        // A place that was requested twice is reported twice.
        for (at, _) in self.request.places().enumerate().filter(|(_, asked)| *asked == place) {
            for (i, row) in self.request.rows.iter().enumerate() {
                let (s, x) = (&s[row * padded..][..padded], &x[row * d..][..d]);
                let mut candidates = of_base(activation, s, &factors, &self.norms.0[&place]);
                if let Some(packs) = packs {
                    candidates.extend(of_packs(packs, x, scales(s, padded, slots)[0]));
                }
                self.fired[i * places + at] = strongest(candidates, self.request.top, packs);
            }
        }
    }

    /// What was seen, and the norms.
    pub fn finish(self) -> (Vec<Vec<FiredToken>>, Norms) {
        (self.fired, self.norms)
    }
}

fn of_base(activation: NormActivation, s: &[f32], factors: &[f32], norms: &[f32]) -> Vec<Candidate> {
    let (padded, slots) = (s.len(), factors.len());
    let mut activations = s.to_vec();
    theta(activation, &mut activations, padded, slots);
    let scale = if activation == NormActivation::L2NormGelu { scales(s, padded, slots)[0] } else { 1.0 };
    let candidate = |index: usize| {
        let activation = activations[index] * factors[index];
        let contribution = activation.abs() * norms[index];
        Candidate { is_of_packs: false, index, score: s[index] * scale, activation, contribution }
    };
    (0..slots).map(candidate).collect()
}

fn of_packs<'a>(packs: &'a MergedTokens, x: &'a [f32], scale: f32) -> impl Iterator<Item = Candidate> + 'a {
    let tokens = packs.keys.chunks_exact(x.len()).zip(packs.values.chunks_exact(x.len())).zip(&packs.strengths);
    tokens.take(packs.of_packs()).enumerate().map(move |(index, ((key, value), strength))| {
        let score = dot(x, key) * scale;
        let [activation, ..] = gelu(F4::splat(score)).array();
        let contribution = (strength * activation).abs() * dot(value, value).sqrt();
        Candidate { is_of_packs: true, index, score, activation, contribution }
    })
}
