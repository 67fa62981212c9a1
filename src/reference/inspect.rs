//! Which parameter tokens write, in plain arithmetic.

use super::forward::Reference;
use super::math::{gelu, matmul_transposed, theta};
use crate::checkpoint::layout::padded_slots;
use crate::config::NormActivation;
use crate::engine::{Candidate, FiredToken, InspectRequest, strongest};
use crate::error::Result;
use crate::packs::{MergedTokens, PackTokens};
use crate::pattention::Pattention;
use std::collections::HashMap;

impl Reference {
    /// Key k_j and value v_j of one of the base's parameter tokens, \[d\] each.
    pub fn token(&self, layer: usize, kind: Pattention, slot: usize) -> PackTokens {
        let d = self.config.hidden_size;
        let tables = &self.layers[layer].tables[kind as usize];
        let column = tables.values.chunks_exact(padded_slots(tables.slots)).map(|row| row[slot]);
        PackTokens { keys: tables.keys[slot * d..][..d].to_vec(), values: column.collect() }
    }

    /// (v ∘ w)·Eᵀ, V values.
    pub fn pushes(&self, value: &[f32]) -> Vec<f32> {
        let x: Vec<f32> = value.iter().zip(&self.norm_weight).map(|(v, w)| v * w).collect();
        matmul_transposed(&x, &self.embedding, x.len())
    }

    /// Appends `ids` to the KV cache, and reports which parameter tokens contributed most; see `Backend::inspect`.
    ///
    /// # Errors
    /// `invalid-argument` for ids that are out of range.
    pub fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        let mut inputs = HashMap::new();
        self.forward_watched(ids, false, &mut |layer, kind, x| {
            inputs.insert((layer, kind), x.to_vec());
        })?;
        let d = self.config.hidden_size;
        let of = |row: usize, (layer, kind): (usize, Pattention)| {
            let x = &inputs[&(layer, kind)][row * d..][..d];
            let packs = self.packs.layers.get(layer).map(|kinds| &kinds[kind as usize]);
            strongest(self.candidates(layer, kind, x, packs), request.top, packs)
        };
        Ok(request
            .rows
            .iter()
            .flat_map(|row| request.places().map(move |place| (*row, place)))
            .map(|(row, place)| of(row, place))
            .collect())
    }

    /// Every token of a Pattention, given x\[d\].
    fn candidates(&self, layer: usize, kind: Pattention, x: &[f32], packs: Option<&MergedTokens>) -> Vec<Candidate> {
        let tables = &self.layers[layer].tables[kind as usize];
        let (n, d, activation) = (tables.slots, x.len(), self.config.norm_activation_type);
        let scores = matmul_transposed(x, &tables.keys[..n * d], d);
        let mut activations = scores.clone();
        theta(activation, &mut activations);
        let norm = scores.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
        let root = if norm > 0.0 { ((n as f64).sqrt() / norm) as f32 } else { 0.0 };
        let length = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        let factors = packs.map_or_else(|| vec![1.0; n], |packs| packs.base_factors(n));
        let base = (0..n).map(|slot| {
            let score = if activation == NormActivation::L2NormGelu { scores[slot] * root } else { scores[slot] };
            let activation = activations[slot] * factors[slot];
            let contribution = activation.abs() * length(&self.token(layer, kind, slot).values);
            Candidate { is_of_packs: false, index: slot, score, activation, contribution }
        });
        let mut all: Vec<Candidate> = base.collect();
        if let Some(packs) = packs {
            let tokens = packs.keys.chunks_exact(d).zip(packs.values.chunks_exact(d)).zip(&packs.strengths);
            all.extend(tokens.take(packs.of_packs()).enumerate().map(|(index, ((key, value), strength))| {
                let score = matmul_transposed(x, key, d)[0] * root;
                let activation = gelu(score);
                let contribution = (strength * activation).abs() * length(value);
                Candidate { is_of_packs: true, index, score, activation, contribution }
            }));
        }
        all
    }
}
