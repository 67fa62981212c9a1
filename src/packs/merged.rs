//! All packs that take part, side by side: what an engine runs.

use super::{ActivePack, LayerTokens};

/// The tokens of all packs for one Pattention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergedTokens {
    /// Keys, [m, d_in].
    pub keys: Vec<f32>,
    /// Values, [m, d_out].
    pub values: Vec<f32>,
    /// The strength of each token's pack, \[m\].
    pub strengths: Vec<f32>,
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
}

/// The tokens of all packs that are not off, in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Layers in order, each in the order of [`Pattention::ALL`](crate::pattention::Pattention::ALL). Empty if nothing is on.
    pub layers: Vec<[MergedTokens; 5]>,
}

impl Merged {
    /// Of packs for a model with rows of `hidden` values. A pack of strength 0 leaves no trace.
    pub fn new(packs: &[ActivePack], hidden: usize) -> Self {
        let mut on: Vec<&ActivePack> = packs.iter().filter(|active| active.strength != 0.0).collect();
        on.sort_by(|a, b| a.name.cmp(&b.name));
        let layers = on.iter().map(|active| active.pack.layers.len()).max().unwrap_or(0);
        let tokens = |layer: usize, kind: usize| {
            let mut merged = MergedTokens::default();
            for active in &on {
                let own = active.pack.layers.get(layer).and_then(|layer: &LayerTokens| layer[kind].as_ref());
                let Some(own) = own else { continue };
                merged.keys.extend(&own.keys);
                merged.values.extend(&own.values);
                merged.strengths.extend(vec![active.strength; own.keys.len() / hidden]);
            }
            merged
        };
        let layers: Vec<[MergedTokens; 5]> =
            (0..layers).map(|layer| std::array::from_fn(|kind| tokens(layer, kind))).collect();
        let is_empty = layers.iter().flatten().all(MergedTokens::is_empty);
        Self { layers: if is_empty { Vec::new() } else { layers } }
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
    use std::rc::Rc;

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
