//! A folder that `convert` wrote: its bytes are used as they are.

use super::diagnosis::diagnose;
use super::plan::{FilePlan, Plan, Work};
use super::request::Request;
use super::source::Source;
use crate::checkpoint::folder::{
    INDEX_LIMIT, Shard, check_complete, header_len, of_another_kind, quantization, shard_names,
};
use crate::checkpoint::layout::Quantization;
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::hub::listing::FileInfo;
use crate::hub::ranges::{Peek, peek};
use crate::platform::Platform;
use crate::sizes::{cut, unit_bytes};

/// The weights of a model that is not sharded.
const SINGLE_FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Bytes of a file that are read first: most headers fit.
const FIRST: u64 = 64 << 10;

/// Plans to load a quantized folder; `None` if there is none, or only files of another kind under its names. What
/// identifies its contents is added to `identity`.
pub async fn plan<P: Platform>(
    source: &Source<P>,
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
    let others: Option<Vec<Error>> = opened.iter().map(|o| of_another_kind(&o.info.path, &o.start)).collect();
    if let Some(other) = others.and_then(|others| others.into_iter().next()) {
        *source.of_another_kind.borrow_mut() = Some(other);
        return Ok(None);
    }
    if request.config.is_none() && config_json.is_none() {
        let what = format!("There is no config.json at {}.", source.client.location());
        return Err(Error::new(ErrorCode::ModelNotFound, what)
            .hint("Check the address, or pass the model's shape as the config option."));
    }
    let declared = config_json.map(PartialConfig::from_json).transpose()?.unwrap_or_default();
    let config = request.config.clone().unwrap_or_default().or(declared.clone()).finish()?;
    let mut files = Vec::new();
    let mut shards = Vec::new();
    for o in opened {
        let (file, shard) = o.parse(source, &config).await?;
        identity.extend(file.prefix().unwrap_or_default());
        identity.extend(file.version.iter().flat_map(|v| v.bytes()));
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
    // The tables have the shape that was looked for, or they would have been refused.
    let declared = declared.with_tables_of(&config);
    Ok(Some(Plan { config, declared, quantization, files, stored_bytes, identity: String::new() }))
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

async fn shards<P: Platform>(source: &Source<P>) -> Result<Option<Vec<Opened>>> {
    let Some(index) = source.listing.file(INDEX) else { return Ok(None) };
    let Some(json) = source.optional(&index, INDEX_LIMIT).await? else { return Ok(None) };
    let mut opened = Vec::new();
    for name in shard_names(&json)? {
        let missing = || Error::new(ErrorCode::ModelNotFound, format!("The model's file {name} is missing."));
        let file = source.listing.file(&name).ok_or_else(missing)?;
        opened.push(Opened::open(source, file).await?.ok_or_else(missing)?);
    }
    Ok(Some(opened))
}

/// A file whose header was read.
struct Opened {
    info: FileInfo,
    /// The file's beginning: length, header, and perhaps more.
    start: Vec<u8>,
    version: String,
}

impl Opened {
    async fn open<P: Platform>(source: &Source<P>, info: FileInfo) -> Result<Option<Self>> {
        let name = info.path.clone();
        let Some(first) = source.if_there(async || peek(&source.client, &name, 0..FIRST).await).await? else {
            return Ok(None);
        };
        let Peek { bytes: mut start, version, .. } = first;
        if let Some(Ok(len)) = start.first_chunk().map(|first| header_len(*first))
            && start.len() < 8 + len
        {
            let have = start.len() as u64;
            start.extend(peek(&source.client, &name, have..8 + len as u64).await?.bytes);
        }
        Ok(Some(Self { info, start, version }))
    }

    fn shard(&self, config: &ModelConfig) -> Result<Shard> {
        let name = &self.info.path;
        let len = header_len(*self.start.first_chunk().ok_or_else(|| short(name))?)?;
        let shard = Shard::parse(self.start.get(8..8 + len).ok_or_else(|| short(name))?, config)?;
        match self.info.size {
            Some(size) if size != shard.file_bytes => {
                Err(Error::unsupported(format!("{name} has {size} bytes, but its header says {}.", shard.file_bytes)))
            }
            _ => Ok(shard),
        }
    }

    async fn parse<P: Platform>(mut self, source: &Source<P>, config: &ModelConfig) -> Result<(FilePlan, Shard)> {
        let shard = match self.shard(config) {
            Ok(shard) => shard,
            // What was read may have been damaged in transit: try again.
            Err(_) => {
                self = Self::open(source, self.info).await?.ok_or_else(|| source.nothing_here())?;
                match self.shard(config) {
                    Ok(shard) => shard,
                    Err(e) => return Err(diagnose(source, &self.info, e).await),
                }
            }
        };
        let bytes = shard.file_bytes;
        let manifest = self.info.manifest.as_ref().filter(|m| m.size == bytes);
        let units = cut(bytes, manifest.and_then(|m| m.chunk_bytes).unwrap_or_else(|| unit_bytes(bytes)));
        let has_hash = manifest.is_some() || self.info.sha256.is_some();
        let version = Some(self.version).filter(|v| !v.is_empty() && !has_hash);
        self.start.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let seen = vec![(0, self.start)];
        let work = Work::Copy(Vec::new());
        Ok((FilePlan { info: self.info, bytes, units, seen, version, work }, shard))
    }
}

fn short(name: &str) -> Error {
    Error::new(ErrorCode::Integrity, format!("{name} ends inside its header.")).hint("Try again.")
}
