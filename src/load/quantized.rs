//! A folder that `convert` wrote: its bytes are used as they are.

use super::Request;
use super::plan::{FilePlan, Plan, Work};
use super::source::{Source, damaged};
use super::units::blame;
use crate::checkpoint::folder::{Shard, check_complete, header_len, quantization, shard_names};
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::unit::{cut, unit_bytes};
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::hub::listing::FileInfo;
use crate::hub::ranges::{Peek, peek, small};

/// The weights of a model that is not sharded.
const SINGLE_FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const INDEX_LIMIT: usize = 64 << 20;
/// Bytes of a file that are read first: most headers fit.
const FIRST: u64 = 64 << 10;

/// Plans to load a quantized folder; `None` if there is none. What tells its contents is added to `identity`.
pub async fn plan(
    source: &Source,
    request: &Request,
    config_json: Option<&[u8]>,
    identity: &mut Vec<u8>,
) -> Result<Option<Plan>> {
    let single = match source.listing.file(SINGLE_FILE) {
        Some(file) => Opened::open(source, file).await?,
        None => None,
    };
    let opened = match single {
        Some(opened) => vec![opened],
        None => match shards(source).await? {
            Some(opened) => opened,
            None => return Ok(None),
        },
    };
    let config = match (&request.config, config_json) {
        (None, None) => {
            return Err(Error::new(ErrorCode::ModelNotFound, "The folder has no config.json.")
                .hint("Check the address, or pass the model's shape as the config option."));
        }
        (given, stored) => {
            let stored = stored.map(PartialConfig::from_json).transpose()?.unwrap_or_default();
            given.clone().unwrap_or_default().or(stored).finish()?
        }
    };
    let mut files = Vec::new();
    let mut shards = Vec::new();
    for o in opened {
        identity.extend(o.header());
        identity.extend(o.version.as_bytes());
        let (file, shard) = o.parse(source, &config).await?;
        files.push(file);
        shards.push(shard);
    }
    check_complete(&shards, &config)?;
    let quantization = quantization(&shards)?;
    check_wanted(request.quantization, quantization)?;
    let stored_bytes = files.iter().map(|f| f.bytes).sum();
    for (file, shard) in files.iter_mut().zip(shards) {
        file.work = Work::Copy(shard.sections);
    }
    Ok(Some(Plan { config, quantization, files, stored_bytes, identity: String::new() }))
}

fn check_wanted(wanted: Option<Quantization>, stored: Quantization) -> Result<()> {
    match wanted {
        Some(wanted) if wanted != stored => Err(Error::invalid_argument(format!(
            "quantization is {:?}, but this model is stored as {:?}.",
            wanted.as_str(),
            stored.as_str()
        ))
        .hint("Leave quantization out, or name a model of that precision.")),
        _ => Ok(()),
    }
}

async fn shards(source: &Source) -> Result<Option<Vec<Opened>>> {
    let Some(index) = source.listing.file(INDEX) else { return Ok(None) };
    let json = match small(&source.client, &index.path, index.size, INDEX_LIMIT).await {
        Ok(json) => json,
        Err(e) if e.code == ErrorCode::ModelNotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if index.sha256.as_ref().is_some_and(|h| *h != crate::hash::sha256(&json))
        || index.git_oid.as_ref().is_some_and(|h| *h != crate::hash::git_blob_id(&json))
    {
        return Err(damaged(INDEX));
    }
    let mut opened = Vec::new();
    for name in shard_names(&json)? {
        let missing = || Error::new(ErrorCode::ModelNotFound, format!("The model's file {name} is missing."));
        let file = source.listing.file(&name).ok_or_else(missing)?;
        opened.push(Opened::open(source, file).await?.ok_or_else(missing)?);
    }
    Ok(Some(opened))
}

/// A file whose header is there.
struct Opened {
    info: FileInfo,
    /// The file's beginning: length, header, and perhaps more.
    start: Vec<u8>,
    header_len: Result<usize>,
    version: String,
}

impl Opened {
    async fn open(source: &Source, info: FileInfo) -> Result<Option<Self>> {
        let name = info.path.clone();
        let read = async |from: u64, to: u64| peek(&source.client, &name, from..to).await;
        let Peek { bytes: mut start, version, .. } = match read(0, FIRST).await {
            Ok(peeked) => peeked,
            Err(e) if e.code == ErrorCode::ModelNotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let header_len = start.first_chunk().map_or_else(|| Err(short(&name)), |first| header_len(*first));
        if let Ok(len) = header_len
            && start.len() < 8 + len
        {
            let have = start.len() as u64;
            start.extend(read(have, 8 + len as u64).await?.bytes);
        }
        Ok(Some(Self { info, start, header_len, version }))
    }

    fn header(&self) -> &[u8] {
        let end = self.header_len.as_ref().map_or(0, |len| 8 + len);
        self.start.get(8..end).unwrap_or_default()
    }

    async fn parse(self, source: &Source, config: &ModelConfig) -> Result<(FilePlan, Shard)> {
        let name = &self.info.path;
        let parsed = match &self.header_len {
            Ok(_) if self.header().is_empty() => Err(short(name)),
            Ok(_) => Shard::parse(self.header(), config),
            Err(_) => Err(short(name)),
        };
        let parsed = parsed.and_then(|shard| match self.info.size {
            Some(size) if size != shard.file_bytes => {
                Err(Error::unsupported(format!("{name} has {size} bytes, but its header says {}.", shard.file_bytes)))
            }
            _ => Ok(shard),
        });
        let shard = match parsed {
            Ok(shard) => shard,
            Err(e) => {
                let e = self.header_len.err().unwrap_or(e);
                return Err(blame(source, &self.info, e).await);
            }
        };
        let bytes = shard.file_bytes;
        let chunk = self.info.manifest.as_ref().filter(|m| m.size == bytes).and_then(|m| m.chunk_bytes);
        let units = cut(bytes, chunk.unwrap_or_else(|| unit_bytes(bytes)));
        let mut prefix = self.start;
        prefix.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let work = Work::Copy(Vec::new());
        Ok((FilePlan { info: self.info, bytes, units, prefix, work }, shard))
    }
}

fn short(name: &str) -> Error {
    Error::new(ErrorCode::Integrity, format!("{name} ends inside its header.")).hint("Try again.")
}
