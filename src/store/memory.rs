//! The store in memory: the twin of IndexedDB that tests use, with faults to inject.

use super::seal::{seal, unseal};
use super::{ModelKey, ModelRecord, Store, UnitRecord};
use crate::error::{Error, ErrorCode, Result};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

type Data = BTreeMap<String, Vec<u8>>;
/// Sealed records by their keys, as IndexedDB has them.
type Records = BTreeMap<String, String>;

/// A store that lives as long as its clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    models: Rc<RefCell<Records>>,
    units: Rc<RefCell<Records>>,
    data: Rc<RefCell<Data>>,
    notes: Rc<RefCell<Records>>,
    free: Rc<Cell<Option<u64>>>,
    quota: Rc<Cell<Option<u64>>>,
    refuses_records: Rc<Cell<bool>>,
}

impl MemoryStore {
    /// From now on, units fit only while they have at most this many bytes together.
    pub fn limit(&self, bytes: u64) {
        self.quota.set(Some(bytes));
    }

    /// From now on, this many bytes are reported as free, whatever fits.
    pub fn estimate(&self, bytes: Option<u64>) {
        self.free.set(bytes);
    }

    /// Sets whether records of models are refused from now on.
    pub fn refuse_records(&self, refuse: bool) {
        self.refuses_records.set(refuse);
    }

    /// Changes the texts of stored records, of models and of what belongs to them: as a broken disk would.
    pub fn damage(&self, change: impl Fn(&str, &mut String)) {
        for records in [&self.models, &self.units] {
            records.borrow_mut().iter_mut().for_each(|(key, text)| change(key, text));
        }
    }

    /// Changes or removes the bytes of units whose keys end with this.
    pub fn harm(&self, unit: &str, change: impl Fn(&mut Option<Vec<u8>>)) {
        let mut data = self.data.borrow_mut();
        let keys: Vec<String> = data.keys().filter(|key| key.ends_with(unit)).cloned().collect();
        for key in keys {
            let mut bytes = data.remove(&key);
            change(&mut bytes);
            data.extend(bytes.map(|bytes| (key, bytes)));
        }
    }

    fn bytes(&self) -> u64 {
        self.data.borrow().values().map(|bytes| bytes.len() as u64).sum()
    }
}

impl Store for MemoryStore {
    type Bytes = Vec<u8>;

    async fn models(&self) -> Result<Vec<ModelRecord>> {
        Ok(self.models.borrow().iter().filter_map(|(key, text)| unseal(key, text)).collect())
    }

    async fn put_model(&self, model: &ModelRecord) -> Result<()> {
        if self.refuses_records.get() {
            return Err(Error::new(ErrorCode::Quota, "The storage is full."));
        }
        let key = model.key.text();
        self.models.borrow_mut().insert(key.clone(), seal(&key, model)?);
        Ok(())
    }

    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>> {
        let units = self.units.borrow();
        let range = units.range(key.unit(0)..=key.unit(99_999_999));
        let unit = |(key, text): (&String, &String)| Some((key.rsplit('\n').next()?.parse().ok()?, unseal(key, text)?));
        Ok(range.filter_map(unit).collect())
    }

    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.data.borrow().get(&key.unit(unit)).cloned())
    }

    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Vec<u8>) -> Result<()> {
        if self.quota.get().is_some_and(|quota| self.bytes() + bytes.len() as u64 > quota) {
            return Err(Error::new(ErrorCode::Quota, "The storage is full."));
        }
        let key = key.unit(unit);
        self.units.borrow_mut().insert(key.clone(), seal(&key, record)?);
        self.data.borrow_mut().insert(key, bytes);
        Ok(())
    }

    async fn drop_units(&self, key: &ModelKey, units: Range<usize>) -> Result<()> {
        for unit in units {
            self.units.borrow_mut().remove(&key.unit(unit));
            self.data.borrow_mut().remove(&key.unit(unit));
        }
        Ok(())
    }

    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Vec<u8>)>> {
        let key = key.tokenizer();
        let sha256 = self.units.borrow().get(&key).and_then(|text| unseal(&key, text));
        Ok(sha256.zip(self.data.borrow().get(&key).cloned()))
    }

    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Vec<u8>) -> Result<()> {
        let key = key.tokenizer();
        self.units.borrow_mut().insert(key.clone(), seal(&key, &sha256)?);
        self.data.borrow_mut().insert(key, bytes);
        Ok(())
    }

    async fn note(&self, name: &str) -> Result<Option<String>> {
        Ok(self.notes.borrow().get(name).and_then(|text| unseal(name, text)))
    }

    async fn put_note(&self, name: &str, text: &str) -> Result<()> {
        self.notes.borrow_mut().insert(name.to_owned(), seal(name, &text)?);
        Ok(())
    }

    async fn free_bytes(&self) -> Option<u64> {
        self.free.get()
    }

    async fn delete(&self, key: &ModelKey) -> Result<()> {
        let beginning = format!("{}\n", key.text());
        self.models.borrow_mut().remove(&key.text());
        self.units.borrow_mut().retain(|k, _| !k.starts_with(&beginning));
        self.data.borrow_mut().retain(|k, _| !k.starts_with(&beginning));
        Ok(())
    }
}

/// A converted model of a hub at q4, of which nothing is stored yet: for tests.
#[cfg(test)]
pub fn record(id: &str, units: usize) -> ModelRecord {
    let shape = crate::config::ModelConfig::preset("TokenFormer-150M").expect("preset");
    ModelRecord {
        key: ModelKey {
            endpoint: "https://hub.example".into(),
            id: id.into(),
            commit: "a".repeat(40),
            quantization: crate::checkpoint::layout::Quantization::Q4,
            plan: "plan".into(),
        },
        names: BTreeMap::from([("main".to_owned(), 0.0)]),
        declared: crate::config::PartialConfig::preset("TokenFormer-150M").expect("preset").with_tables_of(&shape),
        is_converted: true,
        has_tokenizer: false,
        units,
        is_exact: false,
        bytes: 0,
        complete: false,
        last_used: 0.0,
    }
}
