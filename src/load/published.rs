//! A published checkpoint: `pytorch_model.bin`, converted while it streams by.

use super::diagnosis::diagnose;
use super::plan::{FilePlan, Plan, Work};
use super::request::Request;
use super::source::Source;
use crate::checkpoint::layout::{Quantization, tensors};
use crate::checkpoint::names::{self, Names};
use crate::checkpoint::stream::Conversion;
use crate::checkpoint::torch::Archive;
use crate::checkpoint::{pickle, sniff, zip};
use crate::config::PartialConfig;
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::hub::Location;
use crate::hub::listing::FileInfo;
use crate::hub::ranges::{measure, peek};
use crate::platform::Platform;
use crate::sizes::unit_bytes;
use std::collections::HashMap;
use std::ops::Range;

/// Name of the file.
const FILE: &str = "pytorch_model.bin";

/// Plans to convert a checkpoint; `None` if there is none. What identifies its contents is added to `identity`.
pub async fn plan<P: Platform>(
    source: &Source<P>,
    request: &Request,
    config_json: Option<&[u8]>,
    exact: bool,
    identity: &mut Vec<u8>,
) -> Result<Option<Plan>> {
    let Some(info) = source.listing.file(FILE) else { return Ok(None) };
    let Some((size, version)) = size(source, &info).await? else { return Ok(None) };
    identity.extend(version.as_bytes());
    let is_strange = |e: &Error| matches!(e.code, ErrorCode::UnsupportedCheckpoint | ErrorCode::InvalidConfig);
    let attempt = async |identity: &mut Vec<u8>| {
        let version = Some(version.clone()).filter(|v| !v.is_empty() && info.manifest.is_none());
        let checkpoint = Checkpoint { source, info: info.clone(), size, version, seen: Vec::new() };
        checkpoint.plan(request, config_json, exact, identity).await
    };
    let known = identity.len();
    let e = match attempt(identity).await {
        // What was read may have been damaged in transit: try again.
        Err(e) if is_strange(&e) => {
            identity.truncate(known);
            match attempt(identity).await {
                Err(e) => e,
                planned => return planned.map(Some),
            }
        }
        planned => return planned.map(Some),
    };
    if is_strange(&e)
        && let Ok(first) = peek(&source.client, FILE, 0..size.min(sniff::ENOUGH)).await
        && let Some(other) = sniff::mistaken(FILE, &first.bytes, Some(sniff::Kind::Zip))
    {
        return Err(other);
    }
    Err(if is_strange(&e) { diagnose(source, &FileInfo { size: Some(size), ..info }, e).await } else { e })
}

/// The file's size and version; `None` if there is no such file.
async fn size<P: Platform>(source: &Source<P>, info: &FileInfo) -> Result<Option<(u64, String)>> {
    if let Some(size) = info.size {
        return Ok(Some((size, String::new())));
    }
    let first = source.if_there(async || peek(&source.client, FILE, 0..sniff::ENOUGH).await).await?;
    let Some(first) = first else { return Ok(None) };
    let size = match first.total {
        Some(total) => total,
        // What is not an archive need not be read to its end.
        None if sniff::kind(&first.bytes) != Some(sniff::Kind::Zip) => first.bytes.len() as u64,
        None => measure(&source.client, FILE).await?,
    };
    Ok(Some((size, first.version)))
}

struct Checkpoint<'a, P> {
    source: &'a Source<P>,
    info: FileInfo,
    size: u64,
    /// As in [`FilePlan`], like what was read so far.
    version: Option<String>,
    seen: Vec<(u64, Vec<u8>)>,
}

impl<P: Platform> Checkpoint<'_, P> {
    async fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        let (start, wanted) = (range.start, range.end.min(self.size).saturating_sub(range.start));
        let bytes = peek(&self.source.client, FILE, range).await?.bytes;
        if bytes.len() as u64 == wanted {
            self.seen.push((start, bytes.clone()));
            return Ok(bytes);
        }
        Err(Error::new(ErrorCode::Integrity, format!("{FILE} is shorter than was said.")).hint("Try again."))
    }

    async fn plan(
        mut self,
        request: &Request,
        config_json: Option<&[u8]>,
        exact: bool,
        identity: &mut Vec<u8>,
    ) -> Result<Plan> {
        let size = self.size;
        let tail_range = zip::tail_range(size);
        let tail = self.read(tail_range.clone()).await?;
        let directory = zip::find_directory(&tail, size)?;
        let bytes = match directory.range.start.checked_sub(tail_range.start) {
            Some(at) => tail[at as usize..(directory.range.end - tail_range.start) as usize].to_vec(),
            None => self.read(directory.range.clone()).await?,
        };
        // The directory has a checksum of every entry.
        identity.extend(&bytes);
        let archive = Archive::new(zip::parse_directory(&bytes, &directory)?)?;
        let state = self.state_dict(archive.pickle()).await?;
        let names = Names::resolve(&state)?;
        let repository = match self.source.client.location() {
            Location::Repository { repository, .. } => repository.split('/').next_back(),
            Location::Folder { url } => url.trim_end_matches('/').split('/').next_back(),
        };
        let declared = config_json.map(PartialConfig::of_published);
        let declared = names::known_config(&names.shapes, repository, declared)?;
        let config = declared.completed(request.config.as_ref())?;
        tensors(&config).try_for_each(|id| names.get(id).map(|_| ()))?;
        let quantization = request.quantization.unwrap_or(Quantization::Q4);
        let unit = unit_bytes(size);
        let convert = |offset: &dyn Fn(&zip::Entry) -> Option<u64>| {
            Conversion::new(&archive, &state, &names, &config, quantization, size, unit, offset)
        };
        let planned = if exact { None } else { Some(convert(&zip::likely_data_offset)) };
        let conversion = match planned {
            Some(Err(e)) if e.kind != ErrorKind::Misplaced => return Err(e),
            Some(Ok(conversion)) => conversion,
            _ => {
                let offsets = self.data_offsets(&archive).await?;
                convert(&|entry| offsets.get(&entry.header_offset).copied())?
            }
        };
        let stored_bytes = conversion.stored_bytes();
        let units = conversion.units.clone();
        let work = Work::Convert(Box::new(conversion));
        let Self { info, version, seen, .. } = self;
        let file = FilePlan { info, bytes: size, units, seen, version, work };
        Ok(Plan { config, declared, quantization, files: vec![file], stored_bytes, identity: String::new() })
    }

    async fn state_dict(&mut self, entry: &zip::Entry) -> Result<Vec<pickle::TorchTensor>> {
        // Everything up to the next entry: the local header says where in it the pickle begins.
        let room = zip::LOCAL_HEADER_LEN + 2 * u64::from(u16::MAX);
        let start = entry.header_offset;
        let bytes = self.read(start..entry.limit.min(start + room + entry.size)).await?;
        let data = (zip::local_data_offset(&bytes, entry)? - start) as usize;
        pickle::parse_state_dict(&bytes[data..data + entry.size as usize])
    }

    /// Where the data of the entries begins, by their local headers: a request for each.
    async fn data_offsets(&mut self, archive: &Archive) -> Result<HashMap<u64, u64>> {
        let mut offsets = HashMap::new();
        for entry in &archive.entries {
            let start = entry.header_offset;
            let header = self.read(start..start + zip::LOCAL_HEADER_LEN).await?;
            offsets.insert(start, zip::local_data_offset(&header, entry)?);
        }
        Ok(offsets)
    }
}
