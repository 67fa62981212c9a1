//! Quantization by what a model's tables meet: layer after layer, on texts that pass through the layers before, which
//! are quantized already.

use super::gptq::{self, Gram};
use super::{Layer, embed};
use crate::checkpoint::TableSource;
use crate::checkpoint::layout::{Pattention, Quantization, Side, TensorId};
use crate::checkpoint::quantize::Stored;
use crate::error::Result;
use crate::sampling::below;
use std::collections::{BTreeMap, HashMap};

/// Tokens of a sequence.
const SEQUENCE: usize = 256;
const SEED: u64 = 0x746f_6b65_6e73;

/// `tokens` token ids below `real_ids`, in sequences: no text, since texts of one kind would leave the tables free to be
/// wrong about all others. In every other sequence each id is as likely as any other; in the rest, low ids are the
/// likelier by far (logarithms are uniform), as in texts: byte-pair encoding numbers its merges by how often they occur.
pub fn random_sequences(tokens: usize, real_ids: usize) -> Vec<Vec<u32>> {
    const STEPS: usize = 1 << 24;
    let id = |i: usize| {
        let part = below(STEPS, SEED, i as u32) as f64 / STEPS as f64;
        let real_ids = real_ids as f64;
        let id = if (i / SEQUENCE).is_multiple_of(2) { part * real_ids } else { (part * real_ids.ln()).exp() };
        id.min(real_ids - 1.0) as u32
    };
    let ids: Vec<u32> = (0..tokens).map(id).collect();
    ids.chunks(SEQUENCE).map(<[u32]>::to_vec).collect()
}

const SIDES: [Side; 2] = [Side::Keys, Side::Values];

/// The table whose inputs a table has.
fn inputs_of(pattention: Pattention, side: Side) -> (Pattention, Side) {
    match (pattention, side) {
        (Pattention::Key | Pattention::Value, Side::Keys) => (Pattention::Query, Side::Keys),
        own => own,
    }
}

/// The parameter tokens of all layers in stored form, best for texts like `sequences` of token ids. `on_layer` is called
/// after each layer.
///
/// # Errors
/// Those of reading the checkpoint, `unsupported-checkpoint` for weights that cannot be stored, `invalid-argument` for
/// ids that are out of range.
pub fn quantize(
    source: &mut impl TableSource,
    quantization: Quantization,
    sequences: &[Vec<u32>],
    mut on_layer: impl FnMut(),
) -> Result<HashMap<TensorId, Stored>> {
    let config = source.config().clone();
    let embedding = source.table(TensorId::Embedding)?;
    let streams: Result<Vec<_>> = sequences.iter().map(|ids| embed(&embedding, config.hidden_size, ids)).collect();
    let mut streams = streams?;
    let mut tables = HashMap::new();
    for number in 0..config.num_layers {
        let mut layer = Layer::load(source, number)?;
        let id = |pattention, side| TensorId::Tokens { layer: number, pattention, side };
        // By what its inputs are called after: query, key and value have the same.
        let mut grams = BTreeMap::new();
        for h in &streams {
            layer.forward(&config, 0, false, &mut h.clone(), &mut |pattention, side, inputs| {
                if inputs_of(pattention, side) == (pattention, side) {
                    let new = || Gram::new(id(pattention, side).shape(&config).cols);
                    grams.entry((pattention, side)).or_insert_with(new).add(inputs);
                }
            });
            layer.truncate(0);
        }
        for (of, gram) in grams {
            let factor = gram.inverse_factor();
            for (pattention, side) in Pattention::ALL
                .into_iter()
                .flat_map(|p| SIDES.map(|side| (p, side)))
                .filter(|(p, s)| inputs_of(*p, *s) == of)
            {
                let id = id(pattention, side);
                let Some(format) = id.format(quantization).filter(|format| format.is_quantized()) else { continue };
                let table = layer.table_mut(pattention, side);
                let stored = gptq::quantize(table, &factor, format)?;
                *table = stored.dequantize(format);
                tables.insert(id, stored);
            }
        }
        for h in &mut streams {
            layer.forward(&config, 0, false, h, &mut |_, _, _| ());
            layer.truncate(0);
        }
        on_layer();
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::layout::TableFormat;
    use crate::checkpoint::random::{Random, RandomModel};
    use crate::config::{ModelConfig, PartialConfig};
    use crate::reference::Reference;

    /// A model some of whose tables were quantized.
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

    #[test]
    fn a_calibrated_model_is_nearer_to_what_it_was() {
        const SHAPE: &str = r#"{"num_layers":2,"hidden_size":64,"num_attention_heads":2,"qkv_slot_num":70,
            "proj_slot_num":64,"ffn_slot_num":200,"padded_vocab_size":120,"max_position_embeddings":300}"#;
        let config = PartialConfig::from_json(SHAPE.as_bytes()).and_then(PartialConfig::finish).expect("config");
        let mut source = RandomModel::new(&config, Quantization::F16, 5);
        let mut layers = 0;
        let sequences = random_sequences(2000, 100);
        assert_eq!(sequences.iter().map(Vec::len).sum::<usize>(), 2000);
        assert!(sequences.iter().flatten().all(|id| *id < 100));
        let calibrated = quantize(&mut source, Quantization::Q4, &sequences, || layers += 1).expect("tables");
        assert_eq!((layers, calibrated.len()), (2, 20));
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
