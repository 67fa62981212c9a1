//! The store in memory: the twin of IndexedDB that tests use, with faults to inject.

use super::{ModelKey, ModelRecord, Store, UnitRecord};
use crate::error::{Error, ErrorCode, Result};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

type Tokenizers = BTreeMap<String, (String, Vec<u8>)>;
type Units = BTreeMap<(String, usize), (UnitRecord, Vec<u8>)>;

/// A store that lives as long as its clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    models: Rc<RefCell<BTreeMap<String, ModelRecord>>>,
    units: Rc<RefCell<Units>>,
    tokenizers: Rc<RefCell<Tokenizers>>,
    quota: Rc<Cell<Option<u64>>>,
    refuses_records: Rc<Cell<bool>>,
}

impl MemoryStore {
    /// From now on, units fit only while they have at most so many bytes together.
    pub fn limit(&self, bytes: u64) {
        self.quota.set(Some(bytes));
    }

    /// From now on, records of models fit or do not.
    pub fn refuse_records(&self, refuse: bool) {
        self.refuses_records.set(refuse);
    }

    fn bytes(&self) -> u64 {
        self.units.borrow().values().map(|(_, b)| b.len() as u64).sum()
    }
}

impl Store for MemoryStore {
    type Bytes = Vec<u8>;

    async fn models(&self) -> Result<Vec<ModelRecord>> {
        Ok(self.models.borrow().values().cloned().collect())
    }

    async fn put_model(&self, model: &ModelRecord) -> Result<()> {
        if self.refuses_records.get() {
            return Err(Error::new(ErrorCode::Quota, "The storage is full."));
        }
        self.models.borrow_mut().insert(model.key.text(), model.clone());
        Ok(())
    }

    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>> {
        let key = key.text();
        let units = self.units.borrow();
        Ok(units.iter().filter(|((k, _), _)| *k == key).map(|((_, unit), (r, _))| (*unit, r.clone())).collect())
    }

    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.units.borrow().get(&(key.text(), unit)).map(|(_, bytes)| bytes.clone()))
    }

    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Vec<u8>) -> Result<()> {
        if self.quota.get().is_some_and(|quota| self.bytes() + bytes.len() as u64 > quota) {
            return Err(Error::new(ErrorCode::Quota, "The storage is full."));
        }
        self.units.borrow_mut().insert((key.text(), unit), (record.clone(), bytes));
        Ok(())
    }

    async fn drop_units(&self, key: &ModelKey, units: Range<usize>) -> Result<()> {
        let key = key.text();
        self.units.borrow_mut().retain(|(k, unit), _| *k != key || !units.contains(unit));
        Ok(())
    }

    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Vec<u8>)>> {
        Ok(self.tokenizers.borrow().get(&key.text()).cloned())
    }

    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Vec<u8>) -> Result<()> {
        self.tokenizers.borrow_mut().insert(key.text(), (sha256.to_owned(), bytes));
        Ok(())
    }

    async fn delete(&self, key: &ModelKey) -> Result<()> {
        self.models.borrow_mut().remove(&key.text());
        self.tokenizers.borrow_mut().remove(&key.text());
        self.drop_units(key, 0..usize::MAX).await
    }
}
