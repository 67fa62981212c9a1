//! Writing a quantized model folder, tensor by tensor: at no time is more than one table in memory.

use super::TableSource;
use super::files::PytorchFile;
use super::layout::{Quantization, TableFormat, TensorId, tensors};
use super::quantize::Stored;
use super::regions::{Region, region_bytes};
use crate::config::{GROUP_SIZE, ModelConfig};
use crate::error::{Error, Result};
use crate::hub::manifest::{MANIFEST, Manifest};
use crate::pattention::Pattention;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

/// Rows of the embedding that are read at a time.
const EMBEDDING_BLOCK: usize = 1024;
/// Bytes that are hashed at a time.
const READ_BYTES: usize = 1 << 20;
/// Largest file in bytes: below 2 GB, which some hosts and file systems cannot pass.
pub const SHARD_BYTES: u64 = 1_900_000_000;

/// One entry of a safetensors header.
struct HeaderTensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
}

/// The entries that one tensor of the model becomes, in the order of their bytes.
fn header_tensors(id: TensorId, config: &ModelConfig, quantization: Quantization) -> Vec<HeaderTensor> {
    let (name, shape) = (id.name(), id.shape(config));
    let Some(format) = id.format(quantization) else {
        let bytes = shape.cols as u64 * 4;
        return vec![HeaderTensor { name, dtype: "F32", shape: vec![shape.cols], bytes }];
    };
    let elements = region_bytes(format, shape, Region::Elements);
    let entry = |suffix: &str, dtype, shape: &[usize], bytes| HeaderTensor {
        name: format!("{name}.{suffix}"),
        dtype,
        shape: shape.to_vec(),
        bytes,
    };
    if format == TableFormat::F16 {
        return vec![entry("weight", "F16", &[shape.rows, shape.cols], elements)];
    }
    let scales = region_bytes(format, shape, Region::Scales);
    vec![
        entry("weight_packed", "I32", &[shape.rows, shape.cols * format.bits() / 32], elements),
        entry("weight_scale", "F16", &[shape.rows, shape.cols / GROUP_SIZE], scales),
        entry("weight_shape", "I64", &[2], 16),
    ]
}

/// `quantization_config` as compressed-tensors reads it; none for f16.
fn quantization_config(quantization: Quantization) -> Option<Value> {
    let group = |format: TableFormat, target: &str| {
        json!({
            "targets": [target],
            "weights": {
                "num_bits": format.bits(), "type": "int", "symmetric": true, "strategy": "group",
                "group_size": GROUP_SIZE, "dynamic": false
            },
            "input_activations": null,
            "output_activations": null
        })
    };
    quantization.tokens().is_quantized().then(|| {
        json!({
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": {
                "group_0": group(quantization.tokens(), "re:layers\\..*_param_tokens$"),
                "group_1": group(quantization.embedding(), "re:embed\\.word_embeddings$")
            },
            "ignore": ["norm"]
        })
    })
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |e| {
        Error::invalid_argument(format!("{} cannot be written: {e}.", path.display()))
            .hint("Check the folder and the space that is left.")
            .caused_by(e)
    }
}

/// Writes `config.json`, `tokenizer.json`, the weights and `manifest.json` into `output`, which must be an existing
/// empty folder. `on_bytes` learns how many bytes of the checkpoint's elements have been used.
///
/// # Errors
/// Those of reading the checkpoint, `unsupported-checkpoint` (with the tensor's key) for weights that
/// cannot be stored, and `invalid-argument` if writing fails.
pub fn write_folder<R: Read + Seek>(
    source: &mut PytorchFile<R>,
    quantization: Quantization,
    tokenizer_json: Option<&[u8]>,
    output: &Path,
    shard_bytes: u64,
    on_elements: impl FnMut(u64),
) -> Result<()> {
    write_prepared(source, &HashMap::new(), quantization, tokenizer_json, output, shard_bytes, on_elements)
}

/// The same, with some tables in stored form already.
///
/// # Errors
/// Those of [`write_folder`].
pub fn write_prepared<R: Read + Seek>(
    source: &mut PytorchFile<R>,
    prepared: &HashMap<TensorId, Stored>,
    quantization: Quantization,
    tokenizer_json: Option<&[u8]>,
    output: &Path,
    shard_bytes: u64,
    mut on_elements: impl FnMut(u64),
) -> Result<()> {
    let config = source.config().clone();
    let shards = split(&config, quantization, shard_bytes);
    let names: Vec<String> = match shards.len() {
        1 => vec!["model.safetensors".into()],
        n => (1..=n).map(|i| format!("model-{i:05}-of-{n:05}.safetensors")).collect(),
    };
    let mut weight_map = Map::new();
    let mut total = 0;
    for (shard, name) in shards.iter().zip(&names) {
        let entries: Vec<_> = shard.iter().flat_map(|id| header_tensors(*id, &config, quantization)).collect();
        total += entries.iter().map(|e| e.bytes).sum::<u64>();
        weight_map.extend(entries.iter().map(|e| (e.name.clone(), json!(name))));
        let path = output.join(name);
        let mut file = BufWriter::new(File::create(&path).map_err(failed(&path))?);
        file.write_all(&header(&entries, &config, quantization)).map_err(failed(&path))?;
        for id in shard {
            write_tensor((source, prepared.get(id)), *id, quantization, &mut file, &path, &mut on_elements)?;
        }
        file.into_inner().map_err(|e| failed(&path)(e.into_error()))?.sync_all().map_err(failed(&path))?;
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = output.join(name);
        fs::write(&path, bytes).map_err(failed(&path))
    };
    if names.len() > 1 {
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        write("model.safetensors.index.json", pretty(&index).as_bytes())?;
    }
    if let Some(json) = tokenizer_json {
        write("tokenizer.json", json)?;
    }
    let mut json = json!(config);
    if let (Some(q), Some(object)) = (quantization_config(quantization), json.as_object_mut()) {
        object.insert("quantization_config".into(), q);
    }
    write("config.json", pretty(&json).as_bytes())?;
    let mut files = names;
    files.push("config.json".into());
    files.extend((shards.len() > 1).then(|| "model.safetensors.index.json".into()));
    files.extend(tokenizer_json.map(|_| "tokenizer.json".into()));
    write(MANIFEST, pretty(&json!(manifest(output, &files)?)).as_bytes())
}

/// Sizes and hashes of what was written.
fn manifest(folder: &Path, files: &[String]) -> Result<Manifest> {
    let mut manifest = Manifest::new();
    for name in files {
        let path = folder.join(name);
        let mut file = File::open(&path).map_err(failed(&path))?;
        let size = file.metadata().map_err(failed(&path))?.len();
        manifest.add(name, size, || {
            let mut bytes = Vec::with_capacity(READ_BYTES);
            Read::by_ref(&mut file).take(READ_BYTES as u64).read_to_end(&mut bytes).map_err(failed(&path))?;
            Ok(bytes)
        })?;
    }
    Ok(manifest)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Tensors in execution order, cut into files of at most `shard_bytes` (but at least one tensor each).
fn split(config: &ModelConfig, quantization: Quantization, shard_bytes: u64) -> Vec<Vec<TensorId>> {
    let mut shards: Vec<Vec<TensorId>> = vec![Vec::new()];
    let mut size = 0;
    for id in tensors(config) {
        let bytes: u64 = header_tensors(id, config, quantization).iter().map(|e| e.bytes).sum();
        if size + bytes > shard_bytes && size > 0 {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(id);
        }
    }
    shards
}

/// The length and JSON of a header, padded with spaces so that the data begins at a multiple of 16.
fn header(entries: &[HeaderTensor], config: &ModelConfig, quantization: Quantization) -> Vec<u8> {
    let mut json = Map::new();
    let slots = |p: Pattention| p.slots(config).to_string();
    json.insert(
        "__metadata__".into(),
        json!({
            "format": "pt",
            "quantization": quantization.as_str(),
            "value_param_tokens": "transposed: [outputs, slots]; slots are padded with zero tokens to a multiple of 32",
            "qkv_slot_num": slots(Pattention::Query),
            "proj_slot_num": slots(Pattention::Proj),
            "ffn_slot_num": slots(Pattention::Mlp),
        }),
    );
    let mut offset = 0;
    for e in entries {
        let offsets = [offset, offset + e.bytes];
        offset += e.bytes;
        json.insert(e.name.clone(), json!({ "dtype": e.dtype, "shape": e.shape, "data_offsets": offsets }));
    }
    let mut text = Value::Object(json).to_string().into_bytes();
    text.resize((8 + text.len()).next_multiple_of(16) - 8, b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out
}

fn write_tensor<R: Read + Seek>(
    (source, prepared): (&mut PytorchFile<R>, Option<&Stored>),
    id: TensorId,
    quantization: Quantization,
    file: &mut impl Write,
    path: &Path,
    on_elements: &mut impl FnMut(u64),
) -> Result<()> {
    let shape = id.shape(source.config());
    let Some(format) = id.format(quantization) else {
        let values = source.table(id)?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::unsupported(format!("{} holds values that are not finite.", id.name())));
        }
        on_elements(values.len() as u64);
        return values.iter().try_for_each(|v| file.write_all(&v.to_le_bytes())).map_err(failed(path));
    };
    let mut scales = Vec::new();
    let mut write = |stored: &Stored, elements: usize| {
        on_elements(elements as u64);
        scales.extend_from_slice(&stored.scales);
        file.write_all(&stored.elements).map_err(failed(path))
    };
    let mut push = |values: &[f32]| -> Result<()> {
        let mut stored = Stored::default();
        stored.push(values, format).map_err(|e| Error { message: format!("{}: {}", id.name(), e.message), ..e })?;
        write(&stored, values.len())
    };
    if let Some(stored) = prepared {
        write(stored, shape.rows * shape.cols)?;
    } else if id == TensorId::Embedding {
        for first in (0..shape.rows).step_by(EMBEDDING_BLOCK) {
            push(&source.rows(id, first..shape.rows.min(first + EMBEDDING_BLOCK))?)?;
        }
    } else {
        push(&source.table(id)?)?;
    }
    if format.is_quantized() {
        file.write_all(&scales).map_err(failed(path))?;
        for n in [shape.rows as u64, shape.cols as u64] {
            file.write_all(&n.to_le_bytes()).map_err(failed(path))?;
        }
    }
    Ok(())
}
