//! Which tensors a model has, in the order in which a forward pass needs them, and how each is stored.
//!
//! The converter writes this list and the GPU loader reads it, so both agree on names, shapes and order.

use crate::config::{GROUP_SIZE, ModelConfig};
use crate::pattention::Pattention;
use serde::{Deserialize, Serialize};

/// The two tables of a Pattention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Key parameter tokens K[n, d_in].
    Keys,
    /// Value parameter tokens P[n, d_out].
    Values,
}

/// A tensor of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TensorId {
    /// E[V, d]: embedding and LM head.
    Embedding,
    /// Parameter tokens of one Pattention of one layer (layers count from 0).
    Tokens {
        /// Layer, from 0.
        layer: usize,
        /// Which Pattention.
        pattention: Pattention,
        /// Keys or values.
        side: Side,
    },
    /// Weight of the final LayerNorm, `[d]`.
    NormWeight,
    /// Bias of the final LayerNorm, `[d]`.
    NormBias,
}

/// How a table's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableFormat {
    /// 4 bits with one f16 scale per 32 elements.
    Q4,
    /// 8 bits with one f16 scale per 32 elements.
    Q8,
    /// IEEE half precision.
    F16,
}

impl TableFormat {
    /// Bits of one element, scales not counted.
    pub fn bits(self) -> usize {
        match self {
            Self::Q4 => 4,
            Self::Q8 => 8,
            Self::F16 => 16,
        }
    }

    /// True for formats with scales.
    pub fn is_quantized(self) -> bool {
        self != Self::F16
    }
}

/// Precision of a whole model, as `quantization` in the public interface names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// 4-bit tables with an 8-bit embedding.
    Q4,
    /// 8 bits everywhere.
    Q8,
    /// No quantization.
    F16,
}

impl Quantization {
    /// All three, smallest first.
    pub const ALL: [Self; 3] = [Self::Q4, Self::Q8, Self::F16];

    /// The name in the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Q4 => "q4",
            Self::Q8 => "q8",
            Self::F16 => "f16",
        }
    }

    /// The precision with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|q| q.as_str() == name)
    }

    /// Format of the embedding (= LM head).
    pub fn embedding(self) -> TableFormat {
        match self {
            Self::Q4 | Self::Q8 => TableFormat::Q8,
            Self::F16 => TableFormat::F16,
        }
    }

    /// Format of the parameter-token tables.
    pub fn tokens(self) -> TableFormat {
        match self {
            Self::Q4 => TableFormat::Q4,
            Self::Q8 => TableFormat::Q8,
            Self::F16 => TableFormat::F16,
        }
    }
}

/// Slots as stored: rounded up to whole quantization groups with zero tokens.
pub fn padded_slots(slots: usize) -> usize {
    slots.next_multiple_of(GROUP_SIZE)
}

/// A weight table as it is stored: `cols` is the axis that the product reduces over, so key tables are
/// [slots, d_in] and **value tables are transposed** to [d_out, slots]; slots are padded to groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Rows: outputs of the product.
    pub rows: usize,
    /// Columns: the reduced axis, a multiple of [`GROUP_SIZE`].
    pub cols: usize,
}

impl TensorId {
    /// Vectors of d values, which stay f32: an engine keeps them side by side in this order.
    pub const VECTORS: [Self; 2] = [Self::NormWeight, Self::NormBias];

    /// Its place among [`Self::VECTORS`]; `None` for a table.
    pub fn vector(self) -> Option<usize> {
        Self::VECTORS.iter().position(|vector| *vector == self)
    }

    /// Shape as published, before slots are padded and value tables are transposed.
    pub fn published_shape(self, config: &ModelConfig) -> TableShape {
        let rows = match self {
            Self::Embedding => config.padded_vocab_size,
            Self::Tokens { pattention, .. } => pattention.slots(config),
            Self::NormWeight | Self::NormBias => 1,
        };
        TableShape { rows, cols: config.hidden_size }
    }

    /// Base name in a model folder: `.weight`, `.weight_packed`, … are appended (`norm.*`: as it is).
    pub fn name(self) -> String {
        match self {
            Self::Embedding => "embed.word_embeddings".into(),
            Self::Tokens { layer, pattention, side } => {
                let side = if side == Side::Keys { "key" } else { "value" };
                format!("layers.{layer}.{}.{side}_param_tokens", pattention.path())
            }
            Self::NormWeight => "norm.weight".into(),
            Self::NormBias => "norm.bias".into(),
        }
    }

    /// Shape as stored in a model folder; the final LayerNorm's vectors are one row.
    pub fn shape(self, config: &ModelConfig) -> TableShape {
        let d = config.hidden_size;
        match self {
            Self::Embedding => TableShape { rows: config.padded_vocab_size, cols: d },
            Self::Tokens { pattention, side, .. } => {
                let slots = padded_slots(pattention.slots(config));
                match side {
                    Side::Keys => TableShape { rows: slots, cols: d },
                    Side::Values => TableShape { rows: d, cols: slots },
                }
            }
            Self::NormWeight | Self::NormBias => TableShape { rows: 1, cols: d },
        }
    }

    /// Format at a precision; `None` for the final LayerNorm's vectors, which stay f32.
    pub fn format(self, quantization: Quantization) -> Option<TableFormat> {
        match self {
            Self::Embedding => Some(quantization.embedding()),
            Self::Tokens { .. } => Some(quantization.tokens()),
            Self::NormWeight | Self::NormBias => None,
        }
    }
}

/// All tensors of a model in the order in which a forward pass first needs them.
pub fn tensors(config: &ModelConfig) -> impl Iterator<Item = TensorId> + use<> {
    let layers = (0..config.num_layers).flat_map(|layer| {
        // Query, key and value run fused: their three key tables first, then their value tables.
        let tokens = move |pattention, side| TensorId::Tokens { layer, pattention, side };
        let qkv = [Pattention::Query, Pattention::Key, Pattention::Value];
        let fused = [Side::Keys, Side::Values].into_iter().flat_map(move |s| qkv.map(|p| tokens(p, s)));
        let rest = [Pattention::Proj, Pattention::Mlp].into_iter();
        fused.chain(rest.flat_map(move |p| [Side::Keys, Side::Values].map(|s| tokens(p, s))))
    });
    std::iter::once(TensorId::Embedding).chain(layers).chain(TensorId::VECTORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_names_and_shapes() {
        let mut config = ModelConfig::preset("TokenFormer-150M").expect("preset");
        config.qkv_slot_num = 100;
        let all: Vec<_> = tensors(&config).collect();
        assert_eq!(all.len(), 1 + 12 * 10 + 2);
        let names: Vec<_> = all.iter().take(8).map(|t| t.name()).collect();
        assert_eq!(names[0], "embed.word_embeddings");
        assert_eq!(names[1], "layers.0.attention.query.key_param_tokens");
        assert_eq!(names[4], "layers.0.attention.query.value_param_tokens");
        assert_eq!(names[7], "layers.0.attention.proj.key_param_tokens");
        assert_eq!(all[1].shape(&config), TableShape { rows: 128, cols: 768 });
        assert_eq!(all[4].shape(&config), TableShape { rows: 768, cols: 128 });
        assert_eq!(all[0].format(Quantization::Q4), Some(TableFormat::Q8));
    }
}
