//! What is kept between visits: models in units, each with its hash, so that a download resumes where it ended.
//!
//! A unit counts once its bytes *and* then its record are stored; the model's `complete` mark comes last. A model is
//! identified by everything that made it, so that two that differ in anything are two, and a model that replaces
//! another one deletes it once it is complete itself. What a caller asks for in one load is not stored.

pub mod cache;
pub mod doubt;
#[cfg(target_arch = "wasm32")]
pub mod indexed_db;
pub mod list;
pub mod memory;
pub mod remembered;
pub mod seal;
pub mod serve;
pub mod stall;

use crate::checkpoint::layout::Quantization;
use crate::checkpoint::unit::Piece;
use crate::config::PartialConfig;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Changes when stored models of other versions can no longer be used. Each format has a database of its own.
pub const FORMAT: u32 = 3;

/// Names of branches and tags that a model remembers.
const MAX_NAMES: usize = 32;

/// What identifies a stored model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelKey {
    /// Address of the hub; empty for a folder.
    pub endpoint: String,
    /// `owner/name`, or the folder's address.
    pub id: String,
    /// The commit, or a hash that identifies the folder's contents.
    pub commit: String,
    /// Precision as stored.
    pub quantization: Quantization,
    /// Hash of how the files are cut, and of those of their bytes that determine it: units of another plan are useless.
    pub plan: String,
}

impl ModelKey {
    /// Key of the records.
    pub fn text(&self) -> String {
        let Self { endpoint, id, commit, quantization, plan } = self;
        format!("{endpoint}|{id}|{commit}|{}|{plan}", quantization.as_str())
    }

    /// Key of a unit's record and bytes. Numbers of equal length sort as text.
    pub fn unit(&self, unit: usize) -> String {
        format!("{}\n{unit:08}", self.text())
    }

    /// Key of the tokenizer's record and bytes.
    pub fn tokenizer(&self) -> String {
        format!("{}\ntokenizer", self.text())
    }

    /// True if it is the same model, however it was planned.
    pub fn is_of_same_model(&self, other: &Self) -> bool {
        let Self { endpoint, id, commit, quantization, plan: _ } = self;
        (endpoint, id, commit, quantization) == (&other.endpoint, &other.id, &other.commit, &other.quantization)
    }
}

/// A stored model, whole or in part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its key.
    pub key: ModelKey,
    /// The branches and tags of a hub by which it was requested, each with the time of the last request (milliseconds
    /// since 1970).
    pub names: BTreeMap<String, f64>,
    /// What is known of its shape without the caller: the tables, its `config.json`, its name. What a caller says of it
    /// counts for one load, and is not stored.
    #[serde(rename = "told")] // as records have it that were stored before
    pub declared: PartialConfig,
    /// True if it was converted while it was downloaded: its precision is the caller's choice, not the folder's.
    pub is_converted: bool,
    /// True if `tokenizer.json` is stored as well.
    pub has_tokenizer: bool,
    /// How many units the whole has.
    pub units: usize,
    /// The plan had to read where a checkpoint's entries begin; a guess would not fit.
    pub is_exact: bool,
    /// Bytes stored so far.
    pub bytes: u64,
    /// Nothing is missing, and the hashes that the hub gave were right.
    pub complete: bool,
    /// Milliseconds since 1970.
    pub last_used: f64,
}

impl ModelRecord {
    /// Adds names by which it was asked for before; the newest are kept.
    pub fn add_names(&mut self, names: &BTreeMap<String, f64>) {
        for (name, when) in names {
            let known = self.names.entry(name.clone()).or_insert(*when);
            *known = known.max(*when);
        }
        while self.names.len() > MAX_NAMES {
            let oldest = self.names.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.names.remove(&oldest);
        }
    }
}

/// A stored unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Bytes stored.
    pub len: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// Bytes that were downloaded for it.
    pub source_bytes: u64,
    /// Which bytes are which tensor.
    pub pieces: Vec<Piece>,
    /// State of the hash of the file up to this unit's end.
    pub hash_state: String,
}

/// Keeps models. `Bytes` are whatever the platform moves without copying.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Store {
    /// Bytes of a unit.
    type Bytes;

    /// All models.
    async fn models(&self) -> Result<Vec<ModelRecord>>;

    /// Adds or replaces a model's record.
    async fn put_model(&self, model: &ModelRecord) -> Result<()>;

    /// Records of the units that are stored, with their numbers.
    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>>;

    /// Bytes of a unit.
    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Self::Bytes>>;

    /// Stores a unit: its bytes, then its record.
    ///
    /// # Errors
    /// `quota` if the storage is full.
    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Self::Bytes) -> Result<()>;

    /// Forgets units.
    async fn drop_units(&self, key: &ModelKey, units: std::ops::Range<usize>) -> Result<()>;

    /// `tokenizer.json` with its SHA-256.
    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Self::Bytes)>>;

    /// Stores `tokenizer.json`.
    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Self::Bytes) -> Result<()>;

    /// Deletes a model with everything that belongs to it.
    async fn delete(&self, key: &ModelKey) -> Result<()>;

    /// A note that was kept beside the models: its text.
    async fn note(&self, name: &str) -> Result<Option<String>>;

    /// Keeps a note.
    async fn put_note(&self, name: &str, text: &str) -> Result<()>;

    /// Bytes that the platform still allows, where it reports them.
    async fn free_bytes(&self) -> Option<u64>;

    /// A model is complete: what an older version of this program stored of the same model is no longer useful.
    async fn replaces_older(&self, _key: &ModelKey) {}
}
