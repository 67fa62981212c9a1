//! Parameter tokens that count less, more, or not at all: their activations are multiplied.
//!
//! The norm of a Pattention's scores stays as if the token were there. So what a factor takes from a token of the base
//! becomes a token beside it, with the same key and value and the strength (factor − 1). A token of a pack has its
//! strength multiplied.

use super::{ActivePack, Merged, PackTokens};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::pattention::Pattention;
use std::collections::HashSet;

/// Most ablations of one Pattention's own tokens.
pub const MOST_ABLATIONS: usize = 4096;
/// Largest magnitude of a factor.
pub const MOST_SCALE: f32 = 1000.0;

/// A parameter token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParameterToken {
    /// From 0.
    pub layer: usize,
    /// Which Pattention of the layer.
    pub kind: Pattention,
    /// Its number among the model's own tokens, or among those of the pack.
    pub slot: usize,
    /// The name of the pack that it belongs to, if it is not one of the model's own.
    pub pack: Option<String>,
}

impl ParameterToken {
    /// Is there such a token?
    ///
    /// # Errors
    /// `invalid-argument` that names what is wrong; its sentence begins with `at`.
    pub fn check(&self, config: &ModelConfig, packs: &[ActivePack], at: &str) -> Result<()> {
        let Self { layer, kind, slot, pack } = self;
        let layers = config.num_layers;
        if *layer >= layers {
            return Err(Error::invalid_argument(format!("{at}layer is {layer}, but the model has {layers} layers."))
                .hint(format!("Give a layer from 0 to {}.", layers - 1)));
        }
        let (slots, owner) = match pack {
            None => (kind.slots(config), "the model".to_owned()),
            Some(name) => {
                let owner = format!("the pack {name:?}");
                let Some(active) = packs.iter().find(|active| active.name == *name) else {
                    return Err(Error::invalid_argument(format!(
                        "{at}pack is {name:?}, which the model does not have."
                    ))
                    .hint("Add it first, or leave it out for one of the model's own tokens."));
                };
                let tokens = active.pack.layers.get(*layer).and_then(|kinds| kinds[*kind as usize].as_ref());
                (tokens.map_or(0, |tokens| tokens.keys.len() / config.hidden_size), owner)
            }
        };
        if *slot >= slots {
            let kind = kind.name();
            return Err(Error::invalid_argument(format!(
                "{at}slot is {slot}, but {owner} has {slots} tokens at layer {layer}, {kind}."
            ))
            .hint("Slots are counted from 0."));
        }
        Ok(())
    }

    /// Key and value of a pack's token; `None` for one that no pack has.
    pub fn of_packs(&self, packs: &[ActivePack], hidden: usize) -> Option<PackTokens> {
        let active = packs.iter().find(|active| Some(&active.name) == self.pack.as_ref())?;
        let tokens = active.pack.layers.get(self.layer)?[self.kind as usize].as_ref()?;
        let row = self.slot * hidden..(self.slot + 1) * hidden;
        Some(PackTokens { keys: tokens.keys.get(row.clone())?.to_vec(), values: tokens.values.get(row)?.to_vec() })
    }
}

/// A parameter token whose activation is multiplied.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablation {
    /// Which one.
    pub token: ParameterToken,
    /// The factor: 0 is as if the token were not there, though its score still counts in the norm; 1 changes nothing.
    pub scale: f32,
}

impl Ablation {
    /// True if it changes one of the base's tokens.
    fn takes_from_base(&self) -> bool {
        self.token.pack.is_none() && self.scale != 1.0
    }
}

/// The base's tokens whose keys and values are needed to ablate them, in order.
pub fn ablated_base(ablations: &[Ablation]) -> Vec<ParameterToken> {
    ablations.iter().filter(|one| one.takes_from_base()).map(|one| one.token.clone()).collect()
}

/// Are these ablations possible?
///
/// # Errors
/// `invalid-argument` that names the first that is not.
pub fn check_ablations(ablations: &[Ablation], config: &ModelConfig, packs: &[ActivePack]) -> Result<()> {
    let mut seen = HashSet::new();
    for (i, Ablation { token, scale }) in ablations.iter().enumerate() {
        token.check(config, packs, &format!("[{i}]."))?;
        if scale.is_nan() || scale.abs() > MOST_SCALE {
            let message = format!("[{i}].scale is {scale}; it must be between -{MOST_SCALE} and {MOST_SCALE}.");
            return Err(Error::invalid_argument(message));
        }
        if !seen.insert(token) {
            return Err(Error::invalid_argument(format!("[{i}] names a token that is named before it."))
                .hint("Give each token once, with the factor that it is to have."));
        }
    }
    for layer in 0..config.num_layers {
        for kind in Pattention::ALL {
            let here = |one: &&Ablation| one.takes_from_base() && one.token.layer == layer && one.token.kind == kind;
            let count = ablations.iter().filter(here).count();
            if count > MOST_ABLATIONS {
                let kind = kind.name();
                return Err(Error::invalid_argument(format!(
                    "{count} tokens of layer {layer}, {kind} are ablated; {MOST_ABLATIONS} can be."
                )));
            }
        }
    }
    Ok(())
}

impl Merged {
    /// The same with ablations. `base` has key and value of each of [`ablated_base`]. Packs that are missing, or off,
    /// have no tokens to ablate.
    pub fn ablated(mut self, ablations: &[Ablation], base: &[PackTokens]) -> Self {
        let mut base = base.iter();
        for Ablation { token, scale } in ablations.iter().filter(|one| one.scale != 1.0) {
            let ParameterToken { layer, kind, slot, pack } = token;
            match pack {
                Some(name) => {
                    let Some(kinds) = self.layers.get_mut(*layer) else { continue };
                    kinds[*kind as usize].scale(name, *slot, *scale);
                }
                None => {
                    let Some(own) = base.next() else { continue };
                    if self.layers.len() <= *layer {
                        self.layers.resize_with(layer + 1, Default::default);
                    }
                    let tokens = &mut self.layers[*layer][*kind as usize];
                    tokens.keys.extend(&own.keys);
                    tokens.values.extend(&own.values);
                    tokens.strengths.push(scale - 1.0);
                    tokens.base_scales.push((*slot, *scale));
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::{LayerTokens, Pack};
    use std::rc::Rc;

    fn token(layer: usize, slot: usize, pack: Option<&str>) -> ParameterToken {
        ParameterToken { layer, kind: Pattention::Proj, slot, pack: pack.map(str::to_owned) }
    }

    fn packs() -> Vec<ActivePack> {
        let tokens = |m: usize| Some(PackTokens { keys: vec![m as f32; 2 * m], values: vec![-1.0; 2 * m] });
        let pack = |name: &str, strength: f32, m: usize| {
            let mut layer: LayerTokens = Default::default();
            layer[3] = tokens(m);
            ActivePack { name: name.into(), strength, pack: Rc::new(Pack { layers: vec![layer] }) }
        };
        vec![pack("b", 2.0, 2), pack("off", 0.0, 1), pack("a", 0.5, 1)]
    }

    #[test]
    fn ablations_are_tokens_after_those_of_packs() {
        let ablate = |layer, slot, pack, scale| Ablation { token: token(layer, slot, pack), scale };
        let ablations = [
            ablate(0, 7, None, 0.25),
            ablate(0, 1, Some("b"), 0.5),
            ablate(0, 0, Some("off"), 0.5),
            ablate(0, 0, Some("gone"), 0.5),
            ablate(0, 3, None, 1.0),
            ablate(2, 9, None, 0.0),
        ];
        assert_eq!(ablated_base(&ablations), [token(0, 7, None), token(2, 9, None)]);
        let own = |x: f32| PackTokens { keys: vec![x; 2], values: vec![x; 2] };
        let merged = Merged::new(&packs(), 2).ablated(&ablations, &[own(5.0), own(6.0)]);
        assert_eq!(merged.layers.len(), 3);
        let first = &merged.layers[0][3];
        assert_eq!(first.keys, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 5.0, 5.0]);
        assert_eq!(first.strengths, [0.5, 2.0, 1.0, -0.75]);
        assert_eq!((first.of_packs(), first.base_factors(9)[6..].to_vec()), (3, vec![1.0, 0.25, 1.0]));
        assert_eq!(
            first.origin(0).map(|(name, slot, scale)| (name.to_string(), slot, scale)),
            Some(("a".into(), 0, 1.0))
        );
        assert_eq!(
            first.origin(2).map(|(name, slot, scale)| (name.to_string(), slot, scale)),
            Some(("b".into(), 1, 0.5))
        );
        assert!(first.origin(3).is_none());
        assert_eq!(merged.layers[2][3].strengths, [-1.0]);
        // A factor of 1 leaves no trace.
        assert_eq!(Merged::new(&packs(), 2).ablated(&ablations[4..5], &[]), Merged::new(&packs(), 2));
        assert!(Merged::default().ablated(&ablations[4..5], &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_ablated_is_named() {
        let json = r#"{"num_layers":3,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":70,
            "ffn_slot_num":32,"padded_vocab_size":32}"#;
        let config = ModelConfig::from_json(json.as_bytes()).expect("config");
        let check = |token: ParameterToken, scale| check_ablations(&[Ablation { token, scale }], &config, &packs());
        assert!(check(token(2, 69, None), -3.0).is_ok());
        for (bad, scale, says) in [
            (token(3, 0, None), 0.0, "[0].layer is 3"),
            (token(0, 70, None), 0.0, "[0].slot is 70, but the model has 70"),
            (token(0, 0, Some("c")), 0.0, "[0].pack is \"c\""),
            (token(1, 0, Some("a")), 0.0, "the pack \"a\" has 0 tokens"),
            (token(0, 0, None), f32::NAN, "[0].scale"),
            (token(0, 0, None), 1001.0, "[0].scale"),
        ] {
            let e = check(bad, scale).expect_err(says);
            assert!(e.message.contains(says), "{e}");
        }
        let twice = [0.0, 1.0].map(|scale| Ablation { token: token(0, 0, None), scale });
        assert!(check_ablations(&twice, &config, &[]).expect_err("twice").message.contains("[1]"));
        let values = token(0, 1, Some("b")).of_packs(&packs(), 1).expect("a token");
        assert_eq!((values.keys, values.values), (vec![2.0], vec![-1.0]));
        assert!(token(0, 9, Some("b")).of_packs(&packs(), 1).is_none());
    }
}
