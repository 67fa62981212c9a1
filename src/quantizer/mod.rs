//! `convert --calibrate`: rounds a model's tables to minimize the error of their products, not of their elements. It
//! works table by table, on texts (`texts`) that pass through the tables before in two versions: as they were, and as
//! they are stored. `gptq` and `descent` say how one table is rounded; the grid itself is
//! [`crate::checkpoint::quantize`].

mod descent;
mod gptq;
mod texts;

use crate::checkpoint::layout::{Quantization, Side, TableFormat, TensorId, padded_slots};
use crate::checkpoint::quantize::Stored;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::pattention::Pattention;
use crate::reference::forward::{Cache, Layer, Reference, add, embed, self_attention, slot_weights};
use crate::reference::math::{layer_norm, matmul_transposed};
use gptq::InputGram;
use std::collections::HashMap;
use texts::sequences;

/// Rows of activations, [T, _].
struct Rows {
    /// As they were in the original model.
    exact: Vec<f32>,
    /// As they are where all tables before are the stored ones.
    stored: Vec<f32>,
}

impl Rows {
    fn map(&self, f: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        Self { exact: f(&self.exact), stored: f(&self.stored) }
    }

    /// The Gram matrix of these rows, of `n` elements, as a table's inputs.
    fn gram(&self, n: usize) -> InputGram {
        InputGram::new(n, &self.exact, &self.stored)
    }

    fn add(&mut self, y: &Self) {
        add(&mut self.exact, &y.exact);
        add(&mut self.stored, &y.stored);
    }
}

/// The parameter tokens of all layers of `model` in stored form, rounded for the inputs that at least `tokens` tokens,
/// random ones and ones that the model writes, give the layers; ids are below `real_ids`. `on_step` is called once all
/// texts are written, and after each layer.
///
/// # Errors
/// `unsupported-checkpoint` for weights that cannot be stored, `invalid-argument` for no tokens, and if the model has
/// fewer than `real_ids` ids.
pub fn quantize(
    model: &Reference,
    quantization: Quantization,
    tokens: usize,
    real_ids: usize,
    mut on_step: impl FnMut(),
) -> Result<HashMap<TensorId, Stored>> {
    let config = model.config();
    let sequences = sequences(model, tokens, real_ids)?;
    on_step();
    let ids = sequences.concat();
    let mut h = Rows {
        exact: embed(&model.embedding, config.hidden_size, &ids)?,
        stored: embed(&rounded(&model.embedding, quantization.embedding())?, config.hidden_size, &ids)?,
    };
    let mut tables = HashMap::new();
    for (number, layer) in model.layers.iter().enumerate() {
        let mut quantizer = Quantizer { config, quantization, number, layer, tables: &mut tables };
        quantizer.layer(&mut h, sequences.len())?;
        on_step();
    }
    Ok(tables)
}

/// The values that are stored of a table whose elements are rounded one by one.
fn rounded(table: &[f32], format: TableFormat) -> Result<Vec<f32>> {
    let mut stored = Stored::default();
    stored.push(table, format)?;
    Ok(stored.dequantize(format))
}

struct Quantizer<'a> {
    config: &'a ModelConfig,
    quantization: Quantization,
    number: usize,
    layer: &'a Layer,
    tables: &'a mut HashMap<TensorId, Stored>,
}

impl Quantizer<'_> {
    /// Quantizes a layer and passes `h[T, d]` through it; the rows are those of `sequences` sequences.
    fn layer(&mut self, h: &mut Rows, sequences: usize) -> Result<()> {
        let config = self.config;
        let normed = |h: &Rows| h.map(|h| layer_norm(h, config.hidden_size, config.layernorm_epsilon as f32));
        let u = normed(h);
        let gram = u.gram(config.hidden_size);
        let [q, k, v] = [Pattention::Query, Pattention::Key, Pattention::Value].map(|p| self.pattention(p, &u, &gram));
        let (q, k, v) = (q?, k?, v?);
        let mix = |q, k, v| self_attention(config, 0, false, &mut vec![Cache::default(); sequences], [q, k, v]);
        let mixed = Rows { exact: mix(q.exact, k.exact, v.exact), stored: mix(q.stored, k.stored, v.stored) };
        h.add(&self.pattention(Pattention::Proj, &mixed, &mixed.gram(config.hidden_size))?);
        let u = normed(h);
        h.add(&self.pattention(Pattention::Mlp, &u, &u.gram(config.hidden_size))?);
        Ok(())
    }

    /// Quantizes the tables of a Pattention and returns its outputs for `x`, whose rows have the Gram matrix `gram`.
    fn pattention(&mut self, which: Pattention, x: &Rows, gram: &InputGram) -> Result<Rows> {
        let tables = &self.layer.tables[which as usize];
        let (slots, padded) = (tables.slots, padded_slots(tables.slots));
        let keys = self.table(which, Side::Keys, &tables.keys, gram)?;
        let weights = Rows {
            exact: slot_weights(self.config, slots, &x.exact, &tables.keys),
            stored: slot_weights(self.config, slots, &x.stored, &keys),
        };
        let values = self.table(which, Side::Values, &tables.values, &weights.gram(padded))?;
        Ok(Rows {
            exact: matmul_transposed(&weights.exact, &tables.values, padded),
            stored: matmul_transposed(&weights.stored, &values, padded),
        })
    }

    /// Quantizes a table, and returns the values that are stored.
    fn table(&mut self, pattention: Pattention, side: Side, table: &[f32], gram: &InputGram) -> Result<Vec<f32>> {
        let id = TensorId::Tokens { layer: self.number, pattention, side };
        let format = self.quantization.tokens();
        let stored = gptq::quantize(table, gram, format)?;
        let values = stored.dequantize(format);
        self.tables.insert(id, stored);
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::TableSource;
    use crate::checkpoint::random::{Random, RandomModel};
    use crate::config::{ModelConfig, PartialConfig};

    /// A model with some quantized tables.
    struct Replaced<'a> {
        source: &'a mut RandomModel,
        tables: HashMap<TensorId, Stored>,
    }

    impl TableSource for Replaced<'_> {
        fn config(&self) -> &ModelConfig {
            self.source.config()
        }

        fn table(&mut self, id: TensorId) -> Result<Vec<f32>> {
            match self.tables.get(&id) {
                Some(stored) => Ok(stored.dequantize(TableFormat::Q4)),
                None => self.source.table(id),
            }
        }
    }

    fn random_model() -> RandomModel {
        const SHAPE: &str = r#"{"num_layers":2,"hidden_size":64,"num_attention_heads":2,"qkv_slot_num":70,
            "proj_slot_num":64,"ffn_slot_num":200,"padded_vocab_size":120,"max_position_embeddings":300}"#;
        let config = PartialConfig::from_json(SHAPE.as_bytes()).and_then(PartialConfig::finish).expect("config");
        RandomModel::new(&config, Quantization::F16, 5)
    }

    #[test]
    fn what_the_original_model_makes_of_sequences_side_by_side_is_what_it_makes_of_each() {
        let mut source = random_model();
        let mut model = Reference::load(&mut source, false).expect("model");
        let (config, d) = (model.config.clone(), model.config.hidden_size);
        let sequences: Vec<Vec<u32>> = (0..3).map(|seed| Random(seed).ids(17, 100)).collect();
        let h = embed(&model.embedding, d, &sequences.concat()).expect("ids");
        let mut h = Rows { exact: h.clone(), stored: h };
        let mut tables = HashMap::new();
        for (number, layer) in model.layers.iter().enumerate() {
            let quantization = Quantization::Q4;
            let mut quantizer = Quantizer { config: &config, quantization, number, layer, tables: &mut tables };
            quantizer.layer(&mut h, sequences.len()).expect("tables");
        }
        let mut quantized = Reference::load(&mut Replaced { source: &mut source, tables }, false).expect("model");
        for (i, ids) in sequences.iter().enumerate() {
            let rows = i * ids.len() * d..(i + 1) * ids.len() * d;
            for (model, side_by_side) in [(&mut model, &h.exact), (&mut quantized, &h.stored)] {
                model.truncate(0);
                let alone = model.forward(ids, false).expect("forward").last;
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * b.abs().max(1.0);
                assert!(side_by_side[rows.clone()].iter().zip(&alone).all(near), "sequence {i}");
            }
        }
    }

    #[test]
    fn a_calibrated_model_is_nearer_to_what_it_was() {
        let mut source = random_model();
        let mut steps = 0;
        let model = Reference::load(&mut source, false).expect("model");
        let calibrated = quantize(&model, Quantization::Q4, 2000, 100, || steps += 1).expect("tables");
        assert_eq!((steps, calibrated.len()), (3, 20));
        let mut plain = HashMap::new();
        for (id, stored) in &calibrated {
            let mut rounded = Stored::default();
            rounded.push(&source.table(*id).expect("table"), TableFormat::Q4).expect("finite");
            assert_eq!((rounded.elements.len(), rounded.scales.len()), (stored.elements.len(), stored.scales.len()));
            plain.insert(*id, rounded);
        }
        let ids = Random(9).ids(100, 100);
        let mut stream = |tables| {
            let source = &mut source;
            let mut model = Reference::load(&mut Replaced { source, tables }, false).expect("model");
            model.forward(&ids, false).expect("forward").last
        };
        let [exact, calibrated, plain] = [HashMap::new(), calibrated, plain].map(&mut stream);
        let off = |h: &[f32]| h.iter().zip(&exact).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        assert!(off(&calibrated) < 0.8 * off(&plain), "{} instead of {}", off(&calibrated), off(&plain));
    }
}
