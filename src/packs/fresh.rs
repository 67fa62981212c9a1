//! The initial tokens of a training.

use super::{Pack, PackTokens};
use crate::config::ModelConfig;
use crate::pattention::Pattention;
use crate::sampling::normals;

/// Standard deviation of new values.
const SPREAD: f32 = 0.05;

impl Pack {
    /// `tokens` tokens for each Pattention of `kinds` in every layer: keys of zero, so that nothing changes yet, and
    /// random values, since keys learn through values, and values through what keys let pass.
    pub fn fresh(config: &ModelConfig, kinds: &[Pattention], tokens: usize, seed: u64) -> Self {
        let count = tokens * config.hidden_size;
        let blocks = count.div_ceil(4);
        let layer = |layer: usize| {
            Pattention::ALL.map(|kind| {
                let first = (layer * Pattention::ALL.len() + kind as usize) * blocks;
                let values = (first..first + blocks).flat_map(|block| normals(seed, block as u32));
                let tokens =
                    || PackTokens { keys: vec![0.0; count], values: values.take(count).map(|x| x * SPREAD).collect() };
                kinds.contains(&kind).then(tokens)
            })
        };
        Self { layers: (0..config.num_layers).map(layer).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tokens_have_zero_keys_and_values_of_a_seed() {
        let config = ModelConfig::preset("TokenFormer-150M").expect("preset");
        let fresh = |kinds: &[Pattention], seed| Pack::fresh(&config, kinds, 3, seed);
        let pack = fresh(&[Pattention::Value, Pattention::Mlp], 5);
        pack.check(&config).expect("its shape");
        assert_eq!(pack.kinds(), [Pattention::Value, Pattention::Mlp]);
        assert_eq!((pack.layers.len(), pack.most_tokens(768)), (12, 3));
        let all: Vec<&PackTokens> = pack.layers.iter().flatten().flatten().collect();
        assert!(all.iter().all(|tokens| tokens.keys.iter().all(|x| *x == 0.0)));
        let values: Vec<f32> = all.iter().flat_map(|tokens| tokens.values.iter().copied()).collect();
        let spread = (values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        assert!((spread - 0.05).abs() < 0.001, "{spread}");
        assert_ne!(all[0].values, all[1].values);
        assert_eq!(pack, fresh(&[Pattention::Mlp, Pattention::Value], 5));
        assert_ne!(pack, fresh(&[Pattention::Value, Pattention::Mlp], 6));
        // A kind begins the same, whatever else is trained.
        assert_eq!(pack.layers[3][4], fresh(&[Pattention::Mlp], 5).layers[3][4]);
    }
}
