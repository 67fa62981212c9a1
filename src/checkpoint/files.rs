//! Reads checkpoints from files, or from anything else that can seek.

use super::folder::{self, Shard};
use super::layout::{Quantization, Side, TensorId, tensors};
use super::names::{self, Names};
use super::pickle::{self, TorchTensor};
use super::quantize::Stored;
use super::regions::Region;
use super::stream::Conversion;
use super::torch::{Archive, TensorBytes, decode};
use super::{TableSource, sniff, zip};
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{Error, ErrorCode, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// A published `pytorch_model.bin`.
#[derive(Debug)]
pub struct PytorchFile<R> {
    reader: R,
    archive: Archive,
    state: Vec<TorchTensor>,
    names: Names,
    config: ModelConfig,
}

fn unreadable(e: std::io::Error) -> Error {
    Error::unsupported(format!("The checkpoint cannot be read: {e}.")).caused_by(e)
}

/// Opens a file; the error says which.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| {
        Error::new(ErrorCode::ModelNotFound, format!("{} cannot be opened: {e}.", path.display())).caused_by(e)
    })
}

/// Reads bytes of a file. The caller has checked the range against the file's length.
fn read_range<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> Result<Vec<u8>> {
    let len = usize::try_from(range.end - range.start)
        .map_err(|e| Error::new(ErrorCode::OutOfMemory, "A tensor is too large for this machine.").caused_by(e))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|e| {
        Error::new(ErrorCode::OutOfMemory, format!("{len} bytes of memory are not available.")).caused_by(e)
    })?;
    reader.seek(SeekFrom::Start(range.start)).map_err(unreadable)?;
    let read = reader.take(len as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if read != len {
        return Err(Error::unsupported("The checkpoint ended before its last tensor."));
    }
    Ok(bytes)
}

impl PytorchFile<File> {
    /// Opens a file. `config_json` is the one beside it, if any.
    pub fn open(path: &Path, config_json: Option<PartialConfig>) -> Result<Self> {
        Self::new(open(path)?, None, config_json, None)
    }
}

impl<R: Read + Seek> PytorchFile<R> {
    /// Reads the index of a checkpoint; see [`names::resolve_config`] for what the other arguments do.
    pub fn new(
        mut reader: R,
        repository_name: Option<&str>,
        config_json: Option<PartialConfig>,
        user: Option<PartialConfig>,
    ) -> Result<Self> {
        let len = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let tail = read_range(&mut reader, zip::tail_range(len))?;
        let directory = match zip::find_directory(&tail, len) {
            Ok(directory) => directory,
            Err(e) => {
                let first = read_range(&mut reader, 0..len.min(sniff::ENOUGH))?;
                return Err(sniff::mistaken("The checkpoint", &first, Some(sniff::Kind::Zip)).unwrap_or(e));
            }
        };
        let bytes = read_range(&mut reader, directory.range.clone())?;
        let archive = Archive::new(zip::parse_directory(&bytes, &directory)?)?;
        let entry = archive.pickle();
        let start = data_offset(&mut reader, entry)?;
        let state = pickle::parse_state_dict(&read_range(&mut reader, start..start + entry.size)?)?;
        let names = Names::resolve(&state)?;
        let config = names::resolve_config(&names.shapes, repository_name, config_json, user)?;
        tensors(&config).try_for_each(|id| names.get(id).map(|_| ()))?;
        Ok(Self { reader, archive, state, names, config })
    }

    /// Rows of a tensor as the checkpoint has it: [slots, d], not transposed, not padded.
    pub fn rows(&mut self, id: TensorId, rows: Range<usize>) -> Result<Vec<f32>> {
        let tensor = &self.state[self.names.get(id)?];
        let bytes = self.archive.locate(tensor)?;
        let row_len = tensor.shape.get(1).copied().unwrap_or(bytes.len / bytes.dtype.size() as u64);
        let row_bytes = row_len * bytes.dtype.size() as u64;
        let (start, end) = (rows.start as u64 * row_bytes, rows.end as u64 * row_bytes);
        if start > end || end > bytes.len {
            return Err(Error::invalid_argument(format!("Tensor {:?} has no rows {rows:?}.", tensor.name)));
        }
        let part = TensorBytes { offset: bytes.offset + start, len: end - start, ..bytes };
        let entry = &self.archive.entries[bytes.entry];
        let base = data_offset(&mut self.reader, entry)?;
        let data = read_range(&mut self.reader, part.range(base))?;
        let mut out = Vec::with_capacity(data.len() / bytes.dtype.size());
        decode(bytes.dtype, &data, &mut out);
        Ok(out)
    }

    /// Plans the conversion while the file streams by; `data_offset` as in [`Conversion::new`].
    pub fn conversion(
        &mut self,
        quantization: Quantization,
        unit_bytes: u64,
        data_offset: impl Fn(&zip::Entry) -> Option<u64>,
    ) -> Result<Conversion> {
        let len = self.reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let (archive, config) = (&self.archive, &self.config);
        Conversion::new(archive, &self.state, &self.names, config, quantization, len, unit_bytes, data_offset)
    }

    /// Key of a tensor in the checkpoint, for messages.
    pub fn key(&self, id: TensorId) -> Result<&str> {
        Ok(&self.state[self.names.get(id)?].name)
    }

    /// Extents of a tensor as the checkpoint has it; vectors have one row.
    pub fn source_shape(&self, id: TensorId) -> (usize, usize) {
        let shape = id.published_shape(&self.config);
        (shape.rows, shape.cols)
    }
}

fn data_offset<R: Read + Seek>(reader: &mut R, entry: &zip::Entry) -> Result<u64> {
    let start = entry.header_offset;
    let header = read_range(reader, start..start + zip::LOCAL_HEADER_LEN)?;
    zip::local_data_offset(&header, entry)
}

impl<R: Read + Seek> TableSource for PytorchFile<R> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn table(&mut self, id: TensorId) -> Result<Vec<f32>> {
        let (rows, cols) = self.source_shape(id);
        let source = self.rows(id, 0..rows)?;
        let shape = id.shape(&self.config);
        Ok(match id {
            TensorId::Tokens { side: Side::Values, .. } => transpose(&source, rows, cols, shape.cols),
            _ => {
                let mut table = source;
                table.resize(shape.rows * shape.cols, 0.0);
                table
            }
        })
    }
}

/// [rows, cols] to [cols, padded_rows], the new columns zero. Tiled, so that both sides stay in cache.
pub fn transpose(source: &[f32], rows: usize, cols: usize, padded_rows: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; cols * padded_rows];
    for row in (0..rows).step_by(TILE) {
        for col in (0..cols).step_by(TILE) {
            for r in row..rows.min(row + TILE) {
                for c in col..cols.min(col + TILE) {
                    out[c * padded_rows + r] = source[r * cols + c];
                }
            }
        }
    }
    out
}

/// A quantized model folder.
#[derive(Debug)]
pub struct ModelFolder {
    files: Vec<File>,
    shards: Vec<Shard>,
    config: ModelConfig,
    /// The precision of its tables.
    pub quantization: Quantization,
}

/// A small file of a folder.
///
/// # Errors
/// `model-not-found` if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

impl ModelFolder {
    /// Opens a folder and checks that it is complete.
    ///
    /// # Errors
    /// `model-not-found`, `unsupported-checkpoint` or `invalid-config`.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = ModelConfig::from_json(&read(&folder.join("config.json"))?)?;
        let index = folder.join("model.safetensors.index.json");
        let names =
            if index.exists() { folder::shard_names(&read(&index)?)? } else { vec!["model.safetensors".into()] };
        let (mut files, mut shards) = (Vec::new(), Vec::new());
        for name in names {
            let mut file = open(&folder.join(&name))?;
            let len = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
            let first: [u8; 8] = if len < 8 {
                [0; 8]
            } else {
                std::array::from_fn({
                    let bytes = read_range(&mut file, 0..8)?;
                    move |i| bytes[i]
                })
            };
            let header = folder::header_len(first)? as u64;
            if 8 + header > len {
                return Err(Error::unsupported(format!("{name} ends inside its header.")));
            }
            let start = read_range(&mut file, 0..8 + header)?;
            if let Some(e) = folder::of_another_kind(&name, &start) {
                return Err(e);
            }
            let shard = Shard::parse(&start[8..], &config)?;
            if shard.file_bytes != len {
                return Err(Error::unsupported(format!("{name} has {len} bytes instead of {}.", shard.file_bytes))
                    .hint("Convert or download it again."));
            }
            files.push(file);
            shards.push(shard);
        }
        folder::check_complete(&shards, &config)?;
        let quantization = folder::quantization(&shards)?;
        Ok(Self { files, shards, config, quantization })
    }
}

impl TableSource for ModelFolder {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn table(&mut self, id: TensorId) -> Result<Vec<f32>> {
        let missing = || Error::invalid_config(format!("The model has no tensor {}.", id.name()));
        let i = self.shards.iter().position(|s| s.formats.contains_key(&id)).ok_or_else(missing)?;
        let (shard, file) = (&self.shards[i], &mut self.files[i]);
        let mut stored = Stored::default();
        for section in shard.sections.iter().filter(|s| s.id == id) {
            let bytes = read_range(file, section.bytes.clone())?;
            if !folder::are_finite(id, section.region, self.quantization, &bytes) {
                return Err(folder::not_finite(id));
            }
            match section.region {
                Region::Elements => stored.elements = bytes,
                Region::Scales => stored.scales = bytes,
            }
        }
        match shard.formats[&id] {
            Some(format) => Ok(stored.dequantize(format)),
            None => Ok(stored.elements.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        }
    }
}
