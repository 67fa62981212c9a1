//! All active packs, side by side: what an engine runs.

use super::{ActivePack, LayerTokens};
use std::rc::Rc;

/// The tokens of all packs for one Pattention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergedTokens {
    /// Keys, [m, d_in].
    pub keys: Vec<f32>,
    /// Values, [m, d_out].
    pub values: Vec<f32>,
    /// The strength of each token's pack times what its activation is multiplied by, \[m\].
    pub strengths: Vec<f32>,
    /// The packs that have tokens here, and how many, in order. The tokens after theirs subtract from tokens of the
    /// base.
    pub owners: Vec<(Rc<str>, usize)>,
    /// Tokens of packs whose activations are multiplied: which of them, and by what.
    pub scales: Vec<(usize, f32)>,
    /// Slots of the base whose activations are multiplied, and by what: each has a token after those of packs.
    pub base_scales: Vec<(usize, f32)>,
}

impl MergedTokens {
    /// m.
    pub fn len(&self) -> usize {
        self.strengths.len()
    }

    /// True where no pack has tokens.
    pub fn is_empty(&self) -> bool {
        self.strengths.is_empty()
    }

    /// How many of them are tokens of packs: the first ones.
    pub fn of_packs(&self) -> usize {
        self.len() - self.base_scales.len()
    }

    /// What the activations of the base's `slots` tokens are multiplied by.
    pub fn base_factors(&self, slots: usize) -> Vec<f32> {
        let mut factors = vec![1.0; slots];
        self.base_scales.iter().for_each(|(slot, scale)| factors[*slot] = *scale);
        factors
    }

    /// The pack of a token, its number in it, and what its activation is multiplied by; `None` if it is not of a pack.
    pub fn origin(&self, token: usize) -> Option<(&Rc<str>, usize, f32)> {
        let mut slot = token;
        for (name, tokens) in &self.owners {
            if slot < *tokens {
                let scale = self.scales.iter().find(|(of, _)| *of == token).map_or(1.0, |(_, scale)| *scale);
                return Some((name, slot, scale));
            }
            slot -= tokens;
        }
        None
    }

    /// Multiplies the strength of a pack's token, if the pack has it here.
    pub(super) fn scale(&mut self, pack: &str, slot: usize, scale: f32) {
        let Some(at) = self.owners.iter().position(|(name, tokens)| **name == *pack && slot < *tokens) else { return };
        let token = self.owners[..at].iter().map(|(_, tokens)| tokens).sum::<usize>() + slot;
        self.strengths[token] *= scale;
        self.scales.push((token, scale));
    }
}

/// The tokens of all packs that are not off, in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Layers in order, each in the order of [`Pattention::ALL`](crate::pattention::Pattention::ALL). Empty if nothing is on.
    pub layers: Vec<[MergedTokens; 5]>,
}

impl Merged {
    /// From packs for a model with rows of `hidden` values. A pack of strength 0 leaves no trace.
    pub fn new(packs: &[ActivePack], hidden: usize) -> Self {
        let mut on: Vec<&ActivePack> = packs.iter().filter(|active| active.strength != 0.0).collect();
        on.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<Rc<str>> = on.iter().map(|active| active.name.as_str().into()).collect();
        let layers = on.iter().map(|active| active.pack.layers.len()).max().unwrap_or(0);
        let tokens = |layer: usize, kind: usize| {
            let mut merged = MergedTokens::default();
            for (active, name) in on.iter().zip(&names) {
                let own = active.pack.layers.get(layer).and_then(|layer: &LayerTokens| layer[kind].as_ref());
                let Some(own) = own else { continue };
                merged.keys.extend(&own.keys);
                merged.values.extend(&own.values);
                let tokens = own.keys.len() / hidden;
                merged.strengths.extend(vec![active.strength; tokens]);
                merged.owners.push((name.clone(), tokens));
            }
            merged
        };
        let layers: Vec<[MergedTokens; 5]> =
            (0..layers).map(|layer| std::array::from_fn(|kind| tokens(layer, kind))).collect();
        let is_empty = layers.iter().flatten().all(MergedTokens::is_empty);
        Self { layers: if is_empty { Vec::new() } else { layers } }
    }

    /// How many tokens each Pattention of each of a model's layers has.
    pub fn counts(&self, layers: usize) -> Vec<[usize; 5]> {
        let mut counts = vec![[0; 5]; layers];
        for (counts, layer) in counts.iter_mut().zip(&self.layers) {
            *counts = layer.each_ref().map(MergedTokens::len);
        }
        counts
    }

    /// True where nothing is on.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::{Pack, PackTokens};

    fn pack(name: &str, strength: f32, kind: usize, value: f32) -> ActivePack {
        let mut layer: LayerTokens = Default::default();
        layer[kind] = Some(PackTokens { keys: vec![value; 4], values: vec![-value; 4] });
        ActivePack { name: name.into(), strength, pack: Rc::new(Pack { layers: vec![layer, Default::default()] }) }
    }

    #[test]
    fn packs_are_summed_in_the_order_of_their_names() {
        let (a, b, off) = (pack("a", 1.0, 3, 1.0), pack("b", -0.5, 3, 2.0), pack("c", 0.0, 3, 3.0));
        let merged = Merged::new(&[b.clone(), off.clone(), a.clone()], 2);
        assert_eq!(merged, Merged::new(&[a, b], 2));
        assert_eq!(merged.layers.len(), 2);
        let tokens = &merged.layers[0][3];
        assert_eq!(tokens.keys, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(tokens.strengths, [1.0, 1.0, -0.5, -0.5]);
        assert!(merged.layers[1].iter().all(MergedTokens::is_empty));
        assert!(Merged::new(&[off], 2).is_empty());
    }
}
