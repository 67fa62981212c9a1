//! Matches the keys of a published state dict to the tensors of the model, and reads its shape off them.

use super::layout::{Side, TensorId};
use super::pickle::TorchTensor;
use super::torch::element_type;
use crate::config::{ModelConfig, PartialConfig, contradicted};
use crate::error::{Error, Result};
use crate::pattention::Pattention;
use std::collections::BTreeMap;

/// The tensors of a model among those of a state dict.
#[derive(Debug)]
pub struct Names {
    /// Index in the state dict of each tensor of the model.
    pub index: BTreeMap<TensorId, usize>,
    /// What the shapes show: layers, hidden size, slots and vocabulary.
    pub shapes: PartialConfig,
}

/// What a key stands for; `TensorId::Tokens` holds the layer number as the key has it.
///
/// The end of the key decides, so `module.`, `sequential.` or anything else may precede it.
pub(super) fn parse_key(key: &str) -> Option<TensorId> {
    let parts: Vec<&str> = key.rsplit('.').take(4).collect();
    let number = |i: usize| parts.get(i)?.parse::<usize>().ok();
    let side = |name: &str| match name {
        "key_param_tokens" => Some(Side::Keys),
        "value_param_tokens" => Some(Side::Values),
        _ => None,
    };
    let pattention = |name: &str| match name {
        "query" => Some(Pattention::Query),
        "key" => Some(Pattention::Key),
        "value" => Some(Pattention::Value),
        "proj" => Some(Pattention::Proj),
        _ => None,
    };
    match parts.as_slice() {
        ["weight", "word_embeddings", ..] => Some(TensorId::Embedding),
        ["weight", "norm", ..] => number(2).map(|_| TensorId::NormWeight),
        ["bias", "norm", ..] => number(2).map(|_| TensorId::NormBias),
        [table, "mlp", ..] => {
            Some(TensorId::Tokens { layer: number(2)?, pattention: Pattention::Mlp, side: side(table)? })
        }
        [table, name, "attention", ..] => {
            Some(TensorId::Tokens { layer: number(3)?, pattention: pattention(name)?, side: side(table)? })
        }
        _ => None,
    }
}

/// The published key of a tensor, for messages. `number` is the layer's number in the checkpoint.
fn published_key(id: TensorId, number: usize) -> String {
    match id {
        TensorId::Embedding => "tied_modules.embed.word_embeddings.weight".into(),
        TensorId::Tokens { pattention, side, .. } => {
            let side = if side == Side::Keys { "key" } else { "value" };
            format!("{number}.{}.{side}_param_tokens", pattention.path())
        }
        TensorId::NormWeight => format!("{number}.norm.weight"),
        TensorId::NormBias => format!("{number}.norm.bias"),
    }
}

impl Names {
    /// Matches all keys. Layers are those numbers that have parameter tokens, in numerical order; tensors
    /// of other names (rotary frequencies, say) are left out.
    pub fn resolve(state: &[TorchTensor]) -> Result<Self> {
        let mut found: BTreeMap<TensorId, usize> = BTreeMap::new();
        for (i, tensor) in state.iter().enumerate() {
            let Some(id) = parse_key(&tensor.name) else { continue };
            element_type(tensor)?;
            let Some(&first) = found.get(&id) else {
                found.insert(id, i);
                continue;
            };
            // A tied module may be listed under two names; then both are the same memory.
            if !same_memory(&state[first], tensor) {
                return Err(Error::unsupported(format!(
                    "Tensors {:?} and {:?} of the checkpoint stand for the same weights but differ.",
                    state[first].name, tensor.name
                )));
            }
        }
        let mut numbers: Vec<usize> = found.keys().filter_map(|id| layer_of(*id)).collect();
        numbers.dedup();
        if numbers.is_empty() {
            return Err(Error::unsupported(
                "The checkpoint has no tensor named \"….attention.query.key_param_tokens\".",
            )
            .hint("It must be a TokenFormer's state dict under the published key names."));
        }
        let index = renumber(&found, &numbers)?;
        let shapes = shapes(state, &index, numbers.len())?;
        Ok(Self { index, shapes })
    }

    /// Index in the state dict of a tensor.
    pub fn get(&self, id: TensorId) -> Result<usize> {
        let missing = || Error::invalid_config(format!("The checkpoint has no tensor {:?}.", id.name()));
        self.index.get(&id).copied().ok_or_else(missing)
    }
}

fn layer_of(id: TensorId) -> Option<usize> {
    match id {
        TensorId::Tokens { layer, .. } => Some(layer),
        _ => None,
    }
}

fn same_memory(a: &TorchTensor, b: &TorchTensor) -> bool {
    (&a.storage_key, a.storage_offset, &a.shape, &a.stride) == (&b.storage_key, b.storage_offset, &b.shape, &b.stride)
}

/// Layers from 0 in the order of their numbers; every tensor must be there.
fn renumber(found: &BTreeMap<TensorId, usize>, numbers: &[usize]) -> Result<BTreeMap<TensorId, usize>> {
    let mut index = BTreeMap::new();
    let mut add = |id: TensorId, as_found: TensorId, number: usize| match found.get(&as_found) {
        Some(&i) => {
            index.insert(id, i);
            Ok(())
        }
        None => Err(Error::unsupported(format!("The checkpoint has no tensor {:?}.", published_key(as_found, number)))
            .hint("Download it again, or check that it is a whole TokenFormer's state dict.")),
    };
    let after_last = numbers.last().map_or(0, |last| last.saturating_add(2));
    add(TensorId::Embedding, TensorId::Embedding, 0)?;
    for (layer, &number) in numbers.iter().enumerate() {
        for pattention in Pattention::ALL {
            for side in [Side::Keys, Side::Values] {
                let id = |layer| TensorId::Tokens { layer, pattention, side };
                add(id(layer), id(number), number)?;
            }
        }
    }
    for id in TensorId::VECTORS {
        add(id, id, after_last)?;
    }
    Ok(index)
}

/// Reads the model's shape off the first tensor of each kind and checks all others against it.
fn shapes(state: &[TorchTensor], index: &BTreeMap<TensorId, usize>, num_layers: usize) -> Result<PartialConfig> {
    let table = |id: TensorId| -> Result<(usize, usize)> {
        let tensor = &state[index[&id]];
        let extent = |i: usize| tensor.shape.get(i).and_then(|&n| usize::try_from(n).ok());
        match (extent(0), extent(1), tensor.shape.len()) {
            (Some(rows), Some(cols), 2) => Ok((rows, cols)),
            _ => Err(wrong_shape(tensor, "two extents")),
        }
    };
    let slots = |pattention| table(TensorId::Tokens { layer: 0, pattention, side: Side::Keys }).map(|(slots, _)| slots);
    let (padded_vocab_size, hidden_size) = table(TensorId::Embedding)?;
    let (qkv, proj, ffn) = (slots(Pattention::Query)?, slots(Pattention::Proj)?, slots(Pattention::Mlp)?);
    for (&id, &i) in index {
        let want: &[usize] = match id {
            TensorId::Embedding => &[padded_vocab_size, hidden_size],
            TensorId::Tokens { pattention: Pattention::Proj, .. } => &[proj, hidden_size],
            TensorId::Tokens { pattention: Pattention::Mlp, .. } => &[ffn, hidden_size],
            TensorId::Tokens { .. } => &[qkv, hidden_size],
            _ => &[hidden_size],
        };
        if !state[i].shape.iter().copied().eq(want.iter().map(|&n| n as u64)) {
            return Err(wrong_shape(&state[i], &format!("{want:?} as the other tensors imply")));
        }
    }
    Ok(PartialConfig {
        num_layers: Some(num_layers),
        hidden_size: Some(hidden_size),
        qkv_slot_num: Some(qkv),
        proj_slot_num: Some(proj),
        ffn_slot_num: Some(ffn),
        padded_vocab_size: Some(padded_vocab_size),
        ..PartialConfig::default()
    })
}

fn wrong_shape(tensor: &TorchTensor, want: &str) -> Error {
    Error::invalid_config(format!("Tensor {:?} has shape {:?}, not {want}.", tensor.name, tensor.shape))
}

/// The model's configuration: shapes first, then a published model's name, then `config.json`; what the
/// user passes wins over the last two. Numbers that contradict the shapes are refused, except that
///
/// - a published model (name and shapes agree) does not depend on its `config.json` at all, readable or not, and
/// - a `config.json` may give the vocabulary without padding.
pub fn resolve_config(
    shapes: &PartialConfig,
    repository_name: Option<&str>,
    config_json: Option<PartialConfig>,
    user: Option<PartialConfig>,
) -> Result<ModelConfig> {
    known_config(shapes, repository_name, config_json)?.completed(user.as_ref())
}

/// What is known of a checkpoint without the caller: see [`resolve_config`].
///
/// # Errors
/// `invalid-config` for a `config.json` that contradicts the shapes.
pub fn known_config(
    shapes: &PartialConfig,
    repository_name: Option<&str>,
    config_json: Option<PartialConfig>,
) -> Result<PartialConfig> {
    // A name alone proves nothing: a fork may have other shapes under the same name.
    let preset = repository_name.and_then(PartialConfig::preset).filter(|p| p.contradiction(shapes, false).is_none());
    let declared = if preset.is_some() { PartialConfig::default() } else { config_json.unwrap_or_default() };
    if let Some((name, stated, found)) = declared.contradiction(shapes, true) {
        return Err(contradicted("config.json", name, stated, found));
    }
    Ok(shapes.clone().or(preset.unwrap_or_default()).or(declared))
}
