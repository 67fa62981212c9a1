//! Models with random weights for tests, in stored form and as the values that it encodes.

use super::TableSource;
use super::layout::{Quantization, Side, TableFormat, TensorId, tensors};
use super::regions::Region;
use crate::config::{GROUP_SIZE, ModelConfig, NormActivation};
use crate::error::Result;
use half::f16;
use std::collections::HashMap;

/// A model's tables: elements and scales in stored form, and their values.
pub struct RandomModel {
    config: ModelConfig,
    /// Bytes of every region.
    pub regions: Vec<(TensorId, Region, Vec<u8>)>,
    values: HashMap<TensorId, Vec<f32>>,
}

/// A small, fast generator (splitmix64), so that a failing case can be repeated.
pub struct Random(pub u64);

impl TableSource for RandomModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn table(&mut self, id: TensorId) -> Result<Vec<f32>> {
        Ok(self.values[&id].clone())
    }
}

impl Random {
    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `n` ids below `vocab`.
    pub fn ids(&mut self, n: usize, vocab: usize) -> Vec<u32> {
        (0..n).map(|_| (self.word() % vocab as u64) as u32).collect()
    }
}

impl RandomModel {
    /// The padding slots of key tables are zero tokens, as they are stored; those of value tables are left random,
    /// since their weights must be 0 whatever the values are.
    pub fn new(config: &ModelConfig, quantization: Quantization, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut model = Self { config: config.clone(), regions: Vec::new(), values: HashMap::new() };
        // Wide scores would make softmax amplify the rounding of the cache beyond any tolerance.
        let scale = if config.norm_activation_type == NormActivation::Softmax { 0.1 } else { 0.5 };
        for id in tensors(config) {
            let shape = id.shape(config);
            let used = match id {
                TensorId::Tokens { pattention, side: Side::Keys, .. } => pattention.slots(config) * shape.cols,
                _ => shape.rows * shape.cols,
            };
            let (mut elements, mut scales, mut values) = (Vec::new(), Vec::new(), Vec::new());
            match id.format(quantization) {
                None => {
                    values.extend((0..shape.cols).map(|_| 1.0 + 0.5 * random.uniform()));
                    elements.extend(values.iter().flat_map(|v: &f32| v.to_le_bytes()));
                }
                Some(TableFormat::F16) => {
                    for i in 0..shape.rows * shape.cols {
                        let v = f16::from_f32(if i < used { random.uniform() * scale } else { 0.0 });
                        values.push(v.to_f32());
                        elements.extend(v.to_le_bytes());
                    }
                }
                Some(format) => {
                    let bits = format.bits();
                    let top = (1i32 << (bits - 1)) as f32;
                    for group in 0..shape.rows * shape.cols / GROUP_SIZE {
                        // A scale may have either sign; one of 0 makes any element 0.
                        let sign = if random.word().is_multiple_of(2) { 1.0 } else { -1.0 };
                        let sign = if group * GROUP_SIZE < used { sign } else { 0.0 };
                        let s = f16::from_f32(sign * (0.75 + 0.25 * random.uniform()) * scale / top);
                        scales.extend(s.to_le_bytes());
                        let q: Vec<u32> = (0..GROUP_SIZE).map(|_| random.word() as u32 & ((1 << bits) - 1)).collect();
                        values.extend(q.iter().map(|&q| (q as f32 - top) * s.to_f32()));
                        for word in q.chunks(32 / bits) {
                            let word = word.iter().enumerate().fold(0u32, |w, (i, q)| w | q << (i * bits));
                            elements.extend(word.to_le_bytes());
                        }
                    }
                }
            }
            model.regions.push((id, Region::Elements, elements));
            if !scales.is_empty() {
                model.regions.push((id, Region::Scales, scales));
            }
            model.values.insert(id, values);
        }
        model
    }
}
