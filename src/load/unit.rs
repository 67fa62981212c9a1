//! One unit from the network: as it is, or as it is converted, hashed on the way.

use super::digest::digest;
use super::plan::{FilePlan, Work};
use super::units::blame_rest;
use crate::checkpoint::folder::{Region, Section, are_finite, not_finite};
use crate::checkpoint::layout::{Quantization, TableFormat};
use crate::checkpoint::stream::Conversion;
use crate::checkpoint::unit::{Piece, pieces};
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::hash::Sha256;
use crate::hub::fetch::Client;
use crate::hub::ranges::Reader;
use crate::hub::timer::breathe;
use crate::store::UnitRecord;
use js_sys::Uint8Array;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use web_time::{Duration, Instant};

/// Bytes that are converted or hashed at a time: a few milliseconds of work.
const SLICE: u32 = 1 << 20;
/// Longest that the page may wait for its turn.
const TURN: Duration = Duration::from_millis(12);

/// Work on this thread that lets others have their turn, and ends when the caller aborts.
pub struct Turns {
    client: Rc<Client>,
    since: Cell<Instant>,
}

impl Turns {
    pub fn new(client: &Rc<Client>) -> Self {
        Self { client: client.clone(), since: Cell::new(Instant::now()) }
    }

    pub async fn give_way(&self) -> Result<()> {
        if self.since.get().elapsed() >= TURN {
            breathe().await;
            self.since.set(Instant::now());
        }
        self.client.check_abort()
    }
}

/// Where units come from that are not stored.
pub struct UnitSource<'a> {
    pub client: &'a Rc<Client>,
    pub quantization: Quantization,
}

/// What came of a unit.
pub struct Fetched {
    pub bytes: Uint8Array,
    pub record: UnitRecord,
}

/// A unit that cannot be right. All of its bytes were read all the same, so that the reader stands at its end.
pub struct Wrong {
    /// The hash of what came; `None` if it is not of the file that was planned for.
    pub answer: Option<String>,
    /// What is wrong with it, if that is another thing than a hash.
    pub error: Option<Error>,
}

impl UnitSource<'_> {
    /// A unit from the network.
    ///
    /// # Errors
    /// Those of the network, and of the file if all of it is what the hub has.
    pub async fn fetch(
        &self,
        file: &FilePlan,
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Result<Fetched, Wrong>> {
        match &file.work {
            Work::Copy(sections) => self.copy(file, sections, unit, reader, hasher, turns).await,
            Work::Convert(conversion) => self.convert(file, conversion, unit, reader, hasher, turns).await,
        }
    }

    /// A unit as it is.
    async fn copy(
        &self,
        file: &FilePlan,
        sections: &[Section],
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Result<Fetched, Wrong>> {
        let range = file.units[unit].clone();
        let bytes = Uint8Array::new_with_length((range.end - range.start) as u32);
        let (mut filled, mut is_planned) = (0, true);
        while let Some(piece) = next_of(reader, &range, u64::from(filled)).await? {
            bytes.set(&piece, filled);
            let at = range.start + u64::from(filled);
            filled += piece.length();
            is_planned &= !contradicts(file, at, &piece);
            if needs_hash(file) {
                hash(&piece, hasher, turns).await?;
            }
        }
        if !is_planned {
            return Ok(Err(Wrong { answer: None, error: None }));
        }
        let fetched = Fetched::new(bytes, pieces(&range, sections), &range).await;
        let wrong = |error| Ok(Err(Wrong { answer: Some(fetched.record.sha256.clone()), error }));
        let differs = |(r, h): (Range<u64>, &str)| r == range && h != fetched.record.sha256;
        if file.info.manifest.iter().flat_map(|m| m.chunks()).any(differs) {
            return wrong(None);
        }
        for p in &fetched.record.pieces {
            match check_finite(p, self.quantization, &fetched.bytes, turns).await {
                Err(e) if e.code == ErrorCode::UnsupportedCheckpoint => return wrong(Some(e)),
                checked => checked?,
            }
        }
        Ok(Ok(fetched))
    }

    /// A unit as it is converted.
    async fn convert(
        &self,
        file: &FilePlan,
        conversion: &Conversion,
        unit: usize,
        reader: &mut Reader,
        hasher: &mut Sha256,
        turns: &Turns,
    ) -> Result<Result<Fetched, Wrong>> {
        let range = file.units[unit].clone();
        let mut converter = conversion.begin(unit);
        let (mut done, mut is_planned) = (0, true);
        let mut slice = Vec::new();
        while let Some(piece) = next_of(reader, &range, done).await? {
            for at in (0..piece.length()).step_by(SLICE as usize) {
                let part = piece.subarray(at, piece.length().min(at + SLICE));
                slice.resize(part.length() as usize, 0);
                part.copy_to(&mut slice);
                is_planned &= file.agrees(range.start + done, &slice);
                done += slice.len() as u64;
                if needs_hash(file) {
                    hasher.update(&slice);
                }
                if is_planned && let Err(e) = converter.push(&slice) {
                    if e.kind == ErrorKind::Misplaced || !needs_hash(file) {
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
        if !is_planned {
            return Ok(Err(Wrong { answer: None, error: None }));
        }
        let converted = converter.finish();
        let bytes = Uint8Array::from(converted.bytes.as_slice());
        Ok(Ok(Fetched::new(bytes, converted.pieces, &range).await))
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
pub fn contradicts(plan: &FilePlan, at: u64, piece: &Uint8Array) -> bool {
    plan.was_seen(&(at..at + u64::from(piece.length()))) && !plan.agrees(at, &piece.to_vec())
}

/// True for a file whose hash as a whole is known.
pub fn needs_hash(file: &FilePlan) -> bool {
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

pub async fn hash(bytes: &Uint8Array, hasher: &mut Sha256, turns: &Turns) -> Result<()> {
    for at in (0..bytes.length()).step_by(SLICE as usize) {
        hasher.update(&bytes.subarray(at, bytes.length().min(at + SLICE)).to_vec());
        turns.give_way().await?;
    }
    Ok(())
}
