//! One model's place in the store while it is loaded. Storage that is full or fails never stops the load, which
//! continues without it, and a note says so.

use super::{ModelRecord, Store, UnitRecord};
use crate::checkpoint::layout::tensors;
use crate::checkpoint::regions::regions;
use crate::checkpoint::unit::covers;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::ops::Range;

pub(super) const NOT_KEPT: &str = "The model runs, but is not kept for the next visit";

/// The note for a model that cannot be stored.
pub fn not_kept(e: &Error) -> String {
    format!("{NOT_KEPT}. {e}")
}

/// The units of one model.
#[derive(Debug)]
pub struct Cache<S> {
    store: Option<S>,
    writable: bool,
    record: ModelRecord,
    units: BTreeMap<usize, UnitRecord>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl<S: Store> Cache<S> {
    /// A cache that keeps nothing.
    pub fn off(record: ModelRecord) -> Self {
        Self { store: None, writable: false, record, units: BTreeMap::new(), notes: Vec::new() }
    }

    /// Looks up what is stored of the model, whose record is `existing`, if that can be read. Without `may_write`, what
    /// is stored is used, and nothing new is kept.
    pub async fn open(store: S, record: ModelRecord, existing: Option<&ModelRecord>, may_write: bool) -> Self {
        let mut cache = Self::off(record);
        if let Err(e) = cache.look(&store, existing).await {
            cache.note(&e);
            return cache;
        }
        cache.writable = may_write;
        if may_write
            && let Err(e) = store.put_model(&cache.record).await
            && !cache.record.complete
        {
            cache.writable = false;
            cache.note(&e);
        }
        cache.store = Some(store);
        cache
    }

    async fn look(&mut self, store: &S, existing: Option<&ModelRecord>) -> Result<()> {
        let record = &mut self.record;
        // Units identify themselves: without a record of the model they count nevertheless.
        self.units = store.units(&record.key).await?.into_iter().filter(|(u, _)| *u < record.units).collect();
        if let Some(existing) = existing {
            record.complete = existing.complete && self.units.len() == record.units;
            record.has_tokenizer = existing.has_tokenizer;
            record.add_names(&existing.names);
        }
        record.bytes = self.units.values().map(|u| u.len).sum();
        Ok(())
    }

    /// True if the stored units are a whole model of this shape: every byte of every tensor, each once.
    pub fn is_whole(&self, config: &ModelConfig) -> bool {
        let quantization = self.record.key.quantization;
        let lies_inside =
            |unit: &UnitRecord| unit.pieces.iter().all(|p| u64::from(p.at) + u64::from(p.len) <= unit.len);
        let expected = tensors(config)
            .flat_map(|id| regions(id, config, quantization).map(move |(region, bytes)| (id, region, bytes)));
        let pieces = self.units.values().flat_map(|unit| &unit.pieces);
        self.units.values().all(lies_inside)
            && covers(pieces.map(|p| (p.id, p.region, p.offset, u64::from(p.len))), &expected.collect::<Vec<_>>())
    }

    /// What is known of a stored unit.
    pub fn unit(&self, unit: usize) -> Option<&UnitRecord> {
        self.units.get(&unit)
    }

    /// True once every unit is there and was verified.
    pub fn is_complete(&self) -> bool {
        self.record.complete
    }

    /// True while units are kept.
    pub fn is_on(&self) -> bool {
        self.writable
    }

    /// Bytes of a stored unit; `None` if they are unavailable, whatever the reason.
    pub async fn read(&self, unit: usize) -> Option<S::Bytes> {
        self.store.as_ref()?.unit(&self.record.key, unit).await.ok().flatten()
    }

    /// Stores `tokenizer.json`.
    pub async fn keep_tokenizer(&mut self, sha256: &str, bytes: S::Bytes) {
        let Some(store) = self.store.as_ref().filter(|_| self.writable) else { return };
        match store.put_tokenizer(&self.record.key, sha256, bytes).await {
            Ok(()) => self.record.has_tokenizer = true,
            Err(e) => self.give_up(&e).await,
        }
    }

    /// Stores a unit. Without storage only its record is remembered.
    pub async fn keep(&mut self, unit: usize, record: UnitRecord, bytes: S::Bytes) {
        let known = self.units.get(&unit).map_or(0, |u| u.len);
        if let Some(store) = self.store.as_ref().filter(|_| self.writable) {
            let stored = match store.put_unit(&self.record.key, unit, &record, bytes).await {
                Ok(()) => {
                    self.record.bytes = self.record.bytes + record.len - known;
                    store.put_model(&self.record).await
                }
                failed => failed,
            };
            if let Err(e) = stored {
                self.give_up(&e).await;
            }
        }
        self.units.insert(unit, record);
    }

    /// Forgets units whose bytes turned out to be wrong. A model that has no other units is deleted.
    pub async fn forget(&mut self, units: Range<usize>) {
        self.units.retain(|u, _| !units.contains(u));
        self.record.complete = false;
        self.record.bytes = self.units.values().map(|u| u.len).sum();
        if let Some(store) = &self.store {
            let forgotten = match self.units.is_empty() {
                true => store.delete(&self.record.key).await,
                false => match store.put_model(&self.record).await {
                    Ok(()) => store.drop_units(&self.record.key, units).await,
                    failed => failed,
                },
            };
            if let Err(e) = forgotten {
                self.give_up(&e).await;
            }
        }
    }

    /// Marks the model complete, or used again, at `now` (milliseconds since 1970). Only now is what it replaces
    /// deleted.
    pub async fn complete(&mut self, now: f64) {
        let Some(store) = self.store.as_ref().filter(|_| self.writable) else { return };
        // It may have been deleted meanwhile, even in another tab: what counts is what is there.
        let there = store.units(&self.record.key).await.map_or(0, |units| units.len());
        if there == 0 {
            return;
        }
        let record = ModelRecord { complete: there == self.record.units, last_used: now, ..self.record.clone() };
        let is_new = record.complete && !self.record.complete;
        match store.put_model(&record).await {
            Ok(()) if is_new => replace_others(store, &record).await,
            Ok(()) => {}
            // It does not matter if another use is not recorded.
            Err(e) if !self.record.complete => self.give_up(&e).await,
            Err(_) => {}
        }
        self.record = record;
    }

    /// Continues without storing. What is stored of a model that does not fit only takes up space.
    async fn give_up(&mut self, e: &Error) {
        self.writable = false;
        if e.code == ErrorCode::Quota
            && !self.record.complete
            && let Some(store) = self.store.take()
        {
            let _ = store.delete(&self.record.key).await; // the first error is the one to tell
        }
        self.note(e);
    }

    fn note(&mut self, e: &Error) {
        self.notes.push(not_kept(e));
    }
}

/// Deletes what was stored of the same model by other plans. If that fails, it only takes up space.
async fn replace_others<S: Store>(store: &S, record: &ModelRecord) {
    for other in store.models().await.unwrap_or_default() {
        if other.key.is_of_same_model(&record.key) && other.key != record.key {
            let _ = store.delete(&other.key).await;
        }
    }
    store.replaces_older(&record.key).await;
}

#[cfg(test)]
mod tests;
