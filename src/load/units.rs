//! The heart of loading: unit after unit from the store or the network to where the model goes, verified on the way.

use super::digest::digest;
use super::plan::{FilePlan, Plan, Work};
use super::progress::Reporter;
use super::source::{Source, damaged};
use super::target::Target;
use super::upload::Uploader;
use crate::checkpoint::folder::{Region, Section, are_finite, not_finite};
use crate::checkpoint::layout::{Quantization, TableFormat};
use crate::checkpoint::stream::{Conversion, is_misplaced};
use crate::checkpoint::unit::{Piece, pieces};
use crate::error::{Error, ErrorCode, Result};
use crate::hash::Sha256;
use crate::hub::fetch::Client;
use crate::hub::listing::FileInfo;
use crate::hub::ranges::{OnBytes, Reader};
use crate::hub::timer::breathe;
use crate::store::cache::Cache;
use crate::store::{Store, UnitRecord};
use futures_util::StreamExt;
use futures_util::future::join;
use js_sys::Uint8Array;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use web_time::{Duration, Instant};

/// Bytes that are converted or hashed at a time: a few milliseconds of work.
const SLICE: u32 = 1 << 20;
/// Longest that the page may wait for its turn.
const TURN: Duration = Duration::from_millis(12);
/// Stored units that are read ahead.
const READ_AHEAD: usize = 4;

/// Work on this thread that lets others have their turn, and ends when the caller aborts.
struct Turns {
    client: Rc<Client>,
    since: Cell<Instant>,
}

impl Turns {
    fn new(client: &Rc<Client>) -> Self {
        Self { client: client.clone(), since: Cell::new(Instant::now()) }
    }

    async fn give_way(&self) -> Result<()> {
        if self.since.get().elapsed() >= TURN {
            breathe().await;
            self.since.set(Instant::now());
        }
        self.client.check_abort()
    }
}

/// Loads the units of a model.
pub struct Units<'a, S> {
    pub source: UnitSource<'a>,
    pub loading: &'a Target,
    pub progress: &'a Rc<Reporter>,
    pub cache: &'a mut Cache<S>,
}

/// Where units come from that are not stored.
pub struct UnitSource<'a> {
    pub client: &'a Rc<Client>,
    pub quantization: Quantization,
}

/// What came of a unit.
struct Fetched {
    bytes: Uint8Array,
    record: UnitRecord,
}

impl<S: Store<Bytes = Uint8Array>> Units<'_, S> {
    /// Puts all of a planned model where it goes, and what is new into the cache.
    ///
    /// # Errors
    /// `integrity` for bytes that are not what they should be, and those of the network, the GPU and the file.
    pub async fn load(&mut self, plan: &Plan) -> Result<()> {
        let by_stored = self.cache.is_complete();
        let stored = (0..plan.units()).filter_map(|u| self.cache.unit(u)).map(|u| u.len).sum();
        self.progress.expect(if by_stored { stored } else { plan.files.iter().map(|f| f.bytes).sum() });
        let mut first = 0;
        for file in &plan.files {
            self.progress.file(&file.info.path);
            let of_file = first..first + file.units.len();
            match self.file(file, first, by_stored).await {
                Err(e) if is_misplaced(&e) => {
                    self.cache.forget(of_file).await;
                    return Err(e);
                }
                Err(e) => return Err(e),
                // Nothing tells which part of the file is wrong.
                Ok(false) => {
                    self.cache.forget(of_file).await;
                    return Err(damaged(&file.info.path));
                }
                Ok(true) => {}
            }
            first += file.units.len();
        }
        Ok(())
    }

    /// Puts a complete stored model where it goes; false if some of it cannot be used.
    ///
    /// # Errors
    /// Those of the GPU.
    pub async fn load_stored(&mut self, units: usize, file: &str) -> Result<bool> {
        self.progress.file(file);
        self.progress.expect((0..units).filter_map(|u| self.cache.unit(u)).map(|u| u.len).sum());
        let mut uploader = Uploader::new(self.loading)?;
        Ok(self.stored(0..units, &mut uploader, true).await? == units)
    }

    /// Uploads stored units up to the first that is missing or damaged, whose number it returns.
    async fn stored(&self, units: Range<usize>, uploader: &mut Uploader<'_>, by_stored: bool) -> Result<usize> {
        let known = units.clone().map_while(|u| self.cache.unit(u).map(|record| self.verified(u, record)));
        let mut done = units.start;
        let mut verified = std::pin::pin!(futures_util::stream::iter(known).buffered(READ_AHEAD));
        while let Some(Some((bytes, record))) = verified.next().await {
            self.source.client.check_abort()?;
            uploader.write(&record.pieces, &bytes)?;
            self.progress.add(if by_stored { record.len } else { record.source_bytes }, true);
            done += 1;
        }
        Ok(done)
    }

    /// Bytes of a stored unit; `None` if they are missing or damaged.
    async fn verified<'r>(&self, unit: usize, record: &'r UnitRecord) -> Option<(Uint8Array, &'r UnitRecord)> {
        let bytes = self.cache.read(unit).await?;
        (digest(&bytes).await == record.sha256).then_some((bytes, record))
    }

    /// Loads the units of one file; false if the file as a whole is not what it should be.
    async fn file(&mut self, file: &FilePlan, first: usize, by_stored: bool) -> Result<bool> {
        let mut uploader = Uploader::new(self.loading)?;
        let mut hasher = Sha256::default();
        let count = file.units.len();
        let mut reader: Option<(Reader, usize)> = None;
        let turns = Turns::new(self.source.client);
        let mut unit = 0;
        // A unit is stored while the next one comes.
        let mut unkept: Option<(usize, Fetched)> = None;
        while unit < count {
            let stored = self.stored(first + unit..first + count, &mut uploader, by_stored).await;
            if stored.is_err() {
                keep(self.cache, unkept.take()).await;
            }
            let done = stored? - first;
            if done > unit {
                unit = done;
                let state = self.cache.unit(first + done - 1).map(|r| r.hash_state.clone()).unwrap_or_default();
                hasher = Sha256::resume(&state).unwrap_or_default();
                continue;
            }
            let expected = self.cache.unit(first + unit).map(|r| r.sha256.clone());
            // One reader goes on through all that is missing from here; a damaged unit gets one of its own.
            let end = match expected {
                Some(_) => unit + 1,
                None => (unit..count).find(|u| self.cache.unit(first + u).is_some()).unwrap_or(count),
            };
            if reader.as_ref().is_none_or(|(_, until)| unit >= *until) {
                let run = file.units[unit].start..file.units[end - 1].end;
                reader = Some((self.reader(file, run, by_stored), end));
            }
            let Some((from, _)) = reader.as_mut() else { continue };
            let fetching = self.source.fetch(file, unit, from, &mut hasher, &turns);
            let (fetched, ()) = join(fetching, keep(self.cache, unkept.take())).await;
            let Some(mut fetched) = fetched? else { return Ok(false) };
            fetched.record.hash_state = hasher.state();
            if expected.is_some_and(|sha256| sha256 != fetched.record.sha256) {
                return Ok(false);
            }
            let uploaded = uploader.write(&fetched.record.pieces, &fetched.bytes);
            if by_stored {
                self.progress.add(fetched.record.len, false);
            }
            unkept = Some((first + unit, fetched));
            if let Err(e) = uploaded.and_then(|()| self.source.client.check_abort()) {
                keep(self.cache, unkept).await;
                return Err(e);
            }
            unit += 1;
        }
        keep(self.cache, unkept).await;
        Ok(file.info.sha256.as_ref().is_none_or(|sha256| *sha256 == hasher.finish()))
    }

    fn reader(&self, file: &FilePlan, run: Range<u64>, by_stored: bool) -> Reader {
        // What is compared with the stream must not be the stream: only what is kept as it is need not come twice.
        let prefix = file.prefix().filter(|_| matches!(file.work, Work::Copy(_))).map(Uint8Array::from);
        let progress = self.progress.clone();
        let on_bytes: OnBytes = Rc::new(move |bytes| progress.arrived(bytes, !by_stored));
        let name = (file.info.path.as_str(), file.bytes);
        Reader::new(self.source.client.clone(), name, run, prefix, file.version.clone(), on_bytes)
    }
}

/// Stores what was fetched, if there is any.
async fn keep<S: Store<Bytes = Uint8Array>>(cache: &mut Cache<S>, fetched: Option<(usize, Fetched)>) {
    if let Some((unit, Fetched { bytes, record })) = fetched {
        cache.keep(unit, record, bytes).await;
    }
}

impl UnitSource<'_> {
    /// A unit from the network; `None` if the file is not the one that was planned for.
    async fn fetch(
        &self,
        file: &FilePlan,
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Option<Fetched>> {
        match &file.work {
            Work::Copy(sections) => self.copy(file, sections, unit, reader, hasher, turns).await,
            Work::Convert(conversion) => self.convert(file, conversion, unit, reader, hasher, turns).await,
        }
    }

    /// A unit as it is; `None` if the file is not the one that was planned for.
    async fn copy(
        &self,
        file: &FilePlan,
        sections: &[Section],
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Option<Fetched>> {
        let range = file.units[unit].clone();
        let bytes = Uint8Array::new_with_length((range.end - range.start) as u32);
        let mut filled = 0;
        while let Some(piece) = next_of(reader, &range, u64::from(filled)).await? {
            bytes.set(&piece, filled);
            let at = range.start + u64::from(filled);
            filled += piece.length();
            if contradicts(file, at, &piece) {
                return Ok(None);
            }
            if needs_hash(file) {
                hash(&piece, hasher, turns).await?;
            }
        }
        let pieces = pieces(&range, sections);
        for p in &pieces {
            check_finite(p, self.quantization, &bytes, turns).await?;
        }
        let fetched = Fetched::new(bytes, pieces, &range).await;
        let wrong = |(r, h): (Range<u64>, &str)| r == range && h != fetched.record.sha256;
        if file.info.manifest.iter().flat_map(|m| m.chunks()).any(wrong) {
            return Err(damaged(&file.info.path));
        }
        Ok(Some(fetched))
    }

    /// A unit as it is converted; `None` if the file is not the one that was planned for.
    async fn convert(
        &self,
        file: &FilePlan,
        conversion: &Conversion,
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Option<Fetched>> {
        let range = file.units[unit].clone();
        let mut converter = conversion.begin(unit);
        let mut done = 0;
        let mut slice = Vec::new();
        while let Some(piece) = next_of(reader, &range, done).await? {
            for at in (0..piece.length()).step_by(SLICE as usize) {
                let part = piece.subarray(at, piece.length().min(at + SLICE));
                slice.resize(part.length() as usize, 0);
                part.copy_to(&mut slice);
                if !file.agrees(range.start + done, &slice) {
                    return Ok(None);
                }
                done += slice.len() as u64;
                if needs_hash(file) {
                    hasher.update(&slice);
                }
                if let Err(e) = converter.push(&slice) {
                    if is_misplaced(&e) || !needs_hash(file) {
                        return Err(e);
                    }
                    // Are these the bytes that the hub has at all?
                    hash(&piece.subarray(at + part.length(), piece.length()), hasher, turns).await?;
                    let position = range.start + done + u64::from(piece.length() - at - part.length());
                    let rest = (file.bytes, position, hasher.clone());
                    return Err(blame_rest(self.client, &file.info, Some(file), rest, e).await);
                }
                turns.give_way().await?;
            }
        }
        let converted = converter.finish();
        let bytes = Uint8Array::from(converted.bytes.as_slice());
        Ok(Some(Fetched::new(bytes, converted.pieces, &range).await))
    }
}

impl Fetched {
    async fn new(bytes: Uint8Array, pieces: Vec<Piece>, range: &Range<u64>) -> Self {
        let (len, source_bytes) = (u64::from(bytes.length()), range.end - range.start);
        let sha256 = digest(&bytes).await;
        Self { bytes, record: UnitRecord { len, sha256, source_bytes, pieces, hash_state: String::new() } }
    }
}

/// The next bytes of a unit of which `done` are there; `None` at its end. Readers and units end together.
async fn next_of(reader: &mut Reader, range: &Range<u64>, done: u64) -> Result<Option<Uint8Array>> {
    let position = range.start + done;
    if position == range.end {
        return Ok(None);
    }
    let Some((at, piece)) = reader.next().await? else {
        return Err(Error::new(ErrorCode::Integrity, "A file ended early.").hint("Try again."));
    };
    let (from, to) = (position - at, (range.end - at).min(u64::from(piece.length())));
    if to < u64::from(piece.length()) {
        reader.put_back(range.end, piece.subarray(to as u32, piece.length()));
    }
    Ok(Some(piece.subarray(from as u32, to as u32)))
}

/// True if bytes that stream by are not those that the plan was made from. Only those are copied.
fn contradicts(plan: &FilePlan, at: u64, piece: &Uint8Array) -> bool {
    plan.was_seen(&(at..at + u64::from(piece.length()))) && !plan.agrees(at, &piece.to_vec())
}

/// True for a file whose hash as a whole is known.
fn needs_hash(file: &FilePlan) -> bool {
    file.info.sha256.is_some()
}

async fn check_finite(piece: &Piece, quantization: Quantization, unit: &Uint8Array, turns: &Turns) -> Result<()> {
    if piece.region == Region::Elements && piece.id.format(quantization).is_some_and(TableFormat::is_quantized) {
        return Ok(());
    }
    let end = piece.at + piece.len;
    for at in (piece.at..end).step_by(SLICE as usize) {
        let slice = unit.subarray(at, end.min(at + SLICE)).to_vec();
        if !are_finite(piece.id, piece.region, quantization, &slice) {
            return Err(not_finite(piece.id));
        }
        turns.give_way().await?;
    }
    Ok(())
}

async fn hash(bytes: &Uint8Array, hasher: &mut Sha256, turns: &Turns) -> Result<()> {
    for at in (0..bytes.length()).step_by(SLICE as usize) {
        hasher.update(&bytes.subarray(at, bytes.length().min(at + SLICE)).to_vec());
        turns.give_way().await?;
    }
    Ok(())
}

/// Which error to tell of a file that cannot be understood: that it is damaged, if its hash says so.
pub async fn blame(source: &Source, file: &FileInfo, e: Error) -> Error {
    // A file with hashes of chunks has one of the whole in the same place.
    let sha256 = file.sha256.clone().or_else(|| file.manifest.as_ref().map(|m| m.sha256.clone()));
    let file = FileInfo { sha256, ..file.clone() };
    match file.size {
        Some(size) if file.sha256.is_some() => {
            blame_rest(&source.client, &file, None, (size, 0, Sha256::default()), e).await
        }
        _ => e,
    }
}

/// The same for a file of `size` bytes that is hashed up to `position`, and of which `plan` may be a wrong idea.
async fn blame_rest(
    client: &Rc<Client>,
    file: &FileInfo,
    plan: Option<&FilePlan>,
    (size, position, mut hasher): (u64, u64, Sha256),
    e: Error,
) -> Error {
    let turns = Turns::new(client);
    let ignore: OnBytes = Rc::new(|_| ());
    let mut reader = Reader::new(client.clone(), (&file.path, size), position..size, None, None, ignore);
    let mut agrees = true;
    loop {
        match reader.next().await {
            Ok(Some((at, piece))) => {
                agrees &= !plan.is_some_and(|p| contradicts(p, at, &piece));
                if let Err(aborted) = hash(&piece, &mut hasher, &turns).await {
                    return aborted;
                }
            }
            Ok(None) => break,
            Err(network) => return network,
        }
    }
    let is_right = file.sha256.as_ref().is_none_or(|sha256| *sha256 == hasher.finish());
    if is_right && agrees { e } else { damaged(&file.path).caused_by(e) }
}
