//! Results of token packs in float64 (tests/fixtures/growth).

use safetensors::SafeTensors;
use serde::Deserialize;
use std::path::PathBuf;
use tokenformer_web::engine::AdamW;
use tokenformer_web::packs::{Pack, PackTokens};
use tokenformer_web::pattention::Pattention;

/// The checkpoints with results.
pub const NAMES: [&str; 3] = ["head64", "head80", "uneven-slots"];

/// Losses and gradients, and how the pack was trained.
#[derive(Deserialize)]
pub struct Told {
    pub loss_base: f64,
    pub loss_some: f64,
    pub adamw: Options,
    pub losses: Vec<f64>,
    pub gradient_norms: Vec<f64>,
}

/// Options of AdamW, and how many steps it took.
#[derive(Clone, Copy, Deserialize)]
pub struct Options {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    pub clip_norm: f32,
    pub steps: usize,
}

impl Options {
    pub fn adamw(self) -> AdamW {
        let Self { beta1, beta2, eps, weight_decay, clip_norm, .. } = self;
        AdamW { betas: [beta1, beta2], epsilon: eps, weight_decay, clip_norm }
    }
}

/// The results for a checkpoint.
pub struct Growth {
    pub told: Told,
    file: Vec<u8>,
}

impl Growth {
    pub fn open(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/growth").join(name);
        let told = std::fs::read(folder.join("growth.json")).expect("growth.json");
        let file = std::fs::read(folder.join("growth.safetensors")).expect("growth.safetensors");
        Self { told: serde_json::from_slice(&told).expect("growth"), file }
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.file).expect("growth");
        file.tensor(name).expect(name).data().as_chunks::<4>().0.to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    /// The sequence that all results are for.
    pub fn ids(&self) -> Vec<u32> {
        self.words("input_ids").into_iter().map(u32::from_le_bytes).collect()
    }

    /// The tensors `{set}.{layer}.{kind}.{key|value}` of this many layers.
    pub fn pack(&self, set: &str, layers: usize) -> Pack {
        let tokens = |layer: usize, kind: Pattention| {
            let side = |side: &str| self.floats(&format!("{set}.{layer}.{}.{side}", kind.name()));
            Some(PackTokens { keys: side("key"), values: side("value") })
        };
        Pack { layers: (0..layers).map(|layer| Pattention::ALL.map(|kind| tokens(layer, kind))).collect() }
    }
}
