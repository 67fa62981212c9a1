//! The heart of loading: unit after unit from the store or the network to where the model goes, verified on the way.

use super::hashing::{Slices, needs_hash};
use super::plan::{FilePlan, Plan, Work};
use super::progress::Reporter;
use super::source::damaged;
use super::unit::{Fetched, UnitSource, Wrong};
use super::upload::{Room, Upload};
use crate::error::{ErrorKind, Result};
use crate::hash::Sha256;
use crate::hub::ranges::{OnBytes, Reader};
use crate::platform::{Bytes, Platform};
use crate::store::cache::Cache;
use crate::store::doubt::{Doubt, Next};
use crate::store::{Store, UnitRecord};
use futures_util::StreamExt;
use futures_util::future::join;
use std::ops::Range;
use std::rc::Rc;

/// Stored units that are read ahead.
const READ_AHEAD: usize = 4;

/// Loads the units of a model.
pub struct Units<'a, P, S, R> {
    /// Where units that are not stored come from.
    pub source: UnitSource<'a, P>,
    /// Where they go.
    pub room: &'a R,
    /// Where progress is reported.
    pub progress: &'a Rc<Reporter<P>>,
    /// The model's place in the store.
    pub cache: &'a mut Cache<S>,
}

impl<P: Platform, S: Store<Bytes = P::Bytes>, R: Room<P::Bytes>> Units<'_, P, S, R> {
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
                Err(e) if e.kind == ErrorKind::Misplaced => {
                    self.cache.forget(of_file).await;
                    return Err(e);
                }
                Err(e) => return Err(e),
                // Nothing shows which part of the file is wrong.
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
        let mut uploader = self.room.uploader()?;
        Ok(self.stored(0..units, &mut uploader, true).await? == units)
    }

    /// Uploads stored units up to the first that is missing or damaged, whose number it returns.
    async fn stored(
        &self,
        units: Range<usize>,
        uploader: &mut impl Upload<P::Bytes>,
        by_stored: bool,
    ) -> Result<usize> {
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
    async fn verified<'r>(&self, unit: usize, record: &'r UnitRecord) -> Option<(P::Bytes, &'r UnitRecord)> {
        let bytes = self.cache.read(unit).await?;
        (self.source.client.platform().sha256(&bytes).await == record.sha256).then_some((bytes, record))
    }

    /// Loads the units of one file; false if the file as a whole is not what it should be.
    async fn file(&mut self, file: &FilePlan, first: usize, by_stored: bool) -> Result<bool> {
        let mut uploader = self.room.uploader()?;
        let mut hasher = Sha256::default();
        let count = file.units.len();
        let mut reader: Option<(Reader<P>, usize)> = None;
        let slices = Slices::new(self.source.client);
        let mut unit = 0;
        // A unit is stored while the next one arrives.
        let mut unkept: Option<(usize, Fetched<P::Bytes>)> = None;
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
            let known = self.cache.unit(first + unit).map(|r| (r.sha256.clone(), r.hash_state.clone()));
            let expected = known.as_ref().map(|(sha256, _)| sha256.as_str());
            // One reader covers everything that is missing from here; a damaged unit gets a reader of its own.
            let end = match expected {
                Some(_) => unit + 1,
                None => (unit..count).find(|u| self.cache.unit(first + u).is_some()).unwrap_or(count),
            };
            if reader.as_ref().is_none_or(|(_, until)| unit >= *until) {
                let run = file.units[unit].start..file.units[end - 1].end;
                // Bytes to be compared with the stream must not replace it: the prefix is reused only for units that
                // are kept as they are.
                let prefix = file.prefix().filter(|_| matches!(file.work, Work::Copy(_))).map(P::Bytes::of);
                reader = Some((self.reader(file, run, prefix, !by_stored), end));
            }
            let Some((from, _)) = reader.as_mut() else { continue };
            let before = hasher.clone();
            let fetching = self.source.fetch(file, unit, from, &mut hasher, &slices);
            let (fetched, ()) = join(fetching, keep(self.cache, unkept.take())).await;
            let mut fetched = match agreeing(fetched?, expected) {
                Ok(fetched) => fetched,
                Err(wrong) => {
                    hasher = before;
                    match self.again(file, unit, &mut hasher, expected, wrong, by_stored).await? {
                        Some(fetched) => fetched,
                        None => return Ok(false),
                    }
                }
            };
            // Units that were converted to the same result count as the same, even if source bits that do not matter
            // differ.
            if let Some(before) = known.as_ref().and_then(|(_, state)| Sha256::resume(state)) {
                hasher = before;
            }
            fetched.record.hash_state = hasher.state();
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

    /// Requests a unit again that arrived wrong; `None` if what is stored of the file is useless.
    ///
    /// # Errors
    /// `integrity`, or what is wrong with the unit, if it does not come as it should; and those of the network.
    async fn again(
        &mut self,
        file: &FilePlan,
        unit: usize,
        hasher: &mut Sha256,
        expected: Option<&str>,
        mut wrong: Wrong,
        by_stored: bool,
    ) -> Result<Option<Fetched<P::Bytes>>> {
        let slices = Slices::new(self.source.client);
        let before = hasher.clone();
        // A complete file was compared with the hash of the whole file, where there is one; chunks have their own.
        let is_verified = by_stored && needs_hash(file);
        let has_chunks = file.info.manifest.as_ref().is_some_and(|m| !m.chunks.is_empty());
        let mut doubt = Doubt::default();
        loop {
            let is_right = is_verified || (has_chunks && wrong.answer.is_some());
            match doubt.next(wrong.answer, is_right) {
                Next::Again => {}
                Next::End => return Err(wrong.error.unwrap_or_else(|| damaged(&file.info.path))),
                Next::Forget => return wrong.error.map_or(Ok(None), Err),
            }
            hasher.clone_from(&before);
            let mut reader = self.reader(file, file.units[unit].clone(), None, false);
            let fetched = self.source.fetch(file, unit, &mut reader, hasher, &slices).await?;
            match agreeing(fetched, expected) {
                Ok(fetched) => return Ok(Some(fetched)),
                Err(again) => wrong = again,
            }
        }
    }

    /// A reader of some units, after the file's beginning if that is there. `count`: what arrives counts as loaded.
    fn reader(&self, file: &FilePlan, run: Range<u64>, prefix: Option<P::Bytes>, count: bool) -> Reader<P> {
        let progress = self.progress.clone();
        let on_bytes: OnBytes = Rc::new(move |bytes| progress.arrived(bytes, count));
        let name = (file.info.path.as_str(), file.bytes);
        Reader::new(self.source.client.clone(), name, run, prefix, file.version.clone(), on_bytes)
    }
}

/// What was fetched, unless it is wrong or not the unit that is known.
fn agreeing<B>(fetched: Result<Fetched<B>, Wrong>, expected: Option<&str>) -> Result<Fetched<B>, Wrong> {
    let fetched = fetched?;
    if expected.is_none_or(|sha256| *sha256 == fetched.record.sha256) {
        return Ok(fetched);
    }
    Err(Wrong { answer: Some(fetched.record.sha256), error: None })
}

/// Stores what was fetched, if there is any.
async fn keep<S: Store>(cache: &mut Cache<S>, fetched: Option<(usize, Fetched<S::Bytes>)>) {
    if let Some((unit, Fetched { bytes, record })) = fetched {
        cache.keep(unit, record, bytes).await;
    }
}
