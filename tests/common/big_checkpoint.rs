//! Writes checkpoints of any size to a file, tensor by tensor, as `torch.save` does.

use super::torch_zip::{Kind, View, pickle_of};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use tokenformer_web::checkpoint::layout::{Side, TensorId, tensors};
use tokenformer_web::config::ModelConfig;
use tokenformer_web::pattention::Pattention;

/// Key of a tensor in a published checkpoint.
pub fn key(id: TensorId, layers: usize) -> String {
    match id {
        TensorId::Embedding => "tied_modules.embed.word_embeddings.weight".into(),
        TensorId::Tokens { layer, pattention, side } => {
            let side = if side == Side::Keys { "key" } else { "value" };
            format!("{}.{}.{side}_param_tokens", layer + 2, pattention.path())
        }
        TensorId::NormWeight => format!("{}.norm.weight", layers + 3),
        TensorId::NormBias => format!("{}.norm.bias", layers + 3),
    }
}

/// Its shape in the checkpoint.
pub fn shape(id: TensorId, config: &ModelConfig) -> Vec<usize> {
    let d = config.hidden_size;
    match id {
        TensorId::Embedding => vec![config.padded_vocab_size, d],
        TensorId::Tokens { pattention, .. } => vec![Pattention::slots(pattention, config), d],
        TensorId::NormWeight | TensorId::NormBias => vec![d],
    }
}

/// Random weights that make a model whose logits differ: about ±0.06, the final norm's weight about 1.
fn values(id: TensorId, count: usize, state: &mut u32) -> Vec<f32> {
    let centre = if id == TensorId::NormWeight { 1.0 } else { 0.0 };
    let next = |_| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        centre + (*state >> 8) as f32 / (1 << 24) as f32 * 0.125 - 0.0625
    };
    (0..count).map(next).collect()
}

/// Where an entry begins, and its data for the directory.
struct Entry {
    name: String,
    offset: u64,
    size: u64,
}

/// Writes a checkpoint with random weights, its data at multiples of `alignment` (`torch.save`: 64). Before the tensors comes an unused storage of `hole` bytes, which take no
/// room on the disk: with 4 GiB of them, every offset after it needs ZIP64.
pub fn write(path: &Path, config: &ModelConfig, seed: u32, hole: u64, alignment: u64) -> std::io::Result<()> {
    let ids: Vec<_> = tensors(config).collect();
    let shapes: Vec<_> = ids.iter().map(|id| shape(*id, config)).collect();
    let lens: Vec<_> = shapes.iter().map(|s| (Kind::F32, s.iter().product::<usize>())).collect();
    let views: Vec<_> = ids
        .iter()
        .zip(&shapes)
        .enumerate()
        .map(|(i, (id, shape))| View::new(&key(*id, config.num_layers), i, 0, shape))
        .collect();
    let mut out = Output { file: BufWriter::new(File::create(path)?), entries: Vec::new(), alignment };
    let mut state = seed | 1;
    out.entry("model/data.pkl", 0, &pickle_of(&lens, &views))?;
    out.entry("model/byteorder", 0, b"little")?;
    if hole > 0 {
        out.entry("model/data/unused", hole, &[])?;
    }
    for (i, id) in ids.iter().enumerate() {
        let bytes: Vec<u8> = values(*id, lens[i].1, &mut state).iter().flat_map(|v| v.to_le_bytes()).collect();
        out.entry(&format!("model/data/{i}"), 0, &bytes)?;
    }
    out.entry("model/version", 0, b"3\n")?;
    out.directory()?;
    out.file.flush()
}

/// The file so far.
struct Output {
    file: BufWriter<File>,
    entries: Vec<Entry>,
    alignment: u64,
}

impl Output {
    /// One entry of `hole` zeros and `data`: local header without sizes, data at a multiple of 64, data descriptor.
    fn entry(&mut self, name: &str, hole: u64, data: &[u8]) -> std::io::Result<()> {
        let Self { file: out, entries, alignment } = self;
        let offset = out.stream_position()?;
        let size = hole + data.len() as u64;
        let padding = (*alignment - (offset + 30 + name.len() as u64 + 4) % *alignment) % *alignment;
        out.write_all(b"PK\x03\x04\x00\x00\x08\x00\x00\x00")?;
        out.write_all(&[0; 16])?;
        out.write_all(&(name.len() as u16).to_le_bytes())?;
        out.write_all(&(padding as u16 + 4).to_le_bytes())?;
        out.write_all(name.as_bytes())?;
        out.write_all(b"FB")?;
        out.write_all(&(padding as u16).to_le_bytes())?;
        out.write_all(&vec![b'Z'; padding as usize])?;
        if hole > 0 {
            out.seek(SeekFrom::Current(hole as i64))?;
        }
        out.write_all(data)?;
        let is_big = size > u64::from(u32::MAX) || offset > u64::from(u32::MAX);
        out.write_all(b"PK\x07\x08")?;
        out.write_all(&vec![0; if is_big { 20 } else { 12 }])?;
        entries.push(Entry { name: name.into(), offset, size });
        Ok(())
    }

    fn directory(&mut self) -> std::io::Result<()> {
        let Self { file: out, entries, .. } = self;
        let start = out.stream_position()?;
        for Entry { name, offset, size } in entries.iter() {
            let big = |n: u64| n >= u64::from(u32::MAX);
            let small = |n: u64| if big(n) { [0xff; 4] } else { (n as u32).to_le_bytes() };
            // Only values that do not fit are in the extra field, in this order.
            let extra: Vec<u8> =
                [*size, *size, *offset].into_iter().filter(|n| big(*n)).flat_map(u64::to_le_bytes).collect();
            out.write_all(b"PK\x01\x02\x00\x00\x00\x00\x08\x00\x00\x00")?;
            out.write_all(&[0; 8])?;
            out.write_all(&[small(*size), small(*size)].concat())?;
            out.write_all(&(name.len() as u16).to_le_bytes())?;
            out.write_all(&(if extra.is_empty() { 0 } else { extra.len() as u16 + 4 }).to_le_bytes())?;
            out.write_all(&[0; 10])?;
            out.write_all(&small(*offset))?;
            out.write_all(name.as_bytes())?;
            if !extra.is_empty() {
                out.write_all(&[1, 0])?;
                out.write_all(&(extra.len() as u16).to_le_bytes())?;
                out.write_all(&extra)?;
            }
        }
        let end = out.stream_position()?;
        let count = entries.len() as u64;
        out.write_all(b"PK\x06\x06")?;
        out.write_all(&44u64.to_le_bytes())?;
        out.write_all(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        for n in [count, count, end - start, start] {
            out.write_all(&n.to_le_bytes())?;
        }
        out.write_all(b"PK\x06\x07\x00\x00\x00\x00")?;
        out.write_all(&end.to_le_bytes())?;
        out.write_all(&1u32.to_le_bytes())?;
        out.write_all(b"PK\x05\x06\x00\x00\x00\x00")?;
        out.write_all(&[0xff; 12])?;
        out.write_all(&[0, 0])
    }
}
