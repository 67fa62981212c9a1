//! One unit from the network: as it is, or as it is converted, hashed on the way.

use super::diagnosis::diagnose_rest;
use super::hashing::{SLICE, Slices, hash, needs_hash};
use super::plan::{FilePlan, Work};
use crate::checkpoint::folder::{Section, are_finite, not_finite};
use crate::checkpoint::layout::{Quantization, TableFormat};
use crate::checkpoint::regions::Region;
use crate::checkpoint::stream::UnitConverter;
use crate::checkpoint::unit::{Piece, pieces};
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::hash::Sha256;
use crate::hub::client::Client;
use crate::hub::ranges::Reader;
use crate::platform::{Bytes, Platform};
use crate::store::UnitRecord;
use std::ops::Range;
use std::rc::Rc;

/// Where units that are not stored come from.
pub struct UnitSource<'a, P> {
    /// What fetches them.
    pub client: &'a Rc<Client<P>>,
    /// The model's precision once it is loaded.
    pub quantization: Quantization,
}

/// A fetched unit.
pub struct Fetched<B> {
    /// As it is kept.
    pub bytes: B,
    /// What is known of it.
    pub record: UnitRecord,
}

/// A unit that cannot be right. All of its bytes were read nevertheless, so the reader is at its end.
pub struct Wrong {
    /// The hash of what arrived; `None` if it is not of the file that was planned for.
    pub answer: Option<String>,
    /// What is wrong with it, if it is something other than a hash.
    pub error: Option<Error>,
}

/// A unit in progress.
enum Making<'a, B> {
    /// It is kept as it is.
    Copy { bytes: B, filled: u32, sections: &'a [Section] },
    /// It is converted.
    Convert(Box<UnitConverter<'a>>),
}

impl<'a, B: Bytes> Making<'a, B> {
    fn begin(file: &'a FilePlan, unit: usize) -> Self {
        let range = &file.units[unit];
        match &file.work {
            Work::Copy(sections) => {
                Self::Copy { bytes: B::zeroed((range.end - range.start) as u32), filled: 0, sections }
            }
            Work::Convert(conversion) => Self::Convert(Box::new(conversion.begin(unit))),
        }
    }

    /// Takes the next bytes; `copied` are the same in this module's memory, where they are needed there.
    fn push(&mut self, part: &B, copied: &[u8]) -> Result<()> {
        match self {
            Self::Copy { bytes, filled, .. } => {
                bytes.put(*filled, part);
                *filled += part.count();
                Ok(())
            }
            Self::Convert(converter) => converter.push(copied),
        }
    }

    /// What is kept, and which of its bytes belong to which tensor.
    fn finish(self, range: &Range<u64>) -> (B, Vec<Piece>) {
        match self {
            Self::Copy { bytes, sections, .. } => (bytes, pieces(range, sections)),
            Self::Convert(converter) => {
                let converted = converter.finish();
                (B::of(&converted.bytes), converted.pieces)
            }
        }
    }
}

impl<P: Platform> UnitSource<'_, P> {
    /// A unit from the network.
    ///
    /// # Errors
    /// Those of the network, and of the file if all of it is what the hub has.
    pub async fn fetch(
        &self,
        file: &FilePlan,
        unit: usize,
        reader: &mut Reader<P>,
        hasher: &mut Sha256,
        slices: &Slices<P>,
    ) -> Result<Result<Fetched<P::Bytes>, Wrong>> {
        let range = file.units[unit].clone();
        let mut making = Making::<P::Bytes>::begin(file, unit);
        let is_converted = matches!(making, Making::Convert(_));
        let (mut position, mut is_planned) = (range.start, true);
        let mut copied = Vec::new();
        while let Some(piece) = next_of(reader, &range, position).await? {
            for at in (0..piece.count()).step_by(SLICE as usize) {
                let end = piece.count().min(at + SLICE);
                let part = piece.part(at..end);
                let place = position..position + u64::from(part.count());
                copied.clear();
                if is_converted || needs_hash(file) || file.was_seen(&place) {
                    copied.resize(part.count() as usize, 0);
                    part.read(&mut copied);
                    is_planned &= file.agrees(position, &copied);
                }
                if needs_hash(file) {
                    hasher.update(&copied);
                }
                position = place.end;
                if is_planned && let Err(e) = making.push(&part, &copied) {
                    if e.kind == ErrorKind::Misplaced || !needs_hash(file) {
                        return Err(e);
                    }
                    // Are these the bytes that the hub has at all?
                    let rest = piece.part(end..piece.count());
                    hash(&rest, hasher, slices).await?;
                    let rest = (file.bytes, position + u64::from(rest.count()), hasher.clone());
                    return Err(diagnose_rest(self.client, &file.info, Some(file), rest, e).await);
                }
                slices.give_way().await?;
            }
        }
        if !is_planned {
            return Ok(Err(Wrong { answer: None, error: None }));
        }
        let (bytes, pieces) = making.finish(&range);
        let sha256 = self.client.platform().sha256(&bytes).await;
        let (len, source_bytes) = (u64::from(bytes.count()), range.end - range.start);
        let record = UnitRecord { len, sha256, source_bytes, pieces, hash_state: String::new() };
        let fetched = Fetched { bytes, record };
        if is_converted {
            return Ok(Ok(fetched)); // the converter has looked at every number
        }
        self.checked(file, &range, fetched, slices).await
    }

    /// A unit that is kept as it is, unless it contradicts the manifest or holds values that are not finite.
    async fn checked(
        &self,
        file: &FilePlan,
        range: &Range<u64>,
        fetched: Fetched<P::Bytes>,
        slices: &Slices<P>,
    ) -> Result<Result<Fetched<P::Bytes>, Wrong>> {
        let wrong = |error| Ok(Err(Wrong { answer: Some(fetched.record.sha256.clone()), error }));
        let differs = |(r, h): (Range<u64>, &str)| r == *range && h != fetched.record.sha256;
        if file.info.manifest.iter().flat_map(|m| m.chunks()).any(differs) {
            return wrong(None);
        }
        for p in &fetched.record.pieces {
            match check_finite(p, self.quantization, &fetched.bytes, slices).await {
                Err(e) if e.code == ErrorCode::UnsupportedCheckpoint => return wrong(Some(e)),
                checked => checked?,
            }
        }
        Ok(Ok(fetched))
    }
}

/// The next bytes of a unit that is there up to `position`; `None` at its end. Readers and units end together.
async fn next_of<P: Platform>(reader: &mut Reader<P>, range: &Range<u64>, position: u64) -> Result<Option<P::Bytes>> {
    if position == range.end {
        return Ok(None);
    }
    let Some((at, piece)) = reader.next().await? else {
        return Err(Error::new(ErrorCode::Integrity, "A file ended early.").hint("Try again."));
    };
    let (from, to) = (position - at, (range.end - at).min(u64::from(piece.count())));
    if to < u64::from(piece.count()) {
        reader.put_back(range.end, piece.part(to as u32..piece.count()));
    }
    Ok(Some(piece.part(from as u32..to as u32)))
}

async fn check_finite<P: Platform>(
    piece: &Piece,
    quantization: Quantization,
    unit: &P::Bytes,
    slices: &Slices<P>,
) -> Result<()> {
    if piece.region == Region::Elements && piece.id.format(quantization).is_some_and(TableFormat::is_quantized) {
        return Ok(());
    }
    let end = piece.at + piece.len;
    for at in (piece.at..end).step_by(SLICE as usize) {
        let slice = unit.part(at..end.min(at + SLICE)).copied();
        if !are_finite(piece.id, piece.region, quantization, &slice) {
            return Err(not_finite(piece.id));
        }
        slices.give_way().await?;
    }
    Ok(())
}
