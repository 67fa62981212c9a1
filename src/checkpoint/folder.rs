//! Reading a model folder: which bytes of `model.safetensors` (or of a shard) are which table.
//!
//! No I/O here: the caller brings the header, and gets byte ranges in the order of the file.

use super::layout::{Quantization, TableFormat, TensorId, tensors};
use super::regions::Region;
use super::sniff::{Kind, mistaken};
use crate::config::{GROUP_SIZE, ModelConfig, contradicted};
use crate::error::{Error, Result};
use crate::sizes::MAX_FILE_BYTES;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::ops::Range;

/// Longest header that is read; the largest published model's has 200 kB. Parsed it takes thirty times as much memory.
const HEADER_LIMIT: u64 = 4 << 20;
/// Longest `model.safetensors.index.json` that is read, in bytes.
pub const INDEX_LIMIT: usize = 4 << 20;

/// A run of a file's bytes that belongs to one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The tensor.
    pub id: TensorId,
    /// Elements or scales.
    pub region: Region,
    /// Bytes of the file.
    pub bytes: Range<u64>,
}

/// Length of the JSON header, from the file's first eight bytes.
///
/// # Errors
/// `unsupported-checkpoint` if the length is absurd.
pub fn header_len(first: [u8; 8]) -> Result<usize> {
    let n = u64::from_le_bytes(first);
    if (2..=HEADER_LIMIT).contains(&n) {
        return Ok(n as usize);
    }
    Err(mistaken("model.safetensors", &first, Some(Kind::Safetensors)).unwrap_or_else(|| {
        Error::unsupported(format!("The file says that its header has {n} bytes: it is no safetensors file."))
            .hint("model.safetensors must be what the convert tool wrote.")
    }))
}

/// Why a file that begins with these bytes is not a model of this project, though it may be intact: a pointer, a page,
/// or safetensors with other names. `None` if it is one, or if nothing can be said of it.
pub fn of_another_kind(file: &str, start: &[u8]) -> Option<Error> {
    if let Some(e) = mistaken(file, start, Some(Kind::Safetensors)) {
        return Some(e);
    }
    let len = header_len(*start.first_chunk()?).ok()?;
    let names: BTreeMap<String, IgnoredAny> = serde_json::from_slice(start.get(8..8 + len)?).ok()?;
    let is_table = |name: &str| {
        let table = name.strip_suffix(".weight_packed").or(name.strip_suffix(".weight"));
        table.is_some_and(|t| {
            t == TensorId::Embedding.name() || (t.starts_with("layers.") && t.ends_with("_param_tokens"))
        })
    };
    // A shard may have nothing but the final LayerNorm.
    let is_norm = |name: &str| TensorId::VECTORS.iter().any(|id| id.name() == name);
    if names.is_empty() || names.keys().any(|name| is_table(name) || is_norm(name)) {
        return None;
    }
    let sentence = format!("{file} is a safetensors file, but not a model that this project's convert tool wrote.");
    Some(Error::unsupported(sentence).hint("Load the model's pytorch_model.bin, or convert that."))
}

/// The tables that one file holds.
#[derive(Debug, Default)]
pub struct Shard {
    /// Formats of the tables; `None` for the final LayerNorm's vectors.
    pub formats: BTreeMap<TensorId, Option<TableFormat>>,
    /// Their bytes, in the order of the file.
    pub sections: Vec<Section>,
    /// The file's size in bytes.
    pub file_bytes: u64,
    /// Layers, as far as the names of this file's tensors show: one more than the highest number.
    pub layers: usize,
}

impl Shard {
    /// Reads the JSON header of a file.
    ///
    /// # Errors
    /// `unsupported-checkpoint` for a header that contradicts itself, `invalid-config` for tensors whose
    /// shape is not the one that `config` wants.
    pub fn parse(json: &[u8], config: &ModelConfig) -> Result<Self> {
        let metadata: Metadata = serde_json::from_slice(json).map_err(|e| {
            Error::unsupported(format!("The header of model.safetensors cannot be used: {e}.")).caused_by(e)
        })?;
        let data_start = 8 + json.len() as u64;
        let file_bytes = data_start.checked_add(metadata.data_len() as u64).filter(|bytes| *bytes <= MAX_FILE_BYTES);
        let file_bytes = file_bytes.ok_or_else(|| {
            Error::unsupported(format!("The header of model.safetensors claims {} bytes.", metadata.data_len()))
        })?;
        let layers = metadata.tensors().keys().filter_map(|name| layer_of(name)).max().map_or(0, |layer| layer + 1);
        let mut shard = Self { formats: BTreeMap::new(), sections: Vec::new(), file_bytes, layers };
        for id in tensors(config) {
            shard.add(id, &metadata, data_start, config)?;
        }
        shard.sections.sort_by_key(|s| s.bytes.start);
        Ok(shard)
    }

    fn add(&mut self, id: TensorId, metadata: &Metadata, data_start: u64, config: &ModelConfig) -> Result<()> {
        let (name, shape) = (id.name(), id.shape(config));
        let mut section = |region, info: &TensorInfo| {
            let (from, to) = info.data_offsets;
            let bytes = data_start + from as u64..data_start + to as u64;
            if !bytes.start.is_multiple_of(info.dtype.bitsize() as u64 / 8) {
                return Err(Error::unsupported(format!("{} begins inside a word of its file.", id.name()))
                    .hint("Write it with the convert tool, or with safetensors' own writer."));
            }
            self.sections.push(Section { id, region, bytes });
            Ok(())
        };
        let packed = format!("{name}.weight_packed");
        let format = if let Some(info) = metadata.info(&packed) {
            let format = [TableFormat::Q4, TableFormat::Q8]
                .into_iter()
                .find(|f| info.dtype == Dtype::I32 && info.shape == [shape.rows, shape.cols * f.bits() / 32]);
            let format = format.ok_or_else(|| wrong(&packed, info, &[shape.rows, shape.cols]))?;
            section(Region::Elements, info)?;
            let scale = format!("{name}.weight_scale");
            let info = metadata.info(&scale);
            let info = info.ok_or_else(|| Error::invalid_config(format!("{packed} has no {scale}.")))?;
            expect(&scale, info, Dtype::F16, &[shape.rows, shape.cols / GROUP_SIZE])?;
            section(Region::Scales, info)?;
            Some(format)
        } else if id.vector().is_some() {
            let Some(info) = metadata.info(&name) else { return Ok(()) };
            expect(&name, info, Dtype::F32, &[shape.cols])?;
            section(Region::Elements, info)?;
            None
        } else {
            let name = format!("{name}.weight");
            let Some(info) = metadata.info(&name) else { return Ok(()) };
            expect(&name, info, Dtype::F16, &[shape.rows, shape.cols])?;
            section(Region::Elements, info)?;
            Some(TableFormat::F16)
        };
        self.formats.insert(id, format);
        Ok(())
    }
}

/// True if all numbers among some of a tensor's bytes are finite: a scale or weight that is not would spoil every
/// token. Packed elements are integers.
pub fn are_finite(id: TensorId, region: Region, quantization: Quantization, bytes: &[u8]) -> bool {
    match (id.format(quantization), region) {
        (None, _) => bytes.as_chunks::<4>().0.iter().all(|b| f32::from_le_bytes(*b).is_finite()),
        (Some(format), Region::Elements) if format.is_quantized() => true,
        _ => bytes.as_chunks::<2>().0.iter().all(|b| u16::from_le_bytes(*b) & 0x7c00 != 0x7c00),
    }
}

/// The error of a table with numbers that are not finite.
pub fn not_finite(id: TensorId) -> Error {
    Error::unsupported(format!("{} holds values that are not finite.", id.name()))
        .hint("The model is damaged: convert the checkpoint again.")
}

/// The precision, according to the tables of all shards.
///
/// # Errors
/// `invalid-config` if the tables have formats that do not go together.
pub fn quantization(shards: &[Shard]) -> Result<Quantization> {
    // An embedding alone does not show it: q4 and q8 have the same.
    let fits = |q: &Quantization| shards.iter().flat_map(|s| &s.formats).all(|(id, format)| *format == id.format(*q));
    Quantization::ALL.into_iter().find(fits).ok_or_else(|| {
        Error::invalid_config("The tables of the model have precisions that do not go together.")
            .hint("Convert the model again: q4, q8 and f16 are known.")
    })
}

/// The layer in a tensor's name.
fn layer_of(name: &str) -> Option<usize> {
    let number = name.strip_prefix("layers.")?.split('.').next()?;
    number.parse::<usize>().ok().filter(|layer| *layer < usize::MAX)
}

/// Checks that the shards together hold every tensor of the model, and no layers that it would leave out.
///
/// # Errors
/// `invalid-config` that names the first missing tensor, or the number of layers.
pub fn check_complete(shards: &[Shard], config: &ModelConfig) -> Result<()> {
    let layers = shards.iter().map(|s| s.layers).max().unwrap_or_default();
    if layers > config.num_layers {
        return Err(contradicted("The config", "num_layers", config.num_layers, layers));
    }
    match tensors(config).find(|id| !shards.iter().any(|s| s.formats.contains_key(id))) {
        None => Ok(()),
        Some(id) => Err(Error::invalid_config(format!("The model has no tensor {}.", id.name()))
            .hint("Its config.json may belong to another model, or the conversion was not finished.")),
    }
}

/// Names of the shards, from `model.safetensors.index.json`, in the order of their names.
///
/// # Errors
/// `unsupported-checkpoint` if the index cannot be read or names files outside its folder.
pub fn shard_names(index_json: &[u8]) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bad = |what: String| Error::unsupported(format!("model.safetensors.index.json {what}."));
    if index_json.len() > INDEX_LIMIT {
        return Err(bad(format!("has {} bytes", index_json.len())));
    }
    let index: Index = serde_json::from_slice(index_json).map_err(|e| bad(format!("cannot be read: {e}")))?;
    let mut names: Vec<String> = index.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if names.is_empty() || names.len() > 1000 {
        return Err(bad(format!("names {} files", names.len())));
    }
    let plain = |n: &String| n.ends_with(".safetensors") && !n.contains(['/', '\\', ':', '?', '#', '%']);
    match names.iter().find(|n| !plain(n)) {
        None => Ok(names),
        Some(name) => Err(bad(format!("names the file {name:?}"))),
    }
}

fn expect(name: &str, info: &TensorInfo, dtype: Dtype, shape: &[usize]) -> Result<()> {
    if info.dtype == dtype && info.shape == shape { Ok(()) } else { Err(wrong(name, info, shape)) }
}

fn wrong(name: &str, info: &TensorInfo, shape: &[usize]) -> Error {
    Error::invalid_config(format!(
        "{name} is {:?} {:?}, which does not fit the {shape:?} that config.json implies.",
        info.dtype, info.shape
    ))
    .hint("Its config.json may belong to another model.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn files_of_another_kind() {
        let file = |json: &str| [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        let tensor = |name: &str| format!("{{\"__metadata__\":{{\"format\":\"pt\"}},\"{name}\":{{}}}}");
        for (what, start, says) in [
            ("a pointer", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), Some("git-lfs pointer")),
            ("a page", b"<!doctype html><p>Sign in".to_vec(), Some("web page")),
            ("an archive", b"PK\x03\x04\x00\x00\x00\x00\x00".to_vec(), Some("ZIP archive")),
            ("published keys", file(&tensor("2.attention.query.key_param_tokens")), Some("convert tool")),
            ("another model", file(&tensor("model.layers.0.mlp.up_proj.weight")), Some("convert tool")),
            ("ours", file(&tensor("layers.0.attention.query.key_param_tokens.weight_packed")), None),
            ("ours, f16", file(&tensor("embed.word_embeddings.weight")), None),
            ("ours, the last shard", file(&tensor("norm.bias")), None),
            ("damaged", file("{\"layers"), None),
            ("noise", vec![7; 100], None),
            ("nothing", vec![], None),
        ] {
            let found = of_another_kind("model.safetensors", &start);
            assert_eq!(found.is_some(), says.is_some(), "{what}");
            assert!(found.is_none_or(|e| e.message.contains(says.unwrap_or_default())), "{what}");
        }
    }

    #[test]
    fn layers_that_a_config_leaves_out_are_missed() {
        let header = |name: &str| format!(r#"{{"{name}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}}}"#);
        let config = ModelConfig::preset("TokenFormer-150M").expect("preset");
        let shard = |name: &str| Shard::parse(header(name).as_bytes(), &config).expect("a header");
        for (name, layers) in [("layers.11.mlp.x", 12), ("embed.word_embeddings.x", 0), ("layers.x", 0)] {
            assert_eq!(shard(name).layers, layers, "{name}");
        }
        let whole = Shard { formats: tensors(&config).map(|id| (id, None)).collect(), ..shard("layers.11.mlp.x") };
        check_complete(&[shard("layers.3.mlp.x"), whole], &config).expect("all of it");
        let whole = Shard { formats: tensors(&config).map(|id| (id, None)).collect(), ..shard("norm.x") };
        let one = ModelConfig { num_layers: 1, ..config.clone() };
        let e = check_complete(&[whole, shard("layers.11.mlp.x")], &one).expect_err("one layer of twelve");
        assert_eq!(e.code, ErrorCode::InvalidConfig);
        assert!(e.message.contains("num_layers 1") && e.message.contains("12"), "{e}");
    }
}
