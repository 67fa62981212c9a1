//! One model's place in the store while it is loaded. A storage that is full or fails never stops the
//! load: it goes on without, and a note says so.

use super::{ModelKey, ModelRecord, Store, UnitRecord};
use crate::checkpoint::layout::Quantization;
use crate::error::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::ops::Range;

const NOT_KEPT: &str = "The model runs, but is not kept for the next visit";

/// What is noted where a model cannot be stored.
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

    /// Looks what is there of the model. What was made by another plan than `record` says is forgotten. Without
    /// `may_write` what is there is used, and nothing new is kept.
    pub async fn open(store: S, record: ModelRecord, existing: Option<&ModelRecord>, may_write: bool) -> Self {
        let mut cache = Self::off(record);
        if let Err(e) = cache.look(&store, existing, may_write).await {
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

    async fn look(&mut self, store: &S, existing: Option<&ModelRecord>, may_write: bool) -> Result<()> {
        let record = &mut self.record;
        match existing {
            Some(e) if (e.units, &e.config, &e.plan) == (record.units, &record.config, &record.plan) => {
                self.units = store.units(&record.key).await?.into_iter().filter(|(u, _)| *u < e.units).collect();
                record.complete = e.complete && self.units.len() == e.units;
                record.has_tokenizer = e.has_tokenizer;
            }
            Some(_) if may_write => store.delete(&record.key).await?,
            _ => {}
        }
        record.bytes = self.units.values().map(|u| u.len).sum();
        Ok(())
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

    /// Bytes of a stored unit; `None` if they cannot be had, whatever the reason.
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

    /// Forgets units whose bytes turned out to be wrong.
    pub async fn forget(&mut self, units: Range<usize>) {
        self.units.retain(|u, _| !units.contains(u));
        self.record.complete = false;
        self.record.bytes = self.units.values().map(|u| u.len).sum();
        if let Some(store) = &self.store {
            let forgotten = match store.put_model(&self.record).await {
                Ok(()) => store.drop_units(&self.record.key, units).await,
                failed => failed,
            };
            if let Err(e) = forgotten {
                self.give_up(&e).await;
            }
        }
    }

    /// Marks the model complete, or used once more, at `now` (milliseconds since 1970).
    pub async fn complete(&mut self, now: f64) {
        let Some(store) = self.store.as_ref().filter(|_| self.writable) else { return };
        // Somebody may have deleted it meanwhile, in another tab too: what counts is what is there.
        let there = store.units(&self.record.key).await.map_or(0, |units| units.len());
        if there == 0 {
            return;
        }
        let record = ModelRecord { complete: there == self.record.units, last_used: now, ..self.record.clone() };
        let stored = store.put_model(&record).await;
        // That it was used once more need not be known.
        if let Err(e) = stored
            && !self.record.complete
        {
            self.give_up(&e).await;
        }
        self.record = record;
    }

    /// Goes on without storing. What is there of a model that does not fit only takes space away.
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

/// The stored model that fits best, complete ones first, then the one used last.
pub fn find<'a>(
    models: &'a [ModelRecord],
    endpoint: &str,
    id: &str,
    quantization: Option<Quantization>,
    fits: impl Fn(&ModelRecord) -> bool,
) -> Option<&'a ModelRecord> {
    let known = |m: &&ModelRecord| {
        let ModelKey { endpoint: e, id: i, quantization: q, .. } = &m.key;
        // Left out, the precision is the folder's own, or q4 where the folder has none.
        let is_wanted = match quantization {
            Some(wanted) => wanted == *q,
            None => !m.is_converted || *q == Quantization::Q4,
        };
        e == endpoint && i == id && is_wanted && fits(m)
    };
    models.iter().filter(known).max_by(|a, b| {
        (a.complete, a.last_used).partial_cmp(&(b.complete, b.last_used)).unwrap_or(std::cmp::Ordering::Equal)
    })
}

/// What to say where `needed` bytes do not fit into the `free` ones: which models, the least recently used
/// first, would make room.
pub fn advice(needed: u64, free: u64, models: &[ModelRecord], keep: &ModelKey) -> String {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let mut old: Vec<_> = models.iter().filter(|m| m.key != *keep && m.bytes > 0).collect();
    old.sort_by(|a, b| a.last_used.total_cmp(&b.last_used));
    let mut room = free;
    let mut names = Vec::new();
    for m in old {
        if room >= needed {
            break;
        }
        room += m.bytes;
        names.push(format!("{} {} ({} MB)", m.key.id, m.key.quantization.as_str(), mb(m.bytes)));
    }
    let what = match names.as_slice() {
        [] => "Free some space on the disk".into(),
        names => format!("Delete what was not used for long, {}", names.join(", ")),
    };
    format!("{NOT_KEPT}: it takes {} MB, and the browser allows {} MB more. {what}, to keep it.", mb(needed), mb(free))
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::*;
    use crate::config::ModelConfig;
    use crate::hash::sha256;
    use pollster::block_on;

    fn record(id: &str, units: usize) -> ModelRecord {
        ModelRecord {
            key: ModelKey {
                endpoint: "https://hub.example".into(),
                id: id.into(),
                commit: "a".repeat(40),
                quantization: Quantization::Q4,
            },
            requested: "main".into(),
            config: ModelConfig::preset("TokenFormer-150M").expect("preset"),
            is_converted: true,
            has_tokenizer: false,
            units,
            plan: String::new(),
            is_exact: false,
            bytes: 0,
            complete: false,
            last_used: 0.0,
        }
    }

    fn unit(bytes: &[u8]) -> UnitRecord {
        let sha256 = sha256(bytes);
        UnitRecord { len: bytes.len() as u64, sha256, source_bytes: 9, pieces: Vec::new(), hash_state: String::new() }
    }

    async fn keep(cache: &mut Cache<MemoryStore>, n: usize) {
        let bytes = vec![n as u8; 10];
        cache.keep(n, unit(&bytes), bytes).await;
    }

    async fn stored(store: &MemoryStore, id: &str) -> Option<ModelRecord> {
        store.models().await.expect("models").into_iter().find(|m| m.key.id == id)
    }

    #[test]
    fn what_was_kept_is_there_the_next_time() {
        block_on(async {
            let store = MemoryStore::default();
            let mut cache = Cache::open(store.clone(), record("o/a", 3), None, true).await;
            keep(&mut cache, 0).await;
            keep(&mut cache, 1).await;
            cache.complete(1.0).await;
            drop(cache);
            let existing = stored(&store, "o/a").await;
            assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes)), Some((false, 20)));

            let mut cache = Cache::open(store.clone(), record("o/a", 3), existing.as_ref(), true).await;
            assert!(cache.unit(1).is_some() && cache.unit(2).is_none() && !cache.is_complete());
            assert_eq!(cache.read(1).await, Some(vec![1; 10]));
            keep(&mut cache, 2).await;
            cache.complete(2.0).await;
            let existing = stored(&store, "o/a").await;
            assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes, m.last_used)), Some((true, 30, 2.0)));

            cache.forget(1..2).await;
            assert!(!cache.is_complete() && cache.read(1).await.is_none());
            let existing = stored(&store, "o/a").await;
            assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes)), Some((false, 20)));

            // Cut otherwise, or by another directory: nothing of it can be used.
            for other in [record("o/a", 4), ModelRecord { plan: "other".into(), ..record("o/a", 3) }] {
                let cache = Cache::open(store.clone(), other, existing.as_ref(), false).await;
                assert!(cache.unit(0).is_none());
                assert_eq!(store.units(&record("o/a", 3).key).await.expect("units").len(), 2, "nothing is written");
            }
            let other = ModelRecord { plan: "other".into(), ..record("o/a", 3) };
            let cache = Cache::open(store.clone(), other, existing.as_ref(), true).await;
            assert!(cache.unit(0).is_none() && cache.read(0).await.is_none());
        });
    }

    #[test]
    fn a_full_storage_stops_nothing_and_leaves_nothing() {
        block_on(async {
            let store = MemoryStore::default();
            let mut other = Cache::open(store.clone(), record("o/b", 1), None, true).await;
            keep(&mut other, 0).await;
            store.limit(25);
            let mut cache = Cache::open(store.clone(), record("o/a", 3), None, true).await;
            for n in 0..3 {
                keep(&mut cache, n).await;
            }
            cache.complete(1.0).await;
            assert!(!cache.is_on() && cache.notes.len() == 1, "{:?}", cache.notes);
            assert!(cache.unit(2).is_some(), "hash states are still needed");
            assert!(stored(&store, "o/a").await.is_none());
            assert_eq!(other.read(0).await, Some(vec![0; 10]));
        });
    }

    #[test]
    fn a_full_storage_neither_hides_nor_deletes_what_is_complete() {
        block_on(async {
            let store = MemoryStore::default();
            let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
            keep(&mut cache, 0).await;
            keep(&mut cache, 1).await;
            cache.keep_tokenizer("hash", vec![1]).await;
            cache.complete(1.0).await;
            store.refuse_records(true);
            store.limit(0);
            let existing = stored(&store, "o/a").await;
            let mut cache = Cache::open(store.clone(), record("o/a", 2), existing.as_ref(), true).await;
            assert!(cache.is_complete() && cache.read(1).await.is_some() && cache.notes.is_empty());
            // A damaged unit is fetched again, and cannot be stored.
            keep(&mut cache, 1).await;
            cache.complete(2.0).await;
            assert_eq!(cache.notes.len(), 1);
            let now = stored(&store, "o/a").await;
            assert_eq!(now, existing, "nothing was lost");
            assert_eq!(store.units(&record("o/a", 2).key).await.expect("units").len(), 2);
        });
    }

    #[test]
    fn what_was_deleted_meanwhile_is_not_called_complete() {
        block_on(async {
            let store = MemoryStore::default();
            let key = record("o/a", 2).key;
            let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
            keep(&mut cache, 0).await;
            store.delete(&key).await.expect("deleted");
            keep(&mut cache, 1).await;
            cache.complete(1.0).await;
            assert_eq!(stored(&store, "o/a").await.map(|m| m.complete), Some(false));
            store.delete(&key).await.expect("deleted");
            cache.complete(2.0).await;
            assert_eq!(stored(&store, "o/a").await, None);
        });
    }

    #[test]
    fn choosing_and_advising() {
        let mut models = vec![record("o/a", 1), record("o/a", 1), record("o/b", 1)];
        models[1].key.commit = "b".repeat(40);
        (models[0].complete, models[0].last_used, models[0].bytes) = (true, 5.0, 30_000_000);
        (models[1].last_used, models[2].last_used, models[2].bytes) = (9.0, 1.0, 20_000_000);
        let hub = "https://hub.example";
        assert_eq!(find(&models, hub, "o/a", None, |_| true), Some(&models[0]));
        assert_eq!(find(&models, hub, "o/a", Some(Quantization::Q8), |_| true), None);
        assert_eq!(find(&models, hub, "o/a", None, |m| m.key.commit.starts_with('b')), Some(&models[1]));
        models[0].key.quantization = Quantization::Q8;
        assert_eq!(find(&models, hub, "o/a", None, |m| m.complete), None, "q8 is nobody's default");
        models[0].is_converted = false;
        assert_eq!(find(&models, hub, "o/a", None, |m| m.complete), Some(&models[0]), "but may be a folder's own");
        models[0].key.quantization = Quantization::Q4;
        let text = advice(60_000_000, 15_000_000, &models, &models[1].key);
        assert!(text.contains("60 MB") && text.contains("15 MB"), "{text}");
        assert!(text.contains("o/b q4 (20 MB), o/a q4 (30 MB)"), "{text}");
        assert!(advice(9, 1, &[], &models[0].key).contains("disk"));
    }
}
